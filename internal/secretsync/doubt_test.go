package secretsync_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"leger.run/leger"
	"leger.run/leger/internal/secretsync"
)

func otherUser(t testing.TB) leger.UserID {
	t.Helper()
	id, err := leger.ParseTailscaleUserID("u987654321")
	if err != nil {
		t.Fatal(err)
	}
	return leger.UserIDOf(id)
}

// past is a machine that synced secrets a to e, at version 2, with an installation.
type past struct {
	dir string
	srv *server
	st  *store
	url string
	who leger.UserID
}

func synced(t *testing.T) *past {
	t.Helper()
	p := &past{t.TempDir(), &server{tag: `"t1"`, origin: secretsync.Origin{Installation: "i", Epoch: 1}}, newStore(), serverURL, user(t)}
	for n := range strings.FieldsSeq("a b c d e") {
		p.srv.values = append(p.srv.values, value(t, n, 2, "value of "+n))
	}
	if _, err := p.syncer(nil).Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *past) syncer(consent func(context.Context, secretsync.Plan) error) *secretsync.Syncer {
	return secretsync.New(secretsync.Config{
		Server: p.srv, Local: p.st, Consent: consent,
		Memory: secretsync.NewMemory(p.dir, p.url, p.who),
	})
}

// serves makes the server's list name=version:value, and its tag another one.
func (p *past) serves(t *testing.T, list string) {
	t.Helper()
	p.srv.values, p.srv.tag = nil, fmt.Sprintf("%q", list+p.srv.origin.Installation)
	for item := range strings.FieldsSeq(list) {
		name, rest, _ := strings.Cut(item, "=")
		var v leger.Version
		number, text, _ := strings.Cut(rest, ":")
		if _, err := fmt.Sscan(number, &v); err != nil {
			t.Fatal(err)
		}
		if text == "" {
			text = "value of " + name
		}
		p.srv.values = append(p.srv.values, value(t, name, v, text))
	}
}

// The stories: signing in as somebody else and syncing removed every Podman secret
// of the former account and said "There are no secrets"; so did a server that came
// up on an empty directory, because its disk was not mounted: a hundred secrets
// were gone, with exit 0.
func TestWhatNeedsConsent(t *testing.T) {
	t.Parallel()
	const all = "a=2 b=2 c=2 d=2 e=2"
	for what, test := range map[string]struct {
		then  func(t *testing.T, p *past)
		doubt secretsync.Doubt
		lost  string
	}{
		"nothing new":        {func(*testing.T, *past) {}, "", ""},
		"one was deleted":    {func(t *testing.T, p *past) { p.serves(t, "a=2 b=2 c=2 d=2") }, "", ""},
		"two were deleted":   {func(t *testing.T, p *past) { p.serves(t, "a=2 b=2 c=2") }, "", ""},
		"most are gone":      {func(t *testing.T, p *past) { p.serves(t, "a=2 b=2") }, secretsync.DoubtMost, "c d e"},
		"all are gone":       {func(t *testing.T, p *past) { p.serves(t, "") }, secretsync.DoubtMost, "a b c d e"},
		"all are new values": {func(t *testing.T, p *past) { p.serves(t, "a=3:x b=3:x c=3:x d=3:x e=3:x") }, "", ""},
		"the server went back": {
			func(t *testing.T, p *past) { p.serves(t, "a=1:old b=2 c=2 d=2 e=2") }, secretsync.DoubtRestored, "a*",
		},
		"a number has another value": {
			func(t *testing.T, p *past) { p.serves(t, "a=2:other b=2 c=2 d=2 e=2") }, secretsync.DoubtRestored, "a*",
		},
		"restored, and everything is as it was": {
			func(t *testing.T, p *past) { p.srv.origin.Epoch = 2; p.serves(t, all) }, "", "",
		},
		"restored, and one is missing": {
			func(t *testing.T, p *past) { p.srv.origin.Epoch = 2; p.serves(t, "a=2 b=2 c=2 d=2") }, secretsync.DoubtRestored, "e",
		},
		"restored, and a later number has another value": {
			func(t *testing.T, p *past) { p.srv.origin.Epoch = 2; p.serves(t, "a=3:x b=2 c=2 d=2 e=2") }, secretsync.DoubtRestored, "a*",
		},
		"another installation with nothing": {
			func(t *testing.T, p *past) { p.srv.origin.Installation = "j"; p.serves(t, "") }, secretsync.DoubtServer, "a b c d e",
		},
		"another installation with the same values under other numbers": {
			func(t *testing.T, p *past) { p.srv.origin.Installation = "j"; p.serves(t, "a=1 b=1 c=7 d=2 e=2 f=1") }, "", "",
		},
		"another installation with one other value": {
			func(t *testing.T, p *past) { p.srv.origin.Installation = "j"; p.serves(t, "a=1 b=9:x c=2 d=2 e=2") }, secretsync.DoubtServer, "b*",
		},
		"the same installation at another address": {
			func(t *testing.T, p *past) { p.url = "https://moved.example"; p.serves(t, "a=3:x b=2 c=2 d=2") }, "", "",
		},
		"an older server at another address": {
			func(t *testing.T, p *past) {
				p.url, p.srv.origin = "https://moved.example", secretsync.Origin{}
				p.serves(t, "a=2 b=2 c=2 d=2")
			}, secretsync.DoubtServer, "e",
		},
		"another account": {
			func(t *testing.T, p *past) { p.becomes(t); p.serves(t, "z=1") }, secretsync.DoubtAccount, "a b c d e",
		},
		"another account that has a secret of the same name": {
			func(t *testing.T, p *past) { p.becomes(t); p.serves(t, "a=1:theirs") }, secretsync.DoubtAccount, "a* b c d e",
		},
		"the store was lost, and the server has everything": {
			func(t *testing.T, p *past) { clear(p.st.secrets); p.serves(t, all) }, "", "",
		},
		"the store was lost, and the server went back": {
			func(t *testing.T, p *past) { clear(p.st.secrets); p.serves(t, "a=1 b=2 c=2 d=2 e=2") }, secretsync.DoubtRestored, "a*",
		},
		"the store was lost, and it is another installation": {
			func(t *testing.T, p *past) {
				clear(p.st.secrets)
				p.srv.origin.Installation = "j"
				p.serves(t, "a=9 b=2 f=1")
			}, secretsync.DoubtServer, "a* b* c d e",
		},
		"the store was lost, and the server is empty": {
			func(t *testing.T, p *past) { clear(p.st.secrets); p.serves(t, "") }, secretsync.DoubtMost, "a b c d e",
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			p := synced(t)
			test.then(t, p)
			p.refusedThenTaken(t, test.doubt, test.lost)
		})
	}
}

// becomes signs in as somebody else: what Podman has is another account's, and
// that account's part of the store is out of sight.
func (p *past) becomes(t *testing.T) {
	t.Helper()
	for name := range p.st.podman {
		p.st.foreign[name] = p.who
	}
	clear(p.st.secrets)
	p.who = otherUser(t)
}

func lost(p secretsync.Plan) string {
	var names []string
	for _, l := range p.Lost {
		mark := ""
		if l.Replaced {
			mark = "*"
		}
		names = append(names, l.Name.String()+mark)
	}
	return strings.Join(names, " ")
}

// refusedThenTaken: without consent nothing changes, and with it the machine has
// what the server has.
func (p *past) refusedThenTaken(t *testing.T, doubt secretsync.Doubt, names string) {
	t.Helper()
	plan, err := p.syncer(nil).Plan(t.Context())
	if err != nil || plan.Doubt != doubt || lost(plan) != names {
		t.Fatalf("doubt %q, lost %q, %v; want %q, %q", plan.Doubt, lost(plan), err, doubt, names)
	}
	if doubt != "" {
		before, inPodman := p.st.state(), p.st.inPodman()
		_, err = p.syncer(nil).Sync(t.Context())
		if refused, ok := errors.AsType[*secretsync.NeedsConsent](err); !ok || !errors.Is(err, leger.ErrConflict) || refused.Plan.Doubt != doubt {
			t.Fatalf("the sync was not refused: %v", err)
		}
		if diff := cmp.Diff(before, p.st.state()) + cmp.Diff(inPodman, p.st.inPodman()); diff != "" {
			t.Errorf("a sync that was refused did this: %s", diff)
		}
	}
	asked := 0
	consent := func(_ context.Context, got secretsync.Plan) error { asked++; return nil }
	for range 2 { // the second time it is the same server
		if _, err := p.syncer(consent).Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if want := 1; (doubt != "") != (asked == want) {
		t.Errorf("asked %d times", asked)
	}
	if diff := cmp.Diff(wanted(t, p.srv), p.st.inPodman()); diff != "" {
		t.Errorf("Podman (-want +got):\n%s", diff)
	}
}

// The server says that it has them and does not give them to this machine any more: that
// was decided there, and a machine that asked first would keep them until somebody came.
func TestWhatIsWithheldGoesUnasked(t *testing.T) {
	t.Parallel()
	p := synced(t)
	p.serves(t, "a=2:value_of_a")
	p.srv.values[0] = value(t, "a", 2, "value of a")
	for n := range strings.FieldsSeq("b c d e") {
		p.srv.withheld = append(p.srv.withheld, secretName(t, n))
	}
	report, err := p.syncer(nil).Sync(t.Context())
	if err != nil || len(p.st.secrets) != 1 {
		t.Fatalf("%v; the machine holds %d secrets", err, len(p.st.secrets))
	}
	want := "unchanged a 2 -> 2\nremoved   b 2 -> 0 withheld\nremoved   c 2 -> 0 withheld\n" +
		"removed   d 2 -> 0 withheld\nremoved   e 2 -> 0 withheld\n"
	if diff := cmp.Diff(want, report.Plan.String()); diff != "" {
		t.Error(diff)
	}
	for _, x := range report.Results[1:] {
		if x.Reason() != "it is not given to this machine any more" {
			t.Errorf("%s: %q", x.Name, x.Reason())
		}
	}

	// What is gone is another matter, and so is what another server withholds.
	for withheld, of := range map[string]string{"b": "i", "b c d e": "another"} {
		p := synced(t)
		p.srv.origin.Installation = of
		p.serves(t, "a=2:value_of_a")
		for n := range strings.FieldsSeq(withheld) {
			p.srv.withheld = append(p.srv.withheld, secretName(t, n))
		}
		if _, err := p.syncer(nil).Sync(t.Context()); !errors.Is(err, leger.ErrConflict) {
			t.Errorf("%s withheld by %s: %v", withheld, of, err)
		}
	}
}

func TestAnotherAccountWithoutPodman(t *testing.T) {
	t.Parallel()
	p := synced(t)
	p.becomes(t)
	p.serves(t, "a=1:theirs")
	p.st.noPodman = leger.Errorf(leger.CodeMissingPart, "podman is not installed")
	if _, err := p.syncer(consents).Sync(t.Context()); !errors.Is(err, leger.ErrMissingPart) || len(p.st.secrets) != 0 {
		t.Errorf("%v; the store has %v", err, p.st.state())
	}
}

// A list that no server of ours makes, and one that did not come at all.
func TestABadListActsOnNothing(t *testing.T) {
	t.Parallel()
	for what, spoil := range map[string]func(t *testing.T, p *past){
		"a name twice":     func(t *testing.T, p *past) { p.serves(t, "a=2 b=2 a=3:other") },
		"the server's 500": func(_ *testing.T, p *past) { p.srv.err = leger.ErrInternal },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			p := synced(t)
			before, inPodman := p.st.state(), p.st.inPodman()
			spoil(t, p)
			if _, err := p.syncer(consents).Sync(t.Context()); err == nil {
				t.Error("it was taken")
			}
			if diff := cmp.Diff(before, p.st.state()) + cmp.Diff(inPodman, p.st.inPodman()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestARefusalNamesAFew(t *testing.T) {
	t.Parallel()
	p := synced(t)
	p.serves(t, "")
	err := func() error { _, err := p.syncer(nil).Sync(t.Context()); return err }()
	var e *leger.Error
	if !errors.As(err, &e) || !strings.Contains(err.Error(), "a, b, c, d, e") || !strings.Contains(e.Hint, "--yes") ||
		!strings.Contains(err.Error(), "5 of the 5 secrets on this machine are gone from the server") {
		t.Errorf("%v, hint %q", err, e.Hint)
	}
}
