package deploy

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/quadlet"
)

// Source is where a release's files come from.
type Source struct {
	ReleaseID      string        `json:"release_id,omitempty"` // on the server; empty: none
	ReleaseVersion leger.Version `json:"release_version,omitempty"`
	URL            string        `json:"url"` // or the local directory
	Ref            string        `json:"ref,omitempty"`
	Path           string        `json:"path,omitempty"`
	Commit         string        `json:"commit,omitempty"` // empty: files that are in no repository
	// SignedBy is who signed the commit or tag, where that was verified.
	SignedBy string `json:"signed_by,omitempty"`
	// AllowedSigners is the file that it was verified with; an update verifies too.
	AllowedSigners string `json:"allowed_signers,omitempty"`
	// TokenSecret names the secret with the token for the repository.
	TokenSecret string `json:"token_secret,omitempty"`
	// TokenOrigin is the origin (gitrepo.Origin) that the token was given for, where
	// it is not the URL's own: the release moved, and the token stays behind.
	TokenOrigin string `json:"token_origin,omitempty"`
}

// Generation is one state of a release on this machine, as recorded in
// generations/NUMBER/manifest.json. Its files' content lies beside it.
type Generation struct {
	Format    int    `json:"format"`  // 1
	Release   string `json:"release"` // as the user writes it
	Number    int    `json:"number"`  // from 1
	Source    Source `json:"source"`
	Installer string `json:"installer"`
	Files     []File `json:"files"` // by path
	// Data are the files that lie where containers may write; DataDirs the directories
	// that have to be there. Both are relative to the release's data directory.
	Data     []File   `json:"data,omitempty"`
	DataDirs []string `json:"data_dirs,omitempty"`
	Units    []Unit   `json:"units"` // by file
	// Risks are those that the user accepted with it.
	Risks     []quadlet.Risk `json:"risks"`
	Consent   Consent        `json:"consent,omitempty"`
	CreatedAt time.Time      `json:"created_at,omitzero"`
}

// Consent tells how the user agreed to a generation. It holds for its commit.
type Consent string

// The ways to agree.
const (
	ConsentAsked Consent = "asked" // a question was answered with yes
	ConsentFlag  Consent = "flag"  // --yes
	// ConsentStanding: no risk is new since the generation before, so nobody had to
	// be asked.
	ConsentStanding Consent = "standing"
)

// File is one file of a generation.
type File struct {
	Path   string `json:"path"`   // in the release's directory
	SHA256 string `json:"sha256"` // hexadecimal
	Size   int    `json:"size"`
	// Executable: it is installed so that it may be executed.
	Executable bool `json:"executable,omitempty"`
}

// Unit is one unit of a generation.
type Unit struct {
	File     string       `json:"file"`
	Service  string       `json:"service"`
	Kind     quadlet.Kind `json:"kind"`
	Resource string       `json:"resource,omitempty"` // Podman's name of it
	Start    bool         `json:"start"`              // a deployment starts it
	Run      bool         `json:"run"`                // it is up then
	Oneshot  bool         `json:"oneshot,omitempty"`  // it runs to its end and is done: a job, or a pod of jobs
	Template bool         `json:"template,omitempty"`
	// NotAtBoot: it is up after a deployment, but nothing starts it when the machine
	// boots.
	NotAtBoot bool     `json:"not_at_boot,omitempty"`
	Parts     []string `json:"parts"`              // the files that make it
	Uses      []string `json:"uses,omitempty"`     // files of other quadlets
	Secrets   []string `json:"secrets,omitempty"`  // Podman secrets, sorted
	Volumes   []string `json:"volumes,omitempty"`  // named volumes that no quadlet makes
	Networks  []string `json:"networks,omitempty"` // that no quadlet makes
	Images    []string `json:"images,omitempty"`   // as written, those mounted too, without those that another quadlet provides
	Ports     []string `json:"ports,omitempty"`    // PublishPort= as written
	Aliases   []string `json:"aliases,omitempty"`  // further names of the unit
	Health    bool     `json:"health,omitempty"`   // a health check is declared
}

const manifestFormat = 1

// generationOf describes a set.
func generationOf(req Request, installer string, number int) Generation {
	g := Generation{
		Format: manifestFormat, Release: req.Release.String(), Number: number, Source: req.Source, Installer: installer,
		Files: []File{}, Units: []Unit{}, Risks: slices.Clone(req.Set.Risks), Consent: req.consent,
	}
	if g.Risks == nil {
		g.Risks = []quadlet.Risk{}
	}
	for _, name := range slices.Sorted(maps.Keys(req.Set.Files)) {
		data := req.Set.Files[name]
		g.Files = append(g.Files, File{Path: name, SHA256: hash(data), Size: len(data), Executable: req.Set.Executable[name]})
	}
	data := dataOf(req.Set)
	for _, name := range slices.Sorted(maps.Keys(data)) {
		g.Data = append(g.Data, File{Path: name, SHA256: hash(data[name].Data), Size: len(data[name].Data), Executable: data[name].Executable})
	}
	g.DataDirs = req.Set.DataDirs
	start, run, never := req.Set.ToStart(), req.Set.ToRun(), req.Set.NotAtBoot()
	units := slices.Clone(req.Set.Units)
	for _, u := range run { // the default instances of templates are no units of the set
		if !slices.ContainsFunc(units, func(o quadlet.Unit) bool { return o.Service == u.Service }) {
			units = append(units, u)
		}
	}
	slices.SortStableFunc(units, func(a, b quadlet.Unit) int { return strings.Compare(a.File, b.File) })
	among := func(all []quadlet.Unit, service string) bool {
		return slices.ContainsFunc(all, func(u quadlet.Unit) bool { return u.Service == service })
	}
	for _, u := range units {
		g.Units = append(g.Units, Unit{
			File: u.File, Service: u.Service, Kind: u.Kind, Resource: u.Resource,
			Start: slices.Contains(start, u.Service),
			Run:   among(run, u.Service), NotAtBoot: among(never, u.Service),
			Oneshot: u.Oneshot || ofJobs(u, run), Template: u.Template, Parts: u.Parts,
			Uses: values(u.Uses), Secrets: secretsOf(u), Volumes: namedVolumes(u), Networks: namedNetworks(u),
			Images: imagesOf(u), Ports: values(u.Ports), Aliases: values(u.Aliases),
			Health: u.HealthCmd,
		})
	}
	return g
}

// ofJobs reports whether a unit is a pod of nothing but jobs: Podman stops it with the
// last of its containers (quadlet's ExitPolicy=stop), so that it ends, too.
func ofJobs(pod quadlet.Unit, run []quadlet.Unit) bool {
	jobs := 0
	for _, u := range run {
		switch {
		case u.Pod == "" || u.Pod != pod.File:
		case !u.Oneshot:
			return false
		default:
			jobs++
		}
	}
	return pod.Kind == quadlet.Pod && jobs > 0
}

func values(refs []quadlet.Ref) []string {
	var all []string
	for _, r := range refs {
		all = append(all, r.Value)
	}
	return all
}

func secretsOf(u quadlet.Unit) []string {
	if u.Kind == quadlet.Build {
		return nil
	}
	var names []string
	for _, s := range u.Secrets {
		names = append(names, s.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// namedVolumes are those that Podman makes by itself at the first mention.
func namedVolumes(u quadlet.Unit) []string {
	var names []string
	for _, v := range u.Volumes {
		// One of a quadlet is that quadlet's; one with a specifier is known to systemd alone.
		if v.Type == quadlet.MountVolume && v.Source != "" && !strings.ContainsAny(v.Source, "%$") && path.Ext(v.Source) != ".volume" {
			names = append(names, v.Source)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// namedNetworks are those that somebody else has made.
func namedNetworks(u quadlet.Unit) []string {
	var names []string
	for _, n := range u.Networks {
		if name := networkName(n.Value); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// imagesOf are the images that a unit runs or mounts, and the artifact that it
// brings.
func imagesOf(u quadlet.Unit) []string {
	names := values(u.Images)
	for _, m := range u.Volumes {
		switch ext := path.Ext(m.Source); {
		case m.Type != quadlet.MountImage && m.Type != quadlet.MountArtifact, ext == ".image", ext == ".artifact", ext == ".build":
		default:
			names = append(names, m.Source)
		}
	}
	if u.Kind == quadlet.Artifact && u.Provides != "" {
		names = append(names, u.Provides)
	}
	return names
}

func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// paths lists the generation's files.
func (g Generation) paths() []string {
	all := make([]string, 0, len(g.Files))
	for _, f := range g.Files {
		all = append(all, f.Path)
	}
	return all
}

// hashes maps path to fingerprint.
func (g Generation) hashes() map[string]string {
	all := map[string]string{}
	for _, f := range g.Files {
		all[f.Path] = f.fingerprint()
	}
	return all
}

// names are all that a unit is called by.
func (u Unit) names() []string { return append([]string{u.Service}, u.Aliases...) }

// services lists the units that exist by themselves, in an order in which they
// may stop: what runs first, then pods, then what those need.
func (g Generation) services() []string {
	var first, pods, last []string
	for _, u := range g.Units {
		switch {
		case u.Template:
		case u.Kind == quadlet.Container || u.Kind == quadlet.Kube:
			first = append(first, u.Service)
		case u.Kind == quadlet.Pod:
			pods = append(pods, u.Service)
		default:
			last = append(last, u.Service)
		}
	}
	return slices.Concat(first, pods, last)
}

// affected gives the units that change when the given files do: those they are
// made of, and what uses those, however far.
func (g Generation) affected(files map[string]bool) map[string]bool {
	found, byFile := map[string]bool{}, map[string]bool{}
	for grown := true; grown; {
		grown = false
		for _, u := range g.Units {
			hit := slices.ContainsFunc(u.Parts, func(p string) bool { return files[p] }) ||
				slices.ContainsFunc(u.Uses, func(f string) bool { return byFile[f] })
			if hit && !found[u.Service] { // a template and its default instance share a file
				byFile[u.File], found[u.Service], grown = true, true, true
			}
		}
	}
	return found
}

// ShortCommit is a commit as people read it: its first 12 digits.
func ShortCommit(commit string) string { return commit[:min(len(commit), 12)] }
