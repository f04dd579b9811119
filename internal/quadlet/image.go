package quadlet

import "strings"

// ImageName is the name of an image in its parts.
type ImageName struct {
	Registry   string // "docker.io", "localhost:5000"; empty: the machine's settings say which
	Repository string // "library/nginx"
	Tag        string // "1.27"; empty: none, which means latest unless there is a digest
	Digest     string // "sha256:…"; empty: none
}

// ParseImage takes an image's name apart. It never fails: what is no image's name
// ends up in Repository. A transport ("docker://") is left out.
func ParseImage(name string) ImageName {
	var i ImageName
	for _, transport := range []string{"docker://", "oci:", "docker-archive:", "oci-archive:", "dir:", "containers-storage:"} {
		if rest, ok := strings.CutPrefix(name, transport); ok && rest != "" {
			name = rest
			break
		}
	}
	name, i.Digest, _ = strings.Cut(name, "@")
	if slash := strings.LastIndexByte(name, '/'); strings.Contains(name[slash+1:], ":") {
		name, i.Tag, _ = cutLast(name, ":")
	}
	i.Repository = name
	// A first part with a dot or a port, or localhost, is a registry.
	if first, rest, ok := strings.Cut(name, "/"); ok && (strings.ContainsAny(first, ".:") || first == "localhost") {
		i.Registry, i.Repository = first, rest
	}
	return i
}

// Pinned reports whether the name can only ever mean one image.
func (i ImageName) Pinned() bool {
	return strings.HasPrefix(i.Digest, "sha256:") || strings.HasPrefix(i.Digest, "sha512:")
}
