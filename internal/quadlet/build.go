package quadlet

import (
	"path"
	"slices"
	"strings"
)

// unit turns a document into a Unit and notes what is wrong or risky about it.
func (l *loader) unit(name string) {
	kind, _ := kindOf(path.Base(name))
	doc := l.docs[name]
	parts := []string{name}
	for _, d := range l.dropInsFor(name, kind) {
		parts = append(parts, d.Name)
		doc.Sections = append(doc.Sections, d.Sections...)
		l.risk(RiskDropIn, d.Name, 0, "%s changes %s", path.Base(d.Name), name)
	}
	l.checkSections(doc, kind)

	section := kind.Section()
	stem := strings.TrimSuffix(path.Base(name), "."+string(kind))
	u := Unit{Parts: parts, File: name, Kind: kind, Service: stem + kind.suffix() + ".service", Template: strings.HasSuffix(stem, "@")}
	if a, ok := doc.last(section, "ServiceName"); ok {
		u.Service = a.Value + ".service"
	}
	u.Resource = resource(doc, u, stem)
	for _, key := range []string{"WantedBy", "RequiredBy", "UpheldBy"} {
		for _, a := range doc.words("Install", key) {
			u.WantedBy = append(u.WantedBy, a.Value)
		}
	}
	if a, ok := doc.last("Service", "Type"); ok {
		u.Oneshot = a.Value == "oneshot"
	}
	_, u.HealthCmd = doc.last(section, "HealthCmd")
	for _, key := range []string{"Pull", "Policy"} {
		if a, ok := doc.last(section, key); ok {
			u.Pull = a.Value
		}
	}
	for _, a := range doc.words(section, "Secret") {
		u.Secrets = append(u.Secrets, l.secret(a))
	}
	for _, a := range doc.all(section, "PublishPort") {
		u.Ports = append(u.Ports, ref(a))
	}
	u.Volumes = append(volumes(doc, section), mounts(doc, section)...)
	l.references(&u, doc)
	l.named(&u, doc)
	slices.Sort(u.Parts)
	u.Parts = slices.Compact(u.Parts)
	l.checkRequired(u, doc)
	l.risks(u, doc)
	l.set.Units = append(l.set.Units, u)
}

func ref(a Assignment) Ref { return Ref{Value: a.Value, File: a.File, Line: a.Line} }

// resource is what Podman calls the thing: systemd-NAME unless it is named. A
// container is named after its unit, the others after their file.
func resource(doc Document, u Unit, stem string) string {
	var key string
	switch u.Kind {
	case Container:
		key, stem = "ContainerName", strings.TrimSuffix(u.Service, ".service")
	case Pod:
		key = "PodName"
	case Volume:
		key = "VolumeName"
	case Network:
		key = "NetworkName"
	case Kube, Image, Build, Artifact:
		return ""
	}
	if a, ok := doc.last(u.Kind.Section(), key); ok {
		return a.Value
	}
	return "systemd-" + stem
}

// secret reads NAME[,type=…][,target=…][,…], or id=NAME,src=… of a build.
func (l *loader) secret(a Assignment) Secret {
	s := Secret{Type: "mount", File: a.File, Line: a.Line}
	var rest []string
	for i, part := range strings.Split(a.Value, ",") {
		key, value, isOption := strings.Cut(part, "=")
		switch {
		case i == 0 && !isOption:
			s.Name = part
		case key == "id" && s.Name == "":
			s.Name = value
		case key == "type":
			s.Type = value
		case key == "target":
			s.Target = value
		default:
			rest = append(rest, part)
		}
	}
	s.Options = strings.Join(rest, ",")
	if s.Name == "" {
		l.problem(a.File, a.Line, "write Secret=NAME, perhaps with ,type=env,target=VARIABLE", "Secret= names no secret")
	}
	return s
}

func volumes(doc Document, section string) []Mount {
	var found []Mount
	for _, a := range doc.all(section, "Volume") {
		m := Mount{File: a.File, Line: a.Line}
		parts := strings.SplitN(strings.Trim(a.Value, `"`), ":", 3)
		switch len(parts) {
		case 1:
			m.Target = parts[0]
		case 2:
			m.Source, m.Target = parts[0], parts[1]
		default:
			m.Source, m.Target, m.Options = parts[0], parts[1], parts[2]
		}
		found = append(found, m)
	}
	return found
}

// mounts reads the Mount= lines that have a source: type=bind,source=…,target=….
func mounts(doc Document, section string) []Mount {
	var found []Mount
	for _, a := range doc.words(section, "Mount") {
		m := Mount{File: a.File, Line: a.Line}
		var rest []string
		for part := range strings.SplitSeq(a.Value, ",") {
			key, value, _ := strings.Cut(part, "=")
			switch key {
			case "source", "src":
				m.Source = value
			case "target", "dst", "destination":
				m.Target = value
			default:
				rest = append(rest, part)
			}
		}
		m.Options = strings.Join(rest, ",")
		if m.Source != "" {
			found = append(found, m)
		}
	}
	return found
}

// references finds the other quadlets that a unit names, by their file names.
func (l *loader) references(u *Unit, doc Document) {
	section := u.Kind.Section()
	for _, key := range []string{"Image", "Rootfs", "Artifact"} {
		a, ok := doc.last(section, key)
		switch {
		case !ok || key == "Rootfs":
		case hasKind(a.Value, Image, Build):
			l.use(u, a, a.Value)
		case key == "Image":
			u.Images = append(u.Images, ref(a))
		}
	}
	for _, a := range doc.all(section, "Network") {
		u.Networks = append(u.Networks, ref(a))
		if name, _, _ := strings.Cut(a.Value, ":"); hasKind(name, Network, Container) {
			l.use(u, a, name)
		}
	}
	for _, m := range u.Volumes {
		if hasKind(m.Source, Volume, Image, Build) && !strings.Contains(m.Source, "/") {
			l.use(u, Assignment{File: m.File, Line: m.Line}, m.Source)
		}
	}
	if a, ok := doc.last(section, "Pod"); ok {
		if !hasKind(a.Value, Pod) {
			l.problem(a.File, a.Line, "name a .pod file of the release: Pod="+strings.TrimSuffix(a.Value, ".pod")+".pod", "Pod=%s is not a .pod file", a.Value)
			return
		}
		u.Pod, u.StartedByPod = l.use(u, a, a.Value), doc.truth(section, "StartWithPod", true)
	}
}

func hasKind(name string, allowed ...Kind) bool {
	for _, k := range allowed {
		if stem, ok := strings.CutSuffix(name, "."+string(k)); ok && stem != "" {
			return true
		}
	}
	return false
}

// use notes that u refers to another quadlet and gives its file in the set.
// Podman looks references up by name alone, whatever the directory.
func (l *loader) use(u *Unit, a Assignment, name string) string {
	for file := range l.docs {
		if path.Base(file) == name {
			u.Uses = append(u.Uses, Ref{Value: file, File: a.File, Line: a.Line})
			return file
		}
	}
	l.problem(a.File, a.Line, "add the file "+name+" to the release, or name what exists already without the suffix",
		"%s is not among the release's files", name)
	return ""
}

// named marks the files that a unit names by a relative path as files to
// install. Podman resolves them against the quadlet's own directory.
func (l *loader) named(u *Unit, doc Document) {
	section := u.Kind.Section()
	for _, key := range []string{"EnvironmentFile", "ConfigMap", "Yaml", "AuthFile", "SeccompProfile", "DecryptionKey", "IgnoreFile"} {
		for _, a := range doc.words(section, key) {
			l.install(u, a, a.Value, key == "EnvironmentFile" || key == "ConfigMap" || key == "Yaml")
		}
	}
	for _, m := range u.Volumes {
		if strings.HasPrefix(m.Source, ".") {
			l.install(u, Assignment{File: m.File, Line: m.Line}, m.Source, true)
		}
	}
	if u.Kind != Build {
		return
	}
	// A build sees its whole context directory.
	context := "."
	if a, ok := doc.last(section, "File"); ok {
		context = path.Dir(a.Value)
		l.install(u, a, a.Value, !strings.Contains(a.Value, "://"))
	}
	if a, ok := doc.last(section, "SetWorkingDirectory"); ok && a.Value != "unit" && a.Value != "file" {
		context = a.Value
	} else if ok && a.Value == "unit" {
		context = "."
	}
	l.install(u, Assignment{File: u.File}, context, false)
}

// install adds a file, or everything below a directory, to the set's files.
func (l *loader) install(u *Unit, a Assignment, value string, must bool) {
	value = strings.TrimPrefix(value, "-") // EnvironmentFile=-x: it may be missing
	if value == "" || path.IsAbs(value) || strings.Contains(value, "://") || strings.HasPrefix(value, "%") || strings.HasPrefix(value, "~") {
		return
	}
	full := path.Join(path.Dir(u.File), value)
	if full == ".." || strings.HasPrefix(full, "../") {
		l.problem(a.File, a.Line, "keep what a quadlet needs in the release's directory", "%s leaves the release's directory", value)
		return
	}
	found := false
	for name, data := range l.files {
		if name == full || strings.HasPrefix(name, full+"/") || full == "." {
			l.set.Files[name] = data
			u.Parts = append(u.Parts, name)
			found = true
		}
	}
	if must && !found {
		l.problem(a.File, a.Line, "add it to the repository, or write an absolute path", "%s is not among the release's files", value)
	}
}
