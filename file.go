package leger

// File is one file of a release, as Git keeps it: its content, and whether it may
// be executed. Git keeps nothing else of a file's mode.
type File struct {
	Data       []byte
	Executable bool
}
