package quadlet

import (
	"maps"
	"path"
	"slices"
	"strings"
)

// naming is what must be known of all quadlets before one of them is read: how
// the others refer to it.
type naming struct {
	doc     Document // with its drop-ins
	dropIns []string
	kind    Kind
	service string // with suffix ".service"
	// resource is what Podman calls the thing, with the specifiers of systemd that
	// the quadlet's name cannot answer ("systemd-web-%i" of a template).
	resource string
	// joinable is false for a container whose name Podman cannot tell other quadlets:
	// of all specifiers it knows %N alone.
	joinable bool
}

// units makes a Unit of each quadlet that was taken in.
func (l *loader) units() {
	names := slices.Sorted(maps.Keys(l.docs))
	if len(names) > MaxUnits {
		l.problem("", 0, "divide the release", "there are %d quadlets, and %d are allowed", len(names), MaxUnits)
		names = names[:MaxUnits]
	}
	text := 0
	for i, name := range names {
		l.named[name] = l.name(name)
		if text += l.named[name].doc.size; text > MaxText {
			l.problem("", 0, "divide the release", "the quadlets with their drop-ins have more than %d KiB", MaxText>>10)
			delete(l.named, name)
			names = names[:i]
			break
		}
	}
	for _, name := range names {
		l.unit(name, l.named[name])
	}
	l.pods()
	l.checkSet()
}

func (l *loader) name(file string) naming {
	kind, _ := kindOf(path.Base(file))
	n := naming{doc: l.docs[file], kind: kind}
	n.doc.Sections = slices.Clone(n.doc.Sections)
	for _, d := range l.dropInsFor(file, kind) {
		n.dropIns = append(n.dropIns, d.Name)
		n.doc.Sections = append(n.doc.Sections, d.Sections...)
		n.doc.size += d.size
	}
	stem := stemOf(file)
	n.service = serviceName(n.doc, kind, stem)
	written := resourceName(n.doc, kind, stem)
	n.joinable = !strings.Contains(strings.ReplaceAll(written, "%N", ""), "%")
	n.resource = expand(written, n.service)
	return n
}

// stemOf is a quadlet's name without directory and suffix.
func stemOf(file string) string { return strings.TrimSuffix(path.Base(file), path.Ext(file)) }

// serviceName is the systemd unit that Podman generates. A template's suffix goes
// before its "@": "data@.volume" makes "data-volume@.service".
func serviceName(doc Document, kind Kind, stem string) string {
	if a, ok := doc.lookup(kind.Section(), "ServiceName"); ok {
		return a.Value + ".service"
	}
	if base, isTemplate := strings.CutSuffix(stem, "@"); isTemplate {
		return base + kind.suffix() + "@.service"
	}
	return stem + kind.suffix() + ".service"
}

// resourceName is what Podman calls the container, pod, volume or network:
// systemd-NAME unless it is named. A container is named after its unit, the
// others after their file.
func resourceName(doc Document, kind Kind, stem string) string {
	var key, otherwise string
	switch kind {
	case Container:
		key, otherwise = "ContainerName", "systemd-%N"
		if strings.Contains(stem, "@") {
			otherwise = "systemd-%p_%i"
		}
	case Pod:
		key, otherwise = "PodName", "systemd-"+stem
	case Volume, Network:
		key, otherwise = kind.Section()+"Name", "systemd-"+stem
		if strings.Contains(stem, "@") {
			// Podman leaves out the last character, the "@" of a template, also of an
			// instance's name, where it is another one.
			otherwise = "systemd-" + stem[:len(stem)-1] + "-%i"
		}
	case Kube, Image, Build, Artifact:
		return ""
	}
	if a, ok := doc.last(kind.Section(), key); ok {
		return a.Value
	}
	return otherwise
}

// expand replaces the specifiers that a unit's name answers (systemd.unit(5),
// "Specifiers"); the others stay, and so does %i of a template.
func expand(name, service string) string {
	stem := strings.TrimSuffix(service, ".service")
	prefix, instance, isTemplate := strings.Cut(stem, "@")
	last := prefix[strings.LastIndexByte(prefix, '-')+1:]
	pairs := []string{"%%", "%", "%n", service, "%N", stem, "%p", prefix, "%P", prefix, "%j", last, "%J", last}
	if !isTemplate || instance != "" {
		pairs = append(pairs, "%i", instance, "%I", instance)
	}
	return strings.NewReplacer(pairs...).Replace(name)
}

// unit turns one quadlet into a Unit and notes what is wrong or risky about it.
func (l *loader) unit(file string, n naming) {
	doc, section := n.doc, n.kind.Section()
	_, instance, isTemplate := strings.Cut(strings.TrimSuffix(n.service, ".service"), "@")
	u := Unit{
		File: file, Written: doc.Name, Line: doc.first, Kind: n.kind, Service: n.service, Resource: n.resource, Parts: append([]string{file}, n.dropIns...),
		Template: isTemplate && instance == "", Instance: instance, Provides: provides(doc, n.kind),
	}
	l.checkSections(doc, n.kind)
	l.checkSplit(doc, n.kind)
	l.install(&u, doc)
	if a, ok := doc.last("Service", "Type"); ok {
		u.Oneshot = a.Value == "oneshot"
	}
	health, ok := doc.last(section, "HealthCmd")
	u.HealthCmd = ok && health.Value != "none"
	if a, ok := doc.last(section, "Notify"); ok && u.Kind == Container {
		u.NotifyHealthy = strings.EqualFold(a.Value, "healthy")
	}
	for _, key := range []string{"Pull", "Policy"} {
		if a, ok := doc.last(section, key); ok {
			u.Pull = a.Value
		}
	}
	for _, a := range doc.args(section, "Secret") {
		secret := l.secret(a, u.Kind)
		if name := expand(secret.Name, u.Service); name != "" || secret.Name == "" {
			secret.Name = name
		} else {
			l.problemAt(a, "make it a template: "+stemOf(file)+"@."+string(n.kind), "Secret=%s is empty: this is no instance of a template", secret.Name)
		}
		u.Secrets = append(u.Secrets, secret)
	}
	for _, a := range doc.all(section, "PublishPort") {
		u.Ports = append(u.Ports, ref(a))
		if p, ok := l.port(a); ok {
			u.Published = append(u.Published, p)
		}
	}
	u.Reads = readsOf(doc, section)
	l.mounts(&u, doc)
	l.references(&u, doc)
	l.dependencies(&u, doc)
	l.needs(&u, doc)
	l.ownScripts(&u, doc)
	l.findVolumes(&u, doc)
	slices.Sort(u.Parts)
	u.Parts = slices.Compact(u.Parts)
	l.rules(u, doc)
	l.checkOwnDropIn(file, n.dropIns)
	u.Risks = l.risks(u, doc, n.dropIns)
	l.set.Risks = append(l.set.Risks, u.Risks...)
	l.set.Units = append(l.set.Units, u)
}

// readsOf lists the files that are read to make or start a unit.
func readsOf(doc Document, section string) []Ref {
	var reads []Ref
	for _, a := range slices.Concat(
		doc.args(section, "EnvironmentFile"), doc.list(section, "Yaml"), doc.list(section, "ConfigMap"), doc.all(section, "File"),
		doc.all(section, "SetWorkingDirectory"), doc.all(section, "AuthFile"), doc.all(section, "SeccompProfile"),
		doc.all("Service", "EnvironmentFile"), doc.all("Service", "LoadCredential"),
	) {
		reads = append(reads, ref(a))
	}
	return reads
}

func ref(a Assignment) Ref { return Ref{Value: a.Value, File: a.File, Line: a.Line} }

// provides is the image or artifact that a quadlet brings.
func provides(doc Document, kind Kind) string {
	section := kind.Section()
	switch kind {
	case Build:
		if tags := doc.all(section, "ImageTag"); len(tags) > 0 {
			return tags[0].Value
		}
	case Image:
		for _, key := range []string{"ImageTag", "Image"} {
			if a, ok := doc.last(section, key); ok {
				return a.Value
			}
		}
	case Artifact:
		a, _ := doc.last(section, "Artifact")
		return a.Value
	case Container, Pod, Volume, Network, Kube:
	}
	return ""
}

// install reads [Install] as Podman does: it makes the links itself, and only for
// names that are not paths.
func (l *loader) install(u *Unit, doc Document) {
	for _, key := range []string{"WantedBy", "RequiredBy", "UpheldBy"} {
		for _, a := range doc.list("Install", key) {
			if strings.Contains(a.Value, "/") {
				l.problemAt(a, "name a unit, such as default.target", "%s=%s is a path, and Podman leaves it out", key, show(a.Value))
				continue
			}
			u.WantedBy = append(u.WantedBy, a.Value)
			if key == "UpheldBy" {
				l.requires(Version{5, 5, 0}, a.File, a.Line, "UpheldBy=")
			}
		}
	}
	for _, a := range doc.list("Install", "Alias") {
		u.Aliases = append(u.Aliases, ref(a))
	}
	if a, ok := doc.last("Install", "DefaultInstance"); ok && u.Template {
		u.DefaultInstance = a.Value
		l.requires(Version{5, 0, 0}, a.File, a.Line, "DefaultInstance=")
		if !unitName("x@" + a.Value) {
			l.problemAt(a, "use letters, digits, '.', '_', '-'", "DefaultInstance=%s is not a name systemd takes", show(a.Value))
		}
	}
}
