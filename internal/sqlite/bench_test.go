package sqlite_test

import (
	"crypto/rand"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"leger.run/leger"
	"leger.run/leger/internal/sqlite"
	"leger.run/leger/internal/storetest"
)

// filled is a store with one account of 100 secrets of about 50 bytes.
func filled(b *testing.B) (*sqlite.Store, leger.UserID) {
	b.Helper()
	s := open(b, sqlite.Config{Path: filepath.Join(b.TempDir(), "leger.db")})
	user := account(b, s)
	writes := make([]leger.SecretWrite, 100)
	for i := range writes {
		writes[i] = write(user, name(b, fmt.Sprintf("openai_api_key_%02d", i)), 0, strings.Repeat("x", 50+16))
	}
	if err := s.PutSecrets(b.Context(), writes); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	return s, user
}

func BenchmarkSealedSecrets100(b *testing.B) {
	s, user := filled(b)
	for b.Loop() {
		if list, err := s.SealedSecrets(b.Context(), user, nil); err != nil || len(list) != 100 {
			b.Fatal(len(list), err)
		}
	}
}

func BenchmarkSealedSecrets100Parallel(b *testing.B) {
	s, user := filled(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if list, err := s.SealedSecrets(b.Context(), user, nil); err != nil || len(list) != 100 {
				b.Error(len(list), err)
			}
		}
	})
}

func BenchmarkSealedSecret(b *testing.B) {
	s, user := filled(b)
	n := name(b, "openai_api_key_42")
	for b.Loop() {
		if _, err := s.SealedSecret(b.Context(), user, n); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSealedSecretParallel(b *testing.B) {
	s, user := filled(b)
	n := name(b, "openai_api_key_42")
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.SealedSecret(b.Context(), user, n); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkPutSecret(b *testing.B) {
	s, user := filled(b)
	n := name(b, "put")
	var v leger.Version
	for b.Loop() {
		if err := s.PutSecrets(b.Context(), []leger.SecretWrite{write(user, n, v, "a value of some fifty bytes, give or take a few more")}); err != nil {
			b.Fatal(err)
		}
		v++
	}
}

// BenchmarkPutSecretParallel has 64 writers, each with a secret of its own.
func BenchmarkPutSecretParallel(b *testing.B) {
	s, user := filled(b)
	var writers atomic.Int64
	b.SetParallelism(64)
	before := s.Stats()
	b.RunParallel(func(pb *testing.PB) {
		n := name(b, fmt.Sprintf("writer%d", writers.Add(1)))
		for v := leger.Version(0); pb.Next(); v++ {
			if err := s.PutSecrets(b.Context(), []leger.SecretWrite{write(user, n, v, "a value of some fifty bytes, give or take a few more")}); err != nil {
				b.Error(err)
			}
		}
	})
	after := s.Stats()
	b.ReportMetric(float64(after.Operations-before.Operations)/float64(after.Transactions-before.Transactions), "puts/transaction")
}

func BenchmarkRecordAccess(b *testing.B) {
	s, user := filled(b)
	e := leger.AuditEvent{At: start(), User: user, Action: leger.ActionSecretRead, Subject: "*", Count: 100}
	for b.Loop() {
		if err := s.RecordAccess(b.Context(), user, nil, e); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRecordAccessStamped is BenchmarkRecordAccess as a server does it: the event
// has a stamp.
func BenchmarkRecordAccessStamped(b *testing.B) {
	s, user := filled(b)
	if err := s.OpenAuditKey(b.Context(), storetest.PlainKeys("key"), rand.Reader); err != nil {
		b.Fatal(err)
	}
	e := leger.AuditEvent{At: start(), User: user, Action: leger.ActionSecretRead, Subject: "*", Count: 100}
	for b.Loop() {
		if err := s.RecordAccess(b.Context(), user, nil, e); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLinkAudit links 1,000 events.
func BenchmarkLinkAudit(b *testing.B) {
	s, user := filled(b)
	if err := s.OpenAuditKey(b.Context(), storetest.PlainKeys("key"), rand.Reader); err != nil {
		b.Fatal(err)
	}
	e := leger.AuditEvent{At: start(), User: user, Action: leger.ActionSecretRead, Subject: "*", Count: 100}
	for b.Loop() {
		b.StopTimer()
		for range 1000 {
			if err := s.RecordAccess(b.Context(), user, nil, e); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		if n, err := s.LinkAudit(b.Context()); err != nil || n < 1000 {
			b.Fatal(n, err)
		}
	}
}
