package systemd_test

import (
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"

	"leger.run/leger"
	"leger.run/leger/internal/systemd"
)

func TestWithoutABusTheHintSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	// Somebody listens, but it is no bus: it hangs up.
	dir := t.TempDir()
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", filepath.Join(dir, "bus"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	for name, c := range map[string]struct {
		cfg  systemd.Config
		hint string
	}{
		"no runtime directory": {systemd.Config{}, "enable-linger"},
		"no socket":            {systemd.Config{RuntimeDir: t.TempDir()}, "dbus-user-session"},
		"no bus":               {systemd.Config{RuntimeDir: dir}, "systemctl --user"},
		"by address":           {systemd.Config{Address: "unix:path=" + filepath.Join(t.TempDir(), "bus")}, "dbus-user-session"},
	} {
		_, err := systemd.Open(c.cfg)
		var e *leger.Error
		if !errors.As(err, &e) || e.Code != leger.CodeMissingPart || !strings.Contains(e.Hint, c.hint) {
			t.Errorf("%s: %v, want missing_part with a hint on %q", name, err, c.hint)
		}
	}
}

func TestStateOf(t *testing.T) {
	t.Parallel()
	// The types are those that godbus makes of systemd's signatures.
	got := systemd.StateOf("web.service", map[string]any{
		"LoadState": "loaded", "ActiveState": "failed", "SubState": "failed", "Result": "exit-code",
		"ExecMainStatus": int32(125), "NRestarts": uint32(5), "SourcePath": "/home/u/.config/containers/systemd/web.container",
		"FragmentPath": "/run/user/1000/systemd/generator/web.service", "ActiveEnterTimestamp": uint64(1767225600000000),
		"Job": []any{uint32(7), dbus.ObjectPath("/org/freedesktop/systemd1/job/7")},
	})
	want := leger.UnitState{
		Name: "web.service", LoadState: "loaded", ActiveState: "failed", SubState: "failed", Result: "exit-code",
		ExecMainStatus: 125, Restarts: 5, Source: "/home/u/.config/containers/systemd/web.container", Job: "queued",
		Since: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	got = systemd.StateOf("x.service", map[string]any{"LoadState": "not-found", "FragmentPath": "/f", "Job": []any{uint32(0), dbus.ObjectPath("/")}})
	if diff := cmp.Diff(leger.UnitState{Name: "x.service", LoadState: "not-found", Source: "/f"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	// Nothing of what D-Bus may send makes it panic.
	systemd.StateOf("x.service", map[string]any{"LoadState": 1, "ExecMainStatus": "x", "Job": []any{}, "ActiveEnterTimestamp": ^uint64(0)})
}
