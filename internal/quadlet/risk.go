package quadlet

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// RiskKind groups risks for whoever filters or translates them.
type RiskKind string

// The risks that are shown before a release is installed. Package deploy has more
// of them, about what a release is newly given.
const (
	RiskArguments  RiskKind = "arguments"  // PodmanArgs=, GlobalArgs=: anything Podman can do
	RiskCommand    RiskKind = "command"    // a command that runs outside the container
	RiskPrivilege  RiskKind = "privilege"  // capabilities, devices, unmasked paths
	RiskNamespace  RiskKind = "namespace"  // shares a namespace with the host
	RiskProtection RiskKind = "protection" // switches a protection off
	RiskMount      RiskKind = "mount"      // sees a part of the host that is not the release's
	RiskFile       RiskKind = "file"       // Podman or systemd reads or writes a file of the host
	RiskOpaque     RiskKind = "opaque"     // brings something that this check cannot read
	RiskImage      RiskKind = "image"      // may be another image tomorrow
	RiskDropIn     RiskKind = "drop-in"    // changes a quadlet from another file
	RiskService    RiskKind = "service"    // a setting of the systemd unit that is not known to be harmless
	RiskInside     RiskKind = "inside"     // what of the release runs in, or is seen by, a container
)

// Risk is something about a release that may be meant, and that its user should
// know.
type Risk struct {
	File string   `json:"file"`
	Line int      `json:"line,omitempty"` // 0: the file as a whole
	Kind RiskKind `json:"kind"`
	Text string   `json:"text"` // one sentence
	// Key is what consent is given to: the kind, the unit, where it is written and the
	// content that it vouches for, or the SHA-256 of that. It stays the same when the
	// line moves, and no two risks of a set have the same. It is empty in records of
	// versions that did not know it: nobody has accepted those.
	Key string `json:"key"`
	// Asks is true when a release that brings the risk needs the user's consent; else
	// the risk only informs.
	Asks bool `json:"asks"`
	// Danger is true for a risk that asks and with which the release could do whatever
	// its user can do on the machine, or read the user's keys.
	Danger bool `json:"danger,omitempty"`
}

// Weight orders risks for a reader: 2 for one with Danger, 1 for one that asks, 0
// for one that informs.
func (r Risk) Weight() int {
	switch {
	case r.Danger:
		return 2
	case r.Asks:
		return 1
	default:
		return 0
	}
}

// numberRepeats makes equal keys different, so that accepting one of two equal
// lines does not cover the other.
func numberRepeats(risks []Risk) {
	seen := map[string]int{}
	for i, r := range risks {
		if seen[r.Key]++; seen[r.Key] > 1 {
			risks[i].Key = fmt.Sprintf("#%d %s", seen[r.Key], r.Key)
		}
	}
}

func sortRisks(risks []Risk) {
	slices.SortStableFunc(risks, func(a, b Risk) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Text, b.Text))
	})
}

// effect is what something in a quadlet means for consent.
type effect int

const (
	harmless effect = iota
	informs
	asks
	endangers // asks, and is a danger
)

// judge finds the risks of one unit.
type judge struct {
	l     *loader
	u     Unit
	doc   Document
	at    string // section that is looked at
	found []Risk

	commands [][]string              // those of readCommands, once they are known
	args     map[string][]Assignment // PodmanArgs= and GlobalArgs= as a whole
}

// finding is one risk before it is written down.
type finding struct {
	effect effect
	kind   RiskKind
	text   string   // what it does, after "Key=Value "
	files  []string // files of the release whose content is part of it
	with   string   // other values that it depends on
}

// risks notes what is risky about one unit.
func (l *loader) risks(u Unit, doc Document, dropIns []string) []Risk {
	j := judge{l: l, u: u, doc: doc}
	j.dropIns(dropIns)
	for _, s := range doc.Sections {
		j.at = s.Name
		for _, a := range s.Assignments {
			if a.Value != "" {
				j.assignment(a)
			}
		}
	}
	j.at = u.Kind.Section()
	j.mounts()
	j.images()
	j.opaque()
	j.inside()
	sortRisks(j.found)
	numberRepeats(j.found)
	return j.found
}

func (j *judge) assignment(a Assignment) {
	switch {
	case j.at == "Service":
		j.service(a)
	case j.at == "Unit":
		j.unitKey(a)
	case j.at == "Install":
		j.install(a)
	case j.at == j.u.Kind.Section():
		j.key(a)
	}
}

// note writes a finding about an assignment down.
func (j *judge) note(a Assignment, f finding) {
	if f.effect == harmless {
		return
	}
	if named := j.named(a.Value); len(named) > 0 {
		f.files = slices.Concat(f.files, named)
		slices.Sort(f.files)
		f.files = slices.Compact(f.files)
	}
	text := fmt.Sprintf("%s=%s %s", a.Key, abridged(a.Value), f.text)
	j.add(a, f, text, j.keyOf(f, a.Key, a.Value))
}

// add writes a finding down. The content of the files is in the text and in the
// key.
func (j *judge) add(a Assignment, f finding, text, key string) {
	if len(f.files) > 0 {
		text += " (" + j.l.digests(f.files) + ")"
	}
	j.found = append(j.found, Risk{
		File: a.File, Line: a.Line, Kind: f.kind, Text: text, Key: key, Asks: f.effect >= asks, Danger: f.effect == endangers,
	})
}

// keyOf is what consent to a finding is given to. It can be taken apart in one way
// only: kinds, digests and files' names have no space, and a key no "=".
func (j *judge) keyOf(f finding, key, value string) string {
	if f.with != "" {
		value += "\n" + f.with // no value has a line's end
	}
	content := ""
	if len(f.files) > 0 {
		content = j.l.digest(f.files)
	}
	const longest = 200 // a record of a deployment repeats it
	if len(value) > longest {
		content = hash(content + "\n" + value)
		value = ""
	}
	if content != "" {
		content = "sha256:" + content + " "
	}
	return fmt.Sprintf("%s %s%s [%s] %s=%s", f.kind, content, j.u.File, j.at, key, value)
}

// abridged is a value as a risk shows it. Where the middle is left out, a digest
// tells two values apart.
func abridged(value string) string {
	const most = 300
	if len(value) <= most {
		return value
	}
	half := most / 2
	return strings.ToValidUTF8(value[:half], "") + "…" + strings.ToValidUTF8(value[len(value)-half:], "") +
		fmt.Sprintf(" (%d bytes, sha256 %.12s)", len(value), hash(value))
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// digest is the SHA-256 over the names and contents of files of the release.
//
// Of a directory that many lines mount it is found once: a list is the same if it
// begins at the same place and is as long.
func (l *loader) digest(files []string) string {
	if len(files) == 0 {
		return hash("")
	}
	id := listID{&files[0], len(files)}
	if l.sums[id] == "" {
		l.sums[id] = l.sum(files)
	}
	return l.sums[id]
}

type listID struct {
	first  *string
	length int
}

func (l *loader) sum(files []string) string {
	files = slices.Sorted(slices.Values(files))
	h := sha256.New()
	for _, name := range slices.Compact(files) {
		if l.hashes[name] == "" {
			l.hashes[name] = hash(string(l.files[name]))
		}
		_, _ = fmt.Fprintf(h, "%s\n%s\n", name, l.hashes[name]) // a hash takes everything
	}
	return hex.EncodeToString(h.Sum(nil))
}

// digests tells files apart in a text.
func (l *loader) digests(files []string) string {
	if len(files) == 1 {
		l.digest(files)
		return fmt.Sprintf("%s, sha256 %.12s", files[0], l.hashes[files[0]])
	}
	return fmt.Sprintf("%d files, sha256 %.12s", len(files), l.digest(files))
}

// named finds the files of the release that a value seems to name by any path: a
// script that a command runs, a module of settings. A name is enough, because
// where the release will lie is not known here.
func (j *judge) named(value string) []string {
	if j.l.byName == nil {
		j.l.byName = map[string][]string{}
		for name := range j.l.files {
			j.l.byName[path.Base(name)] = append(j.l.byName[path.Base(name)], name)
		}
	}
	var found []string
	for word := range strings.FieldsFuncSeq(value, func(r rune) bool { return strings.ContainsRune(" \t\"'`=:,;|&()<>{}", r) }) {
		found = append(found, j.l.byName[path.Base(word)]...)
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// dropIns notes files that change the quadlet. What they say is looked at as part
// of it; one for several quadlets reaches those of other releases, too.
func (j *judge) dropIns(names []string) {
	for _, name := range names {
		if j.l.own[name] {
			continue
		}
		f := finding{effect: informs, kind: RiskDropIn}
		text := fmt.Sprintf("%s changes %s", path.Base(name), j.u.File)
		key := fmt.Sprintf("%s %s %s", f.kind, j.u.File, name)
		target := strings.TrimSuffix(path.Base(path.Dir(name)), ".d")
		if _, ours := j.l.byBase[target]; !ours && !j.l.told[name] {
			j.l.told[name] = true // once, not with each quadlet
			f.effect, f.files = endangers, []string{name}
			text = fmt.Sprintf("what is in %s.d changes quadlets of other releases, too", target)
			key = fmt.Sprintf("%s sha256:%s %s", f.kind, j.l.digest(f.files), name)
		}
		j.add(Assignment{File: name}, f, text, key)
	}
}

// images notes images that may be others tomorrow. Who trusts the tags of a
// repository trusts the next one.
func (j *judge) images() {
	images := slices.Clone(j.u.Images)
	if a, ok := j.doc.last("Artifact", "Artifact"); ok && j.u.Kind == Artifact {
		images = append(images, ref(a))
	}
	for _, image := range images {
		a := Assignment{Key: "Image", Value: image.Value, File: image.File, Line: image.Line}
		if why := floating(image.Value); why != "" {
			f := finding{effect: informs, kind: RiskImage}
			name := ParseImage(image.Value)
			j.add(a, f, image.Value+" "+why, j.keyOf(f, "Image", path.Join(name.Registry, name.Repository)))
		}
	}
}

// floating says why an image may change under the same name, "" if it cannot.
func floating(image string) string {
	if strings.HasPrefix(image, "sha256:") {
		return ""
	}
	switch name := ParseImage(image); {
	case name.Pinned():
		return ""
	case name.Tag == "" || name.Tag == "latest":
		return "is whatever is newest when it is pulled: name a version, better a digest"
	default:
		return "has a tag but no digest: the registry may put another image behind it"
	}
}

// opaque notes files of the release that decide what runs, and that this check
// does not read.
func (j *judge) opaque() {
	f := finding{effect: asks, kind: RiskOpaque, files: j.brought()}
	a := Assignment{File: j.u.Written, Line: j.u.Line}
	switch j.u.Kind { //nolint:exhaustive // the others bring nothing of the kind
	case Kube:
		j.add(a, f, "its Kubernetes files are not checked: they may mount, share and run anything Podman allows", j.keyOf(f, "Yaml", ""))
	case Build:
		var lines []string
		for _, s := range j.doc.Sections {
			for _, a := range s.Assignments {
				if s.Name == "Build" {
					lines = append(lines, a.Key+"="+a.Value)
				}
			}
		}
		j.add(a, f, "it builds an image on this machine: the steps of the build are not checked", j.keyOf(f, "Build", strings.Join(lines, "\n")))
	}
}

// brought lists the files that a unit names. Quadlets and drop-ins that only lie in
// the context of a build are left out: they are looked at themselves, and each of
// their changes would ask.
func (j *judge) brought() []string {
	named := map[string]bool{}
	for _, key := range []string{"File", "Yaml", "ConfigMap", "IgnoreFile"} {
		for _, a := range j.doc.list(j.u.Kind.Section(), key) {
			named[path.Join(path.Dir(j.u.File), a.Value)] = true
		}
	}
	var files []string
	for _, name := range j.u.Parts {
		if _, quadlet := j.l.docs[name]; named[name] || !quadlet && !j.l.isDropIn(name) {
			files = append(files, name)
		}
	}
	return files
}

func (l *loader) isDropIn(name string) bool {
	return slices.ContainsFunc(l.dropIns, func(d dropIn) bool { return d.doc.Name == name })
}

// inside notes what runs in a container that could take the machine over: who
// agreed to the access agreed to what uses it.
func (j *judge) inside() {
	if !slices.ContainsFunc(j.found, func(r Risk) bool { return r.Danger }) {
		return
	}
	for i, r := range j.found {
		j.found[i].Asks = r.Asks || r.Kind == RiskInside
	}
	j.at = j.u.Kind.Section()
	for _, key := range commandsInside() {
		if a, ok := j.doc.last(j.at, key); ok && j.u.Kind == Container {
			j.note(a, finding{effect: asks, kind: RiskInside, text: "is what runs with the access that this container has"})
		}
	}
}

// commandsInside are the keys that say what runs in a container.
func commandsInside() []string {
	return []string{"Entrypoint", "Exec", "HealthCmd", "HealthStartupCmd", "ReloadCmd"}
}

// RiskGroup is the risks of one kind and weight, for showing them together.
type RiskGroup struct {
	Kind  RiskKind
	Risks []Risk // by file and line
}

// GroupRisks puts risks of a kind together, the dangerous groups first, then those
// that ask, then those that inform. A kind has a group for each weight.
func GroupRisks(risks []Risk) []RiskGroup {
	type id struct {
		weight int
		kind   RiskKind
	}
	groups := map[id][]Risk{}
	for _, r := range risks {
		groups[id{r.Weight(), r.Kind}] = append(groups[id{r.Weight(), r.Kind}], r)
	}
	var sorted []RiskGroup
	for _, key := range slices.SortedFunc(maps.Keys(groups), func(a, b id) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(a.kind, b.kind))
	}) {
		sorted = append(sorted, RiskGroup{Kind: key.kind, Risks: groups[key]})
	}
	return sorted
}
