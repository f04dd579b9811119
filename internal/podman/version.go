package podman

import (
	"fmt"
	"strconv"
	"strings"

	"leger.run/leger"
)

// Version is a release of Podman.
type Version struct{ Major, Minor, Patch int }

// MinVersion is the oldest Podman that does what Leger needs: labels on secrets
// (4.4) and their replacement (4.7,
// https://github.com/containers/podman/pull/19004).
func MinVersion() Version { return Version{4, 7, 0} }

func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch) }

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

// ParseVersion takes "5.8.6" and, for development builds, "5.9.0-dev" and the
// like. ErrInvalid else.
func ParseVersion(s string) (Version, error) {
	bad := leger.Invalid("version", "%.40q is not a Podman version", s)
	core, _, _ := strings.Cut(strings.TrimSpace(s), "-")
	core, _, _ = strings.Cut(core, "+")
	parts := strings.Split(core, ".")
	if len(parts) != 3 {
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

// usable fails with ErrMissingPart for a Podman that is too old.
func (v Version) usable() error {
	if v.Before(MinVersion()) {
		return leger.Errorf(leger.CodeMissingPart, "Podman %s is too old: Leger needs %s or newer, which can label and replace secrets", v, MinVersion()).
			WithHint("install a newer Podman; 5.6 or newer is best")
	}
	return nil
}
