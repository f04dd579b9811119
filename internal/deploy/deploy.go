// Package deploy brings a release's quadlets onto the machine and keeps track of
// what it did: load the facts, make a plan, apply it.
//
// Its invariants: a Plan is a pure value, made from a request and facts alone,
// and what is refused is refused before anything changes; what a release had
// before it is on disk, content and all, before the first file is touched, and
// comes back when the new one does not start; whatever cuts a deployment off
// (Ctrl-C, a crash), the next one finds what it left and converges; and no file
// or unit that Leger did not install is ever touched.
//
// It deliberately prints nothing, asks nobody and knows neither Podman nor
// systemd nor git: they come in through small interfaces, which the adapters
// satisfy as they are.
package deploy

import (
	"context"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/quadlet"
	"leger.run/leger/internal/safefile"
)

// Installer puts files where Podman's generator finds them. app is the release's
// name in lower case; files are keyed by their path in the release's directory.
type Installer interface {
	// Name is recorded with a generation, so that the one that installed removes.
	Name() string
	// Takes reports whether such files can be installed by it.
	Takes(files []string) bool
	// Path is where a file of app is installed.
	Path(app, file string) string
	// Read gives those of the files that are installed now, whoever did it.
	Read(ctx context.Context, app string, files []string) (map[string]leger.File, error)
	// Install installs the files, none of which is there. When it fails, any of
	// them may be. When it has succeeded, they are on the disk, and not only in the
	// machine's memory.
	Install(ctx context.Context, app string, files map[string]leger.File) error
	// Remove removes those of the files that are there, and is on the disk then, too.
	Remove(ctx context.Context, app string, files []string) error
}

// Units is the user's systemd. Start, Restart and Stop return when the units have
// started or stopped; the first two fail with ErrUnhealthy when one did not.
type Units interface {
	Reload(ctx context.Context) error
	Start(ctx context.Context, unit string) error
	Restart(ctx context.Context, unit string) error
	// Stop stops the units as one set, so that none pulls up another again. One that
	// something else starts again each time may run when it returns.
	Stop(ctx context.Context, units ...string) error
	// Hold keeps units from being started, by whatever, until the next Reload.
	Hold(ctx context.Context, units ...string) error
	ResetFailed(ctx context.Context, unit string) error
	States(ctx context.Context, units ...string) ([]leger.UnitState, error)
	// Dependents gives, by unit, the units that run and that systemd stops whenever
	// it stops that one, however far they are.
	Dependents(ctx context.Context, units ...string) (map[string][]string, error)
	// Needs gives the units that a unit cannot start without, the nearest first.
	Needs(ctx context.Context, unit string) ([]string, error)
	// Instances lists the instances of a template ("web@.service") that run, or are
	// about to.
	Instances(ctx context.Context, template string) ([]string, error)
	// Why gives the newest lines that a unit's program has written, the oldest first.
	Why(ctx context.Context, unit string, since time.Time, lines int) ([]string, error)
}

// Secrets knows which secrets Podman has, or will have before a unit starts.
type Secrets interface {
	// Missing gives those of the names that there are not.
	Missing(ctx context.Context, names []string) ([]string, error)
}

// Volumes removes volumes, with their content.
type Volumes interface {
	RemoveVolume(ctx context.Context, name string) error
}

// Podman knows what systemd does not: the health of containers, whose ports are
// taken by which, and which images are there.
type Podman interface {
	// Containers lists all containers, whoever made them.
	Containers(ctx context.Context) ([]leger.Container, error)
	// HealthOutput gives what the newest health check of a container printed.
	HealthOutput(ctx context.Context, container string) (string, error)
	// MissingImages gives those of the images that there are not.
	MissingImages(ctx context.Context, names []string) ([]string, error)
	// Volumes lists all volumes by name, whoever made them.
	Volumes(ctx context.Context) ([]string, error)
}

// Sockets knows which ports of the machine are listened on.
type Sockets interface {
	// Listening gives who listens on those ports for which wanted is true.
	Listening(ctx context.Context, wanted func(leger.Port) bool) ([]Listener, error)
}

// Listener is a port that is listened on.
type Listener struct {
	leger.Port
	Program string // empty: it belongs to another user, or is not known
	Unit    string // the systemd unit that the program runs in; empty: none, or not known
}

// Clock is time, for what waits.
type Clock interface {
	Now() time.Time
	After(d time.Duration) <-chan time.Time
}

type systemClock struct{}

func (systemClock) Now() time.Time                         { return time.Now() }
func (systemClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// Defaults of Config.
const (
	DefaultStartTimeout = 5 * time.Minute // a first start pulls images
	DefaultStepTimeout  = 2 * time.Minute // systemd gives a unit 90 s to stop
	// DefaultSettle is for somebody who waits for it; what runs unattended can afford
	// more.
	DefaultSettle = 700 * time.Millisecond
	DefaultPoll   = 100 * time.Millisecond
	// DefaultGrace: systemd's message usually comes within milliseconds of the check.
	DefaultGrace = 10 * time.Second
)

// Config is what an Engine works with.
type Config struct {
	// StateDir is $XDG_STATE_HOME/leger/deployments. It is made when it is needed.
	StateDir string
	// DataDir is $XDG_DATA_HOME/leger/releases: below it each release has a directory
	// for what its containers write (DataDir). It is made when it is needed. "": a
	// release that needs one cannot be installed.
	DataDir string
	// Installers, in order of preference. A release goes on with the one it has for
	// as long as that takes its files.
	Installers []Installer
	Units      Units
	Secrets    Secrets   // nil: secrets are not looked for
	Generator  Generator // nil: only our own parser checks
	Verifier   Verifier  // nil: systemd is not asked about units before they are installed
	Volumes    Volumes   // nil: Remove refuses to remove volumes
	Podman     Podman    // nil: health checks, names, ports and images are not looked at
	Sockets    Sockets   // nil: ports that containers do not hold are not looked at
	Clock      Clock     // nil: the system's
	// Disk is where records and data are written.
	Disk safefile.Disk

	StartTimeout time.Duration // for all units to be up; 0: DefaultStartTimeout
	StepTimeout  time.Duration // for one unit to stop, and for Podman and systemd to do anything else; 0: DefaultStepTimeout
	Settle       time.Duration // for how long each must stay up to count; 0: DefaultSettle
	Poll         time.Duration // how often their state is asked for; 0: DefaultPoll
	// Grace is how long systemd may go on calling a unit "activating" that Podman
	// calls healthy (Notify=healthy, github.com/containers/podman issue 27771): then
	// Podman's word counts. 0: DefaultGrace.
	Grace time.Duration
}

// Engine deploys the releases of one user. It is safe for concurrent use; of two
// that change something at once, in whatever process, one is refused.
type Engine struct {
	cfg   Config
	store store
}

// New makes an Engine.
func New(cfg Config) *Engine {
	if cfg.Clock == nil {
		cfg.Clock = systemClock{}
	}
	for _, d := range []struct {
		value     *time.Duration
		otherwise time.Duration
	}{
		{&cfg.StartTimeout, DefaultStartTimeout},
		{&cfg.StepTimeout, DefaultStepTimeout},
		{&cfg.Settle, DefaultSettle},
		{&cfg.Poll, DefaultPoll},
		{&cfg.Grace, DefaultGrace},
	} {
		if *d.value <= 0 {
			*d.value = d.otherwise
		}
	}
	return &Engine{cfg: cfg, store: store{dir: cfg.StateDir, disk: cfg.Disk}}
}

// Request asks for a release to be what Set says.
type Request struct {
	Release leger.ReleaseName
	Source  Source
	Set     *quadlet.Set
	// RefuseFailed asks not to try again what has failed before, or was gone back
	// from by hand, unless it is what an unfinished deployment left: that goes on.
	RefuseFailed bool

	consent  Consent
	recorded *Generation // it is one of the generations that are on disk
}

// Step names what an Event is about.
type Step string

// The steps of Apply and Remove, in their order.
const (
	StepRecord Step = "record" // the generation is written to disk
	StepStop   Step = "stop"   // a unit stops
	StepFiles  Step = "files"  // the installed files are replaced
	StepReload Step = "reload" // systemd reads its units anew
	StepStart  Step = "start"  // a unit is started
	StepWait   Step = "wait"   // a unit's state changed while it is waited for
	StepBack   Step = "back"   // it failed: what was there before comes back
)

// Event tells how far a deployment is.
type Event struct {
	Step  Step
	Unit  string          // empty: all
	State leger.UnitState // with StepWait; zero when only Note is new
	Note  string          // something worth knowing
}

// Progress is told of every event, one at a time. nil: nobody listens.
type Progress func(Event)

func (p Progress) tell(e Event) {
	if p != nil {
		p(e)
	}
}

// app is the release's name for installers and directories: names that differ
// only in case are one release.
func app(name leger.ReleaseName) string { return name.Key() }
