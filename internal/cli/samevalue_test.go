package cli_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leger.run/leger/internal/daemon"
)

// sequences of steps, each at most, of TestNoSecretIsLostUnasked.
const (
	sequences = 16
	steps     = 20
)

// account is one of two whose secrets are on a server.
type account struct {
	name  string
	login []string
}

// history is a machine, its server and what its user did, step by step.
type history struct {
	*rig

	home   string
	random *rand.Rand
	names  []string
	who    account
	count  int // of values, so that each is another
	log    []string

	server  map[string]map[string]string // by account and secret: what the server has
	touched map[string]bool              // by account and secret: what the user wrote or deleted there since the last sync
	backups []saved
}

type saved struct {
	backup

	server map[string]map[string]string
}

func accounts() []account {
	return []account{
		{"alice", []string{"auth", "login", "--no-browser"}},
		{"bob", []string{"auth", "login", "--no-browser", "--local-identity", "bob@example.com"}},
	}
}

// A machine's user writes and deletes secrets, signs in as somebody else, puts
// backups back, starts the server on an empty directory, and syncs, with consent
// and without; syncs are interrupted, and legerd dies. No step but a sync with
// consent takes a value from Podman that its owner has not deleted or replaced on
// the server that it came from; and whatever happened, a sync with consent brings
// exactly what the server has.
func TestNoSecretIsLostUnasked(t *testing.T) {
	t.Parallel()
	for n := range sequences {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			seed := uint64(time.Now().UnixNano())
			h := &history{
				rig: newRig(t), home: t.TempDir(), random: rand.New(rand.NewPCG(seed, uint64(n))),
				names: strings.Fields("a b c d e f g"), server: map[string]map[string]string{}, touched: map[string]bool{},
			}
			h.startLegerd()
			h.signIn(accounts()[0])
			defer func() {
				if t.Failed() {
					t.Logf("seed %d:\n%s", seed, strings.Join(h.log, "\n"))
				}
			}()
			for range 4 {
				h.write()
			}
			h.sync(0, true)
			for range steps {
				h.step()
				if t.Failed() {
					return
				}
			}
			h.settles()
		})
	}
}

func (h *history) step() {
	switch h.random.IntN(14) {
	case 0, 1, 2:
		h.write()
	case 3:
		h.delete()
	case 4:
		h.signIn(accounts()[h.random.IntN(2)])
	case 5:
		h.note("back up")
		h.backups = append(h.backups, saved{h.backUp(), clone(h.server)})
	case 6:
		h.goBack()
	case 7:
		h.note("empty server")
		h.restoreServer()
		h.server, h.touched = map[string]map[string]string{}, map[string]bool{}
		h.signIn(h.who)
	case 8:
		h.cut()
	case 9:
		h.note("legerd restarts")
		h.restartLegerd()
	case 10:
		h.loseStore()
	case 11:
		h.sync(0, true)
	default:
		h.sync(5, false)
	}
}

func (h *history) note(format string, args ...any) {
	h.log = append(h.log, fmt.Sprintf(format, args...))
}

func clone(all map[string]map[string]string) map[string]map[string]string {
	out := map[string]map[string]string{}
	for who, secrets := range all {
		out[who] = maps.Clone(secrets)
	}
	return out
}

func (h *history) signIn(who account) {
	h.note("sign in as %s", who.name)
	h.who = who
	h.must(h.home, "", who.login...)
}

func (h *history) write() {
	name := h.names[h.random.IntN(len(h.names))]
	h.count++
	value := fmt.Sprintf("%s's %s %d", h.who.name, name, h.count)
	h.note("set %s", value)
	h.must(h.home, value, "secrets", "set", name)
	if h.server[h.who.name] == nil {
		h.server[h.who.name] = map[string]string{}
	}
	h.server[h.who.name][name] = value
	h.touched[h.who.name+" "+name] = true
}

func (h *history) delete() {
	there := slices.Sorted(maps.Keys(h.server[h.who.name]))
	if len(there) == 0 {
		return
	}
	name := there[h.random.IntN(len(there))]
	h.note("delete %s", name)
	h.must(h.home, "", "secrets", "delete", name, "--yes")
	delete(h.server[h.who.name], name)
	h.touched[h.who.name+" "+name] = true
}

func (h *history) goBack() {
	if len(h.backups) == 0 {
		return
	}
	was := h.backups[h.random.IntN(len(h.backups))]
	h.note("put a backup back")
	h.putBack(was.backup)
	h.server, h.touched = clone(was.server), map[string]bool{}
	h.signIn(h.who)
}

func (h *history) restartLegerd() {
	h.dead.Store(false)
	h.stopLegerd()
	h.startLegerd()
}

// loseStore moves a store away, as the hint of one that is damaged says.
func (h *history) loseStore() {
	h.note("legerd's store is moved away")
	h.unasked(func() {
		h.stopLegerd()
		if err := os.Remove(filepath.Join(h.state, "legerd", "vault.db")); err != nil {
			h.t.Fatal(err)
		}
		h.startLegerd()
		h.must(h.home, "", "status") // it answers
	})
}

// inPodman is Leger's part of it: "owner name" to value.
func (h *history) inPodman() map[string]string {
	out := map[string]string{}
	for _, s := range h.podman.Secrets() {
		out[s.Name] = s.Labels[daemon.LabelUser] + " " + string(s.Value)
	}
	return out
}

// unasked does something that must not take a value away, but for what the one
// who is signed in has changed.
func (h *history) unasked(do func()) {
	h.t.Helper()
	before := h.inPodman()
	do()
	after := h.inPodman()
	for name, was := range before {
		mine := strings.Contains(was, " "+h.who.name+"'s ")
		if after[name] != was && (!mine || !h.touched[h.who.name+" "+name]) {
			h.t.Errorf("%s was %q, and is %q now, unasked", name, was, after[name])
		}
	}
}

// sync runs one, which ends with 0, or with otherwise if that is not 0.
func (h *history) sync(otherwise int, consent bool) {
	args := []string{"secrets", "sync", "--no-input"}
	if consent {
		args = append(args, "--yes")
	}
	done := false
	run := func() {
		s := h.runIn(context.Background(), h.home, strings.NewReader(""), args...)
		h.note("sync, consent %v: %d %s", consent, s.code, strings.TrimSpace(s.stderr))
		switch {
		case s.code == 0:
			h.same()
			done = true
		case s.code != otherwise || !strings.Contains(s.stderr, "nothing was changed"):
			h.t.Errorf("the sync ended with %d", s.code)
		}
	}
	if consent {
		run()
	} else {
		h.unasked(run)
	}
	if done {
		h.touched = map[string]bool{}
	}
}

// same compares Podman with the server.
func (h *history) same() {
	h.t.Helper()
	want := map[string]string{}
	maps.Copy(want, h.server[h.who.name])
	got := map[string]string{}
	for _, s := range h.podman.Secrets() {
		got[s.Name] = string(s.Value)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		h.t.Errorf("Podman (-want +got):\n%s", diff)
	}
}

// cut is a sync without consent that ends early: by Ctrl-C, or as legerd dies.
func (h *history) cut() {
	at, dies := h.calls.Load()+1+int64(h.random.IntN(12)), h.random.IntN(2) == 0
	h.note("a sync is cut at call %d, legerd dies: %v", at-h.calls.Load(), dies)
	h.unasked(func() {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		h.onCall.Store(func(n int64) {
			switch {
			case n < at:
			case dies:
				h.dead.Store(true)
			default:
				cancel()
			}
		})
		s := h.runIn(ctx, h.home, strings.NewReader(""), "secrets", "sync", "--no-input")
		h.note("it ends with %d: %s", s.code, strings.TrimSpace(s.stderr))
		h.onCall.Store(func(int64) {})
		h.restartLegerd()
	})
}

// settles ends a history: with consent the machine has what the server has, and
// the next sync has nothing to do and asks nobody.
func (h *history) settles() {
	h.t.Helper()
	h.restartLegerd()
	h.sync(0, true)
	h.sync(0, false)
}
