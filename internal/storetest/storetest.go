// Package storetest is the conformance suite that every store of Leger passes,
// whatever it is made of: what the contracts in the root package promise, written
// as tests. An adapter's own tests call Run; a promise that only one adapter
// could keep does not belong here.
//
// It knows no adapter, sleeps never, and asks for an empty store for every test.
package storetest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"leger.run/leger"
	"leger.run/leger/internal/chain"
)

// Stores are the contracts under test, usually one value many times.
type Stores struct {
	Secrets    leger.SecretStore
	Users      leger.UserStore
	Sessions   leger.SessionStore
	Releases   leger.ReleaseStore
	Hosts      leger.HostStore
	Machines   leger.MachineStore
	Enrolments leger.EnrolmentStore
	Links      leger.LinkStore
	Operator   leger.OperatorStore
	Audit      leger.AuditLog

	Installation leger.InstallationStore

	Chain Chain

	// Execute runs a statement as somebody does who can write to the database.
	Execute func(ctx context.Context, sql string) error
}

// Chain is the part of a store that makes its audit log one that can be checked.
type Chain interface {
	OpenAuditKey(ctx context.Context, keys leger.AuditKeys, random io.Reader) error
	AuditKey(ctx context.Context, keys leger.AuditKeys) (*chain.Key, error)
	LinkAudit(ctx context.Context) (int, error)
	VerifyAudit(ctx context.Context, key *chain.Key, each func(chain.Row, chain.Place)) (chain.Report, error)
}

// Run runs the suite. open gives empty stores that share nothing with those of
// another call, and cleans up through t.
func Run(t *testing.T, open func(t *testing.T) Stores) {
	t.Helper()
	for name, group := range map[string]map[string]func(*harness){
		"Secrets": secretTests(), "SecretWriters": secretWriterTests(), "Users": userTests(),
		"Sessions": sessionTests(), "Releases": releaseTests(), "Hosts": hostTests(), "Audit": auditTests(),
		"Installation": installationTests(), "Machines": machineTests(), "Scopes": scopeTests(),
		"Links": linkTests(), "Enrolments": enrolmentTests(), "Chain": chainTests(), "Operator": operatorTests(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for name, test := range group {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					h := &harness{T: t, Stores: open(t)}
					h.must(h.Chain.OpenAuditKey(t.Context(), PlainKeys("key1"), rand.Reader))
					h.link()
					test(h)
					h.verify() // whatever wrote an event wrote a true one
				})
			}
		})
	}
}

// harness is one test with its stores and a few words to write it in.
type harness struct {
	*testing.T
	Stores
}

// start is when the tests begin, by their own clock. Stores keep times at least
// to the millisecond.
func start() time.Time { return time.Date(2026, 3, 1, 10, 20, 30, 123_000_000, time.UTC) }

// at is n minutes after start.
func at(n int) time.Time { return start().Add(time.Duration(n) * time.Minute) }

func identity(n int) leger.Identity {
	return leger.Identity{
		TailscaleUserID: leger.TailscaleUserIDOf(uint64(1000 + n)), //nolint:gosec // a small number of the tests
		Email:           fmt.Sprintf("user%d@github", n), Tailnet: "example.ts.net", DeviceID: fmt.Sprintf("node%d", n),
	}
}

// account signs in person number n and gives their id.
func (h *harness) account(n int) leger.UserID {
	h.Helper()
	u, _, err := h.Users.SignIn(h.Context(), signIn(n, 0), nil)
	h.must(err)
	return u.ID
}

func signIn(n, minute int) leger.SignIn {
	id := identity(n)
	return leger.SignIn{
		Identity: id, CLIVersion: "0.1.0", At: at(minute),
		Audit: event(id.UserID(), leger.ActionSignIn, "", 0, minute),
	}
}

func event(user leger.UserID, action leger.Action, subject string, v leger.Version, minute int) leger.AuditEvent {
	return leger.AuditEvent{
		At: at(minute), User: user, Action: action, Subject: subject, Version: v, Credential: leger.CredentialToken,
		DeviceID: "node1", RemoteAddr: "100.64.0.1", RequestID: "req-1", Detail: "detail",
	}
}

func (h *harness) id() string {
	h.Helper()
	id, err := leger.NewID(rand.Reader)
	h.must(err)
	return id
}

func (h *harness) secretName(s string) leger.SecretName {
	h.Helper()
	n, err := leger.ParseSecretName(s)
	h.must(err)
	return n
}

// write is a put of value as version expect+1, made at that minute.
func (h *harness) write(user leger.UserID, name string, expect leger.Version, value string) leger.SecretWrite {
	h.Helper()
	nonce := make([]byte, 12)
	_, err := rand.Read(nonce)
	h.must(err)
	when := at(int(expect) + 1)
	return leger.SecretWrite{
		Expect: expect,
		Audit:  event(user, leger.ActionSecretUpdate, name, expect+1, int(expect)+1),
		Sealed: leger.SealedSecret{
			SecretInfo: leger.SecretInfo{
				ID: h.id(), User: user, Name: h.secretName(name), Version: expect + 1, CreatedAt: when, UpdatedAt: when,
				ValueID: leger.ValueIDOf(nonce),
			},
			Ciphertext: []byte(value), Nonce: nonce, EncryptionVersion: 1, KeyID: "key1",
		},
	}
}

// put writes one secret and gives what was written.
func (h *harness) put(user leger.UserID, name string, expect leger.Version, value string) leger.SealedSecret {
	h.Helper()
	w := h.write(user, name, expect, value)
	h.must(h.Secrets.PutSecrets(h.Context(), []leger.SecretWrite{w}))
	return w.Sealed
}

func (h *harness) deleteSecret(user leger.UserID, name string, expect leger.Version) error {
	h.Helper()
	return h.Secrets.DeleteSecret(h.Context(), user, h.secretName(name), expect,
		event(user, leger.ActionSecretDelete, name, expect, 50))
}

// actions gives the actions of a user's audit events, oldest first.
func (h *harness) actions(user leger.UserID) []leger.Action {
	h.Helper()
	events, _, err := h.Audit.AuditEvents(h.Context(), user, leger.AuditPage{Limit: leger.MaxPageSize})
	h.must(err)
	actions := make([]leger.Action, len(events))
	for i, e := range events {
		actions[len(events)-1-i] = e.Action
	}
	return actions
}

func (h *harness) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// fails checks the code of an error.
func (h *harness) fails(err error, want *leger.Error) {
	h.Helper()
	e, ok := errors.AsType[*leger.Error](err)
	if !ok || !errors.Is(err, want) {
		h.Fatalf("error = %v, want one with code %s", err, want.Code)
	}
	if e.Message == "" {
		h.Errorf("a %s error without a message", e.Code)
	}
}

// conflict checks that an error is one and gives it for a closer look.
func (h *harness) conflict(err error) *leger.Error {
	h.Helper()
	h.fails(err, leger.ErrConflict)
	e, _ := errors.AsType[*leger.Error](err)
	return e
}

// same compares values, times as instants and empty lists as nil ones.
func (h *harness) same(what string, got, want any) {
	h.Helper()
	diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.EquateComparable(
		leger.UserID{}, leger.TailscaleUserID{}, leger.SecretName{}, leger.ReleaseName{},
		leger.GitURL{}, leger.GitRef{}, leger.GitPath{}, leger.MachineKey{}, leger.EnrolmentCode{}))
	if diff != "" {
		h.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// big is the most a sealed value can hold: the longest value and GCM's tag.
func big() string { return strings.Repeat("\x00\xff<", (leger.MaxSecretValue+16)/3) }
