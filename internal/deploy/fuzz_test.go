package deploy_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"leger.run/leger"
	"leger.run/leger/internal/deploy"
)

// Whatever stands in PublishPort=, a plan comes of it, and the same one twice.
func FuzzPublishedPorts(f *testing.F) {
	for _, s := range []string{"80", "8080:80", "127.0.0.1:8080:80/udp", "[::1]:1-3:1-3", "1-65535:1", ":::", "%i:80", "a:b:c:d", "8080:80/", "-1:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.ContainsAny(text, "\n\r\x00") {
			return
		}
		req := request(t, "App", "c", "a.container", "[Container]\nImage=x:1\nPublishPort="+text+"\n")
		facts := deploy.Facts{Number: 1, Installer: "podman", Listeners: []deploy.Listener{{Port: tcp("0.0.0.0", 8080)}, {Port: tcp("::1", 2)}}}
		a, b := deploy.NewPlan(req, facts), deploy.NewPlan(req, facts)
		if len(a.Refusals) != len(b.Refusals) {
			t.Errorf("%d refusals, then %d", len(a.Refusals), len(b.Refusals))
		}
	})
}

// Whatever the kernel's table holds, reading it ends well.
func FuzzProcSockets(f *testing.F) {
	f.Add("  sl  local_address rem_address   st\n   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 12345 1\n")
	f.Add("0: 00000000000000000000000001000000:1F90 0:0 0A 0 0 0 0 0 7\n")
	f.Add("0: :  0A\n0: zz:zz 0:0 0A 0 0 0 0 0 7\n")
	f.Fuzz(func(t *testing.T, table string) {
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, "net"), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"tcp", "udp6"} {
			if err := os.WriteFile(filepath.Join(dir, "net", name), []byte(table), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		found, err := deploy.NewProcSockets(dir).Listening(t.Context(), func(p leger.Port) bool { return p.Number == 8080 })
		if err != nil {
			t.Error(err)
		}
		for _, l := range found {
			if l.Number != 8080 {
				t.Errorf("port %d was not asked for", l.Number)
			}
		}
	})
}
