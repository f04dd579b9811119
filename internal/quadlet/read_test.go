package quadlet_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leger.run/leger"
	"leger.run/leger/internal/quadlet"
)

// The table holds a release for every key; these are some of those that people
// meet on the distributions of today.
func TestKeysKnowSinceWhen(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{
		"Container.Image": "4.4", "Container.Secret": "4.5", "Container.Pod": "5.0", "Container.ServiceName": "5.3",
		"Container.Memory": "5.5", "Container.HttpProxy": "5.7", "Container.AppArmor": "5.8", "Pod.StopTimeout": "5.7",
		"Volume.VolumeName": "4.7", "Image.Policy": "5.6", "Build.BuildArg": "5.7", "Artifact.Quiet": "5.7",
		"Quadlet.DefaultDependencies": "5.3", "Kube.Yaml": "4.4", "Network.InterfaceName": "5.6",
	} {
		section, name, _ := strings.Cut(key, ".")
		if v, ok := quadlet.KeySince(section, name); !ok || v.String() != want {
			t.Errorf("%s: %v, %v; want %s", key, v, ok, want)
		}
	}
	count := 0
	for _, kind := range quadlet.Kinds() {
		keys, ok := quadlet.Keys(kind.Section())
		if count += len(keys); !ok {
			t.Errorf("[%s] is not known", kind.Section())
		}
		for _, key := range keys {
			if v, ok := quadlet.KeySince(kind.Section(), key); !ok || v.Before(quadlet.Version{Major: 4, Minor: 4}) || v.Before(kind.Since()) {
				t.Errorf("%s in [%s] came with %v", key, kind.Section(), v)
			}
		}
	}
	if count < 230 {
		t.Errorf("only %d keys", count)
	}
	if _, ok := quadlet.KeySince("Container", "Imgae"); ok {
		t.Error("any key is known")
	}
	if _, ok := quadlet.KeySince("Unit", "After"); ok {
		t.Error("keys of systemd's sections are known")
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{"5.8.6": "5.8.6", "5.8.0": "5.8", "5.8": "5.8", "5.9.0-dev": "5.9", "6.0.0-rc1": "6.0", "4.9.4+ds1": "4.9.4"} {
		v, err := quadlet.ParseVersion(s)
		if err != nil || v.String() != want || !v.Known() {
			t.Errorf("%s: %v, %v", s, v, err)
		}
	}
	for _, s := range []string{"", "5", "5.x", "five", "5.8.6.1", "-5.8"} {
		if v, err := quadlet.ParseVersion(s); leger.CodeOf(err) != leger.CodeInvalid {
			t.Errorf("%q: %v, %v", s, v, err)
		}
	}
}

// A key that is mistyped and a key that is too new are told apart, and both leave
// the last word to the machine's generator.
func TestTooNewIsNotMistyped(t *testing.T) {
	t.Parallel()
	files := map[string][]byte{"x.container": []byte("[Container]\nImage=a:1\nHttpProxy=no\nHttpPorxy=no\n")}
	s := quadlet.LoadFilesWith(files, quadlet.Options{Podman: quadlet.Version{Major: 5, Minor: 6, Patch: 2}})
	want := []leger.Problem{
		{File: "x.container", Line: 3, Message: "HttpProxy= in [Container] needs Podman 5.7 or newer, and this machine has 5.6.2", Hint: "install a newer Podman, or do without it", Unsure: true},
		{File: "x.container", Line: 4, Message: `"HttpPorxy" is not a key of [Container]`, Hint: "did you mean HttpProxy?", Unsure: true},
	}
	if diff := cmp.Diff(want, s.Problems); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if s := quadlet.LoadFiles(files); len(s.Problems) != 1 {
		t.Errorf("for an unknown Podman: %+v", s.Problems)
	}
}

func TestImageNames(t *testing.T) {
	t.Parallel()
	digest := "sha256:" + strings.Repeat("0", 64)
	for name, want := range map[string]quadlet.ImageName{
		"nginx":                           {Repository: "nginx"},
		"library/nginx:1.27":              {Repository: "library/nginx", Tag: "1.27"},
		"docker.io/library/nginx:1.27":    {Registry: "docker.io", Repository: "library/nginx", Tag: "1.27"},
		"localhost/app":                   {Registry: "localhost", Repository: "app"},
		"reg.example:5000/a/b":            {Registry: "reg.example:5000", Repository: "a/b"},
		"reg.example:5000/a:2@" + digest:  {Registry: "reg.example:5000", Repository: "a", Tag: "2", Digest: digest},
		"docker://quay.io/a/b@" + digest:  {Registry: "quay.io", Repository: "a/b", Digest: digest},
		"oci:/srv/image:latest":           {Repository: "/srv/image", Tag: "latest"},
		"docker.io/team/app@sha512:short": {Registry: "docker.io", Repository: "team/app", Digest: "sha512:short"},
	} {
		if got := quadlet.ParseImage(name); got != want || got.Pinned() != (want.Digest != "") {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

func TestPorts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		value, shown string
		public       bool
	}{
		{"80", "*→80/tcp", true},
		{"8080:80", "8080→80/tcp", true},
		{"127.0.0.1:8080-8081:80-81/udp", "127.0.0.1:8080-8081→80-81/udp", false},
		{"[::1]:8080:80", "[::1]:8080→80/tcp", false},
		{"0.0.0.0::80/SCTP", "0.0.0.0:*→80/sctp", true},
	} {
		p, err := quadlet.ParsePort(c.value)
		if err != nil || p.String() != c.shown || p.Public() != c.public {
			t.Errorf("%s: %v, public %v, %v", c.value, p, p.Public(), err)
		}
	}
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"80:80", "80:81", true},
		{"80:80", "127.0.0.1:80:80", true},
		{"0.0.0.0:80:80", "127.0.0.1:80:80", true},
		{"0.0.0.0:80:80", "[::1]:80:80", false},
		{"[::]:80:80", "127.0.0.1:80:80", true},
		{"127.0.0.1:80:80", "127.0.0.2:80:80", false},
		{"80-85:80-85", "83:1", true},
		{"80:80", "80:80/udp", false},
		{"80", "80", false},
	} {
		a, _ := quadlet.ParsePort(c.a)
		b, _ := quadlet.ParsePort(c.b)
		if a.Overlaps(b) != c.want || b.Overlaps(a) != c.want {
			t.Errorf("%s and %s overlap: %v, %v; want %v", c.a, c.b, a.Overlaps(b), b.Overlaps(a), c.want)
		}
	}
}

// What is too much is a problem that says the limit.
func TestQuadletsHaveLimits(t *testing.T) {
	t.Parallel()
	many := map[string][]byte{}
	for i := range quadlet.MaxUnits + 1 {
		many[fmt.Sprintf("d%d.volume", i)] = nil
	}
	wrong := strings.Repeat("nonsense\n", quadlet.MaxProblems+10)
	for want, files := range map[string]map[string][]byte{
		"there are 501 quadlets, and 500 are allowed": many,
		"the quadlet has more than 256 KiB":           {"a.container": make([]byte, quadlet.MaxQuadletSize+1)},
		"the drop-in has more than 256 KiB":           {"a.container.d/a.conf": make([]byte, quadlet.MaxQuadletSize+1)},
		"the file has more than 1 MiB":                {"a.quadlets": make([]byte, quadlet.MaxFileSize+1)},
		"there are 11 more problems":                  {"a.container": []byte(wrong)},
	} {
		s := quadlet.LoadFiles(files)
		found := false
		for _, p := range s.Problems {
			found = found || p.Message == want && p.Hint != ""
		}
		if !found || len(s.Problems) > quadlet.MaxProblems+1 || len(s.Units) > quadlet.MaxUnits {
			t.Errorf("%s: %d units, %d problems, the first %+v", want, len(s.Units), len(s.Problems), s.Problems[0])
		}
	}
}

// A repository of a stranger must not keep the machine busy: what could be long in
// each of many quadlets is bounded for all of them together.
func TestLargeReleasesAreReadInBoundedTime(t *testing.T) {
	t.Parallel()
	long := func(line string) []byte {
		return []byte("[Container]\nImage=a:1\n" + strings.Repeat(line+"\n", (quadlet.MaxQuadletSize-100)/(len(line)+1)))
	}
	for name, line := range map[string]string{
		// Without a bound, the time for each grows with the square of what is written.
		"ports": "PublishPort=80:80", "whole directories": "Volume=.:/x", "directories, read": "Volume=.:/x:ro", "risks": "AddDevice=/dev/kvm",
	} {
		files := map[string][]byte{}
		for i := range 1900 {
			files[fmt.Sprintf("conf/%d/a.conf", i)] = nil
		}
		for i := range 60 {
			files[fmt.Sprintf("q%d.container", i)] = long(line)
			files[fmt.Sprintf("d%d.container", i)] = []byte("[Container]\nImage=a:1\n")
		}
		files["container.d/all.conf"] = long(line)
		begin := time.Now()
		s := quadlet.LoadFiles(files)
		if took := time.Since(begin); took > 30*time.Second || len(s.Problems) == 0 || len(s.Problems) > quadlet.MaxProblems+1 {
			t.Errorf("%s: %d problems after %v", name, len(s.Problems), took)
		}
	}
}

// A link within the directory is a copy of what it leads to: that is how instances
// of a template are made. Podman reads them the same way.
func TestLinksWithinTheDirectoryAreInstances(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "web@.container"), []byte("[Container]\nImage=a:1\n[Install]\nWantedBy=default.target\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"web@a.container": "web@.container", "web@b.container": "web@a.container"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	s, err := quadlet.Load(os.DirFS(dir), quadlet.Options{})
	if err != nil || len(s.Problems) != 0 {
		t.Fatalf("%+v, %v", s, err)
	}
	if got := strings.Join(s.ToStart(), " "); got != "web@a.service web@b.service" {
		t.Errorf("starts %s", got)
	}
	if string(s.Files["web@b.container"]) != string(s.Files["web@.container"]) {
		t.Error("the instance is not a copy")
	}
	for target, want := range map[string]string{
		"loop.container": "it is a symbolic link, but not to a file of the release", "sub": "it is a symbolic link, but not to a file of the release",
		"../x": "it is a symbolic link that leaves the release's directory", "/etc/passwd": "it is a symbolic link that leaves the release's directory",
	} {
		s := quadlet.LoadFilesWith(map[string][]byte{"ok.volume": nil, "sub/x": nil}, quadlet.Options{Links: map[string]string{"loop.container": target}})
		if len(s.Problems) != 1 || s.Problems[0].Message != want {
			t.Errorf("to %s: %+v", target, s.Problems)
		}
	}
}

// A few bytes of links must not fill a disk.
func TestLinksCountWithWhatTheyLeadTo(t *testing.T) {
	t.Parallel()
	links := map[string]string{}
	for i := range quadlet.MaxTotalSize/quadlet.MaxFileSize + 1 {
		links[fmt.Sprintf("l%d", i)] = "big"
	}
	s := quadlet.LoadFilesWith(map[string][]byte{"ok.volume": nil, "big": make([]byte, quadlet.MaxFileSize)}, quadlet.Options{Links: links})
	if len(s.Problems) != 1 || s.Problems[0].Message != "the files behind symbolic links have more than 16 MiB together" {
		t.Errorf("%+v", s.Problems)
	}
}

// The default instance of a template is what is started and what is up.
func TestTemplatesRunAsTheirDefaultInstance(t *testing.T) {
	t.Parallel()
	s := quadlet.LoadFiles(map[string][]byte{"web@.container": []byte("[Container]\nImage=a:1\nSecret=key-%i\n[Install]\nWantedBy=default.target\nDefaultInstance=main\n")})
	if u := s.Units[0]; !u.Template || u.Service != "web@.service" || u.Resource != "systemd-web_%i" {
		t.Errorf("%+v", u)
	}
	run := s.ToRun()
	if len(run) != 1 || run[0].Service != "web@main.service" || run[0].Template || run[0].Instance != "main" || run[0].Resource != "systemd-web_main" {
		t.Errorf("runs %+v", run)
	}
	if names := s.SecretNames(); len(names) != 1 || names[0] != "key-main" {
		t.Errorf("secrets %q", names)
	}
	if start := s.ToStart(); len(start) != 1 || start[0] != "web@main.service" {
		t.Errorf("starts %v", start)
	}
}

// What a part of a file of several quadlets is about is said with its place in
// that file; what is installed is the part.
func TestPartsHaveTheirPlaceInTheFile(t *testing.T) {
	t.Parallel()
	s := quadlet.LoadFiles(map[string][]byte{"app.quadlets": []byte("# FileName=data\n[Volume]\n\n---\n\n# FileName=web\n[Container]\nImage=a:1\nSecret=key\nAddDevice=/dev/kvm\n")})
	u, ok := s.Unit("web.container")
	if len(s.Problems) != 0 || !ok || u.Written != "app.quadlets" || u.Line != 6 || u.Secrets[0].File != "app.quadlets" || u.Secrets[0].Line != 9 {
		t.Errorf("%+v, %+v", u, s.Problems)
	}
	if len(u.Risks) != 2 || u.Risks[1].Line != 10 || u.Risks[1].File != "app.quadlets" {
		t.Errorf("risks %+v", u.Risks)
	}
	if got := string(s.Files["web.container"]); got != "# FileName=web\n[Container]\nImage=a:1\nSecret=key\nAddDevice=/dev/kvm" {
		t.Errorf("installs %q", got)
	}
	if _, ok := s.Files["app.quadlets"]; ok || len(s.Ignored) != 0 {
		t.Errorf("installs %v, ignores %v", s.Files, s.Ignored)
	}
}

// Podman's own options are not all that can be said in PodmanArgs=; the worst of
// them are named.
func TestTheWorstArgumentsAreNamed(t *testing.T) {
	t.Parallel()
	for arguments, want := range map[string]string{
		"--privileged":                        ": --privileged switches the separation from this machine off",
		"--privileged=false":                  "",
		"--cpus 2 --pid=host":                 ": --pid shares a namespace with this machine or another process",
		"--network host --cap-add ALL":        ": --network shares a namespace with this machine or another process; --cap-add gives more than the usual privileges",
		"-v /:/host":                          ": -v shows it / (the whole file system)",
		"-v/:/host":                           ": -v shows it / (the whole file system)",
		"--mount=type=bind,src=%h,dst=/h":     ": --mount shows it ~ (a whole home directory)",
		"--security-opt label=disable":        ": --security-opt may switch a protection off",
		"--device /dev/kvm":                   ": --device gives access to a device of this machine",
		"--cpus=2 --ulimit 'nofile=1:2'":      "",
		"--userns keep-id --network=front":    "",
		"--volume=data:/data --hostname=host": "",
		"--cpus\nPodmanArgs=-v /etc:/x":       ": -v shows it /etc (a part of the system)",
	} {
		s := quadlet.LoadFiles(map[string][]byte{"x.container": []byte("[Container]\nImage=a@sha256:0\nPodmanArgs=" + arguments + "\n")})
		if len(s.Risks) != 1 || !strings.HasSuffix(s.Risks[0].Text, " hands arguments to Podman"+want) {
			t.Errorf("%s: %+v", arguments, s.Risks)
		}
	}
}

// A plan of 50 quadlets must take less than 100 ms; reading them is a small part.
func BenchmarkLoad50(b *testing.B) {
	files := map[string][]byte{"net.network": []byte("[Network]\n"), "data.volume": []byte("[Volume]\n")}
	for i := range 48 {
		files[fmt.Sprintf("app-%d.container", i)] = fmt.Appendf(nil, "[Unit]\nDescription=App %[1]d\nAfter=data.volume\n[Container]\n"+
			"Image=registry.example/app:%[1]d\nNetwork=net.network\nVolume=data.volume:/data:Z\nVolume=./conf/%[1]d:/conf:ro\nPublishPort=127.0.0.1:%[2]d:80\n"+
			"Secret=key-%[1]d,type=env,target=KEY\nSecret=tls\nEnvironment=A=1 \"B=2 3\"\nEnvironmentFile=app.env\nHealthCmd=curl -f http://localhost/\n"+
			"Exec=run --one \\\n  --two\n[Service]\nRestart=always\n[Install]\nWantedBy=default.target\n", i, 10000+i)
		files[fmt.Sprintf("conf/%d/a.conf", i)] = []byte("x")
		files[fmt.Sprintf("app-%d.container.d/a.conf", i)] = []byte("[Container]\nMemory=1g\n")
	}
	files["app.env"] = []byte("A=1\n")
	b.ReportAllocs()
	for b.Loop() {
		if s := quadlet.LoadFiles(files); len(s.Units) != 50 || len(s.Problems) != 0 {
			b.Fatal(s.Problems)
		}
	}
}

// Podman takes a secret named app.db.password, Leger does not: the plan used to say
// "leger secrets set app.db.password", which refused the name.
func TestNamesThatOnlyPodmanTakes(t *testing.T) {
	t.Parallel()
	for line, hint := range map[string]string{
		"Secret=app.db.password":                        "write Secret=app_db_password,type=mount,target=app.db.password and store it under that name",
		"Secret=app.db.password,type=env":               "write Secret=app_db_password,type=env,target=app.db.password and store it under that name",
		"Secret=a.b,type=env,target=AB":                 "write Secret=a_b,type=env,target=AB and store it under that name",
		"Secret=-a,target=a":                            "write Secret=_a,type=mount,target=a and store it under that name",
		"Secret=" + strings.Repeat("x", 129):            "write Secret=" + strings.Repeat("x", 128) + ",type=mount,target=" + strings.Repeat("x", 129) + " and store it under that name",
		"Secret=app_db_password,target=app.db.password": "",
		"Secret=%p_password":                            "",
	} {
		set := quadlet.LoadFiles(map[string][]byte{
			"a.container": []byte("[Container]\nImage=example.com/x\n" + line + "\n[Install]\nWantedBy=default.target\n"),
		})
		var hints []string
		for _, n := range set.Notices {
			hints = append(hints, n.Hint)
		}
		if got := strings.Join(hints, "; "); got != hint || len(set.Problems) != 0 {
			t.Errorf("%s: notices %q, problems %v, want %q", line, got, set.Problems, hint)
		}
	}
}
