package quadlet

import (
	"path"
	"strings"
)

// Script is a file of the release that a command of [Service] names by the path at
// which the author expects it to be installed.
type Script struct {
	Name string // in the set
	// At is the path that is written, below the directory where Podman looks for
	// quadlets: "run.sh", "app.leger/run.sh".
	At  string
	Ref Ref // the command, as written
}

// ReleaseDirSuffix ends the name of the directory in which a release with more than
// quadlets is installed: the release's name in lower case goes before it.
const ReleaseDirSuffix = ".leger"

// quadletDir is where Podman looks for a user's quadlets, below the home directory.
const quadletDir = "/.config/containers/systemd/"

// commandKeys are the keys of [Service] whose commands run on the machine.
func commandKeys() []string {
	return []string{"ExecCondition", "ExecStartPre", "ExecStartPost", "ExecReload", "ExecStop", "ExecStopPost"}
}

// ownScripts finds the release's own files that commands of the service name: they are
// installed with it. systemd resolves no path against the unit's file, so that they
// can only be named by where they will lie; whether they will is known to whoever
// installs them.
func (l *loader) ownScripts(u *Unit, doc Document) {
	for _, key := range commandKeys() {
		for _, a := range doc.all("Service", key) {
			words := strings.FieldsFunc(strings.TrimLeft(a.Value, "@-:+!|"), func(r rune) bool { return strings.ContainsRune(" \t\"'=;", r) })
			if len(words) > 0 && strings.Contains(words[0], "/") && !strings.ContainsRune("/%$", rune(words[0][0])) {
				l.problemAt(a, "write where it is installed: %h"+quadletDir+"NAME"+ReleaseDirSuffix+"/"+path.Clean(words[0])+", with the release's name in lower case",
					"%s=%s names a program by a relative path, which systemd does not take", key, show(a.Value))
				continue
			}
			for _, word := range words {
				l.ownScript(u, a, word)
			}
		}
	}
}

func (l *loader) ownScript(u *Unit, a Assignment, word string) {
	text, unknown := resolve(word, u.Service)
	_, at, below := strings.Cut(path.Clean(text), quadletDir)
	if unknown != "" || !below {
		return
	}
	name := at
	if _, there := l.files[name]; !there {
		dir, rest, _ := strings.Cut(at, "/")
		if !strings.HasSuffix(dir, ReleaseDirSuffix) {
			return // another's
		}
		name = rest
	}
	if data, there := l.files[name]; there {
		u.Parts, l.set.Files[name] = append(u.Parts, name), data
		u.Scripts = append(u.Scripts, Script{Name: name, At: at, Ref: Ref{Value: a.Key + "=" + a.Value, File: a.File, Line: a.Line}})
	}
}
