package quadlet

import (
	"path"
	"slices"
	"strings"
)

// lookUp finds the quadlet that Podman takes for a name, whatever the directory.
func (l *loader) lookUp(name string) (file string, n naming, ok bool) {
	file, ok = l.byBase[name]
	n, known := l.named[file]
	return file, n, ok && known
}

// use notes that u is made with another quadlet, and how systemd must treat it,
// and gives its file in the set.
func (l *loader) use(u *Unit, a Assignment, name string, how ...string) (file string, n naming, ok bool) {
	if file, n, ok = l.depend(u, a, name, how...); ok {
		u.Uses = append(u.Uses, Ref{Value: file, File: a.File, Line: a.Line})
	}
	return file, n, ok
}

// depend notes what systemd must know of u and another quadlet.
func (l *loader) depend(u *Unit, a Assignment, name string, how ...string) (file string, n naming, ok bool) {
	if file, n, ok = l.lookUp(name); !ok {
		l.problemAt(a, "add the file "+name+" to the release, or name what exists already without the suffix",
			"%s is not among the release's files", plain(name))
		return "", naming{}, false
	}
	for _, h := range how {
		u.Deps = append(u.Deps, Dependency{How: h, Service: n.service, File: file, At: Ref{Value: name, File: a.File, Line: a.Line}})
	}
	return file, n, true
}

func hasKind(name string, allowed ...Kind) bool {
	return slices.ContainsFunc(allowed, func(k Kind) bool { return strings.HasSuffix(name, "."+string(k)) })
}

// references finds the other quadlets that a unit names, by their file names.
func (l *loader) references(u *Unit, doc Document) {
	section := u.Kind.Section()
	driver, _ := doc.lookup(section, "Driver")
	unused := u.Kind == Volume && driver.Value != "image"
	if a, ok := doc.last(section, "Image"); ok && !unused {
		switch {
		case u.Kind != Image && hasKind(a.Value, Image, Build):
			l.use(u, a, a.Value, "Requires", "After")
		default:
			u.Images = append(u.Images, ref(a))
		}
	}
	for _, a := range doc.all(section, "Network") {
		u.Networks = append(u.Networks, ref(a))
		l.network(u, a)
	}
	if a, ok := doc.last(section, "Pod"); ok && u.Kind == Container {
		if !hasKind(a.Value, Pod) {
			l.problemAt(a, "name a .pod file of the release: Pod="+a.Value+".pod", "Pod=%s is not a .pod file", plain(a.Value))
			return
		}
		u.Pod, _, _ = l.use(u, a, a.Value, "BindsTo", "After")
		u.StartedByPod = u.Pod != "" && doc.truth(section, "StartWithPod", true)
	}
}

func (l *loader) network(u *Unit, a Assignment) {
	name, _, options := strings.Cut(a.Value, ":")
	if !hasKind(name, Network, Container) {
		return
	}
	_, n, ok := l.use(u, a, name, "Requires", "After")
	switch {
	case !ok:
	case n.kind == Container && !n.joinable:
		l.problemAt(a, "give that container a ContainerName= without specifiers", "the name of the container of %s is only known to systemd", name)
	case n.kind == Container && options:
		l.problemAt(a, "leave out what follows the name", "Network=%s has options, but joins the network of another container", show(a.Value))
	case n.kind == Container:
		l.requires(Version{5, 3, 0}, a.File, a.Line, "Network= of another .container")
	}
}

// source looks at where something that is mounted comes from; checkImage: an
// .image may be mounted there.
func (l *loader) source(u *Unit, a Assignment, source string, checkImage bool) {
	switch {
	case strings.HasPrefix(source, "."), strings.HasPrefix(source, "/"):
	case hasKind(source, Volume), checkImage && hasKind(source, Image), hasKind(source, Artifact):
		l.use(u, a, source, "Requires", "After")
	}
}

// dependencyKeys are those of [Unit] in which Podman knows quadlets by their file
// names.
func dependencyKeys() []string {
	return []string{
		"After", "Before", "BindsTo", "Conflicts", "OnFailure", "OnSuccess", "PartOf", "PropagatesReloadTo",
		"PropagatesStopTo", "ReloadPropagatedFrom", "Requires", "Requisite", "StopPropagatedFrom", "Upholds", "Wants",
	}
}

// dependencies reads what [Unit] says of other units.
func (l *loader) dependencies(u *Unit, doc Document) {
	for _, key := range dependencyKeys() {
		for _, a := range doc.list("Unit", key) {
			if slices.Contains(Kinds(), Kind(strings.TrimPrefix(path.Ext(a.Value), "."))) {
				l.depend(u, a, a.Value, key)
				l.requires(Version{5, 5, 0}, a.File, a.Line, key+"= of a quadlet")
				continue
			}
			u.Deps = append(u.Deps, Dependency{How: key, Service: a.Value, At: ref(a)})
		}
	}
}

// pods adds to each pod that it starts its containers.
func (l *loader) pods() {
	for i, u := range l.set.Units {
		if u.Kind != Pod {
			continue
		}
		for _, c := range l.set.Units {
			if c.Pod != u.File || !c.StartedByPod {
				continue
			}
			for _, how := range []string{"Wants", "Before"} {
				l.set.Units[i].Deps = append(l.set.Units[i].Deps, Dependency{How: how, Service: c.Service, File: c.File, At: Ref{Value: path.Base(c.File), File: c.File}})
			}
		}
	}
}

// needs marks the files that a unit names by a relative path as files to
// install. Podman resolves them against the quadlet's own directory.
func (l *loader) needs(u *Unit, doc Document) {
	section := u.Kind.Section()
	for _, a := range doc.args(section, "EnvironmentFile") {
		l.need(u, a, a.Value, true)
	}
	for _, key := range []string{"ConfigMap", "Yaml"} {
		for _, a := range doc.list(section, key) {
			l.need(u, a, a.Value, true)
		}
	}
	for _, key := range []string{"AuthFile", "SeccompProfile", "DecryptionKey", "IgnoreFile"} {
		if a, ok := doc.last(section, key); ok {
			l.need(u, a, a.Value, false)
		}
	}
	for _, m := range u.Volumes {
		if strings.HasPrefix(m.Source, ".") {
			l.need(u, Assignment{File: m.File, Line: m.Line}, m.Source, true)
		}
	}
	if u.Kind == Build {
		l.context(u, doc)
	}
}

// context marks what a build sees: its Containerfile and its whole context
// directory.
func (l *loader) context(u *Unit, doc Document) {
	file, hasFile := doc.last("Build", "File")
	dir, hasDir := doc.last("Build", "SetWorkingDirectory")
	inUnit := true // the Containerfile is looked for beside the quadlet
	switch strings.ToLower(dir.Value) {
	case "unit":
		dir.Value = "."
	case "file":
		dir.Value = path.Dir(file.Value)
	default:
		inUnit = !hasDir
	}
	if hasFile && !isURL(file.Value) {
		l.need(u, file, file.Value, inUnit)
	}
	if hasDir && !isURL(dir.Value) {
		l.need(u, dir, dir.Value, false)
	}
}

// isURL: what Podman takes for a URL in a .build file.
func isURL(value string) bool {
	if strings.HasPrefix(value, "http") || strings.HasPrefix(value, "git://") {
		return true
	}
	_, repository, ok := strings.Cut(value, "github.com/")
	return ok && repository != ""
}

// need adds a file, or everything below a directory, to the set's files.
func (l *loader) need(u *Unit, a Assignment, value string, must bool) {
	value = strings.TrimPrefix(value, "-") // EnvironmentFile=-x: it may be missing
	if value == "" || strings.ContainsRune("/%~$", rune(value[0])) || strings.Contains(value, "://") {
		return
	}
	full := path.Join(path.Dir(u.File), value)
	if full == ".." || strings.HasPrefix(full, "../") {
		l.problemAt(a, "keep what a quadlet needs in the release's directory", "%s leaves the release's directory", plain(value))
		return
	}
	names := l.below[full]
	if _, isFile := l.files[full]; isFile {
		names = []string{full}
	}
	if id := [2]string{u.File, full}; !l.needed[id] {
		l.needed[id] = true
		u.Parts = append(u.Parts, names...)
		for _, name := range names {
			l.set.Files[name] = l.files[name]
		}
	}
	if must && len(names) == 0 {
		l.problemAt(a, "add it to the repository, or write an absolute path", "%s is not among the release's files", plain(value))
	}
}
