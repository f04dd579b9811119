package daemon

import (
	"slices"
	"strconv"
	"strings"

	"leger.run/leger"
	"leger.run/leger/internal/localvault"
	"leger.run/leger/internal/podman"
)

// Labels of the Podman secrets that Leger makes.
const (
	LabelManaged = "run.leger.managed" // "true": Leger may replace and remove it
	LabelVersion = "run.leger.version" // the version of the value, in decimal
	LabelUser    = "run.leger.user"    // the user_uuid it belongs to
)

// Step is what one secret needs. Action is Created, Replaced, Removed, Unchanged
// or Conflict.
type Step struct {
	Name    leger.SecretName
	Version leger.Version // the store's; 0 with Removed
	Action  localvault.Action
	ID      string // of the Podman secret, when there is one
}

// labelsOf are the labels of a user's secret at a version.
func labelsOf(user leger.UserID, v leger.Version) map[string]string {
	return map[string]string{
		LabelManaged: "true",
		LabelVersion: strconv.FormatInt(int64(v), 10),
		LabelUser:    user.String(),
	}
}

// Plan says how Podman comes to have what the user's store has: one step per
// name, in order of name. A secret whose labels show the same user and version
// is taken to have the same value. The names in adopt may be replaced though
// somebody else made them. Secrets of others that the store does not have are
// not mentioned.
func Plan(user leger.UserID, want []localvault.Secret, have []podman.Secret, adopt ...leger.SecretName) []Step {
	there := make(map[string]podman.Secret, len(have))
	for _, s := range have {
		there[s.Name] = s
	}
	steps := make([]Step, 0, len(want))
	wanted := make(map[string]bool, len(want))
	for _, w := range want {
		wanted[w.Name.String()] = true
		s, exists := there[w.Name.String()]
		step := Step{Name: w.Name, Version: w.Version, ID: s.ID}
		switch {
		case !exists:
			step.Action = localvault.ActionCreated
		case !managed(s) && !slices.Contains(adopt, w.Name):
			step.Action = localvault.ActionConflict
		case managed(s) && current(s, user, w.Version):
			step.Action = localvault.ActionUnchanged
		default:
			step.Action = localvault.ActionReplaced
		}
		steps = append(steps, step)
	}
	for _, s := range have {
		name, err := leger.ParseSecretName(s.Name)
		// Leger makes no secret with a name that is not one of its own, label or not.
		if err != nil || !managed(s) || wanted[s.Name] {
			continue
		}
		steps = append(steps, Step{Name: name, Action: localvault.ActionRemoved, ID: s.ID})
	}
	slices.SortFunc(steps, func(a, b Step) int { return strings.Compare(a.Name.String(), b.Name.String()) })
	return steps
}

func managed(s podman.Secret) bool { return s.Labels[LabelManaged] == "true" }

func current(s podman.Secret, user leger.UserID, v leger.Version) bool {
	return s.Labels[LabelUser] == user.String() && s.Labels[LabelVersion] == strconv.FormatInt(int64(v), 10)
}
