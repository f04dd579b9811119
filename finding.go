package leger

import (
	"fmt"
)

// HostHealth says in one word whether a deployment does what it is there for.
// HostState is about systemd's units; this is also about what runs in them.
type HostHealth string

// The healths of deployments. The zero value: the machine's leger is older than
// reports of health.
const (
	HealthGood    HostHealth = "healthy"   // everything that should run does
	HealthPoor    HostHealth = "unhealthy" // something is down, or its health check says no
	HealthFailed  HostHealth = "failed"    // a unit failed, or the deployment was interrupted
	HealthUnknown HostHealth = "unknown"   // systemd could not be asked, or says something else; or it is being deployed
)

// FindingKind says what a finding is about: 1 to 32 of a to z and "_". The ones
// below are those that this version reports. Others are taken and shown as well,
// so that a newer machine can tell an older server.
type FindingKind string

// The kinds of findings.
const (
	FindingInterrupted   FindingKind = "interrupted"    // a deployment was not finished
	FindingDeploying     FindingKind = "deploying"      // somebody deploys or removes it at this moment
	FindingRecordDamaged FindingKind = "record_damaged" // the machine cannot read what it recorded of it
	FindingUnitFailed    FindingKind = "unit_failed"    // systemd gave a unit up
	FindingUnitUnhealthy FindingKind = "unit_unhealthy" // its container's health check says no
	FindingUnitDown      FindingKind = "unit_down"      // it should be up and is not
	FindingUnitUnknown   FindingKind = "unit_unknown"   // systemd does not say how it is
	FindingNotAtBoot     FindingKind = "not_at_boot"    // it runs, and no boot starts it
	FindingFileChanged   FindingKind = "file_changed"   // it is not as it was installed
	FindingFileMissing   FindingKind = "file_missing"   // it is not there any more
	FindingSecretStale   FindingKind = "secret_stale"   // a unit runs with an older value
	FindingSecretGone    FindingKind = "secret_gone"    // a unit uses it, and Podman does not have it any more
	FindingBranchMoved   FindingKind = "branch_moved"   // a newer commit is not installed
	FindingUpdateWaits   FindingKind = "update_waits"   // an update by itself was left to the user
	FindingMore          FindingKind = "more"           // there were more than a report takes
)

// HostFinding is one thing about a deployment that its owner may want to look at.
// It names secrets, and never has a value of one nor anything that a program
// wrote: the machine makes its text of names and fixed words.
type HostFinding struct {
	Kind    FindingKind
	Subject string // the unit or file; empty: the deployment as a whole
	Text    string // one line, which goes on from the subject: "was changed since it was installed"
}

// GraveFindings are the kinds that say that something is down or will be. The others
// are worth a look.
func GraveFindings() []FindingKind {
	return []FindingKind{
		FindingInterrupted, FindingRecordDamaged, FindingUnitFailed, FindingUnitUnhealthy, FindingUnitDown,
		FindingSecretGone,
	}
}

// ParseHostHealth takes one of the healths, or "" for none told. ErrInvalid, field
// "health".
func ParseHostHealth(s string) (HostHealth, error) {
	switch health := HostHealth(s); health {
	case "", HealthGood, HealthPoor, HealthFailed, HealthUnknown:
		return health, nil
	}
	return "", Invalid("health", "%s is not a health: it is one of %s, %s, %s, %s",
		quoteInput(s), HealthGood, HealthPoor, HealthFailed, HealthUnknown)
}

// validate checks a finding; at is what goes before its fields' names.
func (f HostFinding) validate(at string) error {
	if !isFindingKind(string(f.Kind)) {
		return Invalid(at+"kind", "%s is not a kind of finding: it has 1 to 32 letters, each one of a to z or _", quoteInput(string(f.Kind)))
	}
	if err := reportedText(at+"subject", f.Subject, MaxFindingSubject, false); err != nil {
		return err
	}
	return reportedText(at+"text", f.Text, MaxFindingText, true)
}

func (d HostDeployment) validateCondition(at string) error {
	if d.Generation < 0 {
		return Invalid(at+"generation", "a generation is a number from 1 on, or 0 for one that is not told")
	}
	if _, err := ParseHostHealth(string(d.Health)); err != nil {
		return Within(at, err)
	}
	if err := atMost(at+"findings", len(d.Findings), MaxDeploymentFindings); err != nil {
		return err
	}
	for i, f := range d.Findings {
		if err := f.validate(fmt.Sprintf("%sfindings[%d].", at, i)); err != nil {
			return err
		}
	}
	return nil
}
