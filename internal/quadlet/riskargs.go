package quadlet

import (
	"fmt"
	"slices"
	"strings"
)

// arguments tells the worst among arguments for Podman. They always ask: what is
// not known here may do anything.
func (j *judge) arguments(value string) (effect, string) {
	words, _ := splitArgs(value)
	worst, text := asks, "hands arguments to Podman"
	var found []string
	for _, arg := range argumentsOf(words) {
		if e, why := j.argument(arg.flag, arg.value, arg.joined); why != "" {
			worst = max(worst, e)
			if note := arg.flag + " " + why; !slices.Contains(found, note) {
				found = append(found, note)
			}
		}
	}
	if len(found) > 0 {
		text += ": " + strings.Join(found, "; ")
	}
	return worst, text
}

// argument is a word of a command with its value: its own ("--pid=host") or, not
// joined, perhaps the next word.
type argument struct {
	flag, value string
	joined      bool
}

// argumentsOf gives an argument for each word.
func argumentsOf(words []string) []argument {
	all := make([]argument, 0, len(words))
	for i, word := range words {
		flag, value, joined := cutFlag(word)
		if !joined && i+1 < len(words) && !strings.HasPrefix(words[i+1], "-") {
			value = words[i+1]
		}
		all = append(all, argument{flag, value, joined})
	}
	return all
}

// cutFlag divides "--flag=value" and "-vVALUE". What stands before in one word with
// it and takes no value ("-it") is left out.
func cutFlag(word string) (flag, value string, joined bool) {
	if strings.HasPrefix(word, "-") && !strings.HasPrefix(word, "--") && len(word) > 2 {
		if rest := strings.TrimLeft(word[1:], "ditqP"); rest != "" {
			word = "-" + rest
		}
	}
	if strings.HasPrefix(word, "-") && !strings.HasPrefix(word, "--") && len(word) > 2 {
		return word[:2], strings.TrimPrefix(word[2:], "="), true
	}
	return strings.Cut(word, "=")
}

// argument says what is risky about one argument, "" for nothing that is known.
// The value is the argument's own ("--pid=host") or, not joined, perhaps the next
// one.
func (j *judge) argument(flag, value string, joined bool) (effect, string) {
	switch flag {
	case "--privileged":
		if !joined || isTrue(value) {
			return endangers, "switches the separation from this machine off"
		}
	case "--cap-add":
		return endangers, "gives more than the usual privileges"
	case "--device", "--device-cgroup-rule", "--device-read-bps", "--gpus":
		return asks, "gives access to a device of this machine"
	case "--pid", "--ipc", "--uts", "--cgroupns", "--network", "--net", "--userns":
		if e, _ := sharedNamespace(value); e > harmless {
			return e, "shares a namespace with this machine or another process"
		}
	case "--security-opt":
		return endangers, "may switch a protection off"
	case "-v", "--volume", "--mount":
		return j.mountArgument(flag, value)
	case "--rootfs", "--volumes-from":
		return endangers, "shows it a part of this machine, or of another container"
	case "--env-host", "--env-file", "--label-file", "--secret", "--authfile", "--cert-dir", "--creds", "--decryption-key":
		return asks, "gives it something of this machine"
	case "--env", "-e":
		if !strings.Contains(value, "=") {
			return asks, "takes variables from the environment of your session"
		}
	case "--group-add":
		if value == "keep-groups" {
			return asks, "keeps your own groups"
		}
	case "--annotation":
		return asks, "may tell the container runtime to do something"
	case "--cidfile", "--pidfile", "--conmon-pidfile", "--pod-id-file", "--log-opt", "--health-log-destination", "--iidfile":
		return asks, "may write a file of this machine"
	case "--hooks-dir", "--runtime", "--runtime-flag", "--module", "--conmon", "--init-path", "--network-cmd-path", "--config",
		"--cgroup-manager", "--root", "--runroot", "--storage-driver", "--storage-opt", "--imagestore", "--volumepath", "--tmpdir",
		"--url", "--connection", "--remote", "--identity", "--ssh", "--events-backend", "--sdnotify", "--preserve-fds", "--preserve-fd":
		return endangers, "changes which programs or files of this machine Podman uses"
	case ";":
		return endangers, "ends Podman's command: what follows runs on this machine"
	}
	return harmless, ""
}

// mountArgument names the places in the value of --volume or --mount.
func (j *judge) mountArgument(flag, value string) (effect, string) {
	worst, text := harmless, "" // of volumes of Podman
	for _, place := range argumentPlaces(flag, value) {
		clean, unknown := hostPath(place, j.u.Service, strings.Contains(value, "glob"))
		if unknown != "" {
			return endangers, "shows it a place that cannot be told"
		}
		if what, e := placeOf(clean, false); e > worst {
			worst, text = e, fmt.Sprintf("shows it %s (%s)", readable(clean), what)
		}
	}
	return worst, text
}

// argumentPlaces are the paths of the machine in the value of --volume or --mount.
func argumentPlaces(flag, value string) []string {
	var places []string
	isPath := func(text string) bool { return text != "" && strings.ContainsAny(text, "/%~$.") }
	options := value
	if flag != "--mount" {
		source, rest, _ := strings.Cut(value, ":")
		if isPath(source) {
			places = append(places, source)
		}
		_, options, _ = strings.Cut(rest, ":")
	}
	volume := !strings.Contains(value, "type=bind") && !strings.Contains(value, "type=glob")
	for option := range strings.SplitSeq(options, ",") {
		switch name, place, _ := strings.Cut(strings.Trim(option, `"`), "="); name {
		case "source", "src":
			if !volume || isPath(place) {
				places = append(places, place)
			}
		case "upperdir", "workdir":
			places = append(places, place)
		}
	}
	return places
}

// sharedNamespace says what a Network= has in common with the machine.
func sharedNamespace(value string) (effect, string) {
	kind, options, _ := strings.Cut(strings.ToLower(value), ":")
	switch {
	case strings.ContainsAny(value, "$"):
		return endangers, "joins a network that cannot be told"
	case kind == "host":
		return endangers, "shares the network of this machine: it reaches everything that listens on it"
	case kind == "ns", strings.HasPrefix(kind, "/"):
		return endangers, "joins a namespace of another process"
	case kind == "container":
		return asks, "joins a namespace of a container that is none of the release's"
	case kind == "slirp4netns" && strings.Contains(options, "allow_host_loopback=true"),
		kind == "pasta" && options != "":
		return asks, "may let it reach what listens on this machine alone"
	default:
		return harmless, ""
	}
}
