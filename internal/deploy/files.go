package deploy

import (
	"leger.run/leger"
	"leger.run/leger/internal/quadlet"
)

// fingerprint tells a file from one with another content, or another mode.
func (f File) fingerprint() string { return fingerprint(f.SHA256, f.Executable) }

func fingerprint(sum string, executable bool) string {
	if executable {
		return sum + " executable"
	}
	return sum
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
func setOf(files map[string]leger.File) *quadlet.Set {
	data, executable := make(map[string][]byte, len(files)), map[string]bool{}
	for name, f := range files {
		data[name] = f.Data
		executable[name] = f.Executable
	}
	return quadlet.LoadFilesWith(data, quadlet.Options{Executable: executable})
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
