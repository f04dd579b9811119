//go:build e2e

package e2e_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"leger.run/leger/e2e/rig"
)

var updateAnswers = flag.Bool("update-tailscale", false,
	"write what tailscaled answers into internal/tailnet/testdata, for that package's tests")

// TestSignInWithEveryTailscale signs in with the newest tailscaled and with one that
// tells no user without its peers, which nobody could sign in with: the tests held
// the shape of the newest under the name of an older one. In each state that
// vouches for nobody the sign-in is refused with what to type, on both.
//
// What each answers is held against the recorded answers that the tests of
// internal/tailnet read.
func TestSignInWithEveryTailscale(t *testing.T) {
	t.Parallel()
	for _, series := range []string{"", rig.OlderTailscale} {
		t.Run("tailscale"+series, func(t *testing.T) {
			t.Parallel()
			w := newSignInWorld(t, series)
			node := w.tailnet
			ctx := t.Context()

			w.answers("needs-login")
			w.refuses(6, "not signed in to Tailscale", "tailscale up")
			node.CompleteLogin(ctx, node.BeginLogin(ctx))
			w.answers("running")
			w.signsInAs("alice@github", "u123456789")
			node.SetOwner(ctx, rig.Identity{LoginName: "carol@github", UserID: 43})
			w.signsInAs("carol@github", "u43")
			node.SetOwner(ctx, rig.Identity{LoginName: "alice@github", UserID: 123456789})

			node.SetTags(ctx, "tag:server", "tag:ci")
			w.answers("tagged")
			w.refuses(4, "tag:server", "--advertise-tags=")
			node.SetTags(ctx)
			node.SetUnapproved(ctx, true)
			w.answers("needs-approval")
			w.refuses(6, "approval", "admin/machines")
			node.SetUnapproved(ctx, false)
			node.SetKeyExpired(ctx, true)
			w.answers("expired")
			w.refuses(6, "expired", "--force-reauth")
			node.SetKeyExpired(ctx, false)
			node.Down(ctx)
			w.answers("stopped")
			w.refuses(6, "switched off", "sudo tailscale up")
			node.Up(ctx)
			w.signsInAs("alice@github", "u123456789")

			// A container or a Mac has no socket to ask, only the command.
			w.sh(`mkdir -p ~/only && printf '#!/bin/sh\nshift\nexec ` + rig.Bin + `/tailscale "$@"\n' >~/only/tailscale && chmod +x ~/only/tailscale`)
			w.sh(`leger auth logout`)
			out := w.sh(`LEGER_TAILSCALE_SOCKET=/nowhere PATH=~/only:$PATH leger auth login --no-browser 2>&1`)
			if !strings.Contains(out, "You are alice@github on example.ts.net") {
				t.Errorf("by the command alone: %s", untold(out))
			}
			node.Daemon.Stop(ctx)
			w.refuses(6, "not running", "systemctl enable --now tailscaled")
		})
	}
}

// newSignInWorld is a machine with a server and a tailscaled that nobody has signed
// in to yet.
func newSignInWorld(t *testing.T, series string) *world {
	t.Helper()
	w := &world{t: t, m: rig.Boot(t), seen: &transcript{}}
	w.m.AddPrograms(program(t, "leger"), program(t, "leger-server"))
	w.m.BuildImage(t.Context()) // and leger-e2e, which asks the socket
	w.tailnet = w.m.Tailscale(t.Context(), rig.Identity{Series: series, RequireLogin: true})
	w.startServer()
	w.sh(`mkdir -p ~/.config/leger && leger config set server ` + serverURL + ` && leger config set auth.shared_secret_file ` + secretFile)
	return w
}

func (w *world) signsInAs(email, userID string) {
	w.t.Helper()
	var got struct {
		Email, Tailnet  string
		TailscaleUserID string `json:"tailscale_user_id"`
		Confirmed       bool
	}
	if err := json.Unmarshal([]byte(w.sh(`leger auth login --no-browser --json 2>/dev/null`)), &got); err != nil {
		w.t.Fatal(err)
	}
	if got.Email != email || got.TailscaleUserID != userID || got.Tailnet != "example.ts.net" || !got.Confirmed {
		w.t.Errorf("signed in as %+v, want %s, %s", got, email, userID)
	}
}

// refuses is a sign-in that must fail with this code, and say what happened and what
// to do.
func (w *world) refuses(code int, message, hint string) {
	w.t.Helper()
	w.sh(`leger auth logout`) // a machine that is signed in by its own key asks Tailscale nothing
	got := w.run(`leger auth login --no-browser`)
	if got.Code != code || !strings.Contains(got.Stderr, message) {
		w.t.Errorf("exit code %d, want %d and %q: %s", got.Code, code, message, untold(got.String()))
	}
	_, told, _ := strings.Cut(got.Stderr, "hint: ")
	if !strings.Contains(told, hint) {
		w.t.Errorf("the hint does not say %q: %s", hint, got.Stderr)
	}
}

// tailscaleAnswer is what Leger reads of a status.
type tailscaleAnswer struct {
	BackendState   string
	HasAuthURL     bool
	MagicDNSSuffix string
	CurrentTailnet *struct{ MagicDNSSuffix string }
	Self           struct {
		UserID       int64
		Tags         []string
		Expired      bool
		HasID        bool
		HasKeyExpiry bool
	}
	User map[string]struct{ LoginName string }
}

// answers holds what the socket answers now, with and without peers, against the
// recorded answer of this version in this state.
func (w *world) answers(state string) {
	w.t.Helper()
	for _, peers := range []bool{false, true} {
		text := w.m.Must(w.t.Context(), rig.Opts{}, "leger-e2e", "get", "-socket", rig.TailscaleSocket,
			"http://local-tailscaled.sock/localapi/v0/status?peers="+strconv.FormatBool(peers))
		var version struct{ Version string }
		if err := json.Unmarshal([]byte(text), &version); err != nil {
			w.t.Fatalf("%v: %s", err, text)
		}
		number, _, _ := strings.Cut(version.Version, "-")
		name := state
		if peers {
			name += ".peers"
		}
		file := filepath.Join("..", "internal", "tailnet", "testdata", number, name+".json")
		if *updateAnswers {
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				w.t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(text+"\n"), 0o644); err != nil {
				w.t.Fatal(err)
			}
			continue
		}
		recorded, err := os.ReadFile(file)
		if err != nil {
			w.t.Fatalf("%v: go test -tags e2e ./e2e -run %s -update-tailscale", err, w.t.Name())
		}
		if diff := cmp.Diff(readAnswer(w.t, recorded), readAnswer(w.t, []byte(text))); diff != "" {
			w.t.Errorf("tailscaled %s in state %s, peers %v (-recorded +answered):\n%s", number, state, peers, diff)
		}
	}
}

func readAnswer(t *testing.T, text []byte) tailscaleAnswer {
	t.Helper()
	var out tailscaleAnswer
	var more struct {
		AuthURL string
		Self    struct {
			ID        string
			KeyExpiry *string
		}
	}
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &more); err != nil {
		t.Fatal(err)
	}
	out.HasAuthURL = more.AuthURL != ""
	out.Self.HasID = more.Self.ID != ""
	out.Self.HasKeyExpiry = more.Self.KeyExpiry != nil
	return out
}
