package quadlet_test

import (
	"slices"
	"strings"
	"testing"

	"leger.run/leger/internal/quadlet"
)

// What a boot would start, an install starts: a .pod without [Install] was not
// started, with exit code 0, although its containers have one; and a unit that only
// multi-user.target wants, which a user's systemd does not have, was gone after a
// reboot without a word.
func TestWhatStartsNowAndAtABoot(t *testing.T) {
	t.Parallel()
	const plain = "[Container]\nImage=example.com/x@sha256:" + digest64 + "\n"
	hook := func(line string) string { return "[Install]\n" + line + "\n" }
	for name, c := range map[string]struct {
		files            map[string]string
		start, run, lost string
	}{
		"a pod is started by its containers": {
			map[string]string{
				"p.pod": "[Pod]\n", "a.container": plain + "Pod=p.pod\n" + hook("WantedBy=default.target"), "b.container": plain + "Pod=p.pod\n",
			},
			"a.service", "a.service b.service p-pod.service", "",
		},
		"nothing has an [Install]": {
			map[string]string{"a.container": plain, "p.pod": "[Pod]\n", "b.container": plain + "Pod=p.pod\n"},
			"a.service p-pod.service", "a.service b.service p-pod.service", "a.service b.service p-pod.service",
		},
		"a target that a user's systemd lacks": {
			map[string]string{"a.container": plain + hook("WantedBy=multi-user.target"), "b.container": plain + hook("WantedBy=multi-user.target default.target")},
			"a.service b.service", "a.service b.service", "a.service",
		},
		"targets of a desktop, and one that is nowhere": {
			map[string]string{"a.container": plain + hook("WantedBy=graphical-session.target"), "b.container": plain + hook("WantedBy=graphical.target"), "c.container": plain + hook("WantedBy=no-such.target")},
			"a.service b.service c.service", "a.service b.service c.service", "a.service b.service c.service",
		},
		"wanted by another one of the release": {
			map[string]string{"a.container": plain + hook("WantedBy=default.target"), "b.container": plain + hook("WantedBy=a.service"), "c.container": plain},
			"a.service", "a.service b.service", "",
		},
		"required, upheld, bound to": {
			map[string]string{
				"a.container": "[Unit]\nRequires=b.service\n" + plain + hook("UpheldBy=default.target"), "b.container": "[Unit]\nUpholds=c.service\n" + plain,
				"c.container": "[Unit]\nBindsTo=d.service\nPartOf=e.service\n" + plain, "d.container": plain, "e.container": plain,
			},
			"a.service", "a.service b.service c.service d.service", "",
		},
		"a template's default instance": {
			map[string]string{"t@.container": plain + hook("WantedBy=default.target\nDefaultInstance=x"), "u@.container": plain + hook("WantedBy=default.target")},
			"t@x.service", "t@x.service", "",
		},
		"a unit of others": {map[string]string{"a.container": plain + hook("WantedBy=theirs.service")}, "a.service", "a.service", ""},
	} {
		files := map[string][]byte{}
		for file, text := range c.files {
			files[file] = []byte(text)
		}
		set := quadlet.LoadFiles(files)
		services := func(units []quadlet.Unit) string {
			var all []string
			for _, u := range units {
				all = append(all, u.Service)
			}
			slices.Sort(all)
			return strings.Join(all, " ")
		}
		start := slices.Sorted(slices.Values(set.ToStart()))
		if got := strings.Join(start, " "); got != c.start {
			t.Errorf("%s: starts %q, want %q", name, got, c.start)
		}
		if got := services(set.ToRun()); got != c.run {
			t.Errorf("%s: runs %q, want %q", name, got, c.run)
		}
		if got := services(set.NotAtBoot()); got != c.lost {
			t.Errorf("%s: not at a boot %q, want %q", name, got, c.lost)
		}
		if len(set.Notices) != len(strings.Fields(c.lost)) {
			t.Errorf("%s: notices %+v", name, set.Notices)
		}
	}
}

const digest64 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
