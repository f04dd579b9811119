package httpapi_test

import (
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"leger.run/leger"
	"leger.run/leger/internal/wire"
)

// TestNothingOfWhatAScopeWithholds changes secrets, scopes, groups and roles at random.
// After each change a machine asks every route: no answer has a value that is not given
// to it, and none that one which only delivers gets has the name of such a secret. What
// is given to it is given whole.
func TestNothingOfWhatAScopeWithholds(t *testing.T) {
	t.Parallel()
	const seeds, steps = 4, 60
	for seed := range seeds {
		t.Run("seed "+strconv.Itoa(seed), func(t *testing.T) {
			t.Parallel()
			s := startServer(t, nil)
			g := &scopeGame{
				server: s, people: newPeople(s.target()), rng: mathrand.New(mathrand.NewPCG(uint64(seed), 7)),
				values: map[string]string{},
			}
			for _, name := range []string{"alice+full", "alice+one", "alice+two"} {
				g.boxes = append(g.boxes, g.machine(t, name))
				if name != "alice+full" {
					g.change(t, http.MethodPatch, "/api/machines/"+g.machine(t, name).id, `{"role":"deliver"}`)
				}
			}
			for range steps {
				g.step(t)
				g.look(t, g.boxes[g.rng.IntN(len(g.boxes))])
			}
		})
	}
}

type scopeGame struct {
	*server
	*people
	rng    *mathrand.Rand
	boxes  []*testMachine
	values map[string]string // by name
	made   int
}

func (g *scopeGame) change(t *testing.T, method, path, body string) {
	t.Helper()
	if res := g.as(t, "alice@browser", method, path, body); res.status != http.StatusOK {
		t.Fatalf("%s %s %s: %d %s", method, path, body, res.status, res.body)
	}
}

func (g *scopeGame) step(t *testing.T) {
	t.Helper()
	group := func() string { return "group-" + strconv.Itoa(g.rng.IntN(3)) }
	box := g.boxes[g.rng.IntN(len(g.boxes))]
	scope := []string{
		`{"all":true}`, `{"machines":[]}`, fmt.Sprintf(`{"machines":[%q]}`, box.id),
		fmt.Sprintf(`{"machines":[%q],"groups":[%q]}`, box.id, group()),
		fmt.Sprintf(`{"groups":[%q,%q]}`, group(), group()),
	}[g.rng.IntN(5)]
	names := slices.Sorted(func(yield func(string) bool) {
		for name := range g.values {
			if !yield(name) {
				return
			}
		}
	})
	if len(names) < 3 || g.rng.IntN(4) == 0 {
		g.made++
		name := fmt.Sprintf("mark-%03d", g.made)
		g.values[name] = "value-of-" + name
		body := fmt.Sprintf(`{"value":%q,"scope":%s}`, g.values[name], scope)
		g.change(t, http.MethodPost, "/api/secrets/"+name, body)
		return
	}
	name := names[g.rng.IntN(len(names))]
	switch g.rng.IntN(4) {
	case 0:
		g.values[name] = fmt.Sprintf("value-of-%s-%d", name, g.rng.IntN(1000))
		g.change(t, http.MethodPost, "/api/secrets/"+name, fmt.Sprintf(`{"value":%q}`, g.values[name]))
	case 1:
		g.change(t, http.MethodPut, "/api/secrets/"+name+"/scope", scope)
	case 2:
		g.change(t, http.MethodPatch, "/api/machines/"+box.id, fmt.Sprintf(`{"groups":[%q]}`, group()))
	case 3:
		g.change(t, http.MethodDelete, "/api/secrets/"+name, "")
		delete(g.values, name)
	}
}

// look asks as a machine for everything.
func (g *scopeGame) look(t *testing.T, box *testMachine) {
	t.Helper()
	label := box.owner + "+" + box.name
	m, _, err := g.store.MachineUser(t.Context(), box.id)
	must(t, err)
	infos, err := g.store.Secrets(t.Context(), m.User)
	must(t, err)
	given := map[string]string{}
	var withheld []string
	for _, s := range infos {
		if s.Scope.Gives(m) {
			given[s.Name.String()] = g.values[s.Name.String()]
		} else {
			withheld = append(withheld, s.Name.String())
		}
	}
	got := map[string]string{}
	list := data[wire.Secrets](t, g.as(t, label, http.MethodGet, "/api/secrets?include_values=true", ""))
	for _, s := range list.Secrets {
		got[s.Name.String()] = *s.Value
	}
	if fmt.Sprint(got) != fmt.Sprint(given) {
		t.Fatalf("%s is given %v, want %v", label, got, given)
	}
	for _, route := range g.api.Routes() {
		for _, name := range append(withheld, "never-there") {
			g.lookAt(t, m, label, route, name, withheld)
		}
	}
}

// lookAt asks one route, with the name of a secret that the machine is not given. What
// changes something is left to a machine that may not change it.
func (g *scopeGame) lookAt(t *testing.T, m leger.Machine, label, route, name string, withheld []string) {
	t.Helper()
	method, path, _ := strings.Cut(route, " ")
	if m.Role == leger.RoleFull && method != http.MethodGet {
		return
	}
	if method == http.MethodDelete && strings.Contains(path, "machines") { // its own to give up
		return
	}
	if !strings.Contains(path, "{name}") && name != "never-there" {
		return
	}
	path = strings.NewReplacer("{name}", name, "{id}", m.ID, "{device_id}", m.ID, "{code}", "none").Replace(path)
	body := ""
	if method != http.MethodGet && method != http.MethodDelete {
		body = `{"value":"x","name":"box"}`
	}
	res := g.as(t, label, method, path, body)
	for _, hidden := range withheld {
		shown := strings.ReplaceAll(string(res.body), name, "")
		if m.Role == leger.RoleFull {
			hidden = "value-of-" + hidden // it may know that there is one
		}
		if strings.Contains(shown, hidden) || strings.Contains(headers(res.header), hidden) {
			t.Fatalf("%s %s answers %s with %q: %s", method, path, label, hidden, res.body)
		}
	}
	if m.Role == leger.RoleFull || name == "never-there" {
		return
	}
	// Asked by its name, it is as one that was never there.
	other := g.as(t, label, method, strings.Replace(path, name, "never-there", 1), body)
	if res.status != other.status || shape(res, name) != shape(other, "never-there") {
		t.Fatalf("%s %s tells %s that it is there: %d %s, and not %d %s",
			method, path, label, res.status, res.body, other.status, other.body)
	}
}

// shape is an answer without what is its own.
func shape(a answer, name string) string {
	text := strings.ReplaceAll(string(a.body), name, "NAME")
	return strings.ReplaceAll(text, a.header.Get("X-Request-Id"), "ID")
}
