package quadlet

import (
	"cmp"
	"slices"

	"leger.run/leger"
)

// Set is a directory of quadlets, read.
type Set struct {
	Units []Unit // by file name
	// Files is what belongs on the machine: the quadlets, their drop-ins and the
	// files that they name by a relative path. Key: path relative to the directory.
	Files map[string][]byte
	// Ignored lists the files that nothing names (a README, a licence); they are
	// not installed. Sorted.
	Ignored  []string
	Problems []leger.Problem // by file and line; empty: the set can be installed as far as we can tell
	Risks    []Risk          // by file and line
}

// Unit is one quadlet with its drop-ins applied.
type Unit struct {
	File     string // relative to the set's directory
	Kind     Kind
	Service  string // the systemd unit that Podman generates: "web.service"
	Resource string // what Podman calls the container, pod, volume or network; empty for other kinds
	Template bool   // "web@.container": nothing runs until somebody starts an instance
	Oneshot  bool   // Type=oneshot: it runs to its end and is done
	Pod      string // file of the pod it belongs to, for a container
	// StartedByPod is false for a container of a pod that has StartWithPod=false.
	StartedByPod bool
	HealthCmd    bool   // a health check is declared
	Pull         string // Pull= or Policy=: "never", "missing", …; empty: Podman's default

	Images   []Ref    // image names, without those that another quadlet of the set provides
	Secrets  []Secret // in the order written
	Ports    []Ref    // PublishPort= as written
	Volumes  []Mount  // Volume=, and those Mount= that name a source
	Networks []Ref    // Network= as written
	Uses     []Ref    // files of other quadlets that it refers to: "db.volume"
	WantedBy []string // [Install] WantedBy=, RequiredBy= and UpheldBy=
	// Parts lists the files of the set that make the unit what it is: its own, its
	// drop-ins, and those that it names. Sorted.
	Parts []string
}

// Ref is a value with the place where it is written.
type Ref struct {
	Value string
	File  string
	Line  int
}

// Secret is one Secret= of a unit.
type Secret struct {
	Name    string // of the Podman secret
	Type    string // "mount" (also when nothing is said) or "env"; for a build "file" or "env" perhaps
	Target  string // file or variable inside; empty: Podman's default, the secret's name
	Options string // what else is written: "uid=1000,mode=0400"
	File    string
	Line    int
}

// Mount is something of the host, or a volume, that a unit sees.
type Mount struct {
	Source  string // path, volume name or quadlet file; empty: an anonymous volume
	Target  string
	Options string
	File    string
	Line    int
}

// SecretNames gives the names of all secrets that the set's units use, sorted,
// each once. A .build's secrets are files on the machine, not Podman secrets.
func (s *Set) SecretNames() []string {
	var names []string
	for _, u := range s.Units {
		if u.Kind == Build {
			continue
		}
		for _, secret := range u.Secrets {
			names = append(names, secret.Name)
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

// ToStart gives the services that a deployment starts, in the order of Units:
//
//   - a container, kube or pod whose [Install] names a target (WantedBy=,
//     RequiredBy= or UpheldBy=);
//   - if no such quadlet of the set has one, all of them.
//
// Volumes, networks, images and builds are started by systemd as dependencies of
// what needs them; a container of a pod is started by its pod; a template runs
// only as an instance that somebody names.
func (s *Set) ToStart() []string {
	wanted, all := []string{}, []string{}
	for _, u := range s.Units {
		if !u.runs() || u.Template || (u.Pod != "" && u.StartedByPod) {
			continue
		}
		all = append(all, u.Service)
		if len(u.WantedBy) > 0 {
			wanted = append(wanted, u.Service)
		}
	}
	if len(wanted) > 0 {
		return wanted
	}
	return all
}

// ToRun gives the units that are up after those of ToStart were started: they
// themselves and the containers that their pods start.
func (s *Set) ToRun() []Unit {
	start := s.ToStart()
	var run []Unit
	for _, u := range s.Units {
		if slices.Contains(start, u.Service) {
			run = append(run, u)
			continue
		}
		pod, ok := s.Unit(u.Pod)
		if ok && u.StartedByPod && !u.Template && slices.Contains(start, pod.Service) {
			run = append(run, u)
		}
	}
	return run
}

func (u Unit) runs() bool { return u.Kind == Container || u.Kind == Kube || u.Kind == Pod }

func sortProblems(problems []leger.Problem) {
	slices.SortStableFunc(problems, func(a, b leger.Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
}
