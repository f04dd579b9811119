package quadlet_test

import (
	"encoding/csv"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"

	"leger.run/leger/internal/quadlet"
)

// composed is a quadlet made of random keys, specifiers and spellings. It lies in
// a release with conf/app.conf, run.sh and app.env.
type composed struct {
	name string // "etc.container"
	text string
}

const pinned = "docker.io/a@sha256:0"

func (c composed) files() map[string][]byte {
	return map[string][]byte{
		c.name: []byte(c.text), "conf/app.conf": []byte("a"), "run.sh": []byte("#!/bin/sh\n"), "app.env": []byte("A=1\n"),
	}
}

// load reads it, with what its container writes moved to data; "" moves nothing.
func (c composed) load(data string) *quadlet.Set {
	return quadlet.LoadFilesWith(c.files(), quadlet.Options{Data: data})
}

type composer struct{ *rand.Rand }

func (r composer) pick(from ...string) string { return from[r.IntN(len(from))] }

// sometimes is a text with the given chance in a hundred, else nothing.
func (r composer) sometimes(chance int, text func() string) string {
	if r.IntN(100) < chance {
		return text()
	}
	return ""
}

// compose writes a quadlet of this name, which decides what specifiers give.
func (r composer) compose(name string) composed {
	var lines, service []string
	image := "Image=" + pinned
	for range 1 + r.IntN(4) {
		line := r.line()
		if strings.HasPrefix(line, "Rootfs=") {
			if image = line; strings.Contains(line, ";") {
				continue
			}
			continue
		}
		lines = append(lines, line)
	}
	if r.IntN(4) == 0 {
		service = append(service, "[Service]", r.pick("Environment=X=/", "Environment=X=a", "ExecStartPre=/bin/true", "Type=oneshot", "Restart=always",
			"EnvironmentFile=%h/x", "WorkingDirectory=%h"))
	}
	if r.IntN(10) == 0 {
		service = append(service, "[Install]", r.pick("Alias=aliased-"+strings.ReplaceAll(name, "@", "-")+".service", "WantedBy=default.target"))
	}
	all := slices.Concat([]string{"[Container]", image}, lines, service)
	return composed{name: name, text: strings.Join(all, "\n") + "\n"}
}

func (r composer) line() string {
	switch r.IntN(16) {
	case 0, 1, 2, 3, 4:
		return "Volume=" + r.volume()
	case 5, 6, 7, 8:
		return "Mount=" + r.quoted(r.mount())
	case 9:
		return r.pick("PodmanArgs", "GlobalArgs") + "=" + r.pick("-v ", "--volume=", "-v", "--volume ") + r.place() + ":/x"
	case 10:
		return "PodmanArgs=" + r.pick("--mount=", "--mount ", `"--mount" `) + "type=bind,src=" + r.place() + ",dst=/x"
	case 11:
		return r.pick("AddDevice=/dev/null", "AddDevice=-/dev/fuse:/dev/fuse:rw", "GroupAdd=keep-groups", "Annotation=run.oci.keep_original_groups=1",
			"AddCapability=CHOWN SYS_ADMIN", "Unmask=ALL", "SecurityLabelDisable=true", "SeccompProfile=unconfined", "ContainersConfModule=x.conf",
			"Network=host", "Network=ns:/proc/1/ns/net", "UserNS=container:x", "LogOpt=path=%h/x", "HealthLogDestination=%h", "Timezone=../x")
	case 12:
		return r.pick("EnvironmentFile=", "EnvironmentFile=%h/", "EnvironmentFile=/etc/", "EnvironmentFile=./") + "app.env"
	case 13:
		return r.pick("Environment=", "Label=", "Exec=", "HostName=", "Annotation=") + r.pick("A=1", "A", "A*", "A=1 ; /bin/sh", "${X}", "$X", "A=$X B=2", `"a b=c"`, "%h")
	case 14:
		return "Rootfs=" + r.place()
	default:
		return r.pick("ReadOnly=true", "Tmpfs=/run", "NoNewPrivileges=true", "Exec=serve", "User=1", "Secret=key", "Label=a=b", "DropCapability=ALL")
	}
}

func (r composer) volume() string {
	return r.place() + r.sometimes(95, func() string { return ":/x" }) +
		r.sometimes(50, func() string {
			return ":" + r.pick("ro", "rw", "ro,Z", "ro,U", "O", "z", "ro,rslave", "O,upperdir=/srv/u,workdir=/srv/w")
		})
}

func (r composer) mount() string {
	fields := []string{
		r.pick("type=bind", "type=bind", "type=bind", "type=glob", "type=volume"),
		r.pick("source=", "src=") + r.place(),
		r.pick("target=", "dst=", "destination=") + "/x",
	}
	r.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	if r.IntN(2) == 0 {
		fields = append(fields, r.pick("ro", "readonly", "ro=true", "ro=false", "ro=TRUE", "rw", "rw=false", "U", "bind-propagation=rslave"))
	}
	if r.IntN(12) == 0 {
		fields = append(fields, "source="+r.place())
	}
	return strings.Join(fields, ",")
}

// quoted spells a word in one of the ways that Podman reads.
func (r composer) quoted(word string) string {
	switch r.IntN(5) {
	case 0:
		return `"` + word + `"`
	case 1:
		return "'" + word + "'"
	case 2:
		return strings.ReplaceAll(word, "/", `\x2f`)
	default:
		return word
	}
}

// place is somewhere on a machine, or in the release.
func (r composer) place() string {
	text := r.pick("/", "/etc", "/srv", "/usr", "/var/run", "/proc/self/root", "%h", "%h", "%t", "%E", "%S", "%C", "%D", "%T", "%V", "%L", "~", ".", "./", "./conf",
		"./conf/app.conf", "./run.sh", "..", "%%h", "$HOME", "${X}", "$$X", "/%p", "/%P", "/%I", "/%j", "/%J", "%f", "/home/%u", "/run/user/%U", "%d", "conf", "data",
		"/%n", "/%N", "/%i", "%h/%H", "./%p", "./%f", "./..%f", ".%f", "..%f")
	for range r.IntN(3) {
		text += r.pick("/..", "/.", "//", "/.ssh", "/bus", "/x", "/../..", "/%p", "%f", "/conf", "/.bashrc", "/podman/podman.sock", "/.config/containers/systemd")
	}
	return text
}

// machine is what systemd puts in for specifiers.
type machine struct {
	home, runtime string
	dir           string // the release's
	data          string // where what its container writes is moved to; "" moves nothing
}

// holes lists what of the command lines the report does not name.
func (m machine) holes(risks []quadlet.Risk, commands [][]string) []string {
	h := report{machine: m, risks: risks}
	if len(commands) > 1 {
		h.needs(fmt.Sprintf("a second command %q", commands[1]), asks("what follows runs on this machine"))
	}
	words := commands[0]
	for i := 1; i < len(words) && words[i] != pinned; i++ {
		flag, value, joined := strings.Cut(words[i], "=")
		if strings.HasPrefix(flag, "-v") && !strings.HasPrefix(flag, "--") && words[i] != "-v" {
			flag, value, joined = "-v", words[i][2:], true
		}
		if !joined && i+1 < len(words) {
			value = words[i+1]
		}
		switch flag {
		case "-v", "--volume":
			if source, readOnly, ok := parseVolume(value); ok {
				h.bind(source, readOnly)
			}
		case "--mount":
			for _, source := range parseMount(value) {
				h.bind(source.path, source.readOnly)
			}
		case "--rootfs":
			h.needs(words[i], asks("Rootfs="))
		case "--env-file":
			if at := path.Clean(value); !strings.HasPrefix(at, m.dir+"/") {
				h.needs(words[i]+" "+value, asks("EnvironmentFile="))
			}
		case "--env":
			if !strings.Contains(value, "=") {
				h.needs(words[i]+" "+value, asks("Environment="))
			}
		case "--device", "--module", "--log-opt", "--health-log-destination", "--tz", "--cap-add", "--group-add", "--annotation":
			if value != "a=b" {
				h.needs(words[i]+" "+value, asks("AddDevice=", "ContainersConfModule=", "LogOpt=", "HealthLogDestination=", "Timezone=", "AddCapability=", "GroupAdd=", "Annotation="))
			}
		case "--network", "--userns":
			h.needs(words[i]+" "+value, asks("Network=", "UserNS="))
		case "--security-opt":
			if value == "no-new-privileges" {
				continue
			}
			h.needs(words[i]+" "+value, asks("SeccompProfile=", "SecurityLabelDisable=", "Unmask="))
		}
		if strings.HasPrefix(words[i], "$") && !strings.HasPrefix(words[i], "${") && !strings.HasPrefix(words[i], "$$") && words[i-1] != "-v" {
			h.needs("the variable "+words[i], asks("that variable", "cannot be told", "PodmanArgs", "GlobalArgs"))
		}
	}
	return h.found
}

// report is what is said of a quadlet, and what of its command lines is not.
type report struct {
	machine machine
	risks   []quadlet.Risk
	found   []string
}

func (h *report) needs(what string, ok func(r quadlet.Risk) bool) {
	if !slices.ContainsFunc(h.risks, ok) {
		h.found = append(h.found, what)
	}
}

// asks matches a risk that asks and has one of these texts.
func asks(texts ...string) func(quadlet.Risk) bool {
	return func(r quadlet.Risk) bool {
		return r.Asks && slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(r.Text, text) })
	}
}

// bind looks for a mounted path in the report.
func (h *report) bind(source string, readOnly bool) {
	m := h.machine
	at := strings.ReplaceAll(source, "$$", "$") // systemd replaces it last
	if !path.IsAbs(at) {
		at = path.Join(m.home, at) // where services of a user run
	}
	at = path.Clean(at)
	what := fmt.Sprintf("%s, read-only: %v", source, readOnly)
	switch inside := at == m.dir || strings.HasPrefix(at, m.dir+"/"); {
	case m.data != "" && strings.HasPrefix(at, m.data+"/"): // its own, and not where Podman looks for quadlets
	case inside && readOnly:
	case inside:
		h.needs(what, asks("lets it", "cannot be told"))
	default:
		h.needs(what, func(r quadlet.Risk) bool {
			named := strings.Contains(r.Text, m.readable(at)) || strings.Contains(r.Text, "cannot be told")
			return named && (r.Asks || readOnly && strings.HasPrefix(at, "/etc/localtime"))
		})
	}
}

func parseVolume(value string) (source string, readOnly, ok bool) {
	source, rest, hasTarget := strings.Cut(value, ":")
	if !hasTarget || source == "" || (!strings.ContainsAny(source, "/$~") && source[0] != '.') {
		return "", false, false
	}
	_, options, _ := strings.Cut(rest, ":")
	all := strings.Split(options, ",")
	return source, (slices.Contains(all, "ro") || slices.Contains(all, "O")) && !slices.Contains(all, "U"), true
}

type mountSource struct {
	path     string
	readOnly bool
}

func parseMount(value string) []mountSource {
	fields, err := csv.NewReader(strings.NewReader(value)).Read()
	if err != nil {
		return nil
	}
	kind, s, owned := "volume", mountSource{}, false
	for _, field := range fields {
		switch key, value, has := strings.Cut(field, "="); key {
		case "type":
			kind = value
		case "source", "src":
			s.path = value
		case "ro", "readonly":
			s.readOnly = !has || strings.EqualFold(value, "true")
		case "rw":
			s.readOnly = has && strings.EqualFold(value, "false")
		case "U":
			owned = true
		}
	}
	s.readOnly = s.readOnly && !owned
	if kind == "bind" || kind == "glob" || strings.HasPrefix(s.path, "/") {
		return []mountSource{s}
	}
	return nil
}

// readable is a path as the report writes it.
func (m machine) readable(at string) string {
	for _, alias := range [][2]string{{"/var/run", "/run"}, {"/proc/self/root", "/"}, {m.home + "/~", m.home}, {m.runtime, "/run/user/UID"}, {m.home, "~"}} {
		if rest, ok := strings.CutPrefix(at, alias[0]); ok && (rest == "" || rest[0] == '/') {
			at = path.Clean(alias[1] + rest)
		}
	}
	if at == "/" {
		return "the whole file system"
	}
	return at
}

// model is what Podman's generator and systemd make of the mounts of a quadlet,
// as far as this test knows them; TestMachineReportNamesWhatPodmanDoes asks the
// real ones.
func (m machine) model(c composed, set *quadlet.Set) [][]string {
	stem := strings.TrimSuffix(c.name, ".container")
	prefix, instance, _ := strings.Cut(stem, "@")
	slashed := func(s string) string { return strings.ReplaceAll(s, "-", "/") }
	last := prefix[strings.LastIndex(prefix, "-")+1:]
	file := "/" + slashed(prefix)
	if instance != "" {
		file = "/" + slashed(instance)
	}
	expand := strings.NewReplacer("%%", "%", "%h", m.home, "%t", m.runtime, "%E", m.home+"/.config", "%S", m.home+"/.local/state", "%C", m.home+"/.cache",
		"%D", m.home+"/.local/share", "%L", m.home+"/.local/state/log", "%T", "/tmp", "%V", "/var/tmp", "%u", path.Base(m.home), "%U", path.Base(m.runtime), "%p", prefix,
		"%P", slashed(prefix), "%i", instance, "%I", slashed(instance), "%j", last, "%J", slashed(last), "%f", file, "%n", stem+".service", "%N", stem)
	relative := func(source string) string {
		if strings.HasPrefix(source, ".") {
			return path.Join(m.dir, source)
		}
		return source
	}
	words := map[string][]string{}
	for line := range strings.Lines(c.text + string(set.Files[c.name+".d/zz-leger-data.conf"])) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if value == "" { // what was said before does not count any more
			words[key] = nil
			continue
		}
		switch key {
		case "Volume":
			source, rest, ok := strings.Cut(value, ":")
			if ok {
				value = relative(source) + ":" + rest
			}
			words[key] = append(words[key], "-v", expand.Replace(value))
		case "Mount":
			value = strings.ReplaceAll(strings.Trim(value, `"'`), `\x2f`, "/")
			fields := strings.Split(value, ",")
			for i, field := range fields {
				if name, source, _ := strings.Cut(field, "="); name == "source" || name == "src" {
					fields[i] = "source=" + relative(source)
				}
			}
			words[key] = append(words[key], "--mount", expand.Replace(strings.Join(fields, ",")))
		}
	}
	return [][]string{slices.Concat([]string{"podman"}, words["Volume"], words["Mount"], []string{pinned})}
}

func composedNames() []string {
	return []string{"etc.container", "etc-ssh.container", "x-etc.container", "run.container", "x@etc-ssh.container", "home.container", "app.container"}
}

// Whatever is composed of keys, specifiers and spellings: a bind outside the
// release is in the report, whether what the container writes is moved or not.
func FuzzRiskReport(f *testing.F) {
	for seed := range uint64(3000) {
		f.Add(seed)
	}
	m := machine{home: "/home/ada", runtime: "/run/user/1000", dir: "/home/ada/.config/containers/systemd/app"}
	f.Fuzz(func(t *testing.T, seed uint64) {
		r := composer{rand.New(rand.NewPCG(seed, 0))}
		c := r.compose(r.pick(composedNames()...))
		for _, data := range []string{"", "/home/ada/.local/share/leger/releases/app"} {
			m := m
			m.data = data
			s := c.load(data)
			if len(s.Problems) > 0 {
				continue // refused
			}
			for _, hole := range m.holes(s.Risks, m.model(c, s)) {
				t.Errorf("%s, data in %q\nthe report does not name %s\n%s", c.text, data, hole, reportText(s.Risks))
			}
		}
	})
}

func reportText(risks []quadlet.Risk) string {
	var b strings.Builder
	for _, r := range risks {
		fmt.Fprintf(&b, "%s: %s\n", verdictOf(r), r.Text)
	}
	return b.String()
}
