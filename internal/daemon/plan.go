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
	// LabelDigest is the store's keyed digest of the value. A server that was restored,
	// or another one, gives a version number to another value: the number alone does
	// not tell values apart.
	LabelDigest = "run.leger.digest"
)

// Step is what one secret needs. Action is Created, Replaced, Removed, Kept,
// Unchanged or Conflict.
type Step struct {
	Name    leger.SecretName
	Version leger.Version // the store's; with Removed and Kept what the label says
	Action  localvault.Action
	ID      string // of the Podman secret, when there is one
	// Owner is whose the Podman secret is, if that is another user; else zero.
	Owner leger.UserID
}

// labelsOf are the labels of a user's secret.
func labelsOf(user leger.UserID, s localvault.Secret) map[string]string {
	return map[string]string{
		LabelManaged: "true",
		LabelVersion: strconv.FormatInt(int64(s.Version), 10),
		LabelUser:    user.String(),
		LabelDigest:  s.Digest,
	}
}

// May is what a plan may do besides making Leger's own secrets current.
type May struct {
	// Remove are the secrets that may be removed from Podman.
	Remove []leger.SecretName
	// Adopt are those that may be replaced though somebody else made them.
	Adopt []leger.SecretName
}

// Plan says how Podman comes to have what the user's store has: one step per
// name, in order of name. A secret whose labels show the same user, version and
// digest has the same value. A secret of Leger's that the store does not have is
// kept unless it may be removed: a store that was lost, or another user's, must not
// take the secrets of running containers away. Secrets of others that the store
// does not have are not mentioned.
func Plan(user leger.UserID, want []localvault.Secret, have []podman.Secret, may May) []Step {
	there := make(map[string]podman.Secret, len(have))
	for _, s := range have {
		there[s.Name] = s
	}
	steps := make([]Step, 0, len(want))
	wanted := make(map[string]bool, len(want))
	for _, w := range want {
		wanted[w.Name.String()] = true
		s, exists := there[w.Name.String()]
		step := Step{Name: w.Name, Version: w.Version, ID: s.ID, Owner: otherOwner(s, user)}
		switch {
		case !exists:
			step.Action = localvault.ActionCreated
		case !managed(s) && !slices.Contains(may.Adopt, w.Name):
			step.Action = localvault.ActionConflict
		case managed(s) && current(s, user, w):
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
		step := Step{Name: name, Version: versionOf(s), Action: localvault.ActionKept, ID: s.ID, Owner: otherOwner(s, user)}
		if slices.Contains(may.Remove, name) {
			step.Action = localvault.ActionRemoved
		}
		steps = append(steps, step)
	}
	slices.SortFunc(steps, func(a, b Step) int { return strings.Compare(a.Name.String(), b.Name.String()) })
	return steps
}

func managed(s podman.Secret) bool { return s.Labels[LabelManaged] == "true" }

func current(s podman.Secret, user leger.UserID, w localvault.Secret) bool {
	for name, want := range labelsOf(user, w) {
		if s.Labels[name] != want {
			return false
		}
	}
	return true
}

// otherOwner is whose a secret of Leger's is, if it is not this user's.
func otherOwner(s podman.Secret, user leger.UserID) leger.UserID {
	owner, err := leger.ParseUserID(s.Labels[LabelUser])
	if err != nil || !managed(s) || owner == user {
		return leger.UserID{}
	}
	return owner
}

// versionOf is what the label says; 0 if that is no version.
func versionOf(s podman.Secret) leger.Version {
	n, err := strconv.ParseInt(s.Labels[LabelVersion], 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return leger.Version(n)
}
