package quadlet

import (
	"strings"
)

// Kind is what a quadlet makes, and the suffix of its file.
type Kind string

// The kinds that Podman 5.8 knows.
const (
	Container Kind = "container"
	Pod       Kind = "pod"
	Volume    Kind = "volume"
	Network   Kind = "network"
	Kube      Kind = "kube"
	Image     Kind = "image"
	Build     Kind = "build"
	Artifact  Kind = "artifact"
)

// Kinds lists every Kind.
func Kinds() []Kind {
	return []Kind{Container, Pod, Volume, Network, Kube, Image, Build, Artifact}
}

// Section is the name of the section that belongs to the kind: "Container".
func (k Kind) Section() string { return strings.ToUpper(string(k[:1])) + string(k[1:]) }

// suffix is what the kind's service has after the file's name and before
// ".service" (measured on Podman 5.8.6).
func (k Kind) suffix() string {
	switch k {
	case Container, Kube:
		return ""
	case Pod, Volume, Network, Image, Build, Artifact:
		return "-" + string(k)
	default:
		return ""
	}
}

// Since is the first Podman that knows the kind.
func (k Kind) Since() Version {
	switch k {
	case Container, Volume, Network, Kube:
		return Version{4, 4, 0}
	case Image:
		return Version{4, 8, 0}
	case Pod:
		return Version{5, 0, 0}
	case Build:
		return Version{5, 2, 0}
	case Artifact:
		return Version{5, 7, 0}
	default:
		return Version{}
	}
}

// passedOn reports whether Podman hands a section on to systemd unread.
func passedOn(section string) bool {
	switch section {
	case "Unit", "Service", "Install":
		return true
	default:
		return strings.HasPrefix(section, "X-")
	}
}
