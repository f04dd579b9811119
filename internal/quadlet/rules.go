package quadlet

import (
	"path"
	"strings"
)

// rules reports what Podman's generator would refuse in one unit, and what would
// keep it from starting for certain.
func (l *loader) rules(u Unit, doc Document) {
	section := u.Kind.Section()
	if optional := u.Kind == Pod || u.Kind == Volume || u.Kind == Network; !doc.has(section) && !optional {
		l.problem(doc.Name, doc.line(section), "begin it with ["+section+"]", "the file has no section [%s]", section)
		return
	}
	switch u.Kind {
	case Container:
		l.containerRules(doc)
	case Pod:
		l.mappingRules(doc, section, true)
	case Volume:
		l.volumeRules(doc)
	case Network:
		l.networkRules(doc)
	case Kube:
		l.kubeRules(u, doc)
	case Build:
		l.buildRules(doc)
	case Image:
		l.mustHave(doc, section, "Image", "say which image to pull")
	case Artifact:
		l.mustHave(doc, section, "Artifact", "say which artifact to pull")
	}
	for _, image := range u.Images {
		if strings.HasPrefix(image.Value, "-") {
			l.problem(image.File, image.Line, "name the image: registry/name:tag", "Image=%s would be an option to Podman, not an image", plain(image.Value))
		}
	}
	if a, ok := doc.lookup(section, "ServiceName"); ok && !unitName(a.Value) {
		l.problemAt(a, "use letters, digits, '.', '_', '-' and '@', and leave out the .service", "ServiceName=%s is not a name systemd takes", show(a.Value))
	}
	for _, key := range []string{"User", "Group", "DynamicUser"} {
		if a, ok := doc.last("Service", key); ok {
			l.problemAt(a, "use User= and Group= of [Container] for the user inside the container",
				"Podman does not support %s= in [Service]", key)
		}
	}
	for _, a := range doc.args(section, "EnvironmentFile") {
		if strings.HasPrefix(a.Value, "-") {
			l.problemAt(a, "leave out the \"-\"; unlike systemd's, the file has to be there", "Podman takes the \"-\" of EnvironmentFile=%s for a part of the name", show(a.Value))
		}
	}
}

// line is where a section begins, or where the quadlet does.
func (d Document) line(section string) int {
	for _, s := range d.Sections {
		if s.Name == section && s.File == d.Name {
			return s.Line
		}
	}
	return d.first
}

func (l *loader) mustHave(doc Document, section, key, hint string) {
	if _, ok := doc.last(section, key); !ok {
		l.problem(doc.Name, doc.line(section), hint, "[%s] has no %s=", section, key)
	}
}

func (l *loader) containerRules(doc Document) {
	const section = "Container"
	rootfs, hasRootfs := doc.last(section, "Rootfs")
	switch _, hasImage := doc.last(section, "Image"); {
	case hasImage && hasRootfs:
		l.problemAt(rootfs, "keep one of the two", "Image= and Rootfs= exclude each other")
	case !hasImage && !hasRootfs:
		l.mustHave(doc, section, "Image", "say which image the container runs: Image=registry/name:tag")
	}
	l.serviceRules(doc)
	l.mappingRules(doc, section, true)
	if group, ok := doc.last(section, "Group"); ok {
		if _, hasUser := doc.last(section, "User"); !hasUser {
			l.problemAt(group, "add User=", "Group= needs a User= beside it")
		}
	}
	signal, hasSignal := doc.last(section, "ReloadSignal")
	if command, ok := doc.lookup(section, "ReloadCmd"); ok && hasSignal {
		if words, _ := splitArgs(command.Value); len(words) > 0 {
			l.problemAt(signal, "keep one of the two", "ReloadCmd= and ReloadSignal= exclude each other")
		}
	}
	for _, a := range doc.all(section, "ExposeHostPort") {
		if !exposable(a.Value) {
			l.problemAt(a, "write ExposeHostPort=PORT or FIRST-LAST, with /tcp or /udp perhaps", "ExposeHostPort=%s is not a port", show(a.Value))
		}
	}
}

// exposable: Podman only looks at the end of the value, which is a port, or two
// with "-", and perhaps a protocol.
func exposable(value string) bool {
	value, isUDP := strings.CutSuffix(value, "/udp")
	if !isUDP {
		value = strings.TrimSuffix(value, "/tcp")
	}
	return value != "" && value[len(value)-1] >= '0' && value[len(value)-1] <= '9'
}

// serviceRules are about [Service] of a container or kube.
func (l *loader) serviceRules(doc Document) {
	if a, ok := doc.lookup("Service", "KillMode"); ok && a.Value != "mixed" && a.Value != "control-group" {
		l.problemAt(a, "leave it out, or use mixed or control-group", "Podman does not allow KillMode=%s", show(a.Value))
	}
	if a, ok := doc.lookup("Service", "Type"); ok && a.Value != "notify" && a.Value != "oneshot" {
		l.problemAt(a, "leave it out, or use oneshot for what runs to its end", "Podman does not allow Type=%s", show(a.Value))
	}
}

// mappingRules are about the mapping of users, old keys (Remap…=) and new ones.
func (l *loader) mappingRules(doc Document, section string, manual bool) {
	mapped := len(doc.list(section, "UIDMap")) > 0 || len(doc.list(section, "GIDMap")) > 0
	for _, key := range []string{"UserNS", "SubUIDMap", "SubGIDMap"} {
		_, ok := doc.last(section, key)
		mapped = mapped || ok
	}
	if mapped {
		for _, key := range []string{"RemapUid", "RemapGid", "RemapUsers"} {
			if a, ok := doc.lookup(section, key); ok {
				l.problemAt(a, "leave it out: it is the older way to say the same", "%s= excludes UserNS=, UIDMap=, GIDMap=, SubUIDMap= and SubGIDMap=", key)
				return
			}
		}
		return
	}
	uids, gids := doc.list(section, "RemapUid"), doc.list(section, "RemapGid")
	switch a, _ := lookupRaw(doc, section, "RemapUsers"); a.Value {
	case "":
		for _, m := range [][]Assignment{uids, gids} {
			if len(m) > 0 {
				l.problemAt(m[0], "use UserNS= or UIDMap=; the Remap keys are outdated", "%s= needs RemapUsers= beside it", m[0].Key)
			}
		}
	case "auto":
	case "manual":
		if !manual {
			l.problemAt(a, "use UserNS=", "RemapUsers=manual is not possible in [%s]", section)
		}
	case "keep-id":
		for _, m := range [][]Assignment{uids, gids} {
			if len(m) > 1 {
				l.problemAt(m[1], "keep one", "RemapUsers=keep-id takes only one %s=", m[0].Key)
			}
		}
	default:
		l.problemAt(a, "use UserNS=; RemapUsers= is outdated", "RemapUsers=%s is neither manual, auto nor keep-id", show(a.Value))
	}
}

// lookupRaw is lookup that leaves quotes.
func lookupRaw(doc Document, section, key string) (a Assignment, ok bool) {
	for _, s := range doc.Sections {
		for _, found := range s.Assignments {
			if s.Name == section && found.Key == key {
				a, ok = found, true
			}
		}
	}
	return a, ok
}

func (l *loader) volumeRules(doc Document) {
	const section = "Volume"
	if driver, _ := doc.lookup(section, "Driver"); driver.Value == "image" {
		if _, ok := doc.lookup(section, "Image"); !ok {
			l.problemAt(driver, "say which image: Image=registry/name:tag", "Driver=image needs an Image=")
		}
		return
	}
	if _, ok := doc.last(section, "Device"); ok {
		return
	}
	for _, key := range []string{"Type", "Options"} {
		if a, ok := doc.last(section, key); ok {
			l.problemAt(a, "say what is mounted: Device=", "%s= needs a Device= beside it", key)
		}
	}
}

func (l *loader) networkRules(doc Document) {
	const section = "Network"
	subnets := len(doc.all(section, "Subnet"))
	for _, key := range []string{"Gateway", "IPRange"} {
		found := doc.all(section, key)
		switch {
		case len(found) <= subnets:
		case subnets == 0:
			l.problemAt(found[0], "say in which subnet it is: Subnet=", "%s= needs a Subnet= beside it", key)
		default:
			l.problemAt(found[subnets], "give each its own Subnet=", "there are more %s= than Subnet=", key)
		}
	}
}

func (l *loader) kubeRules(u Unit, doc Document) {
	const section = "Kube"
	yaml := doc.list(section, "Yaml")
	if len(yaml) == 0 {
		l.problem(doc.Name, doc.line(section), "name the Kubernetes file: Yaml=app.yaml", "[Kube] has no Yaml=")
		return
	}
	if len(yaml) > 1 {
		l.requires(Version{5, 7, 0}, yaml[1].File, yaml[1].Line, "more than one Yaml=")
	}
	l.serviceRules(doc)
	l.mappingRules(doc, section, false)
	a, ok := doc.last(section, "SetWorkingDirectory")
	switch {
	case !ok || strings.EqualFold(a.Value, "unit"):
	case !strings.EqualFold(a.Value, "yaml"):
		l.problemAt(a, "use yaml or unit", "SetWorkingDirectory=%s is not possible in a .kube file", show(a.Value))
	case len(yaml) > 1:
		l.problemAt(a, "use unit", "SetWorkingDirectory=yaml needs a single Yaml=, and %s has %d", path.Base(u.File), len(yaml))
	}
}

func (l *loader) buildRules(doc Document) {
	const section = "Build"
	if len(doc.all(section, "ImageTag")) == 0 {
		l.problem(doc.Name, doc.line(section), "name the image that is built: ImageTag=localhost/name", "[Build] has no ImageTag=")
	}
	file, hasFile := doc.last(section, "File")
	dir, hasDir := doc.last(section, "SetWorkingDirectory")
	_, serviceDir := doc.last("Service", "WorkingDirectory")
	switch {
	case strings.EqualFold(dir.Value, "yaml"):
		l.problemAt(dir, "use unit, file, or a path", "SetWorkingDirectory=yaml is only possible in a .kube file")
	case strings.EqualFold(dir.Value, "file") && !hasFile:
		l.problemAt(dir, "name the Containerfile: File=Containerfile", "SetWorkingDirectory=file needs a File=")
	case hasDir || serviceDir:
	case !hasFile:
		l.problem(doc.Name, doc.line(section), "add SetWorkingDirectory=unit, and File=Containerfile if it is called otherwise", "[Build] has neither File= nor SetWorkingDirectory=")
	case !path.IsAbs(file.Value) && !isURL(file.Value) && !isSpecifier(file.Value):
		l.problemAt(file, "add SetWorkingDirectory=unit", "File=%s is a relative path, and SetWorkingDirectory= does not say from where", show(file.Value))
	}
}

// isSpecifier: the value begins with one of systemd's specifiers, such as %h.
func isSpecifier(value string) bool {
	return strings.HasPrefix(value, "%") && !strings.HasPrefix(value, "%%")
}
