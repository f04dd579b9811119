package report

import (
	"slices"
	"time"

	"leger.run/leger/internal/deploy"
)

// Held are the secrets that Podman has, by name, each with the time of its last
// change. Nil: nobody knows.
type Held map[string]time.Time

// Use is a unit and a secret that it uses.
type Use struct {
	Unit   string `json:"unit"`
	Secret string `json:"secret"`
}

// Stale finds the units that were started before a secret of theirs got the value
// that it has now.
func (h Held) Stale(d deploy.Deployment) []Use {
	var stale []Use
	for _, u := range d.Units {
		if u.State.ActiveState != "active" || u.State.Begun.IsZero() {
			continue
		}
		for _, name := range slices.Sorted(slices.Values(u.Secrets)) {
			if h[name].After(u.State.Begun) {
				stale = append(stale, Use{u.Service, name})
			}
		}
	}
	return stale
}

// Gone finds the units that run, or should, and use a secret that Podman does not
// have.
func (h Held) Gone(d deploy.Deployment) []Use {
	if h == nil {
		return nil
	}
	var gone []Use
	for _, u := range d.Units {
		if u.Template || !u.Run && u.State.ActiveState != "active" {
			continue
		}
		for _, name := range u.Secrets {
			if _, there := h[name]; !there {
				gone = append(gone, Use{u.Service, name})
			}
		}
	}
	return gone
}
