//go:build e2e

package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"leger.run/leger/e2e/rig"
)

const (
	tailnetServer = "https://leger.example.ts.net"
	tailnetSocket = "/run/leger-server/server.sock"
)

// TestTailnet signs in at a server that asks its tailscaled who is calling, from nodes of
// two people, a tagged one, one that the policy grants to an owner and one that is
// shared in from another tailnet: each is who it is, none can be another, and a local
// process that forges headers gets nothing.
func TestTailnet(t *testing.T) {
	t.Parallel()
	grant := func(owner string) map[string][]json.RawMessage {
		return map[string][]json.RawMessage{
			"leger.run/cap/machine": {json.RawMessage(`{"owner":"` + owner + `","role":"deliver","groups":["web"]}`)},
		}
	}
	w := &world{t: t, m: rig.Boot(t), seen: &transcript{}}
	w.m.AddPrograms(program(t, "leger"), program(t, "leger-server"))
	net := w.m.Tailnet(t.Context(), map[string]rig.Member{
		"leger":  {Interface: true},
		"phone":  {},
		"bobs":   {LoginName: "bob@github", UserID: 456},
		"ci":     {Tags: []string{"tag:ci"}},
		"web":    {Tags: []string{"tag:web"}, Grants: grant("alice@github")},
		"shared": {LoginName: "carol@github", UserID: 789, MagicDNSSuffix: "other.ts.net"},
	})
	net.Certify(t.Context(), "leger")
	w.m.StartUnit(t.Context(), rig.Unit{
		Name:    "leger-server",
		Command: []string{"leger-server", "--listen", "unix:" + tailnetSocket + ",127.0.0.1:8787", "--data", "/var/lib/leger-server", "--public-url", tailnetServer},
		Env:     []string{"LEGER_AUTH=tailnet", "LEGER_TAILSCALE_SOCKET=" + net.Node("leger").Socket},
		Properties: []string{
			"RuntimeDirectory=leger-server", "RuntimeDirectoryMode=0755", "StateDirectory=leger-server", "StateDirectoryMode=0700",
		},
	})
	w.m.Must(t.Context(), rig.Opts{As: "root"}, "tailscale", "--socket="+net.Node("leger").Socket, "serve", "--bg", "--https=443", "unix:"+tailnetSocket)
	v := &visitors{w, net, tailnetServer}
	v.awaits("/health", "healthy", "-X", "GET")

	t.Run("browsers", func(t *testing.T) {
		v := v.For(t)
		v.browser("phone", "alice@github", "example.ts.net")
		v.browser("bobs", "bob@github", "example.ts.net")
		v.browser("shared", "carol@github", "other.ts.net")
		v.refused("ci", "tagged (tag:ci)")
		v.refused("web", "tagged (tag:web)")
		// Whatever a visitor says of itself, tailscaled's word is the last one.
		v.browser("bobs", "bob@github", "example.ts.net", "-H", "X-Forwarded-For: "+net.Node("phone").Addr)
		v.browser("bobs", "bob@github", "example.ts.net", "-H", "Tailscale-User-Login: alice@github")
		v.refused("ci", "tagged", "-H", "X-Forwarded-For: "+net.Node("phone").Addr, "-H", "Tailscale-User-Login: alice@github")
		v.refused("phone", "own name", "-H", "Host: evil.example")
		v.refused("phone", "another site", "-H", "Sec-Fetch-Site: cross-site")
	})
	t.Run("forged on the server's machine", func(t *testing.T) {
		v := v.For(t)
		forged := []string{"-H", "Host: leger.example.ts.net", "-H", "X-Forwarded-For: " + net.Node("phone").Addr, "-H", "Tailscale-User-Login: alice@github"}
		got := v.curl(append(forged, "http://127.0.0.1:8787/api/auth/tailnet")...)
		if !strings.Contains(got, "Tailscale does not say who you are") || strings.Contains(got, "alice") {
			t.Errorf("over loopback: %s", untold(got))
		}
		got = v.curl(append(forged, "--unix-socket", tailnetSocket, "http://leger.example.ts.net/api/auth/tailnet")...)
		if strings.Contains(got, "alice") || !strings.Contains(got, "curl: (7)") {
			t.Errorf("over the socket: %s", untold(got))
		}
		w.m.Must(t.Context(), rig.Opts{As: "root"}, "chmod", "666", tailnetSocket)
		got = v.curl(append(forged, "--unix-socket", tailnetSocket, "http://leger.example.ts.net/api/auth/tailnet")...)
		if strings.Contains(got, "alice") || !strings.Contains(got, "Tailscale does not say who you are") {
			t.Errorf("over a socket that is open to all: %s", untold(got))
		}
		w.m.Must(t.Context(), rig.Opts{As: "root"}, "chmod", "600", tailnetSocket)
	})
	t.Run("on the tailnet's own addresses", func(t *testing.T) {
		v := v.For(t)
		w.m.StartUnit(t.Context(), rig.Unit{
			Name:       "leger-server-2",
			Command:    []string{"leger-server", "--listen", "tailnet:8443", "--data", "/var/lib/leger-server-2"},
			Env:        []string{"LEGER_AUTH=tailnet", "LEGER_TAILSCALE_SOCKET=" + net.Node("leger").Socket},
			Properties: []string{"StateDirectory=leger-server-2", "StateDirectoryMode=0700"},
		})
		v.at = tailnetServer + ":8443"
		v.awaits("/health", "healthy", "-X", "GET")
		v.browser("phone", "alice@github", "example.ts.net")
		v.browser("bobs", "bob@github", "example.ts.net", "-H", "X-Forwarded-For: "+net.Node("phone").Addr, "-H", "Tailscale-User-Login: alice@github")
		v.refused("ci", "tagged (tag:ci)")
		v.refused("phone", "own name", "-H", "Host: leger.example.ts.net")
		// From the server's own machine it is that machine's owner, whatever headers say.
		own := net.Node("leger").Addr
		got := v.curl("--resolve", "leger.example.ts.net:8443:"+own, "-H", "X-Forwarded-For: "+net.Node("bobs").Addr, v.at+"/api/auth/tailnet")
		if !strings.Contains(got, `"email":"alice@github"`) {
			t.Errorf("from the server's own machine: %s", untold(got))
		}
		if got := v.curl("--resolve", "leger.example.ts.net:8443:127.0.0.1", v.at+"/api/auth/tailnet"); !strings.Contains(got, "curl: (7)") {
			t.Errorf("it listens elsewhere, too: %s", untold(got))
		}
	})
	t.Run("commands", func(t *testing.T) {
		v := v.For(t)
		v.enrols("phone", "alice@github", "full")
		v.as("phone", `printf canary-tailnet | leger secrets set key`)
		v.enrols("bobs", "bob@github", "full")
		if got := v.run("bobs", `leger secrets get key`); got.Code != 3 {
			t.Errorf("bob reads a key of alice's: %s", untold(got.String()))
		}
		v.enrols("web", "alice@github", "deliver")
		if got := v.as("web", `leger secrets get key`); strings.TrimSpace(got) != "canary-tailnet" {
			t.Errorf("the granted machine reads %q", untold(got))
		}
		if got := v.run("web", `leger secrets delete key --yes`); got.Code != 4 {
			t.Errorf("the granted machine deletes: %s", untold(got.String()))
		}
		// A tagged node that nothing is granted to shows a code.
		if got := v.run("ci", `timeout 5 leger auth login --no-browser`); !strings.Contains(got.Stderr, "enter the code") {
			t.Errorf("the tagged one: %s", untold(got.String()))
		}
		v.as("phone", `leger machines revoke `+v.machine("phone", "deliver")+` --yes`)
		if got := v.run("web", `leger secrets get key`); got.Code != 4 {
			t.Errorf("a revoked machine reads: %s", untold(got.String()))
		}
	})
	t.Run("a node that changes hands", func(t *testing.T) {
		v := v.For(t)
		net.For(t).SetMembers(t.Context(), map[string]rig.Member{"leger": {}, "phone": {LoginName: "mallory@github", UserID: 13}})
		// What was asked counts for a minute.
		v.awaits("/api/auth/tailnet", "mallory@github")
	})
}

// visitors reach the server through the tailnet.
type visitors struct {
	*world
	net *rig.Tailnet
	at  string // the server's address
}

func (v *visitors) For(t *testing.T) *visitors {
	w := *v.world
	w.t, w.m = t, v.m.For(t)
	return &visitors{&w, v.net, v.at}
}

// curl posts as a process of the test user, and gives what it prints.
func (v *visitors) curl(args ...string) string {
	v.t.Helper()
	return v.curlIn(v.t.Context(), args...)
}

func (v *visitors) curlIn(ctx context.Context, args ...string) string {
	v.t.Helper()
	got := v.m.Run(ctx, rig.Opts{}, "curl", append([]string{"-sS", "-m", "20", "-X", "POST", "--cacert", rig.CAFile}, args...)...)
	return got.Stdout + got.Stderr
}

// post sends a request from a node.
func (v *visitors) post(node, path string, args ...string) string {
	v.t.Helper()
	return v.curl(v.to(node, path, args)...)
}

func (v *visitors) to(node, path string, args []string) []string {
	return append([]string{"--proxy", v.net.Node(node).Proxy, v.at + path}, args...)
}

// awaits asks from the phone until the answer has a text.
func (v *visitors) awaits(path, text string, args ...string) {
	v.t.Helper()
	rig.Eventually(v.t, 90*time.Second, path+" says "+text, func(ctx context.Context) error {
		if got := v.curlIn(ctx, v.to("phone", path, args)...); !strings.Contains(got, text) {
			return fmt.Errorf("it says %s", untold(got))
		}
		return nil
	})
}

// browser signs in from a node as a browser does.
func (v *visitors) browser(node, email, tailnet string, args ...string) {
	v.t.Helper()
	got := v.post(node, "/api/auth/tailnet", append(args, "-D", "-")...)
	if !strings.Contains(got, "__Host-leger_session=") || !strings.Contains(got, `"email":"`+email+`"`) || !strings.Contains(got, `"tailnet":"`+tailnet+`"`) {
		v.t.Errorf("%s with %q is not %s: %s", node, args, email, untold(got))
	}
}

func (v *visitors) refused(node, why string, args ...string) {
	v.t.Helper()
	got := v.post(node, "/api/auth/tailnet", append(args, "-D", "-")...)
	if strings.Contains(got, "leger_session") || !strings.Contains(got, why) || !strings.Contains(got, "403") {
		v.t.Errorf("%s with %q: %s", node, args, untold(got))
	}
}

// run runs a command of a node's user, who has a home of their own.
func (v *visitors) run(node, command string) rig.Result {
	v.t.Helper()
	n := v.net.Node(node)
	home := "/tmp/home-" + node
	return v.m.Run(v.t.Context(), rig.Opts{Env: []string{
		"HOME=" + home, "LEGER_SERVER=" + tailnetServer, "LEGER_TAILSCALE_SOCKET=" + n.Socket,
		"HTTPS_PROXY=" + n.Proxy, "SSL_CERT_FILE=" + rig.CAFile,
	}}, "sh", "-c", "mkdir -p "+home+" && "+command)
}

func (v *visitors) as(node, command string) string {
	v.t.Helper()
	got := v.run(node, command)
	if got.Code != 0 {
		v.t.Fatalf("%s: %s: %s", node, command, untold(got.String()))
	}
	return got.Stdout
}

// enrols signs a node's command in: nobody is asked anything.
func (v *visitors) enrols(node, email, role string) {
	v.t.Helper()
	v.as(node, `leger auth login --no-browser`)
	var status struct{ Email, Method string }
	if err := json.Unmarshal([]byte(v.as(node, `leger auth status --json`)), &status); err != nil || status.Email != email || status.Method != "machine" {
		v.t.Errorf("%s is signed in as %+v, %v", node, status, err)
	}
	if role == "full" && v.machine(node, role) == "" { // the others may not list
		v.t.Errorf("%s is no machine of the role %s that Tailscale enrolled", node, role)
	}
}

// machine gives the id of a machine of a role that was enrolled by Tailscale's word.
func (v *visitors) machine(node, role string) string {
	v.t.Helper()
	var got struct {
		Machines []struct {
			ID, Role   string
			EnrolledBy string `json:"enrolled_by"`
		}
	}
	if err := json.Unmarshal([]byte(v.as(node, `leger machines list --json`)), &got); err != nil {
		v.t.Fatalf("%s: %v", node, err)
	}
	for _, m := range got.Machines {
		if m.Role == role && m.EnrolledBy == "tailnet" {
			return m.ID
		}
	}
	return ""
}
