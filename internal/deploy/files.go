package deploy

import (
	"maps"

	"leger.run/leger"
	"leger.run/leger/internal/quadlet"
)

// checkName is the last net before a file of a release is written.
func checkName(name string) error {
	if !leger.ValidFilePath(name) {
		return leger.Invalid("file", "%.80q is not a file below the release's directory", name)
	}
	return nil
}

// fingerprint tells a file from one with another content, or another mode.
func (f File) fingerprint() string { return fingerprint(f.SHA256, f.Executable) }

func fingerprint(sum string, executable bool) string {
	if executable {
		return sum + " executable"
	}
	return sum
}

// installed leaves of recorded files those that an installer installs.
func (g Generation) installed(files map[string]leger.File) map[string]leger.File {
	return only(files, g.paths())
}

func only(files map[string]leger.File, names []string) map[string]leger.File {
	some := make(map[string]leger.File, len(names))
	for _, name := range names {
		some[name] = files[name]
	}
	return some
}

// recordedOf gives the content of all files of a set, for its record.
func recordedOf(set *quadlet.Set) map[string][]byte {
	all := maps.Clone(set.Files)
	if all == nil {
		all = map[string][]byte{}
	}
	maps.Copy(all, set.Data)
	return all
}

// filesOf gives the files that a set installs.
func filesOf(set *quadlet.Set) map[string]leger.File {
	files := make(map[string]leger.File, len(set.Files))
	for name, data := range set.Files {
		files[name] = leger.File{Data: data, Executable: set.Executable[name]}
	}
	return files
}

// setOf reads the recorded files of a generation.
func setOf(g Generation, files map[string]leger.File) *quadlet.Set {
	data, executable := map[string][]byte{}, map[string]bool{}
	for name, f := range g.installed(files) {
		data[name] = f.Data
		executable[name] = f.Executable
	}
	set := quadlet.LoadFilesWith(data, quadlet.Options{Executable: executable})
	set.DataDirs, set.Data = g.DataDirs, map[string][]byte{}
	for _, f := range g.Data {
		set.Data[f.Path] = files[f.Path].Data
		if f.Executable {
			set.Executable[f.Path] = true
		}
	}
	return set
}

// fileDiff is textDiff that tells of the mode, too.
func fileDiff(name string, old, now leger.File) string {
	text := textDiff(name, old.Data, now.Data)
	if old.Data != nil && old.Executable != now.Executable {
		mode := map[bool]string{false: "not executable", true: "executable"}
		text = mode[old.Executable] + " → " + mode[now.Executable] + "\n" + text
	}
	return text
}
