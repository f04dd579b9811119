package localvault

import (
	"errors"
	"time"

	"leger.run/leger"
)

// Paths of Leger's own part of the API.
const (
	pathStatus    = "/leger/v1/status"
	pathReconcile = "/leger/v1/reconcile"
	pathAdopt     = "/leger/v1/adopt"
	pathReplace   = "/leger/v1/replace"
	pathRekey     = "/leger/v1/rekey"
)

// noBrowsers is the header that every request carries and no browser can send:
// scripts may not set names that begin with Sec-.
const (
	noBrowsers      = "Sec-X-Tailscale-No-Browsers"
	noBrowsersValue = "setec"
)

// Action says what a reconciliation did about one secret.
type Action string

// The actions.
const (
	ActionCreated   Action = "created"   // it was not in Podman
	ActionReplaced  Action = "replaced"  // Podman had another value or version, or another user's
	ActionRemoved   Action = "removed"   // the store does not have it any more
	ActionKept      Action = "kept"      // nor this one, but nobody has said that it may be removed
	ActionUnchanged Action = "unchanged" // Podman had this version
	ActionConflict  Action = "conflict"  // Podman has one of that name which Leger did not make
	ActionFailed    Action = "failed"    // see Error; the next reconciliation tries again
)

// Problem is an error as it travels to the client, which makes the same
// *leger.Error of it.
type Problem struct {
	Code    leger.Code `json:"code"`
	Message string     `json:"message"`
	Hint    string     `json:"hint,omitempty"`
	Field   string     `json:"field,omitempty"`
}

// Outcome is the verdict on one secret.
type Outcome struct {
	Name    leger.SecretName `json:"name"`
	Version leger.Version    `json:"version,omitempty"` // of the store's active value; when it has none, of Podman's
	Action  Action           `json:"action"`
	Owner   *leger.UserID    `json:"owner,omitempty"` // whose Podman's secret is, or was, if another user's
	Error   *Problem         `json:"error,omitempty"` // with conflict and failed
}

// Order is what a reconciliation is asked to do.
type Order struct {
	// User is whose secrets Podman holds from now on; nil: the one it knows.
	User *leger.UserID `json:"user,omitempty"`
	// Remove are the secrets that may be removed from Podman if the store does not
	// have them. Others of Leger's that it does not have are kept.
	Remove []leger.SecretName `json:"remove,omitempty"`
	// DryRun asks what it would do, and changes nothing.
	DryRun bool `json:"dry_run,omitempty"`
}

// Report is the verdict of one reconciliation: one line per secret, in order of
// name.
type Report struct {
	User    leger.UserID `json:"user"`
	At      time.Time    `json:"at"`
	Secrets []Outcome    `json:"secrets"`
}

// OK reports whether Podman now holds exactly what the store does.
func (r Report) OK() bool {
	for _, o := range r.Secrets {
		if o.Action == ActionConflict || o.Action == ActionFailed || o.Action == ActionKept {
			return false
		}
	}
	return true
}

// PodmanStatus says how the last attempt to reach Podman ended.
type PodmanStatus struct {
	Version string   `json:"version,omitempty"` // empty: not reached yet
	Error   *Problem `json:"error,omitempty"`   // of the last attempt
}

// Status says how the daemon is.
type Status struct {
	Version   string        `json:"version"` // of legerd
	PID       int           `json:"pid"`
	StartedAt time.Time     `json:"started_at"`
	User      *leger.UserID `json:"user,omitempty"` // whose secrets are in Podman; nil: nobody has synced yet
	Secrets   int           `json:"secrets"`        // of that user, in the store
	Podman    PodmanStatus  `json:"podman"`
	Last      *Report       `json:"last_reconcile,omitempty"` // nil: none yet
}

type adoptRequest struct {
	Name leger.SecretName `json:"name"`
}

type rekeyRequest struct {
	// Dir is the data directory that is meant; empty: whichever it is.
	Dir string `json:"dir,omitempty"`
}

type replaceRequest struct {
	User    leger.UserID     `json:"user"`
	Name    leger.SecretName `json:"name"`
	Version leger.Version    `json:"version"`
	Value   []byte           `json:"value"` // base64, as in setec's requests
}

type problemBody struct {
	Error Problem `json:"error"`
}

// ProblemOf makes the wire form of an error. What is not a *leger.Error is
// internal, and its text stays here.
func ProblemOf(err error) *Problem {
	var e *leger.Error
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &e):
		return &Problem{Code: leger.CodeInternal, Message: "legerd failed; its log says why"}
	}
	message := e.Message
	if message == "" {
		message = string(e.Code)
	}
	return &Problem{Code: e.Code, Message: message, Hint: e.Hint, Field: e.Field}
}

// Err makes the *leger.Error again. It gives nil for nil.
func (p *Problem) Err() error {
	if p == nil {
		return nil
	}
	return &leger.Error{Code: p.Code, Message: p.Message, Hint: p.Hint, Field: p.Field}
}
