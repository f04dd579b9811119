package quadlet

import (
	"cmp"
	"slices"
	"strings"

	"leger.run/leger"
)

// Set is a directory of quadlets, read.
type Set struct {
	Units []Unit // by file name
	// Files is what belongs on the machine: the quadlets, their drop-ins and the
	// files that they name by a relative path. Key: path relative to the directory.
	Files map[string][]byte
	// Executable has those of Files that may be executed.
	Executable map[string]bool
	// Data are the files, keyed as Files, that lie in or are what a container may
	// write. They belong into Options.Data instead of the release's directory, in which
	// Podman looks for quadlets; a drop-in among Files moves the mounts there. A file
	// that is needed for something else, too, is in both.
	Data map[string][]byte
	// DataDirs are the directories that have to be there, relative to Options.Data.
	DataDirs []string
	// Ignored lists the files that nothing names (a README, a licence); they are
	// not installed. Sorted.
	Ignored  []string
	Problems []leger.Problem // by file and line; empty: the set can be installed as far as we can tell
	Risks    []Risk          // by file and line
	// Notices are worth knowing and stand in nobody's way, by file and line.
	Notices []leger.Problem
}

// Unit is one quadlet with its drop-ins applied.
type Unit struct {
	File string // relative to the set's directory
	// Written is where the quadlet can be read: File itself, or a file of several
	// quadlets (".quadlets"), of which it is the part that begins at Line. Line is 0
	// for a whole file.
	Written string
	Line    int
	Kind    Kind
	Service string // the systemd unit that Podman generates: "web.service"
	// Resource is what Podman calls the container, pod, volume or network, with
	// systemd's specifiers where only systemd knows their value; empty for other
	// kinds.
	Resource string
	// Provides is the name of the image that an .image or .build brings, or of the
	// artifact of an .artifact.
	Provides string
	// Template is true for "web@.container": nothing runs until somebody starts an
	// instance, or DefaultInstance is set and the unit is wanted by another.
	Template        bool
	Instance        string // "a" of "web@a.container"
	DefaultInstance string // [Install] DefaultInstance= of a template
	Oneshot         bool   // Type=oneshot: it runs to its end and is done
	Pod             string // file of the pod it belongs to, for a container
	// StartedByPod is false for a container of a pod that has StartWithPod=false.
	StartedByPod  bool
	HealthCmd     bool   // a health check is declared
	NotifyHealthy bool   // Notify=healthy: systemd takes it for started once it is healthy
	Pull          string // Pull= or Policy=: "never", "missing", …; empty: Podman's default

	Images    []Ref        // image names, without those that another quadlet of the set provides
	Secrets   []Secret     // in the order written
	Ports     []Ref        // PublishPort= as written
	Published []Port       // Ports read, without those that only systemd can complete
	Volumes   []Mount      // Volume=, and those Mount= that name a source
	Tmpfs     []Mount      // Tmpfs=, and those Mount= that are made of memory
	Networks  []Ref        // Network= as written
	Reads     []Ref        // files that Podman or systemd reads for it, as written: EnvironmentFile=, Yaml=, AuthFile=, …
	Uses      []Ref        // files of other quadlets that it is made with: image, volume, network, pod
	Deps      []Dependency // ties to other units: those of Uses, and those of [Unit]
	WantedBy  []string     // [Install] WantedBy=, RequiredBy= and UpheldBy=
	Aliases   []Ref        // [Install] Alias=: further names of the unit
	Scripts   []Script     // files of the release that commands of the service run on the machine
	Risks     []Risk       // by file and line
	// Parts lists the files of the set that make the unit what it is: its own, its
	// drop-ins, and those that it names. Sorted.
	Parts []string

	volumeNames []volumeName // see NamesVolume
	kubeFiles   []Ref        // Yaml=
}

// Dependency is one tie to another unit, from [Unit] or because a quadlet names
// another one.
type Dependency struct {
	How     string // the key of [Unit] that says it: "Requires", "After", …
	Service string // "db-volume.service"
	File    string // the quadlet of the set that makes that unit; empty: a unit of others
	At      Ref    // where it is written, and how
}

// Ref is a value with the place where it is written.
type Ref struct {
	Value string
	File  string
	Line  int
}

// Secret is one Secret= of a unit.
type Secret struct {
	Name    string // of the Podman secret; of a template perhaps with "%i"
	Type    string // "mount" (also when nothing is said) or "env"; for a build "file" or "env" perhaps
	Target  string // file or variable inside; empty: Podman's default, the secret's name
	Options string // what else is written: "uid=1000,mode=0400"
	File    string
	Line    int
}

// Mount is something of the host, or a volume, that a unit sees.
type Mount struct {
	Type    MountType
	Source  string // path, volume name or quadlet file; empty: an anonymous volume, or memory
	Target  string
	Options string
	// ReadOnly: what is mounted stays as it is. A mount that changes the owner of the
	// files (option U) is not.
	ReadOnly bool
	// Others are further sources that the line names; Podman takes one of them.
	Others     []string
	Key, Value string // as written: "Volume", "./conf:/etc/app:ro"
	File       string
	Line       int
}

// SecretNames gives the names of all secrets that the set's units use, sorted,
// each once. A .build's secrets are files on the machine, not Podman secrets; and
// which secret "key-%i" of a template is, only its instances tell.
func (s *Set) SecretNames() []string {
	var names []string
	for _, u := range s.Units {
		if u.Kind == Build {
			continue
		}
		if i, ok := u.defaultInstance(); ok {
			u = i
		}
		for _, secret := range u.Secrets {
			if !strings.Contains(secret.Name, "%") {
				names = append(names, secret.Name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Unit gives the unit of a file, ok false if the set has none.
func (s *Set) Unit(file string) (u Unit, ok bool) {
	for _, u := range s.Units {
		if u.File == file {
			return u, true
		}
	}
	return Unit{}, false
}

// defaultInstance is what systemd starts of a template by itself.
func (u Unit) defaultInstance() (Unit, bool) {
	if u.DefaultInstance == "" || len(u.WantedBy) == 0 {
		return Unit{}, false
	}
	return u.InstanceOf(u.DefaultInstance), true
}

// InstanceOf is a template's unit of one instance: "web@a.service".
func (u Unit) InstanceOf(instance string) Unit {
	u.Service = strings.Replace(u.Service, "@.service", "@"+instance+".service", 1)
	u.Template, u.Instance, u.DefaultInstance = false, instance, ""
	u.Resource = expand(u.Resource, u.Service)
	u.Secrets = slices.Clone(u.Secrets)
	for i := range u.Secrets {
		u.Secrets[i].Name = expand(u.Secrets[i].Name, u.Service)
	}
	return u
}

func (u Unit) runs() bool { return u.Kind == Container || u.Kind == Kube || u.Kind == Pod }

func sortProblems(problems []leger.Problem) {
	slices.SortStableFunc(problems, func(a, b leger.Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
}
