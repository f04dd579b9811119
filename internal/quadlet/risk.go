package quadlet

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
)

// RiskKind groups risks for whoever filters or translates them.
type RiskKind string

// The risks that are shown before a release is installed.
const (
	RiskArguments  RiskKind = "arguments"  // PodmanArgs=, GlobalArgs=: anything Podman can do
	RiskCommand    RiskKind = "command"    // a command that runs outside the container
	RiskPrivilege  RiskKind = "privilege"  // capabilities, devices, unmasked paths
	RiskNamespace  RiskKind = "namespace"  // shares a namespace with the host
	RiskProtection RiskKind = "protection" // switches a protection off
	RiskMount      RiskKind = "mount"      // sees a sensitive part of the host
	RiskOpaque     RiskKind = "opaque"     // brings something that this check cannot read
	RiskImage      RiskKind = "image"      // may be another image tomorrow
	RiskDropIn     RiskKind = "drop-in"    // changes a quadlet from another file
)

// Risk is something about a release that may be meant, and that its user should
// know.
type Risk struct {
	File string   `json:"file"`
	Line int      `json:"line,omitempty"` // 0: the file as a whole
	Kind RiskKind `json:"kind"`
	Text string   `json:"text"` // one sentence
	// Key is what consent is given to: the kind, the unit, where it is written and the
	// content that it vouches for, or the SHA-256 of that. It stays the same when the
	// line moves, and no two risks of a set have the same. It is empty in records of
	// versions that did not know it: nobody has accepted those.
	Key string `json:"key"`
	// Asks is true when a release that brings the risk needs the user's consent; else
	// the risk only informs.
	Asks bool `json:"asks"`
}

// number gives repeated keys a number each, so that accepting one of two equal
// lines does not cover the other.
func number(risks []Risk) {
	seen := map[string]int{}
	for i, r := range risks {
		if seen[r.Key]++; seen[r.Key] > 1 {
			risks[i].Key = fmt.Sprintf("#%d %s", seen[r.Key], r.Key)
		}
	}
}

func sortRisks(risks []Risk) {
	slices.SortStableFunc(risks, func(a, b Risk) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Text, b.Text))
	})
}

func (l *loader) risk(kind RiskKind, file string, line int, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	l.set.Risks = append(l.set.Risks, Risk{
		File: file, Line: line, Kind: kind, Text: text,
		Key: fmt.Sprintf("%s %s %s %s", kind, l.current, file, text), Asks: kind != RiskImage,
	})
}

// risks notes what is risky about one unit.
func (l *loader) risks(u Unit, doc Document) {
	for _, s := range doc.Sections {
		for _, a := range s.Assignments {
			if a.Value == "" {
				continue
			}
			if s.Name == "Service" && strings.HasPrefix(a.Key, "Exec") {
				l.risk(RiskCommand, a.File, a.Line, "%s= runs a command on this machine, outside the container", a.Key)
			}
			if s.Name == u.Kind.Section() {
				l.keyRisk(a)
			}
		}
	}
	for _, m := range u.Volumes {
		if why := sensitive(m.Source); why != "" && m.Type != MountImage && m.Type != MountArtifact {
			l.risk(RiskMount, m.File, m.Line, "it sees %s (%s)", why, m.Source)
		}
	}
	for _, image := range u.Images {
		if why := floating(image.Value); why != "" {
			l.risk(RiskImage, image.File, image.Line, "%s %s", image.Value, why)
			name := ParseImage(image.Value) // who trusts its tags trusts the next one
			l.set.Risks[len(l.set.Risks)-1].Key = fmt.Sprintf("%s %s %s/%s", RiskImage, u.File, name.Registry, name.Repository)
		}
	}
	switch u.Kind {
	case Kube:
		l.risk(RiskOpaque, u.Written, u.Line, "its Kubernetes file is not checked: it may mount, share and run anything Podman allows")
	case Build:
		l.risk(RiskOpaque, u.Written, u.Line, "it builds an image on this machine: the steps of the build are not checked")
	case Container, Pod, Volume, Network, Image, Artifact:
	}
}

func (l *loader) keyRisk(a Assignment) {
	note := func(kind RiskKind, text string) { l.risk(kind, a.File, a.Line, "%s=%s %s", a.Key, a.Value, text) }
	value := strings.ToLower(strings.Trim(a.Value, `"`))
	switch a.Key {
	case "PodmanArgs", "GlobalArgs":
		note(RiskArguments, "hands arguments to Podman unchecked"+argumentRisks(a.Value))
	case "ContainersConfModule":
		note(RiskArguments, "changes Podman's configuration")
	case "AddCapability":
		note(RiskPrivilege, "gives more than the usual privileges")
	case "AddDevice":
		note(RiskPrivilege, "gives access to a device of this machine")
	case "Unmask":
		note(RiskPrivilege, "uncovers paths of the kernel that containers usually do not see")
	case "EnvironmentHost":
		if isTrue(value) {
			note(RiskNamespace, "hands over the environment of your session")
		}
	case "Network", "UserNS":
		if why := sharedNamespace(value); why != "" {
			note(RiskNamespace, why)
		}
	case "SecurityLabelDisable":
		if isTrue(value) {
			note(RiskProtection, "switches SELinux separation off")
		}
	case "SeccompProfile", "AppArmor":
		if value == "unconfined" {
			note(RiskProtection, "lets it make any system call, or read any file, that the profile would stop")
		}
	case "SecurityLabelType":
		note(RiskProtection, "runs it under another SELinux type")
	case "TLSVerify":
		if !isTrue(value) {
			note(RiskProtection, "takes images from a registry that cannot prove who it is")
		}
	case "Device":
		if why := sensitive(a.Value); why != "" {
			note(RiskMount, "is "+why)
		}
	case "Rootfs":
		note(RiskMount, "runs a directory of this machine as the container")
	case "AutoUpdate":
		if strings.HasSuffix(value, "registry") {
			note(RiskImage, "lets Podman replace the image by itself when the registry has another one")
		}
	}
}

// sharedNamespace says what a Network= or UserNS= has in common with the machine,
// "" if nothing.
func sharedNamespace(value string) string {
	kind, options, _ := strings.Cut(value, ":")
	switch {
	case kind == "host":
		return "shares a namespace with this machine"
	case kind == "ns":
		return "joins a namespace of another process"
	case kind == "container":
		return "joins a namespace of a container that is none of the release's"
	case kind == "slirp4netns" && strings.Contains(options, "allow_host_loopback=true"),
		kind == "pasta" && (strings.Contains(options, "--map-gw") || strings.Contains(options, "--map-host-loopback") || strings.Contains(options, "-t")):
		return "may let it reach what listens on this machine alone"
	default:
		return ""
	}
}

// argumentRisks names the worst among the arguments for Podman, as the end of a
// sentence.
func argumentRisks(arguments string) string {
	words, _ := splitArgs(arguments)
	var found strings.Builder
	for i, word := range words {
		flag, value, joined := strings.Cut(word, "=")
		if !joined && i+1 < len(words) {
			value = words[i+1]
		}
		if why := argumentRisk(flag, value, joined); why != "" {
			fmt.Fprintf(&found, "; %s %s", flag, why)
		}
	}
	return found.String()
}

// argumentRisk says what is risky about one argument, "" for nothing. The value is
// the argument's own ("--pid=host") or, not joined, perhaps the next one.
func argumentRisk(flag, value string, joined bool) string {
	switch flag {
	case "--privileged":
		if !joined || isTrue(value) {
			return "switches the separation from this machine off"
		}
	case "--cap-add":
		return "gives more than the usual privileges"
	case "--device", "--device-cgroup-rule", "--gpus":
		return "gives access to a device of this machine"
	case "--pid", "--ipc", "--uts", "--cgroupns", "--network", "--net", "--userns":
		return sharedNamespace(strings.ToLower(value))
	case "--security-opt":
		if strings.Contains(value, "disable") || strings.Contains(value, "unconfined") || strings.Contains(value, "unmask") {
			return "switches a protection off"
		}
	case "-v", "--volume", "--mount":
		for part := range strings.FieldsFuncSeq(value, func(r rune) bool { return r == ':' || r == ',' || r == '=' }) {
			if why := sensitive(part); why != "" {
				return "shows it " + why
			}
		}
	}
	return ""
}

// sensitive says what part of the host a mount's source is, "" if it is none
// that matters.
func sensitive(source string) string {
	if source == "" || source == "." {
		return ""
	}
	clean := path.Clean(source)
	home := clean == "~" || clean == "%h" || clean == "$HOME" || clean == "${HOME}"
	switch {
	case home || clean == "/root" || clean == "/home" || clean == "/var/home" || isHome(clean):
		return "a whole home directory"
	case clean == "/":
		return "the whole file system"
	case strings.HasSuffix(clean, "/podman.sock") || strings.HasSuffix(clean, "/docker.sock") || clean == "%t" || clean == "%t/podman" || strings.HasSuffix(clean, "/podman"):
		return "the container engine's socket, which can do whatever you can do"
	case strings.Contains(clean+"/", "/.ssh/") || strings.Contains(clean+"/", "/.gnupg/") || strings.Contains(clean+"/", "/.config/containers/") ||
		strings.Contains(clean+"/", "/containers/systemd/") || clean == "%E" || strings.HasPrefix(clean, "%E/containers"):
		return "your keys or container settings"
	default:
		return systemTree(clean)
	}
}

func isHome(clean string) bool {
	name, ok := strings.CutPrefix(clean, "/home/")
	if !ok {
		name, ok = strings.CutPrefix(clean, "/var/home/")
	}
	return ok && !strings.Contains(name, "/")
}

func systemTree(clean string) string {
	for _, tree := range []string{"/etc", "/proc", "/sys", "/dev", "/run", "/var/run", "/boot", "/usr", "/var/lib/containers"} {
		if clean == tree || strings.HasPrefix(clean, tree+"/") {
			return "a part of the system"
		}
	}
	if clean == "/var" || clean == "/var/lib" {
		return "a part of the system"
	}
	return ""
}

// floating says why an image may change under the same name, "" if it cannot.
func floating(image string) string {
	if strings.HasPrefix(image, "sha256:") {
		return ""
	}
	switch name := ParseImage(image); {
	case name.Pinned():
		return ""
	case name.Tag == "" || name.Tag == "latest":
		return "is whatever is newest when it is pulled: name a version, better a digest"
	default:
		return "has a tag but no digest: the registry may put another image behind it"
	}
}
