package quadlet

import (
	"fmt"
	"strconv"
	"strings"

	"leger.run/leger"
)

// Version is a release of Podman. The zero value stands for one that is not
// known: everything that the newest known Podman takes is taken then.
type Version struct{ Major, Minor, Patch int }

// ParseVersion takes "5.8.6", "5.8" and, of development builds, "5.9.0-dev".
// ErrInvalid else.
func ParseVersion(s string) (Version, error) {
	bad := leger.Invalid("version", "%.40q is not a Podman version", s)
	core, _, _ := strings.Cut(strings.TrimSpace(s), "-")
	core, _, _ = strings.Cut(core, "+")
	parts := strings.Split(core, ".")
	if len(parts) < 2 || len(parts) > 3 {
		return Version{}, bad
	}
	var n [3]int
	for i, part := range parts {
		u, err := strconv.ParseUint(part, 10, 16)
		if err != nil {
			return Version{}, bad
		}
		n[i] = int(u)
	}
	return Version{n[0], n[1], n[2]}, nil
}

// Known reports whether v is a version at all.
func (v Version) Known() bool { return v != Version{} }

// Before reports whether v is older than w.
func (v Version) Before(w Version) bool {
	if v.Major != w.Major {
		return v.Major < w.Major
	}
	if v.Minor != w.Minor {
		return v.Minor < w.Minor
	}
	return v.Patch < w.Patch
}

// String gives "5.8" for what came with 5.8.0, else "5.8.6".
func (v Version) String() string {
	if v.Patch == 0 {
		return fmt.Sprintf("%d.%d", v.Major, v.Minor)
	}
	return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch)
}

// requires notes that something needs a newer Podman than the machine has. It is
// unsure: distributions bring single features to older releases, and the
// machine's own generator knows.
func (l *loader) requires(least Version, file string, line int, what string) {
	if !l.podman.Known() || !l.podman.Before(least) {
		return
	}
	l.add(leger.Problem{
		File: file, Line: line, Unsure: true,
		Message: fmt.Sprintf("%s needs Podman %s or newer, and this machine has %s", what, least, l.podman),
		Hint:    "install a newer Podman, or do without it",
	})
}
