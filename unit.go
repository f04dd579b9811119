package leger

import "time"

// Problem is one thing that is wrong with a file of a release. Whoever finds it
// (our parser, Podman's generator) goes on looking, so that the author sees all
// of them at once.
type Problem struct {
	File    string // relative to the release's directory, with slashes; empty: the release as a whole
	Line    int    // from 1; 0: the file as a whole
	Message string // what is wrong and why
	Hint    string // how to mend it, when that is known
	// Unsure marks what Leger merely does not know, such as a key that a newer
	// Podman may take: it is none where Podman's own generator accepts the file.
	Unsure bool
}

// UnitState is what systemd says of one unit.
type UnitState struct {
	Name           string    // with its suffix: "web.service"
	LoadState      string    // "loaded"; "not-found" for a unit that does not exist
	ActiveState    string    // "active", "activating", "inactive", "failed", …
	SubState       string    // "running", "exited", "auto-restart", …
	Result         string    // of a service: "success", "exit-code", "timeout", …
	ExecMainStatus int       // exit code of a service's main process
	Restarts       int       // how often systemd restarted it by itself
	Job            string    // "queued" while a start or stop waits or is under way; empty: nothing
	Source         string    // the file it was made from: for a quadlet the quadlet's path
	Since          time.Time // when it entered its active state; zero: never
	Begun          time.Time // when it was last started; what it reads at its start is as of then or later
}

// Container is a container that Podman has, whoever made it.
type Container struct {
	Name   string
	Unit   string // the systemd unit that runs it; empty: none
	Pod    string // the pod it is in; empty: none
	Up     bool   // it runs, or is about to
	PID    int    // of its first process; 0: it does not run, or that is not known
	Health string // "starting", "healthy", "unhealthy"; empty: it has no health check
	Ports  []Port // of the host that lead to it
}

// Port is a port of the host.
type Port struct {
	Address  string // empty: every address
	Number   int
	Protocol string // "tcp" or "udp"
}
