package leger

import (
	"context"
	"fmt"
	"time"
)

// HostState says in one word how a deployment or one of its units is.
type HostState string

// The states of deployments and units, as machines report them.
const (
	HostActive  HostState = "active"  // up, or has done what it was started for
	HostFailed  HostState = "failed"  // should be up and is not
	HostStopped HostState = "stopped" // down, as it should be or as somebody wanted it
	HostUnknown HostState = "unknown" // systemd could not be asked, or says something else
)

// Host is one of a user's machines, as it last reported itself.
type Host struct {
	User          UserID
	DeviceID      string // Tailscale's stable node id, or "local-…" without Tailscale
	Name          string // as the machine calls itself
	CLIVersion    string // empty, as the two below: never reported
	LegerdVersion string
	PodmanVersion string
	CreatedAt     time.Time // of its first report
	LastSeen      time.Time // of its last report
	Secrets       []HostSecret
	Deployments   []HostDeployment
}

// HostSecret is one secret that a machine holds.
type HostSecret struct {
	Name     SecretName
	Version  Version
	SyncedAt time.Time // when it got this version
}

// HostDeployment is one release that is installed on a machine.
type HostDeployment struct {
	Release     ReleaseName
	Version     Version // of the release; 0: installed from a URL or directory of its own
	Commit      string  // in hex; empty: not from a Git repository
	State       HostState
	InstalledAt time.Time // first
	UpdatedAt   time.Time // last
	Units       []HostUnit
	// What follows is not known of a machine whose leger is older than it.
	Generation int64      // on the machine, from 1; 0: not told
	Health     HostHealth // empty: not told
	Findings   []HostFinding
	// ReportedAt is when the machine said all this, by the server's clock: LastSeen
	// may be that of a later report without deployments. Zero in reports.
	ReportedAt time.Time
}

// HostSummary is a machine in a list, without what is long.
type HostSummary struct {
	// Host has Secrets and Deployments only where they were asked for, and of a
	// deployment only Release, Version, State, Health and UpdatedAt.
	Host
	Counts HostCounts
}

// HostCounts says how much there is to a machine.
type HostCounts struct {
	Secrets       int
	Deployments   int
	UnitsDown     int // failed or stopped
	GraveFindings int // of the kinds of GraveFindings
	OtherFindings int
}

// HostPage asks for a user's machines in order of name, then of device id.
type HostPage struct {
	Limit       int    // 1 to MaxPageSize
	After       string // what the page before gave; empty: from the start
	Secrets     bool   // whether to list those of each machine
	Deployments bool   // whether to list those of each machine
}

// HostUnit is one systemd unit of a deployment.
type HostUnit struct {
	Name  string // with its suffix: "web.service"
	State HostState
}

// HostReport is what a machine says of itself. A nil list says nothing: what was
// reported before stays. An empty one says that there is nothing. An empty
// version says nothing either.
type HostReport struct {
	User          UserID
	DeviceID      string
	Name          string
	CLIVersion    string
	LegerdVersion string
	PodmanVersion string
	At            time.Time
	// Secrets whose SyncedAt is zero keep the time they were reported with at the
	// same version; without one it is At.
	Secrets []HostSecret
	// Deployments whose InstalledAt is zero keep the one they were reported with;
	// without one it is At.
	Deployments []HostDeployment
}

// HostStore keeps what machines report. Every method is about one user. Storage
// trouble is ErrUnavailable.
type HostStore interface {
	// Hosts gives a page; next is the After of the following page, "" at the end. A
	// page ends before the machine with which it would list more than
	// MaxHostPageItems. Secrets and deployments are in order of name.
	Hosts(ctx context.Context, user UserID, page HostPage) (list []HostSummary, next string, err error)
	// Host gives one with all that it reported, in order of name. ErrNotFound.
	Host(ctx context.Context, user UserID, deviceID string) (Host, error)
	// HostName gives the name alone. ErrNotFound.
	HostName(ctx context.Context, user UserID, deviceID string) (string, error)
	// ReportHost replaces the parts that the report has, all or nothing, and makes
	// the machine known at its first report; created tells which, and only then the
	// audit event is written. LastSeen never goes back. The report was validated.
	// ErrNotFound if there is no such account; ErrConflict if it has MaxHostsPerUser
	// machines already. Losing a report at power loss is harmless: the next repeats it.
	ReportHost(ctx context.Context, r HostReport, audit AuditEvent) (created bool, err error)
	// ForgetHost removes a machine and what it reported. ErrNotFound.
	ForgetHost(ctx context.Context, user UserID, deviceID string, audit AuditEvent) error
}

// ParseDeviceID checks a machine's id: 1 to 64 bytes that can be printed, and
// neither "." nor "..", which a URL cannot hold. ErrInvalid, field "device_id".
func ParseDeviceID(s string) (string, error) {
	if s == "." || s == ".." {
		return "", Invalid("device_id", "%s is not a device id", quoteInput(s))
	}
	if err := reportedText("device_id", s, MaxDeviceID, true); err != nil {
		return "", err
	}
	return s, nil
}

// ParseHostState takes one of the states. ErrInvalid, field "state".
func ParseHostState(s string) (HostState, error) {
	switch state := HostState(s); state {
	case HostActive, HostFailed, HostStopped, HostUnknown:
		return state, nil
	}
	return "", Invalid("state", "%s is not a state: it is one of %s, %s, %s, %s",
		quoteInput(s), HostActive, HostFailed, HostStopped, HostUnknown)
}

// Validate checks a report that came from outside: its texts, its numbers, its
// times, how much it lists, and that it lists nothing twice. ErrInvalid; the
// field is named as in "deployments[2].commit".
func (r HostReport) Validate() error {
	if _, err := ParseDeviceID(r.DeviceID); err != nil {
		return err
	}
	for _, t := range []struct {
		field, text string
		most        int
		needed      bool
	}{
		{"name", r.Name, MaxHostName, true},
		{"legerd_version", r.LegerdVersion, MaxClientVersion, false},
		{"podman_version", r.PodmanVersion, MaxClientVersion, false},
	} {
		if err := reportedText(t.field, t.text, t.most, t.needed); err != nil {
			return err
		}
	}
	if _, err := ParseClientVersion(r.CLIVersion); err != nil {
		return err
	}
	if err := r.validateSecrets(); err != nil {
		return err
	}
	return r.validateDeployments()
}

func (r HostReport) validateSecrets() error {
	if err := atMost("secrets", len(r.Secrets), MaxSecretsPerUser); err != nil {
		return err
	}
	seen := make(map[SecretName]bool, len(r.Secrets))
	for i, s := range r.Secrets {
		at := fmt.Sprintf("secrets[%d].", i)
		switch {
		case s.Name == SecretName{}:
			return Invalid(at+"name", "a secret has no name")
		case seen[s.Name]:
			return Invalid(at+"name", "the secret %s is listed twice", s.Name)
		case s.Version < 1:
			return Invalid(at+"version", "a version is a number from 1 on")
		}
		seen[s.Name] = true
		if err := reportedTime(at+"synced_at", s.SyncedAt); err != nil {
			return err
		}
	}
	return nil
}

func (r HostReport) validateDeployments() error {
	if err := atMost("deployments", len(r.Deployments), MaxHostDeployments); err != nil {
		return err
	}
	seen := make(map[string]bool, len(r.Deployments))
	for i, d := range r.Deployments {
		at := fmt.Sprintf("deployments[%d].", i)
		switch {
		case d.Release == ReleaseName{}:
			return Invalid(at+"release", "a deployment has no release")
		case seen[d.Release.Key()]:
			return Invalid(at+"release", "the release %s is listed twice", d.Release)
		}
		seen[d.Release.Key()] = true
		if err := d.validate(at); err != nil {
			return err
		}
	}
	return nil
}

// validate checks one deployment; at is what goes before its fields' names.
func (d HostDeployment) validate(at string) error {
	switch {
	case d.Version < 0:
		return Invalid(at+"version", "a version is a number from 1 on, or 0 for none")
	case d.Commit != "" && !isCommit(d.Commit):
		return Invalid(at+"commit", "a commit has 40 or 64 digits, each one of 0 to 9 or a to f")
	case d.UpdatedAt.IsZero():
		return Invalid(at+"updated_at", "a deployment needs the time of its last change")
	}
	if _, err := ParseHostState(string(d.State)); err != nil {
		return Within(at, err)
	}
	if err := reportedTime(at+"installed_at", d.InstalledAt); err != nil {
		return err
	}
	if err := reportedTime(at+"updated_at", d.UpdatedAt); err != nil {
		return err
	}
	if err := atMost(at+"units", len(d.Units), MaxDeploymentUnits); err != nil {
		return err
	}
	for i, u := range d.Units {
		in := fmt.Sprintf("%sunits[%d].", at, i)
		if err := reportedText(in+"name", u.Name, MaxUnitName, true); err != nil {
			return err
		}
		if _, err := ParseHostState(string(u.State)); err != nil {
			return Within(in, err)
		}
	}
	return d.validateCondition(at)
}

func reportedText(field, text string, most int, needed bool) error {
	switch {
	case text == "" && needed:
		return Invalid(field, "%s is empty", field)
	case len(text) > most:
		return Invalid(field, "%s is longer than %d bytes", field, most)
	case !printable(text):
		return Invalid(field, "%s has characters that cannot be printed", field)
	}
	return nil
}

// reportedTime refuses what cannot be written as a timestamp of four digits of
// year. A clock that is merely wrong is none of a report's faults.
func reportedTime(field string, t time.Time) error {
	if y := t.UTC().Year(); !t.IsZero() && (y < 1970 || y > 9999) {
		return Invalid(field, "%s lies before 1970 or after 9999", field)
	}
	return nil
}

func atMost(field string, n, most int) error {
	if n > most {
		return Invalid(field, "%s has %d items: at most %d are kept", field, n, most)
	}
	return nil
}
