package wire

import "leger.run/leger"

// Releases is the answer of GET /api/releases, in order of name.
type Releases struct {
	Releases   []Release `json:"releases"`
	NextCursor string    `json:"next_cursor,omitempty"`
}

// Release is a Git repository of quadlets.
type Release struct {
	ID          string            `json:"id"`
	Name        leger.ReleaseName `json:"name"`
	GitURL      leger.GitURL      `json:"git_url"`
	GitBranch   leger.GitRef      `json:"git_branch"`
	GitPath     leger.GitPath     `json:"git_path"`
	Description string            `json:"description"`
	Version     leger.Version     `json:"version"`
	CreatedAt   Time              `json:"created_at"`
	UpdatedAt   Time              `json:"updated_at"`
}

// ReleaseOf converts a release.
func ReleaseOf(r leger.Release) Release {
	return Release{
		ID: r.ID, Name: r.Name, GitURL: r.GitURL, GitBranch: r.GitRef, GitPath: r.GitPath,
		Description: r.Description, Version: r.Version, CreatedAt: At(r.CreatedAt), UpdatedAt: At(r.UpdatedAt),
	}
}

// ReleaseCreate is the body of POST /api/releases.
type ReleaseCreate struct {
	Name        string `json:"name"`
	GitURL      string `json:"git_url"`
	GitBranch   string `json:"git_branch,omitempty"` // "" is main
	GitPath     string `json:"git_path,omitempty"`
	Description string `json:"description,omitempty"`
}

// ReleaseUpdate is the body of PUT /api/releases/:id: what is absent stays.
type ReleaseUpdate struct {
	Name        *string `json:"name,omitempty"`
	GitURL      *string `json:"git_url,omitempty"`
	GitBranch   *string `json:"git_branch,omitempty"`
	GitPath     *string `json:"git_path,omitempty"`
	Description *string `json:"description,omitempty"`
}

// ReleaseVersions is the answer of GET /api/releases/:id/versions, newest first.
type ReleaseVersions struct {
	Versions []ReleaseVersion `json:"versions"`
}

// ReleaseVersion is what a release was at one version.
type ReleaseVersion struct {
	Version     leger.Version     `json:"version"`
	Name        leger.ReleaseName `json:"name"`
	GitURL      leger.GitURL      `json:"git_url"`
	GitBranch   leger.GitRef      `json:"git_branch"`
	GitPath     leger.GitPath     `json:"git_path"`
	Description string            `json:"description"`
	CreatedAt   Time              `json:"created_at"`
}

// ReleaseVersionOf converts one line of a release's history.
func ReleaseVersionOf(v leger.ReleaseVersion) ReleaseVersion {
	return ReleaseVersion{
		Version: v.Version, Name: v.Name, GitURL: v.GitURL, GitBranch: v.GitRef, GitPath: v.GitPath,
		Description: v.Description, CreatedAt: At(v.CreatedAt),
	}
}
