package quadlet

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// volumeName is what a line calls a volume of Podman.
type volumeName struct {
	name string // what is known of it
	// unknown is what of it the machine alone knows, a specifier or a variable; name is
	// how it begins then, maybe nothing. Empty: name is all of it.
	unknown string
	at      Ref
}

// NamesVolume reports whether a set names a volume of Podman, wherever it says so: in
// Volume= and Mount=, as what a .volume makes, among the arguments for Podman and in
// commands that run beside it, in Kubernetes files. It is for whoever would remove the
// volume: what cannot be told counts as named, and doubt says why.
func (s *Set) NamesVolume(name string) (named bool, doubt string) {
	for _, u := range s.Units {
		for _, v := range u.volumeNames {
			switch {
			case v.unknown == "" && v.name == name:
				return true, ""
			case v.unknown != "" && strings.HasPrefix(name, v.name):
				doubt = fmt.Sprintf("what %s in %s names is known to the machine alone", v.unknown, v.at.File)
			}
		}
		for _, file := range u.kubeFiles {
			certain, why := s.kubeNames(u, file, name)
			if certain {
				return true, ""
			}
			doubt = cmp.Or(doubt, why)
		}
	}
	return doubt != "", doubt
}

// findVolumes notes the volumes that a unit names.
func (l *loader) findVolumes(u *Unit, doc Document) {
	if u.Kind == Volume {
		u.volume(u.Resource, Ref{Value: u.Resource, File: u.File})
	}
	for _, m := range u.Volumes {
		if m.Key == "Volume" || m.Type == MountVolume {
			for _, source := range append([]string{m.Source}, m.Others...) {
				if path.Ext(source) != "."+string(Volume) { // that quadlet's
					u.volume(source, Ref{Value: m.Value, File: m.File, Line: m.Line})
				}
			}
		}
	}
	u.argumentVolumes(doc.args(u.Kind.Section(), "PodmanArgs"))
	for _, key := range commandKeys() {
		words := doc.args("Service", key)
		u.argumentVolumes(words)
		for _, a := range words {
			if volumeWord.FindString(a.Value) == a.Value { // podman volume create NAME
				u.volume(a.Value, ref(a))
			}
		}
	}
	if u.Kind == Kube {
		for _, a := range doc.list(u.Kind.Section(), "Yaml") {
			u.kubeFiles = append(u.kubeFiles, ref(a))
		}
	}
}

// volume notes a volume as a line names it; what is a path is none.
func (u *Unit) volume(written string, at Ref) {
	name, unknown := resolve(written, u.Service)
	isPath := strings.ContainsAny(written, "/~") || strings.HasPrefix(name, "/") || strings.HasPrefix(name, ".")
	if before, _, user := strings.Cut(name, directories()['u']); user {
		name, unknown = before, "%u"
	}
	if !isPath && name+unknown != "" {
		u.volumeNames = append(u.volumeNames, volumeName{name, unknown, at})
	}
}

// argumentVolumes notes the volumes among the words of a command of Podman's.
func (u *Unit) argumentVolumes(words []Assignment) {
	texts := make([]string, len(words))
	for i, a := range words {
		texts[i] = a.Value
	}
	for i, arg := range argumentsOf(texts) {
		switch arg.flag {
		case "-v", "--volume":
			if source, _, named := strings.Cut(arg.value, ":"); named {
				u.volume(source, ref(words[i]))
			}
		case "--mount":
			kind, source := MountVolume, ""
			for option := range strings.SplitSeq(arg.value, ",") {
				switch name, value, _ := strings.Cut(strings.Trim(option, `"`), "="); name {
				case "type":
					kind = MountType(value)
				case "source", "src":
					source = value
				}
			}
			if kind == MountVolume {
				u.volume(source, ref(words[i]))
			}
		}
	}
}

var (
	// volumeWord matches what may be the name of a volume.
	volumeWord = regexp.MustCompile(`[a-zA-Z0-9][a-zA-Z0-9_.-]*`)
	// escapes are YAML's ways to write a character by its number.
	escapes = regexp.MustCompile(`\\[xuU]`)
)

// kubeNames reports whether a Kubernetes file names a volume. Podman makes volumes of
// claims, secrets, configuration maps and empty directories: any word of the file that
// is no key counts, whichever of YAML's ways it is written in.
func (s *Set) kubeNames(u Unit, file Ref, name string) (certain bool, doubt string) {
	written := path.Join(path.Dir(u.File), file.Value)
	data, ours := s.Files[written]
	switch text := string(data); {
	case !ours || strings.ContainsRune("/%~$", rune(file.Value[0])):
		return false, fmt.Sprintf("%s of %s is no file of the release", file.Value, u.File)
	case !utf8.Valid(data) || strings.ContainsRune(text, 0) || escapes.MatchString(text):
		return false, written + " cannot be read"
	default:
		return slices.Contains(values(text), name), ""
	}
}

// values are the words of a text in YAML, without the keys.
func values(text string) []string {
	var all []string
	for _, at := range volumeWord.FindAllStringIndex(text, -1) {
		rest := strings.TrimLeft(text[at[1]:], `"'`)
		after, colon := strings.CutPrefix(rest, ":")
		if isKey := colon && (after == "" || strings.ContainsRune(" \t\r\n", rune(after[0]))); !isKey {
			all = append(all, text[at[0]:at[1]])
		}
	}
	return all
}
