package deploy

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"leger.run/leger/internal/quadlet"
)

// What a plan asks about beside the risks of its quadlets: they say what the
// release does, these say where it comes from and what it gets. They are found by
// comparing generations, so they are risks only for as long as they are new.
const (
	RiskSource  quadlet.RiskKind = "source"           // another repository, branch or directory
	RiskSecret  quadlet.RiskKind = "secret"           // a container gets a secret
	RiskVolume  quadlet.RiskKind = "volume"           // a volume that holds somebody else's data
	RiskNetwork quadlet.RiskKind = "network"          // a network of another release
	RiskPort    quadlet.RiskKind = "port"             // a port that other machines can reach
	RiskFrom    quadlet.RiskKind = "image-repository" // an image of another repository
)

// SourceChange is one part of where a release comes from that is not what it was.
type SourceChange struct {
	What string `json:"what"` // "repository", "branch" or "directory"
	From string `json:"from"`
	To   string `json:"to"`
}

// String says it as a sentence.
func (c SourceChange) String() string {
	return fmt.Sprintf("the %s changes: %s → %s", c.What, orDefault(c.What, c.From), orDefault(c.What, c.To))
}

// orDefault names what an empty branch or directory stands for.
func orDefault(what, value string) string {
	switch {
	case value != "":
		return value
	case what == "branch":
		return "the repository's default branch"
	default:
		return "the top directory"
	}
}

// ChangesTo lists what is different about where the files come from. The commit
// is not part of it: that one moves with the branch.
func (s Source) ChangesTo(next Source) []SourceChange {
	var all []SourceChange
	before, after := s.places(), next.places()
	for i, b := range before {
		if a := after[i]; a.To != b.To {
			all = append(all, SourceChange{What: a.What, From: b.To, To: a.To})
		}
	}
	return all
}

func (s Source) places() []SourceChange {
	return []SourceChange{
		{What: "repository", To: s.URL}, {What: "branch", To: s.Ref}, {What: "directory", To: s.Path},
	}
}

// grant is one thing that a generation is given. Two generations with the same
// key were given the same.
type grant struct {
	kind  quadlet.RiskKind
	unit  Unit // zero: the release as a whole
	value string
}

func (g grant) key() string { return fmt.Sprintf("%s %s %s", g.kind, g.unit.File, g.value) }

// grants lists what a generation is given. They are made of the manifest alone,
// so that they are known of generations that older versions recorded.
func (g Generation) grants() []grant {
	var all []grant
	for _, place := range g.Source.places() {
		all = append(all, grant{kind: RiskSource, value: place.What + " " + place.To})
	}
	for _, u := range g.Units {
		add := func(kind quadlet.RiskKind, values []string) {
			for _, v := range values {
				all = append(all, grant{kind, u, v})
			}
		}
		add(RiskSecret, u.Secrets)
		add(RiskFrom, g.repositories(u))
		add(RiskPort, publicPorts(u.Ports))
		add(RiskVolume, u.ownVolumes())
		add(RiskNetwork, u.Networks)
	}
	return all
}

// ownVolumes are the Podman volumes that a unit names or is.
func (u Unit) ownVolumes() []string {
	if u.Kind == quadlet.Volume && u.Resource != "" {
		return append(slices.Clone(u.Volumes), u.Resource)
	}
	return u.Volumes
}

// repositories are those that the images of a unit come from. What an .image
// brings counts for the containers that run it, and not for the .image, which
// runs nothing.
func (g Generation) repositories(u Unit) []string {
	if u.Kind == quadlet.Image {
		return nil
	}
	var all []string
	for _, image := range u.Images {
		all = append(all, repository(image))
	}
	for _, o := range g.Units {
		if !slices.Contains(u.Uses, o.File) {
			continue
		}
		switch o.Kind { //nolint:exhaustive // the others bring no image
		case quadlet.Image:
			for _, image := range o.Images {
				all = append(all, repository(image))
			}
		case quadlet.Build:
			all = append(all, o.File)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// repository is an image's name without tag and digest. What cannot be taken apart
// (a specifier, the id of an image) is the whole of it.
func repository(image string) string {
	if strings.ContainsAny(image, "%$") || strings.HasPrefix(image, "sha256:") {
		return image
	}
	name := quadlet.ParseImage(image)
	name.Tag, name.Digest = "", ""
	transport := ""
	if full := path.Join(name.Registry, name.Repository); !strings.HasPrefix(image, full) {
		if i := strings.Index(image, full); i > 0 {
			transport = image[:i]
		}
	}
	return transport + path.Join(name.Registry, name.Repository)
}

// publicPorts are those that others than this machine can reach, as plans show
// them. Of one that only systemd can complete nobody can tell, so it is one.
func publicPorts(written []string) []string {
	var all []string
	for _, text := range written {
		switch p, err := quadlet.ParsePort(text); {
		case err != nil:
			all = append(all, text)
		case p.Public():
			all = append(all, p.String())
		}
	}
	return all
}

// accepted are the keys of all that the user agreed to with this generation.
func (g Generation) accepted() []string {
	var keys []string
	for _, r := range g.Risks {
		if r.Key != "" { // recorded before risks had one: what it covers is not known
			keys = append(keys, r.Key)
		}
	}
	for _, granted := range g.grants() {
		keys = append(keys, granted.key())
	}
	return keys
}

// consent compares what a generation brings with what its user has agreed to.
type consent struct {
	set    *quadlet.Set
	before *Generation // nil: nothing of the release was installed
	next   Generation
	facts  Facts
	keys   map[string]bool // accepted
}

func newConsent(req Request, next Generation, facts Facts, failed *Failure) consent {
	c := consent{set: req.Set, before: facts.Current, next: next, facts: facts, keys: map[string]bool{}}
	accept := func(keys []string) {
		for _, key := range keys {
			c.keys[key] = true
		}
	}
	if c.before != nil {
		accept(c.before.accepted())
	}
	// A deployment that was cut off had been agreed to.
	for _, g := range facts.Pending {
		accept(g.accepted())
	}
	if failed != nil {
		accept(failed.Accepted)
	}
	if req.recorded != nil {
		accept(req.recorded.accepted()) // when it was installed
		for _, r := range req.recorded.Risks {
			c.keys[r.Key] = true
		}
	}
	return c
}

// news lists the risks that nobody has agreed to yet: those of the quadlets, then
// what the release is newly given.
func (c consent) news() (risks, given []quadlet.Risk) {
	risks, given = []quadlet.Risk{}, []quadlet.Risk{}
	for _, r := range c.next.Risks {
		if !c.keys[r.Key] {
			risks = append(risks, r)
		}
	}
	seen := map[string]bool{}
	for _, g := range c.next.grants() {
		text, asks := c.say(g)
		if key := g.key(); text != "" && !c.keys[key] && !seen[key] {
			seen[key] = true
			file, line := c.written(g)
			given = append(given, quadlet.Risk{File: file, Line: line, Kind: g.kind, Text: text, Key: key, Asks: asks})
		}
	}
	return risks, given
}

// say is the sentence about a grant, "" for one that needs none. A first
// installation is what the user has just asked for: its source, images and ports
// are shown with it and need no further word.
func (c consent) say(g grant) (text string, asks bool) {
	first := c.before == nil
	switch g.kind { //nolint:exhaustive // the others are those of the quadlets
	case RiskSecret:
		return fmt.Sprintf("%s gets the secret %s", g.unit.Service, g.value), true
	case RiskVolume:
		return c.sayVolume(g), true
	case RiskNetwork:
		if owner := c.facts.NetworkOwners[g.value]; owner != "" {
			return fmt.Sprintf("%s joins the network %s of the release %s", g.unit.Service, g.value, owner), true
		}
	case RiskSource:
		if !first {
			return c.saySource(g), true
		}
	case RiskPort:
		if !first {
			return fmt.Sprintf("%s publishes the port %s, which other machines can reach", g.unit.Service, g.value), true
		}
	case RiskFrom:
		if !first {
			return c.sayOrigin(g), true
		}
	}
	return "", false
}

func (c consent) saySource(g grant) string {
	for _, change := range c.before.Source.ChangesTo(c.next.Source) {
		if change.What+" "+change.To == g.value {
			return change.String()
		}
	}
	return ""
}

// sayOrigin tells of a container whose image comes from elsewhere, or of a new
// container with an image from where none of the release's came from.
func (c consent) sayOrigin(g grant) string {
	known := map[string][]string{}
	for _, u := range c.before.Units {
		known[u.File] = append(known[u.File], c.before.repositories(u)...)
		known[""] = append(known[""], c.before.repositories(u)...)
	}
	switch was, had := known[g.unit.File]; {
	case had && len(was) > 0:
		return fmt.Sprintf("%s runs an image of another repository: %s → %s", g.unit.Service, strings.Join(was, ", "), g.value)
	case slices.Contains(known[""], g.value):
		return ""
	default:
		return fmt.Sprintf("%s runs an image of %s, from where this release had none", g.unit.Service, g.value)
	}
}

// sayVolume tells of a volume with data that is not this release's.
func (c consent) sayVolume(g grant) string {
	if owner := c.facts.VolumeOwners[g.value]; owner != "" {
		return fmt.Sprintf("%s uses the volume %s of the release %s", g.unit.Service, g.value, owner)
	}
	mine := c.before != nil && slices.Contains(c.before.Volumes(), g.value)
	for _, p := range c.facts.Pending {
		mine = mine || slices.Contains(p.Volumes(), g.value)
	}
	if mine || !slices.Contains(c.facts.Volumes, g.value) {
		return "" // its own, or one that Podman makes anew
	}
	return fmt.Sprintf("%s uses the volume %s, which is on this machine already and belongs to no release", g.unit.Service, g.value)
}

// written is where a grant is asked for, as far as one line says so.
func (c consent) written(g grant) (file string, line int) {
	u, ok := c.set.Unit(g.unit.File)
	if !ok {
		return g.unit.File, 0
	}
	switch g.kind { //nolint:exhaustive // the others are in no line of their own
	case RiskSecret:
		for _, s := range u.Secrets {
			if s.Name == g.value {
				return s.File, s.Line
			}
		}
	case RiskVolume:
		for _, v := range u.Volumes {
			if v.Source == g.value {
				return v.File, v.Line
			}
		}
	case RiskPort:
		for _, p := range u.Ports {
			if slices.Contains(publicPorts([]string{p.Value}), g.value) {
				return p.File, p.Line
			}
		}
	case RiskFrom:
		for _, image := range u.Images {
			if repository(image.Value) == g.value {
				return image.File, image.Line
			}
		}
	case RiskNetwork:
		for _, n := range u.Networks {
			if networkName(n.Value) == g.value {
				return n.File, n.Line
			}
		}
	}
	return g.unit.File, 0
}

// networkName is the network that a Network= joins, "" for one of the release and
// for what is none.
func networkName(written string) string {
	name, _, _ := strings.Cut(written, ":")
	switch {
	case path.Ext(name) == ".network", path.Ext(name) == ".container":
		return ""
	case slices.Contains([]string{"host", "none", "bridge", "private", "pasta", "slirp4netns", "ns", "container"}, name):
		return ""
	}
	return name
}
