//go:build e2e

package e2e_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"leger.run/leger/e2e/rig"
)

// TestServerUnit: leger-server works inside of what its unit leaves it, at each of the
// places it can listen at, and its commands reach it.
func TestServerUnit(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	m := rig.Boot(t)
	m.AddPrograms(program(t, "leger-server"))
	text, err := os.ReadFile(filepath.Join("..", "packaging", "systemd", "leger-server.service"))
	if err != nil {
		t.Fatal(err)
	}
	root := func(script string) string {
		t.Helper()
		return m.Must(ctx, rig.Opts{As: "root"}, "bash", "-euc", script)
	}
	m.Must(ctx, rig.Opts{As: "root", Stdin: bytes.NewReader(text)}, "sh", "-c", `cat >/etc/systemd/system/leger-server.service`)
	root(`cp ` + rig.Bin + `/leger-server /usr/bin/ && systemctl daemon-reload`)
	const ready = `curl -sS --retry 20 --retry-delay 1 --retry-all-errors --fail `

	root(`echo LEGER_LISTEN=127.0.0.1:8787,unix:/run/leger-server/server.sock >/etc/leger-server.env; systemctl start leger-server`)
	for _, where := range []string{`http://127.0.0.1:8787`, `--unix-socket /run/leger-server/server.sock http://localhost`} {
		if got := root(ready + where + `/ready`); !strings.Contains(got, `"ready"`) {
			t.Errorf("%s: %s", where, got)
		}
	}
	status := root(`cat /proc/$(systemctl show -P MainPID leger-server)/status`)
	for _, line := range []string{"CapPrm:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"} {
		if !strings.Contains(status, line+"\n") {
			t.Errorf("it runs without %q:\n%s", line, status)
		}
	}
	// A machine in namespaces may not lift the limit of locked memory.
	limits := root(`cat /proc/$(systemctl show -P MainPID leger-server)/limits`)
	unlimited := strings.Contains(limits, "Max locked memory         unlimited")
	if locked := !strings.Contains(status, "VmLck:\t       0 kB"); locked != unlimited {
		t.Errorf("its memory is locked: %t; may be without limit: %t", locked, unlimited)
	}

	// The server's own commands, as docs/server.md has them.
	const as = `systemd-run --quiet --pipe --wait --collect -p DynamicUser=yes -p User=leger-server -p StateDirectory=leger-server `
	root(as + `leger-server backup - >/root/by-user`)
	root(`leger-server backup /root/by-root --data /var/lib/leger-server && leger-server rekey --data /var/lib/leger-server`)
	if others := root(`find /var/lib/private/leger-server -user root`); others != "" {
		t.Errorf("root left files that the server cannot read: %s", others)
	}
	root(as + `leger-server backup - >/root/again`)

	root(`mkdir -p /etc/systemd/system/leger-server.service.d`)
	m.Must(ctx, rig.Opts{As: "root", Stdin: strings.NewReader(portDropIn(t))}, "sh", "-c",
		`cat >/etc/systemd/system/leger-server.service.d/port.conf`)
	root(`echo LEGER_LISTEN=127.0.0.1:443 >/etc/leger-server.env; systemctl daemon-reload; systemctl restart leger-server`)
	if got := root(ready + `http://127.0.0.1:443/ready`); !strings.Contains(got, `"ready"`) {
		t.Error(got)
	}
}

// portDropIn is the one that docs/server.md shows.
func portDropIn(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "docs", "server.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "```ini\n")
	dropIn, _, found := strings.Cut(after, "```")
	if !found || !strings.Contains(dropIn, "CAP_NET_BIND_SERVICE") {
		t.Fatal("docs/server.md has no drop-in for a port below 1024")
	}
	return dropIn
}
