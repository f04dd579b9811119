package cloudflare_test

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"leger.run/leger"
	"leger.run/leger/internal/cloudflare"
)

func sealed(t *testing.T) leger.SealedSecret {
	t.Helper()
	name, err := leger.ParseSecretName("openai_api_key")
	if err != nil {
		t.Fatal(err)
	}
	made := time.Date(2026, 3, 1, 10, 20, 30, 123_000_000, time.UTC)
	return leger.SealedSecret{
		SecretInfo: leger.SecretInfo{
			ID: "6f1c1f4e-0000-4000-8000-000000000001", User: leger.LocalIdentity("alice@localhost").UserID(), Name: name,
			Version: 5, CreatedAt: made, UpdatedAt: made.Add(time.Hour), ValueID: "bm9uY2Utb2YtMTIt",
		},
		Ciphertext: []byte("sealed"), Nonce: []byte("nonce-of-12-"), EncryptionVersion: 1, KeyID: "key1",
	}
}

// kv answers every question with one copy.
type kv struct{ value, metadata string }

func (k kv) Do(context.Context, cloudflare.Operation) ([]byte, error) {
	var answer []byte
	for _, text := range []string{k.value, k.metadata} {
		answer = append(answer, 2)
		answer = binary.LittleEndian.AppendUint32(answer, uint32(len(text)))
		answer = append(answer, text...)
	}
	return answer, nil
}

// ring has the keys of these ids.
type ring struct {
	cloudflare.Keys
	ids []string
}

func (r ring) Has(id string) bool { return slices.Contains(r.ids, id) }

// A change of the key changes neither version, time nor nonce of a record, so a copy from
// before looks right. Once its key is gone it does not open: the list failed with it.
func TestCopyOfAFormerKey(t *testing.T) {
	t.Parallel()
	s := sealed(t)
	value, metadata, err := cloudflare.Copy(&s)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		ids   []string
		stale bool
	}{{nil, false}, {[]string{"key1"}, false}, {[]string{"key2", "key1"}, false}, {[]string{"key2"}, true}} {
		store := cloudflare.NewStore(kv{value, metadata}, time.Now, slog.New(slog.DiscardHandler))
		if c.ids != nil {
			_ = store.Check(t.Context(), ring{ids: c.ids}, rand.Reader) // this platform is none, but the keys are known now
		}
		if got := store.Stale(t.Context(), s.SecretInfo); got != c.stale {
			t.Errorf("with the keys %q: stale is %t", c.ids, got)
		}
	}
}

func TestCopyIsBelieved(t *testing.T) {
	t.Parallel()
	want := sealed(t)
	value, metadata, err := cloudflare.Copy(&want)
	if err != nil {
		t.Fatal(err)
	}
	info := want.SecretInfo
	info.LastAccessed = info.UpdatedAt.Add(time.Hour) // only the ledger knows it
	want.SecretInfo = info
	got, ok := cloudflare.Believed(info, value, metadata)
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(leger.UserID{}, leger.SecretName{})); !ok || diff != "" {
		t.Errorf("believed: %t (-want +got):\n%s", ok, diff)
	}
}

// A copy counts only when it is whole and of the version and value that the ledger names. The
// time is part of that: after the database was put back to an earlier day, a copy
// from before may carry the number of a later, other value.
func TestCopyIsNotBelieved(t *testing.T) {
	t.Parallel()
	whole := sealed(t)
	value, metadata, err := cloudflare.Copy(&whole)
	if err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(info *leger.SecretInfo, value, metadata *string){
		"missing":          func(_ *leger.SecretInfo, v, m *string) { *v, *m = "", "" },
		"older":            func(i *leger.SecretInfo, _, _ *string) { i.Version++ },
		"of another value": func(i *leger.SecretInfo, _, _ *string) { i.UpdatedAt = i.UpdatedAt.Add(time.Second) },
		"of another value at the same time": func(i *leger.SecretInfo, _, _ *string) {
			i.ValueID = strings.Replace(i.ValueID, "bm9uY2Ut", "bm9uY2Uu", 1)
		},
		"of a former secret": func(i *leger.SecretInfo, _, _ *string) { i.ID = "another" },
		"of somebody else":   func(i *leger.SecretInfo, _, _ *string) { i.User = leger.LocalIdentity("bob@localhost").UserID() },
		"without metadata":   func(_ *leger.SecretInfo, _, m *string) { *m = "" },
		"no JSON":            func(_ *leger.SecretInfo, v, _ *string) { *v = "<null>" },
		"with another value": func(_ *leger.SecretInfo, v, _ *string) { *v = strings.Replace(*v, "c2VhbGVk", "c2VhbGVl", 1) },
		"with another nonce": func(_ *leger.SecretInfo, v, _ *string) { *v = strings.Replace(*v, "bm9uY2Ut", "bm9uY2Uu", 1) },
		"of another algorithm": func(_ *leger.SecretInfo, v, _ *string) {
			*v = strings.Replace(*v, `"encryption_version":1`, `"encryption_version":2`, 1)
		},
	} {
		info, v, m := whole.SecretInfo, value, metadata
		change(&info, &v, &m)
		if reflect.DeepEqual(info, whole.SecretInfo) && v == value && m == metadata {
			t.Fatalf("%s: the test changed nothing", what)
		}
		if _, ok := cloudflare.Believed(info, v, m); ok {
			t.Errorf("a copy %s is believed", what)
		}
	}
}
