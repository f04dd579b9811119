// Package report tells the server how this machine is: which versions of secrets it
// holds, what is deployed on it, and what its owner may want to look at. A report is
// for the pages of the server: no command fails because of one.
package report

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/environ"
	"leger.run/leger/internal/localvault"
	"leger.run/leger/internal/secretsync"
	"leger.run/leger/internal/signin"
	"leger.run/leger/internal/terminal"
	"leger.run/leger/internal/wire"
)

// patience is how long a report may take. By then the command has done its work,
// and the next one reports again.
const patience = 5 * time.Second

// Server takes reports.
type Server interface {
	ReportHost(ctx context.Context, device string, r wire.HostReport) (wire.HostReported, error)
}

// Daemon knows its own version and Podman's.
type Daemon interface {
	Status(ctx context.Context) (localvault.Status, error)
}

// Config is what a Reporter is made of.
type Config struct {
	// StateDir is where it is kept what was reported last.
	StateDir string
	Now      func() time.Time
	Version  string // of this program
	Hostname func() (string, error)
	// MachineID is the path of machine-id(5).
	MachineID string
	// Daemon is legerd; nil: it cannot be found.
	Daemon Daemon
	// Detail is told, in the way of fmt.Printf, what only the curious want to know.
	Detail func(format string, args ...any)
}

// Reporter reports this machine to the server at which its user is signed in.
type Reporter struct {
	cfg    Config
	in     signin.SignIn
	server Server
}

// New makes a Reporter.
func New(cfg Config, in signin.SignIn, server Server) *Reporter {
	return &Reporter{cfg: cfg, in: in, server: server}
}

// Secrets tells which versions the machine holds after a sync, if that changed or
// was told last a while ago.
func (r *Reporter) Secrets(ctx context.Context, synced secretsync.Report) error {
	now, memory, err := r.newRecord("report.json")
	if err != nil {
		return err
	}
	held := synced.Held()
	now.Held = heldDigest(held)
	if synced.Plan.Empty() && !now.due(memory) {
		return nil
	}
	report := wire.HostReport{Secrets: []wire.HostSecretReport{}}
	for _, name := range sortedNames(held) {
		report.Secrets = append(report.Secrets, wire.HostSecretReport{Name: name.String(), Version: held[name]})
	}
	if err := r.send(ctx, now.DeviceID, report); err != nil {
		return err
	}
	r.remember(now, memory)
	return nil
}

func (r *Reporter) remember(now record, memory string) {
	if err := now.keep(memory); err != nil {
		r.cfg.Detail("that this machine was reported cannot be remembered: %v", err)
	}
}

// send adds the machine's name and versions.
func (r *Reporter) send(ctx context.Context, device string, report wire.HostReport) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	report.Name, report.CLIVersion = r.hostName(device), fitting(r.cfg.Version)
	// Without legerd its versions are not known, and stay as they were reported.
	if r.cfg.Daemon != nil {
		if status, err := r.cfg.Daemon.Status(ctx); err == nil {
			report.LegerdVersion, report.PodmanVersion = fitting(status.Version), fitting(status.Podman.Version)
		}
	}
	_, err := r.server.ReportHost(ctx, device, report)
	return err
}

// fitting cuts a version to what a report takes.
func fitting(version string) string {
	return strings.ToValidUTF8(version[:min(len(version), leger.MaxClientVersion)], "")
}

// hostName is what the machine calls itself; where that cannot be shown, its id.
func (r *Reporter) hostName(device string) string {
	name, err := r.cfg.Hostname()
	if err != nil || name == "" || name != terminal.Line(name, leger.MaxHostName) {
		return device
	}
	return name
}

// machineIDPattern is machine-id(5): while a machine starts for the first time
// the file says "uninitialized".
var machineIDPattern = regexp.MustCompile(`^[0-9a-f]{32}$`)

// id is by what the machine reports: by the key that the server knows it by, else by
// its device.
func (r *Reporter) id() (string, error) {
	if r.in.MachineID != "" {
		return r.in.MachineID, nil
	}
	return DeviceID(r.cfg.MachineID, r.cfg.Hostname, r.in)
}

// DeviceID is Tailscale's id of this machine, or one of its own where the sign-in
// names none. machine-id(5), in the file at the path machineID, asks that the
// machine's id be given to nobody, so this is a keyed hash of it; where there is none,
// of the name. CodeMissingPart when there is no name either.
func DeviceID(machineID string, hostname func() (string, error), in signin.SignIn) (string, error) {
	if in.DeviceID != "" {
		return leger.ParseDeviceID(in.DeviceID)
	}
	id, err := environ.ReadFile(machineID)
	if err != nil || !machineIDPattern.MatchString(id) {
		if id, err = hostname(); err != nil || id == "" {
			return "", leger.Wrap(leger.CodeMissingPart, err, "this machine has neither an id in %s nor a name", machineID).
				WithHint("systemd-machine-id-setup")
		}
	}
	mac := hmac.New(sha256.New, []byte(id))
	_, _ = mac.Write([]byte("leger.run device id"))
	return "local-" + hex.EncodeToString(mac.Sum(nil)[:16]), nil
}
