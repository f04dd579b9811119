package wire

import "leger.run/leger"

// Hosts is the answer of GET /api/hosts, in order of name.
type Hosts struct {
	Hosts      []HostSummary `json:"hosts"`
	NextCursor string        `json:"next_cursor,omitempty"`
}

// HostSummary is a machine in a list, without what is long. A version is empty until
// it was reported.
type HostSummary struct {
	DeviceID      string     `json:"device_id"`
	Name          string     `json:"name"`
	CreatedAt     Time       `json:"created_at"` // of its first report
	LastSeen      Time       `json:"last_seen"`
	CLIVersion    string     `json:"cli_version"`
	LegerdVersion string     `json:"legerd_version"`
	PodmanVersion string     `json:"podman_version"`
	Counts        HostCounts `json:"counts"`
	// In order of name; nil unless asked for.
	Secrets     []HostSecret            `json:"secrets,omitzero"`
	Deployments []HostDeploymentSummary `json:"deployments,omitzero"`
}

// HostCounts says how much there is to a machine.
type HostCounts struct {
	Secrets       int `json:"secrets"`
	Deployments   int `json:"deployments"`
	UnitsDown     int `json:"units_down"`     // failed or stopped
	GraveFindings int `json:"grave_findings"` // something is down or will be
	OtherFindings int `json:"other_findings"`
}

// HostDeploymentSummary is a release that is installed on a machine, in a list.
type HostDeploymentSummary struct {
	Release   leger.ReleaseName `json:"release"`
	Version   leger.Version     `json:"version"` // 0: installed from a URL or directory of its own
	State     leger.HostState   `json:"state"`
	UpdatedAt Time              `json:"updated_at"`
	Health    leger.HostHealth  `json:"health,omitempty"` // absent when the machine did not tell
}

// Host is the answer of GET /api/hosts/:device_id: a machine as it last reported
// itself. A version is empty until it was reported.
type Host struct {
	DeviceID      string           `json:"device_id"`
	Name          string           `json:"name"`
	CreatedAt     Time             `json:"created_at"` // of its first report
	LastSeen      Time             `json:"last_seen"`
	CLIVersion    string           `json:"cli_version"`
	LegerdVersion string           `json:"legerd_version"`
	PodmanVersion string           `json:"podman_version"`
	Secrets       []HostSecret     `json:"secrets"`     // in order of name
	Deployments   []HostDeployment `json:"deployments"` // in order of name
}

// HostSecret is a secret that a machine holds.
type HostSecret struct {
	Name     leger.SecretName `json:"name"`
	Version  leger.Version    `json:"version"`
	SyncedAt Time             `json:"synced_at"` // when it got this version
}

// HostDeployment is a release that is installed on a machine.
type HostDeployment struct {
	Release     leger.ReleaseName `json:"release"`
	Version     leger.Version     `json:"version"` // 0: installed from a URL or directory of its own
	Commit      string            `json:"commit"`  // empty: not from a repository
	State       leger.HostState   `json:"state"`
	InstalledAt Time              `json:"installed_at"`
	UpdatedAt   Time              `json:"updated_at"`
	Units       []HostUnit        `json:"units"`
	// Absent, as the three below, when the machine did not tell.
	Generation int64            `json:"generation,omitempty"`
	Health     leger.HostHealth `json:"health,omitempty"`
	Findings   []HostFinding    `json:"findings,omitempty"`
	ReportedAt Time             `json:"reported_at,omitzero"` // by the server's clock
}

// HostUnit is a systemd unit of a deployment, in reports and in answers.
type HostUnit struct {
	Name  string          `json:"name"`
	State leger.HostState `json:"state"`
}

// HostFinding is something about a deployment that its owner may want to look at,
// in reports and in answers.
type HostFinding struct {
	Kind    leger.FindingKind `json:"kind"`
	Subject string            `json:"subject,omitempty"` // a unit or file
	Text    string            `json:"text"`
}

// HostSummaryOf converts a machine of a list; secrets and deployments say which of its
// lists were asked for.
func HostSummaryOf(h leger.HostSummary, secrets, deployments bool) HostSummary {
	out := HostSummary{
		DeviceID: h.DeviceID, Name: h.Name, CreatedAt: At(h.CreatedAt), LastSeen: At(h.LastSeen),
		CLIVersion: h.CLIVersion, LegerdVersion: h.LegerdVersion, PodmanVersion: h.PodmanVersion,
		Counts: HostCounts(h.Counts),
	}
	if secrets {
		out.Secrets = secretsOf(h.Host)
	}
	if deployments {
		out.Deployments = make([]HostDeploymentSummary, len(h.Deployments))
	}
	for i := range out.Deployments {
		d := h.Deployments[i]
		out.Deployments[i] = HostDeploymentSummary{
			Release: d.Release, Version: d.Version, State: d.State, UpdatedAt: At(d.UpdatedAt), Health: d.Health,
		}
	}
	return out
}

func secretsOf(h leger.Host) []HostSecret {
	list := make([]HostSecret, len(h.Secrets))
	for i, s := range h.Secrets {
		list[i] = HostSecret{Name: s.Name, Version: s.Version, SyncedAt: At(s.SyncedAt)}
	}
	return list
}

// HostOf converts a machine.
func HostOf(h leger.Host) Host {
	out := Host{
		DeviceID: h.DeviceID, Name: h.Name, CreatedAt: At(h.CreatedAt), LastSeen: At(h.LastSeen),
		CLIVersion: h.CLIVersion, LegerdVersion: h.LegerdVersion, PodmanVersion: h.PodmanVersion,
		Secrets: secretsOf(h), Deployments: make([]HostDeployment, len(h.Deployments)),
	}
	for i, d := range h.Deployments {
		out.Deployments[i] = HostDeployment{
			Release: d.Release, Version: d.Version, Commit: d.Commit, State: d.State,
			InstalledAt: At(d.InstalledAt), UpdatedAt: At(d.UpdatedAt), Units: make([]HostUnit, len(d.Units)),
		}
		if out.Deployments[i].Generation, out.Deployments[i].Health = d.Generation, d.Health; !d.ReportedAt.IsZero() {
			out.Deployments[i].ReportedAt = At(d.ReportedAt)
		}
		for _, f := range d.Findings {
			out.Deployments[i].Findings = append(out.Deployments[i].Findings, HostFinding(f))
		}
		for n, u := range d.Units {
			out.Deployments[i].Units[n] = HostUnit(u)
		}
	}
	return out
}

// HostReport is the body of PUT /api/hosts/:device_id. A list that is nil is not
// sent, and stays as it was reported before; an empty one is sent. Times are
// RFC 3339.
type HostReport struct {
	Name          string                 `json:"name"`
	CLIVersion    string                 `json:"cli_version,omitempty"`
	LegerdVersion string                 `json:"legerd_version,omitempty"`
	PodmanVersion string                 `json:"podman_version,omitempty"`
	Secrets       []HostSecretReport     `json:"secrets,omitzero"`
	Deployments   []HostDeploymentReport `json:"deployments,omitzero"`
}

// HostSecretReport is a secret in a report. Without a time it keeps the one this
// version was reported with, or got this version now.
type HostSecretReport struct {
	Name     string        `json:"name"`
	Version  leger.Version `json:"version"`
	SyncedAt string        `json:"synced_at,omitempty"`
}

// HostDeploymentReport is a deployment in a report. Without InstalledAt it keeps
// the one it was reported with, or came now.
type HostDeploymentReport struct {
	Release     string          `json:"release"`
	Version     leger.Version   `json:"version,omitempty"`
	Commit      string          `json:"commit,omitempty"`
	State       leger.HostState `json:"state"`
	InstalledAt string          `json:"installed_at,omitempty"`
	UpdatedAt   string          `json:"updated_at"`
	Units       []HostUnit      `json:"units,omitzero"`
	// A server that is older than these three refuses a body that has them.
	Generation int64            `json:"generation,omitempty"`
	Health     leger.HostHealth `json:"health,omitempty"`
	Findings   []HostFinding    `json:"findings,omitempty"`
}

// HostReported is the answer of PUT /api/hosts/:device_id.
type HostReported struct {
	DeviceID string `json:"device_id"`
	LastSeen Time   `json:"last_seen"`
	Created  bool   `json:"created"` // it was the machine's first report
}
