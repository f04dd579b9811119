package storetest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/chain"
)

func chainTests() map[string]func(*harness) {
	return map[string]func(*harness){
		"every event is linked":                    testLink,
		"every kind of change writes a true event": testLinkEveryChange,
		"50 writers and 3 that link":               testConcurrentLink,
		"a key sealed anew":                        testAuditKeySealedAnew,
		"pruning keeps chains":                     testPruneChain,
		"a deleted account":                        testChainOfDeletedAccount,
	}
}

// PlainKeys implements leger.AuditKeys and seals nothing: it is the id of the current key.
type PlainKeys string

// CurrentID implements leger.AuditKeys.
func (k PlainKeys) CurrentID() string { return string(k) }

// SealAuditKey implements leger.AuditKeys.
func (k PlainKeys) SealAuditKey(_ io.Reader, raw []byte) (leger.SealedKey, error) {
	return leger.SealedKey{KeyID: string(k), Nonce: []byte("nonce"), Ciphertext: raw}, nil
}

// OpenAuditKey implements leger.AuditKeys.
func (k PlainKeys) OpenAuditKey(s leger.SealedKey) ([]byte, error) { return s.Ciphertext, nil }

// link links every event.
func (h *harness) link() int {
	h.Helper()
	n, err := h.Chain.LinkAudit(h.Context())
	h.must(err)
	return n
}

// verify checks the whole log, which must fit.
func (h *harness) verify() chain.Report {
	h.Helper()
	key, err := h.Chain.AuditKey(h.Context(), PlainKeys(""))
	h.must(err)
	report, err := h.Chain.VerifyAudit(h.Context(), key, nil)
	h.must(err)
	for _, f := range report.Faults {
		h.Errorf("%+v", f)
	}
	return report
}

func testLink(h *harness) {
	user, other := h.account(1), h.account(2)
	for i := range 3 {
		h.must(h.Audit.AppendAudit(h.Context(), event(user, leger.ActionAccessDenied, "<null> ' 🦊", 7, i)))
	}
	h.must(h.Audit.AppendAudit(h.Context(), event(leger.UserID{}, leger.ActionSignInRefused, "", 0, 0)))
	total := h.verify().Total
	h.same("before they are linked", [3]int64{total.Events, total.Linked, total.Fresh}, [3]int64{6, 0, 6})
	h.same("linked", h.link(), 6)
	h.same("linked once more", h.link(), 0)
	h.must(h.Audit.AppendAudit(h.Context(), event(other, leger.ActionAccessDenied, "", 0, 4)))
	key, err := h.Chain.AuditKey(h.Context(), PlainKeys(""))
	h.must(err)
	numbers, last, seals := map[string][]int64{}, map[string]string{}, map[int64]string{}
	report, err := h.Chain.VerifyAudit(h.Context(), key, func(r chain.Row, p chain.Place) {
		h.same("the seal before", p.Prev, last[r.User])
		numbers[r.User], last[r.User], seals[r.ID] = append(numbers[r.User], p.Number), p.Seal, p.Seal
	})
	h.must(err)
	h.same("faults", len(report.Faults), 0)
	h.same("numbers", numbers, map[string][]int64{user.String(): {1, 2, 3, 4}, other.String(): {1, 2}, "": {1}})
	h.same("linked, the last one", h.link(), 1)
	_, err = h.Chain.VerifyAudit(h.Context(), key, func(r chain.Row, p chain.Place) {
		h.same("the seal, foretold before it was linked", p.Seal, seals[r.ID])
	})
	h.must(err)
}

// An event that one of the statements composes in another way would be taken for one
// that somebody slipped in.
func testLinkEveryChange(h *harness) {
	session := h.signInBrowser(1, "cookie")
	user := session.User
	h.put(user, "key", 0, "one")
	n := h.secretName("key")
	h.must(h.Secrets.RecordAccess(h.Context(), user, []leger.SecretName{n}, event(user, leger.ActionSecretRead, "key", 1, 1)))
	h.must(h.Secrets.RecordAccess(h.Context(), user, nil, event(user, leger.ActionSecretRead, "*", 0, 1)))
	h.must(h.deleteSecret(user, "key", 0))
	_, err := h.Users.SetDisplayName(h.Context(), user, "Alice", event(user, leger.ActionUserUpdate, "", 0, 2))
	h.must(err)
	h.must(h.Sessions.DeleteSession(h.Context(), user, session.ID, event(user, leger.ActionSessionEnd, session.ID, 0, 3)))
	odd := event(user, leger.ActionAccessDenied, "", 0, 0)
	odd.At = time.Date(2026, 3, 1, 12, 0, 0, 123_456_789, time.FixedZone("", -3600)) // finer than is kept
	odd.Count, odd.Detail = 1<<40, "\x01\u202e\"\\"
	h.must(h.Audit.AppendAudit(h.Context(), odd))
	odd.At = time.Time{} // the store's clock
	h.must(h.Audit.AppendAudit(h.Context(), odd))
	h.verify()
	h.link()
	total := h.verify().Total
	h.same("linked", total.Linked, total.Events)
}

func testConcurrentLink(h *harness) {
	user := h.account(1)
	h.together(func(i int) error {
		for range 4 {
			if err := h.Audit.AppendAudit(h.Context(), event(user, leger.ActionAccessDenied, fmt.Sprint(i), 0, i)); err != nil {
				return err
			}
			if i < 3 {
				if _, err := h.Chain.LinkAudit(h.Context()); err != nil {
					return err
				}
			}
		}
		return nil
	})
	h.link()
	report := h.verify()
	h.same("linked", report.Total.Linked, int64(4*writers+1))
	h.same("chains", len(report.Users), 1)
}

func testAuditKeySealedAnew(h *harness) {
	h.account(1)
	h.link()
	h.must(h.Chain.OpenAuditKey(h.Context(), PlainKeys("key2"), rand.Reader))
	h.account(2)
	h.link()
	h.same("linked", h.verify().Total.Linked, int64(2))
	_, err := h.Chain.AuditKey(h.Context(), refusingKeys{"key1"})
	h.must(err)
}

// refusingKeys fail for a key that should not be asked for any more.
type refusingKeys struct{ former string }

func (k refusingKeys) CurrentID() string { return "" }

func (k refusingKeys) SealAuditKey(io.Reader, []byte) (leger.SealedKey, error) {
	return leger.SealedKey{}, errors.New("it seals nothing")
}

func (k refusingKeys) OpenAuditKey(s leger.SealedKey) ([]byte, error) {
	if s.KeyID == k.former {
		return nil, errors.New("it is sealed with the former key")
	}
	return s.Ciphertext, nil
}

func testPruneChain(h *harness) {
	user, other := h.account(1), h.account(2)
	for day := range 4 {
		for i := range 3 {
			e := event(user, leger.ActionAccessDenied, fmt.Sprint(day), 0, i)
			e.At = at(i).AddDate(0, 0, day)
			h.must(h.Audit.AppendAudit(h.Context(), e))
		}
	}
	h.pruneUntil(at(30).AddDate(0, 0, leger.AuditRetentionDays+1))
	report := h.verify()
	h.same("events that stay", report.Total.Events, int64(6))
	h.must(h.Audit.AppendAudit(h.Context(), event(other, leger.ActionAccessDenied, "again", 0, 50)))
	h.link()
	report = h.verify()
	h.same("linked", report.Total.Linked, int64(7))
	numbers := map[string][]int64{}
	key, err := h.Chain.AuditKey(h.Context(), PlainKeys(""))
	h.must(err)
	_, err = h.Chain.VerifyAudit(h.Context(), key, func(r chain.Row, p chain.Place) {
		numbers[r.User] = append(numbers[r.User], p.Number)
	})
	h.must(err)
	h.same("numbers go on", numbers, map[string][]int64{user.String(): {8, 9, 10, 11, 12, 13}, other.String(): {2}})
}

// The events of a deleted account stay for their time, and nothing of its chain stays
// after that.
func testChainOfDeletedAccount(h *harness) {
	user := h.account(1)
	h.must(h.Users.DeleteUser(h.Context(), user, event(user, leger.ActionUserDelete, "", 0, 1)))
	h.link()
	h.same("events of the deleted account", h.verify().Total.Linked, int64(2))
	late := event(h.account(2), leger.ActionAccessDenied, "", 0, 0)
	late.At = at(0).AddDate(2, 0, 0)
	h.must(h.Audit.AppendAudit(h.Context(), late))
	h.pruneUntil(at(30).AddDate(1, 6, 0))
	report := h.verify()
	h.same("chains", len(report.Users), 1)
	h.account(1) // it comes back
	h.link()
	h.same("chains, the account is back", len(h.verify().Users), 2)
}
