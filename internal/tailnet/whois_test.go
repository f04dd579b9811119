package tailnet_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/tailnet"
)

// Whom Tailscale vouches for at an address, and whom it does not.
func TestWhoIs(t *testing.T) {
	t.Parallel()
	const alice = `"UserProfile":{"ID":123,"LoginName":"alice@github"}`
	answers := map[string]string{
		"100.64.0.1": `{"Node":{"StableID":"nA","Name":"phone.example.ts.net.","User":123,"KeyExpiry":"0001-01-01T00:00:00Z"},` + alice + `}`,
		"100.64.0.2": `{"Node":{"StableID":"nA","Name":"phone.example.ts.net.","User":123,"KeyExpiry":"2025-11-23T11:59:59Z"},` + alice + `}`,
		"100.64.0.3": `{"Node":{"StableID":"nA","Name":"phone.example.ts.net.","User":123,"Expired":true},` + alice + `}`,
		"100.64.0.4": `{"Node":{"StableID":"nA","Name":"phone.example.ts.net.","User":456},` + alice + `}`,
		"100.64.0.5": `{"Node":{"StableID":"nA","Name":"phone.example.ts.net.","User":123}}`,
		"100.64.0.6": `{"Node":null,` + alice + `}`,
		"100.64.0.7": `{"Node":{"StableID":"nT","Name":"ci.example.ts.net.","User":99,"Tags":["tag:ci"]},"UserProfile":{"ID":99,"LoginName":"tagged-devices"}}`,
		"100.64.0.8": `{"Node":{"StableID":"nT","Name":"web.example.ts.net.","User":99,"Tags":["tag:web"]},"UserProfile":{"ID":99,"LoginName":"tagged-devices"},
			"CapMap":{"leger.run/cap/machine":["nonsense",{"owner":""},{"owner":"alice@github","role":"king"},{"owner":"alice@github","groups":["web"]}]}}`,
		"100.64.0.9":  `{"Node":{"StableID":"nS","Name":"laptop.other.ts.net.","User":789},"UserProfile":{"ID":789,"LoginName":"bob@github"},"CapMap":{"leger.run/cap/access":null}}`,
		"100.64.0.10": `{"Node":{"StableID":"nA","Name":"phone.example.ts.net.","User":123},"UserProfile":{"ID":123,"LoginName":"alice\u202e@github"}}`,
		"100.64.0.11": `not JSON`,
	}
	asked := 0
	node := tailnet.New(tailnet.Config{Now: now, Socket: tailscaled(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		answer, ok := answers[r.FormValue("addr")]
		if r.URL.Path != "/localapi/v0/whois" || !ok {
			http.Error(w, "no match for IP:port", http.StatusNotFound)
			return
		}
		_, _ = io.WriteString(w, answer)
	})})
	person := func(n uint64, email, tailnet, node string) leger.Identity {
		return leger.Identity{TailscaleUserID: leger.TailscaleUserIDOf(n), Email: email, Tailnet: tailnet, DeviceID: node}
	}
	for addr, want := range map[string]leger.Identity{
		"100.64.0.1":        person(123, "alice@github", "example.ts.net", "nA"),
		"::ffff:100.64.0.1": person(123, "alice@github", "example.ts.net", "nA"),
		"100.64.0.9":        person(789, "bob@github", "other.ts.net", "nS"), // shared in: of their own tailnet
	} {
		if p, err := node.WhoIs(t.Context(), netip.MustParseAddr(addr)); err != nil || p.Identity != want || !p.Person() {
			t.Errorf("%s: %+v, %v", addr, p, err)
		}
	}
	for _, addr := range []string{"100.64.0.2", "100.64.0.3", "100.64.0.4", "100.64.0.5", "100.64.0.6", "100.64.0.10", "100.64.0.99", "127.0.0.1", "::1", "fe80::1%eth0"} {
		if p, err := node.WhoIs(t.Context(), netip.MustParseAddr(addr)); !errors.Is(err, leger.ErrNotFound) || p.Person() {
			t.Errorf("%s: %+v, %v", addr, p, err)
		}
	}
	if _, err := node.WhoIs(t.Context(), netip.Addr{}); !errors.Is(err, leger.ErrNotFound) {
		t.Errorf("no address: %v", err)
	}
	if _, err := node.WhoIs(t.Context(), netip.MustParseAddr("100.64.0.11")); !errors.Is(err, leger.ErrMissingPart) {
		t.Errorf("no JSON: %v", err)
	}
	tagged, err := node.WhoIs(t.Context(), netip.MustParseAddr("100.64.0.7"))
	if err != nil || tagged.Person() || tagged.Machine != nil || tagged.Tags[0] != "tag:ci" {
		t.Errorf("tagged: %+v, %v", tagged, err)
	}
	granted, err := node.WhoIs(t.Context(), netip.MustParseAddr("100.64.0.8"))
	if err != nil || granted.Person() || granted.Machine == nil || granted.Machine.Owner != "alice@github" ||
		granted.Machine.Role != leger.RoleDeliver || strings.Join(granted.Machine.Groups, " ") != "web" {
		t.Errorf("granted: %+v, %v", granted, err)
	}
	shared, err := node.WhoIs(t.Context(), netip.MustParseAddr("100.64.0.9"))
	if err != nil || !shared.Access {
		t.Errorf("granted access: %+v, %v", shared, err)
	}
}

// An answer counts for a minute, in either direction of the clock; a refusal does not.
func TestDirectoryRemembersForAMinute(t *testing.T) {
	t.Parallel()
	clock, asked, fails := now(), 0, false
	d := tailnet.NewDirectory(func(context.Context, netip.Addr) (leger.Peer, error) {
		asked++
		if fails {
			return leger.Peer{}, leger.Errorf(leger.CodeNotFound, "no match")
		}
		return leger.Peer{Node: "n"}, nil
	}, func() time.Time { return clock })
	addr := netip.MustParseAddr("100.64.0.1")
	for _, step := range []struct {
		at    time.Duration
		fails bool
		asked int
	}{
		{0, false, 1},
		{59 * time.Second, true, 1},
		{60 * time.Second, true, 2},
		{60 * time.Second, true, 3},
		{60 * time.Second, false, 4},
		{61 * time.Second, false, 4},
		{-time.Hour, false, 5}, // the clock was put back: what it remembers is of the future
	} {
		clock, fails = now().Add(step.at), step.fails
		if _, err := d.WhoIs(t.Context(), addr); (err != nil) != (step.fails && step.asked != 1) || asked != step.asked {
			t.Errorf("at %s: %v, asked %d times, want %d", step.at, err, asked, step.asked)
		}
	}
	for i := range 3000 { // of very many addresses it forgets
		addr := netip.AddrFrom4([4]byte{100, 64, byte(i >> 8), byte(i)})
		if _, err := d.WhoIs(t.Context(), addr); err != nil {
			t.Fatal(err)
		}
	}
}
