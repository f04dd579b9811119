package leger

import "io/fs"

// File is one file of a release, as Git keeps it: its content, and whether it may
// be executed. Git keeps nothing else of a file's mode.
type File struct {
	Data       []byte
	Executable bool
}

// ValidFilePath reports whether a file below a directory may have this path: relative
// and clean, with slashes, in UTF-8. A tree object of git can name an entry "." or "",
// which is the directory itself.
func ValidFilePath(path string) bool { return path != "." && fs.ValidPath(path) }
