package httpapi

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"

	"leger.run/leger"
	"leger.run/leger/internal/vault"
	"leger.run/leger/internal/wire"
)

// maxUpdateAttempts bounds the retries of a change without If-Match.
const maxUpdateAttempts = 20

func (a *API) releases(w http.ResponseWriter, r *http.Request, c caller) error {
	limit, cursor, err := page(r)
	if err != nil {
		return err
	}
	ask := leger.ReleasePage{Limit: limit, After: cursor}
	if q := r.URL.Query(); q.Has("name") {
		name, err := leger.ParseReleaseName(q.Get("name"))
		if err != nil {
			return err
		}
		ask.Name = &name
	}
	list, next, err := a.Stores.Releases(r.Context(), c.user.ID, ask)
	if err != nil {
		return err
	}
	etag := releasesETag(list, next)
	if matches(r.Header.Get("If-None-Match"), etag) {
		return notModified(w, etag)
	}
	out := wire.Releases{Releases: make([]wire.Release, len(list)), NextCursor: cursorOf(next)}
	for i, rel := range list {
		out.Releases[i] = wire.ReleaseOf(rel)
	}
	setETag(w, etag)
	return ok(w, out)
}

func releasesETag(list []leger.Release, next string) string {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "releases %q\n", next)
	for _, r := range list {
		_, _ = fmt.Fprintf(h, "%s %d\n", r.ID, r.Version)
	}
	return `"` + hex.EncodeToString(h.Sum(nil)[:16]) + `"`
}

func releaseID(r *http.Request) (string, error) {
	id := r.PathValue("id")
	if !leger.ValidID(id) {
		return "", leger.Invalid("id", "the release id is not a UUID")
	}
	return id, nil
}

func (a *API) release(w http.ResponseWriter, r *http.Request, c caller) error {
	id, err := releaseID(r)
	if err != nil {
		return err
	}
	rel, err := a.Stores.Release(r.Context(), c.user.ID, id)
	if err != nil {
		return err
	}
	return ok(w, wire.ReleaseOf(rel))
}

func (a *API) createRelease(w http.ResponseWriter, r *http.Request, c caller) error {
	body, err := decode[wire.ReleaseCreate](w, r)
	if err != nil {
		return err
	}
	id, err := leger.NewID(a.Random)
	if err != nil {
		return err
	}
	e := a.event(r, c)
	rel := leger.Release{ID: id, User: c.user.ID, Version: 1, CreatedAt: e.At, UpdatedAt: e.At}
	if err := edit(&rel, wire.ReleaseUpdate{
		Name: &body.Name, GitURL: &body.GitURL, GitBranch: &body.GitBranch,
		GitPath: &body.GitPath, Description: &body.Description,
	}); err != nil {
		return err
	}
	e.Action, e.Subject, e.Version = leger.ActionReleaseCreate, rel.Name.String(), 1
	if err := a.Stores.CreateRelease(r.Context(), rel, e); err != nil {
		return err
	}
	return ok(w, wire.ReleaseOf(rel))
}

// edit puts what u holds into rel, checked; what u leaves out stays.
func edit(rel *leger.Release, u wire.ReleaseUpdate) (err error) {
	if u.Name != nil {
		if rel.Name, err = leger.ParseReleaseName(*u.Name); err != nil {
			return err
		}
	}
	if u.GitURL != nil {
		if rel.GitURL, err = leger.ParseGitURL(*u.GitURL); err != nil {
			return err
		}
	}
	if u.GitBranch != nil {
		if rel.GitRef, err = leger.ParseGitRef(*u.GitBranch); err != nil {
			return err
		}
	}
	if u.GitPath != nil {
		if rel.GitPath, err = leger.ParseGitPath(*u.GitPath); err != nil {
			return err
		}
	}
	if u.Description != nil {
		rel.Description, err = leger.ParseDescription(*u.Description)
	}
	return err
}

// releaseToWrite gives the release a request is about, and what it asks of the
// version that is there.
func releaseToWrite(r *http.Request) (id string, pre vault.Precondition, err error) {
	if id, err = releaseID(r); err != nil {
		return "", pre, err
	}
	pre, err = precondition(r)
	return id, pre, err
}

func (a *API) updateRelease(w http.ResponseWriter, r *http.Request, c caller) error {
	id, pre, err := releaseToWrite(r)
	if err != nil {
		return err
	}
	body, err := decode[wire.ReleaseUpdate](w, r)
	if err != nil {
		return err
	}
	var rel leger.Release
	err = retry(pre, func() (err error) {
		rel, err = a.tryUpdate(r, c, id, pre.Version, body)
		return err
	})
	if err != nil {
		return err
	}
	return ok(w, wire.ReleaseOf(rel))
}

// retry repeats what another writer was faster than, unless the caller named the
// version it wanted to meet: then the loss is the caller's answer.
func retry(pre vault.Precondition, try func() error) error {
	var err error
	for range maxUpdateAttempts {
		err = try()
		var e *leger.Error
		if lost := errors.As(err, &e) && e.Code == leger.CodeConflict && e.Version != 0; !lost || pre.Version != 0 {
			return err
		}
	}
	return leger.Wrap(leger.CodeUnavailable, err, "others keep changing this release").WithHint("try again")
}

func (a *API) tryUpdate(r *http.Request, c caller, id string, expect leger.Version, body wire.ReleaseUpdate) (leger.Release, error) {
	old, err := a.Stores.Release(r.Context(), c.user.ID, id)
	if err != nil {
		return leger.Release{}, err
	}
	if expect != 0 && expect != old.Version {
		return leger.Release{}, releaseMoved(old)
	}
	rel := old
	if err := edit(&rel, body); err != nil {
		return leger.Release{}, err
	}
	if rel == old { // the same again is no new version
		return old, nil
	}
	e := a.event(r, c)
	rel.Version, rel.UpdatedAt = old.Version+1, e.At
	e.Action, e.Subject, e.Version = leger.ActionReleaseUpdate, rel.Name.String(), rel.Version
	return rel, a.Stores.UpdateRelease(r.Context(), rel, old.Version, e)
}

func (a *API) deleteRelease(w http.ResponseWriter, r *http.Request, c caller) error {
	id, pre, err := releaseToWrite(r)
	if err != nil {
		return err
	}
	if err := retry(pre, func() error { return a.tryDelete(r, c, id, pre.Version) }); err != nil {
		return err
	}
	return ok(w, wire.Deleted{Deleted: true})
}

// tryDelete deletes the version it has read, so that the audit log tells what was
// deleted: afterwards the id means nothing to anybody.
func (a *API) tryDelete(r *http.Request, c caller, id string, expect leger.Version) error {
	old, err := a.Stores.Release(r.Context(), c.user.ID, id)
	if err != nil {
		return err
	}
	if expect != 0 && expect != old.Version {
		return releaseMoved(old)
	}
	e := a.event(r, c)
	e.Action, e.Subject, e.Version = leger.ActionReleaseDelete, old.Name.String(), old.Version
	return a.Stores.DeleteRelease(r.Context(), c.user.ID, id, old.Version, e)
}

func releaseMoved(now leger.Release) error {
	e := leger.Errorf(leger.CodeConflict, "release %s is at version %d now", now.Name, now.Version)
	e.Version = now.Version
	return e.WithHint("look at what changed, then try again")
}

func (a *API) releaseVersions(w http.ResponseWriter, r *http.Request, c caller) error {
	id, err := releaseID(r)
	if err != nil {
		return err
	}
	list, err := a.Stores.ReleaseVersions(r.Context(), c.user.ID, id)
	if err != nil {
		return err
	}
	out := wire.ReleaseVersions{Versions: make([]wire.ReleaseVersion, len(list))}
	for i, v := range list {
		out.Versions[i] = wire.ReleaseVersionOf(v)
	}
	return ok(w, out)
}
