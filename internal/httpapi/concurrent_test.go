package httpapi_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"leger.run/leger"
)

// TestFiftyWritersLoseNothing has 50 clients write the same and different secrets
// at once. Every write that was acknowledged is there, and the versions given out
// for a name are 1 to n, each once.
func TestFiftyWritersLoseNothing(t *testing.T) {
	t.Parallel()
	const clients, writes = 50, 8
	s := startServer(t, nil)
	p := newPeople(s.target())
	bearer := p.token(t, "alice")

	acked := map[string]map[leger.Version]string{} // name → version → value
	var mu sync.Mutex
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for i := range writes {
				name := fmt.Sprintf("own_%d", c)
				if i%2 == 0 {
					name = fmt.Sprintf("shared_%d", i/2%3)
				}
				value := fmt.Sprintf("%d-%d", c, i)
				version, err := writeSecret(t, s.URL, bearer, name, value)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if acked[name] == nil {
					acked[name] = map[leger.Version]string{}
				}
				if twice, ok := acked[name][version]; ok {
					t.Errorf("%s: version %d was given to %s and to %s", name, version, twice, value)
				}
				acked[name][version] = value
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	total := 0
	for name, versions := range acked {
		total += len(versions)
		last := leger.Version(len(versions))
		if highest := slices.Max(slices.Collect(maps.Keys(versions))); highest != last {
			t.Errorf("%s: %d writes were acknowledged, and the highest version is %d", name, last, highest)
		}
		got := data[struct {
			Value   string
			Version leger.Version
		}](t, p.as(t, "alice", http.MethodGet, "/api/secrets/"+name, ""))
		if got.Version != last || got.Value != versions[last] {
			t.Errorf("%s: is %q at version %d, want %q at %d", name, got.Value, got.Version, versions[last], last)
		}
		s.checkKept(t, p, name, last)
	}
	if total != clients*writes {
		t.Errorf("%d writes were acknowledged, want %d", total, clients*writes)
	}
	recorded := 0
	for _, e := range s.allAudit(t.Context(), t, p.identity(t, "alice").UserID()) {
		if e.Action == leger.ActionSecretCreate || e.Action == leger.ActionSecretUpdate {
			recorded++
		}
	}
	if recorded != total {
		t.Errorf("the audit log has %d writes, want %d", recorded, total)
	}
}

// TestOneOfManyCreatesIt has 20 clients make one secret at once, each on condition
// that it is not there. One does; the others are told its version.
func TestOneOfManyCreatesIt(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	p := newPeople(s.target())
	bearer := p.token(t, "alice")
	var mu sync.Mutex
	var wg sync.WaitGroup
	count := map[int]int{}
	winner := ""
	for c := range 20 {
		wg.Go(func() {
			value := fmt.Sprint("of-", c)
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/api/secrets/contested", strings.NewReader(fmt.Sprintf(`{"value":%q}`, value)))
			if err != nil {
				t.Error(err)
				return
			}
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Authorization", "Bearer "+bearer)
			r.Header.Set("If-None-Match", "*")
			res, err := roundTrip(r)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			count[res.status]++
			if res.status == http.StatusOK {
				winner = value
			} else if !strings.Contains(string(res.body), `"current_version":1`) {
				t.Errorf("%d %s", res.status, res.body)
			}
		})
	}
	wg.Wait()
	if want := map[int]int{http.StatusOK: 1, http.StatusConflict: 19}; !maps.Equal(count, want) {
		t.Errorf("answers %v, want %v", count, want)
	}
	got := data[struct{ Value string }](t, p.as(t, "alice", http.MethodGet, "/api/secrets/contested", ""))
	if got.Value != winner {
		t.Errorf("%q is stored, and %q was acknowledged", got.Value, winner)
	}
}

// checkKept: the newest 20 versions are kept, without a gap.
func (s *server) checkKept(t *testing.T, p *people, name string, last leger.Version) {
	t.Helper()
	kept := data[struct {
		Versions []struct {
			Version leger.Version
			Current bool
		}
	}](t, p.as(t, "alice", http.MethodGet, "/api/secrets/"+name+"/versions", ""))
	if want := min(int(last), leger.KeptSecretVersions); len(kept.Versions) != want {
		t.Errorf("%s: %d versions are kept, want %d", name, len(kept.Versions), want)
	}
	for i, v := range kept.Versions {
		if v.Version != last-leger.Version(i) || v.Current != (i == 0) {
			t.Errorf("%s: kept version %d is %+v, want version %d", name, i, v, last-leger.Version(i))
		}
	}
}

// writeSecret is safe to call from any goroutine.
func writeSecret(t *testing.T, base, bearer, name, value string) (leger.Version, error) {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/api/secrets/"+name, strings.NewReader(fmt.Sprintf(`{"value":%q}`, value)))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+bearer)
	res, err := roundTrip(r)
	if err != nil {
		return 0, err
	}
	var env struct {
		Data struct {
			Version leger.Version
			Changed bool
		}
	}
	if err := json.Unmarshal(res.body, &env); err != nil || res.status != http.StatusOK || !env.Data.Changed {
		return 0, fmt.Errorf("write %s: %d %s: %w", name, res.status, res.body, err)
	}
	return env.Data.Version, nil
}
