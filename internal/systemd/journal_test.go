package systemd_test

import (
	"slices"
	"strings"
	"testing"

	"leger.run/leger/internal/systemd"
)

// The message of a failed start was the journal's end: Podman's events, conmon's
// warnings and systemd's own words. What the program had said was 20 lines above,
// and of a job it was there twice.
func TestWhyIsWhatTheProgramSaid(t *testing.T) {
	t.Parallel()
	noise := []string{
		`{"SYSLOG_IDENTIFIER":"systemd","_TRANSPORT":"journal","MESSAGE":"Starting bad.service..."}`,
		`{"SYSLOG_IDENTIFIER":"podman","_TRANSPORT":"journal","MESSAGE":"2026-11-27 10:14:29 container create 262dd48a (image=x)"}`,
		`{"SYSLOG_IDENTIFIER":"conmon","_TRANSPORT":"syslog","MESSAGE":"conmon 262d <nwarn>: Failed to add inotify watch"}`,
		`{"SYSLOG_IDENTIFIER":"bad","_TRANSPORT":"stdout","MESSAGE":"` + strings.Repeat("ab", 32) + `"}`,
		`{"SYSLOG_IDENTIFIER":"bad","_TRANSPORT":"stdout","MESSAGE":"systemd-bad"}`,
		`{"SYSLOG_IDENTIFIER":"systemd","_TRANSPORT":"journal","MESSAGE":"bad.service: Failed with result 'exit-code'."}`,
		`not JSON`,
	}
	said := `{"CONTAINER_NAME":"systemd-bad","SYSLOG_IDENTIFIER":"systemd-bad","_TRANSPORT":"journal","MESSAGE":"no such table: users\n"}`
	for name, c := range map[string]struct{ more, want []string }{
		"a container's own lines": {[]string{said}, []string{"no such table: users"}},
		"of a job, once": {
			[]string{said, `{"SYSLOG_IDENTIFIER":"bad","_TRANSPORT":"stdout","MESSAGE":"no such table: users"}`},
			[]string{"no such table: users"},
		},
		"Podman's error": {
			[]string{`{"SYSLOG_IDENTIFIER":"bad","_TRANSPORT":"stdout","MESSAGE":"Error: statfs /data: no such file or directory"}`},
			[]string{"Error: statfs /data: no such file or directory"},
		},
		"bytes that are no text": {
			[]string{`{"CONTAINER_NAME":"systemd-bad","MESSAGE":[104,105,255]}`, `{"CONTAINER_NAME":"systemd-bad","MESSAGE":null}`},
			[]string{"hi\uFFFD"},
		},
		"nothing but systemd": {nil, []string{"Starting bad.service...", "bad.service: Failed with result 'exit-code'."}},
	} {
		got, own := systemd.Said([]byte(strings.Join(slices.Concat(noise[:4], c.more, noise[4:]), "\n")))
		if !slices.Equal(got, c.want) || own != (c.more != nil) {
			t.Errorf("%s: %q, own %t, want %q", name, got, own, c.want)
		}
	}
}
