package wire

import "leger.run/leger"

// Hosts is the answer of GET /api/hosts, in order of name.
type Hosts struct {
	Hosts []Host `json:"hosts"`
}

// Host is a machine as it last reported itself. A version is empty until it was
// reported.
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

// HostOf converts a machine.
func HostOf(h leger.Host) Host {
	out := Host{
		DeviceID: h.DeviceID, Name: h.Name, CreatedAt: At(h.CreatedAt), LastSeen: At(h.LastSeen),
		CLIVersion: h.CLIVersion, LegerdVersion: h.LegerdVersion, PodmanVersion: h.PodmanVersion,
		Secrets: make([]HostSecret, len(h.Secrets)), Deployments: make([]HostDeployment, len(h.Deployments)),
	}
	for i, s := range h.Secrets {
		out.Secrets[i] = HostSecret{Name: s.Name, Version: s.Version, SyncedAt: At(s.SyncedAt)}
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
