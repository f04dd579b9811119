package quadlet_test

import (
	"fmt"
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
	for _, fixture := range readFixtures(f) {
		for _, data := range fixture.files {
			f.Add(data)
		}
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
			"x.container.d/a.conf": data, "m.quadlets": data, "t@.container": data, "d.volume": []byte("[Volume]\n"), "sub/file": []byte("x"),
		}
		options := quadlet.Options{Podman: quadlet.Version{Major: 5, Minor: 2}, Links: map[string]string{"t@i.container": "t@.container", "l.pod": "sub/../x.container", "o.pod": "../x"}}
		s := quadlet.LoadFilesWith(files, options)
		if again := quadlet.LoadFilesWith(files, options); !reflect.DeepEqual(s, again) {
			t.Fatal("the same files gave another set")
		}
		for name := range s.Files {
			_, given := files[name]
			_, linked := options.Links[name]
			// A part of m.quadlets is named by what is written in it.
			if part := s.Files["m.quadlets"] == nil && path.Dir(name) == "."; path.IsAbs(name) || strings.HasPrefix(name, "..") || (!given && !linked && !part) {
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
		for _, d := range s.Describe() {
			if strings.ContainsAny(d.String(), "\r\x1b\x00") {
				t.Fatalf("shows %q", d)
			}
		}
	})
}

// A secret that is taken has a name and a place; whatever is written ends up in
// one of its fields or in a problem.
func FuzzSecret(f *testing.F) {
	for _, s := range []string{"a", "a,type=env,target=B", `"a b",mode=0400`, "source=a,uid=1", "a,,", ",", "=", "a=b", `\x41`, `"" a`, "%i,type=%i"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		s := quadlet.LoadFiles(map[string][]byte{"x.container": []byte("[Container]\nImage=a:1\nSecret=" + value + "\n")})
		for _, u := range s.Units {
			for _, secret := range u.Secrets {
				if len(s.Problems) == 0 && (secret.Name == "" || secret.File != "x.container" || secret.Line < 3) {
					t.Fatalf("%q: %+v without a problem", value, secret)
				}
			}
		}
	})
}

// A port that is taken is one of 65535, its ranges are as long inside as outside,
// and writing it out and reading it again gives the same.
func FuzzPort(f *testing.F) {
	for _, s := range []string{"80", "8080:80", "127.0.0.1::80", "[::1]:1-3:4-6/udp", "::1:1:1", "80/tcp/udp", "-1:80", "1-:2", "0:0", "[fe80::1%eth0]:1:1", ":::"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		p, err := quadlet.ParsePort(value)
		if err != nil {
			return
		}
		if p.Container == 0 || p.ContainerEnd < p.Container || (p.Host != 0 && p.HostEnd-p.Host != p.ContainerEnd-p.Container) {
			t.Fatalf("%q: %+v", value, p)
		}
		if p.Host != 0 && !p.Overlaps(p) {
			t.Fatalf("%v does not overlap itself", p)
		}
		again := fmt.Sprintf("%s/%s", ports(p.Container, p.ContainerEnd), p.Protocol)
		if host := ports(p.Host, p.HostEnd); p.HostIP != "" {
			again = fmt.Sprintf("[%s]:%s:%s", p.HostIP, host, again)
		} else {
			again = host + ":" + again
		}
		if q, err := quadlet.ParsePort(again); err != nil || q != p {
			t.Fatalf("%q is %+v, but %q is %+v, %v", value, p, again, q, err)
		}
	})
}

func ports(first, last uint16) string {
	switch first {
	case 0:
		return ""
	case last:
		return fmt.Sprint(first)
	default:
		return fmt.Sprintf("%d-%d", first, last)
	}
}

// A mount that is taken without a problem has a place in the container, and, if it
// is none of memory, a source.
func FuzzMount(f *testing.F) {
	for _, s := range []string{"type=bind,source=/a,dst=/b", "source=,dst=/b", `'type=bind,"source=a,b",dst=/c'`, "type=tmpfs", "type", ",", `"`, "src,dst=/", "type=a=b,source=c,target=/d"} {
		f.Add(s, "/a:/b:ro")
	}
	f.Fuzz(func(t *testing.T, mount, volume string) {
		s := quadlet.LoadFiles(map[string][]byte{"x.container": []byte("[Container]\nImage=a:1\nMount=" + mount + "\nVolume=" + volume + "\n")})
		for _, u := range s.Units {
			for _, m := range u.Volumes {
				if len(s.Problems) == 0 && m.Type != quadlet.MountGlob && (m.Target == "" || (m.Source == "" && m.Type != quadlet.MountVolume)) {
					t.Fatalf("%q, %q: %+v without a problem", mount, volume, m)
				}
			}
		}
	})
}

// A drop-in does what its text would do at the end of the quadlet, and a part of a
// file of several quadlets what it would do in a file of its own.
func FuzzMerging(f *testing.F) {
	for _, s := range []string{"[Container]\nSecret=\nSecret=b,type=env\n", "[Install]\nWantedBy=a b\n", "PublishPort=80\n", "[Container]\nVolume=x.volume:/x\nImage=", "[Unit]\nAfter=p.pod\n[Service]\nType=oneshot"} {
		f.Add("[Container]\nImage=a:1\nSecret=a\nPublishPort=80:80\n", s)
	}
	f.Fuzz(func(t *testing.T, base, more string) {
		for _, text := range []string{base, more} {
			if _, problems := quadlet.Parse("x", []byte(text)); len(problems) > 0 || strings.HasSuffix(strings.TrimSpace(text), `\`) || strings.Contains(text, "---") || strings.Contains(text, "#") {
				return
			}
		}
		joined := "[Container]\n" + base + "\n" + more + "\n"
		want := inside(quadlet.LoadFiles(map[string][]byte{"x.container": []byte(joined)}))
		dropIn := quadlet.LoadFiles(map[string][]byte{"x.container": []byte("[Container]\n" + base), "x.container.d/a.conf": []byte(more)})
		if got := inside(dropIn); !reflect.DeepEqual(want, got) {
			t.Fatalf("as a drop-in %+v, at the end %+v", got, want)
		}
		part := quadlet.LoadFiles(map[string][]byte{"app.quadlets": []byte("---\n# FileName=x\n" + joined + "---\n")})
		if got := inside(part); !reflect.DeepEqual(want, got) {
			t.Fatalf("as a part %+v, alone %+v", got, want)
		}
	})
}

// inside is what a unit of a set holds, without places.
func inside(s *quadlet.Set) quadlet.Unit {
	u := s.Units[0]
	u.Written, u.Line, u.Parts, u.Risks = "", 0, nil, nil
	for _, refs := range [][]quadlet.Ref{u.Images, u.Ports, u.Networks, u.Reads, u.Uses, u.Aliases} {
		for i := range refs {
			refs[i].File, refs[i].Line = "", 0
		}
	}
	for i := range u.Secrets {
		u.Secrets[i].File, u.Secrets[i].Line = "", 0
	}
	for i := range u.Published {
		u.Published[i].File, u.Published[i].Line = "", 0
	}
	for _, mounts := range [][]quadlet.Mount{u.Volumes, u.Tmpfs} {
		for i := range mounts {
			mounts[i].File, mounts[i].Line = "", 0
		}
	}
	for i := range u.Deps {
		u.Deps[i].At.File, u.Deps[i].At.Line = "", 0
	}
	return u
}
