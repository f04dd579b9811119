package deploy

import (
	"path/filepath"
	"slices"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/quadlet"
)

// Failure is what is remembered of a state of a release that did not come up, or
// that the user went back from. It never holds what a program wrote.
type Failure struct {
	Identity string `json:"identity"` // the commit, or "files-" and a hash of the files
	// URL and Path are where the commit was taken from: another directory of the same
	// commit is another release. Empty: recorded before they were noted.
	URL    string    `json:"url,omitempty"`
	Path   string    `json:"path,omitempty"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason"` // one sentence
	ByHand bool      `json:"by_hand,omitempty"`
	// Risks are those that the user had accepted.
	Risks []quadlet.Risk `json:"risks,omitempty"`
	// Accepted are the keys of all that the user had agreed to.
	Accepted []string `json:"accepted,omitempty"`
}

// maxFailures is how many are remembered of a release: a branch that is forced to
// and fro comes back to one of the latest.
const maxFailures = 20

type failuresFile struct {
	Failures []Failure `json:"failures"` // the newest first
}

func (s store) failedFile(app string) string { return filepath.Join(s.app(app), "failed.json") }

func (s store) failures(app string) ([]Failure, error) {
	var f failuresFile
	_, err := readJSON(s.failedFile(app), &f)
	return f.Failures, err
}

// remember adds a failure in place of what was remembered of the same state.
func (s store) remember(app string, failure Failure) error {
	known, err := s.failures(app)
	if err != nil {
		return err
	}
	known = slices.DeleteFunc(known, failure.same)
	known = slices.Insert(known, 0, failure)
	return s.writeJSON(s.failedFile(app), failuresFile{known[:min(len(known), maxFailures)]})
}

// pardon forgets the failures of a state that is installed now.
func (s store) pardon(app string, g Generation) error {
	known, err := s.failures(app)
	if err != nil {
		return err
	}
	left := slices.DeleteFunc(slices.Clone(known), func(f Failure) bool { return f.Of(g.Source, g.identity()) })
	if len(left) == len(known) {
		return nil
	}
	return s.writeJSON(s.failedFile(app), failuresFile{left})
}

// failureOf makes a failure of an error, without its cause: a journal's lines may
// hold anything.
func failureOf(g Generation, at time.Time, err error) Failure {
	reason := "it could not be installed"
	if e := asError(err); e != nil && e.Message != "" {
		reason = e.Message
	}
	return failed(g, at, reason)
}

// failed remembers a generation.
func failed(g Generation, at time.Time, reason string) Failure {
	return Failure{
		Identity: g.identity(), URL: g.Source.URL, Path: g.Source.Path, At: at.UTC(), Reason: reason,
		Risks: g.Risks, Accepted: g.accepted(),
	}
}

// Of reports whether it is the failure of a commit, or of files, from there.
func (f Failure) Of(from Source, identity string) bool {
	return f.Identity == identity && (f.URL == "" || (f.URL == from.URL && f.Path == from.Path))
}

func (f Failure) same(other Failure) bool {
	return f.Of(Source{URL: other.URL, Path: other.Path}, other.Identity)
}

// Failures gives what is remembered of a release, the newest first.
func (e *Engine) Failures(release leger.ReleaseName) ([]Failure, error) {
	return e.store.failures(app(release))
}
