package quadlet_test

import (
	"path"
	"reflect"
	"strings"
	"testing"

	"leger.run/leger/internal/quadlet"
)

func seeds(f *testing.F) {
	f.Helper()
	for _, s := range []string{
		"", "[Container]\nImage=a:1\n", "[Container]\nSecret = a,type=env,target=\"x y\"\n", "a=b", "[", "[]", "=",
		"[Container]\nExec=a \\\n# c\n b\n", "[Container]\nImage=\\", "[Container]\nSecret=\\x00\\u0000\\777\\U00110000",
		"[Build]\nFile=../../x\nSetWorkingDirectory=/\n", "[Container]\nVolume=:::\nMount=source=,,=\nNetwork=:\nPod=.pod\n",
	} {
		f.Add([]byte(s))
	}
}

// What is read has its place: every assignment has a key, lies at a line of the
// file, and no message brings a control character to the terminal.
func FuzzParse(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, problems := quadlet.Parse("x.container", data)
		lines := strings.Count(string(data), "\n") + 1
		for _, s := range doc.Sections {
			for _, a := range s.Assignments {
				if a.Key == "" || a.Line < s.Line || a.Line > lines || strings.ContainsAny(a.Value, "\n\r\x1b\x00") {
					t.Fatalf("section %+v has %+v", s, a)
				}
			}
		}
		for _, p := range problems {
			if p.Line < 0 || p.Line > lines || strings.ContainsAny(p.Message, "\n\r\x1b\x00") {
				t.Fatalf("problem %+v", p)
			}
		}
	})
}

// Whatever the files hold: reading them ends, gives the same twice, installs
// only files that were given, and every service has a name that systemd takes
// unless a problem stops the release.
func FuzzLoadFiles(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		files := map[string][]byte{
			"x.container": data, "p.pod": []byte("[Pod]\n"), "b.build": data, "k.kube": data,
			"x.container.d/a.conf": data, "d.volume": []byte("[Volume]\n"), "sub/file": []byte("x"),
		}
		s := quadlet.LoadFiles(files)
		if again := quadlet.LoadFiles(files); !reflect.DeepEqual(s, again) {
			t.Fatal("the same files gave another set")
		}
		for name := range s.Files {
			if _, given := files[name]; !given || path.IsAbs(name) {
				t.Fatalf("installs %q", name)
			}
		}
		for _, u := range s.Units {
			if len(s.Problems) == 0 && strings.ContainsAny(u.Service, "/ \n\"'") {
				t.Fatalf("service %q without a problem", u.Service)
			}
		}
		s.ToStart()
		s.ToRun()
		s.SecretNames()
	})
}
