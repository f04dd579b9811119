package systemd_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"leger.run/leger"
	"leger.run/leger/internal/systemd"
)

// The lines are systemd 262's.
func TestComplaints(t *testing.T) {
	t.Parallel()
	units := map[string][]byte{"web.service": nil}
	got := systemd.Complaints(`/tmp/leger-verify-1/web.service:7: Unknown key 'RestartSex' in section [Service], ignoring.
web.service: Command /usr/bin/podman is not executable: No such file or directory
/tmp/leger-verify-1/web.service:9: Standard output type syslog is obsolete, automatically updating to journal.
/usr/lib/systemd/user/other.service:3: Unknown key 'X' in section [Unit], ignoring.
Unit other.target not found.
`, units)
	want := []leger.Problem{
		{File: "web.service", Line: 7, Message: "systemd: Unknown key 'RestartSex' in section [Service], ignoring."},
		{File: "web.service", Message: "systemd: Command /usr/bin/podman is not executable: No such file or directory"},
		{File: "web.service", Line: 9, Message: "systemd: Standard output type syslog is obsolete, automatically updating to journal.", Unsure: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func FuzzComplaints(f *testing.F) {
	f.Add("/a/web.service:7: x\nweb.service: y\n")
	f.Fuzz(func(t *testing.T, stderr string) {
		for _, p := range systemd.Complaints(stderr, map[string][]byte{"web.service": nil}) {
			if p.File != "web.service" || strings.ContainsAny(p.Message, "\x1b\n") {
				t.Errorf("%+v", p)
			}
		}
	})
}
