package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"leger.run/leger"
)

func releaseTests() map[string]func(*harness) {
	return map[string]func(*harness){
		"a release comes back as it was made":      testCreateRelease,
		"names are one whatever their case":        testReleaseNames,
		"an edit needs the version to hold":        testUpdateRelease,
		"an edit cannot take another's name":       testRenameRelease,
		"history, newest first":                    testReleaseVersions,
		"deleting needs the version to hold":       testDeleteRelease,
		"pages in order of name":                   testReleasePages,
		"another account sees and changes nothing": testOtherReleases,
		"no more than the limit":                   testReleaseLimit,
		"of 50 edits at one version, one succeeds": testConcurrentUpdate,
		"of 50 of one name, one succeeds":          testConcurrentCreate,
	}
}

func (h *harness) releaseName(s string) leger.ReleaseName {
	h.Helper()
	n, err := leger.ParseReleaseName(s)
	h.must(err)
	return n
}

func (h *harness) newRelease(user leger.UserID, name string) leger.Release {
	h.Helper()
	url, err := leger.ParseGitURL("https://git.example.com/" + strings.ToLower(name))
	h.must(err)
	ref, err := leger.ParseGitRef("main")
	h.must(err)
	path, err := leger.ParseGitPath("quadlets/prod")
	h.must(err)
	return leger.Release{
		ID: h.id(), User: user, Name: h.releaseName(name), GitURL: url, GitRef: ref, GitPath: path,
		Description: "<null>\n'quoted' \"text\" 🦊", Version: 1, CreatedAt: at(1), UpdatedAt: at(1),
	}
}

func (h *harness) tryCreate(r leger.Release) error {
	return h.Releases.CreateRelease(h.Context(), r, event(r.User, leger.ActionReleaseCreate, r.Name.String(), 1, 1))
}

func (h *harness) createRelease(user leger.UserID, name string) leger.Release {
	h.Helper()
	r := h.newRelease(user, name)
	h.must(h.tryCreate(r))
	return r
}

func (h *harness) update(r leger.Release, expect leger.Version) error {
	return h.Releases.UpdateRelease(h.Context(), r, expect, event(r.User, leger.ActionReleaseUpdate, r.Name.String(), expect+1, 2))
}

func (h *harness) deleteRelease(r leger.Release, expect leger.Version) error {
	return h.Releases.DeleteRelease(h.Context(), r.User, r.ID, expect, event(r.User, leger.ActionReleaseDelete, r.Name.String(), expect, 3))
}

// release reads one release.
func (h *harness) release(user leger.UserID, id string) leger.Release {
	h.Helper()
	r, err := h.Releases.Release(h.Context(), user, id)
	h.must(err)
	return r
}

func testCreateRelease(h *harness) {
	user := h.account(1)
	plain := h.newRelease(user, "Plain")
	plain.GitPath, plain.Description = leger.GitPath{}, ""
	h.must(h.tryCreate(plain))
	full := h.createRelease(user, "full")
	h.same("plain", h.release(user, plain.ID), plain)
	h.same("full", h.release(user, full.ID), full)
	_, err := h.Releases.Release(h.Context(), user, h.id())
	h.fails(err, leger.ErrNotFound)
	h.fails(h.tryCreate(h.newRelease(identity(99).UserID(), "nobodys")), leger.ErrNotFound)
	h.same("audit", h.actions(user), []leger.Action{leger.ActionSignIn, leger.ActionReleaseCreate, leger.ActionReleaseCreate})
}

func testReleaseNames(h *harness) {
	user := h.account(1)
	want := h.createRelease(user, "Web.App")
	for _, name := range []string{"Web.App", "web.app", "WEB.APP"} {
		e := h.conflict(h.tryCreate(h.newRelease(user, name)))
		h.same("field", e.Field, "name")
		n := h.releaseName(name)
		list, next, err := h.Releases.Releases(h.Context(), user, leger.ReleasePage{Name: &n, Limit: 10})
		h.must(err)
		h.same("by name "+name, list, []leger.Release{want})
		h.same("next", next, "")
	}
	h.createRelease(user, "web-app")
	other := h.releaseName("web")
	list, _, err := h.Releases.Releases(h.Context(), user, leger.ReleasePage{Name: &other, Limit: 10})
	h.must(err)
	h.same("by the beginning of a name", list, []leger.Release{})
	h.same("audit", len(h.actions(user)), 3)
}

func testUpdateRelease(h *harness) {
	user := h.account(1)
	r := h.createRelease(user, "web")
	change := h.newRelease(user, "WEB")
	change.ID, change.Description, change.GitPath, change.UpdatedAt = r.ID, "changed", leger.GitPath{}, at(8)
	change.CreatedAt = at(100) // not for an edit to change
	h.must(h.update(change, 1))
	want := change
	want.Version, want.CreatedAt = 2, r.CreatedAt
	h.same("after the edit", h.release(user, r.ID), want)
	for _, expect := range []leger.Version{0, 1, 3} {
		if e := h.conflict(h.update(r, expect)); e.Version != 2 {
			h.Errorf("expecting %d: the conflict names version %d, want 2", expect, e.Version)
		}
	}
	h.same("after refused edits", h.release(user, r.ID), want)
	unknown := h.newRelease(user, "unknown")
	h.fails(h.update(unknown, 1), leger.ErrNotFound)
	h.same("audit", h.actions(user), []leger.Action{leger.ActionSignIn, leger.ActionReleaseCreate, leger.ActionReleaseUpdate})
}

func testRenameRelease(h *harness) {
	user := h.account(1)
	a := h.createRelease(user, "a")
	h.createRelease(user, "b")
	a.Name = h.releaseName("B")
	e := h.conflict(h.update(a, 1))
	h.same("field", e.Field, "name")
	e = h.conflict(h.update(a, 7))
	h.same("a version that moved on comes first", e.Version, leger.Version(1))
	a.Name = h.releaseName("c")
	h.must(h.update(a, 1))
	h.createRelease(user, "a")
	h.same("renamed", h.release(user, a.ID).Name, a.Name)
}

func testReleaseVersions(h *harness) {
	user := h.account(1)
	r := h.createRelease(user, "web")
	edited := r
	edited.Name, edited.Description, edited.UpdatedAt = h.releaseName("site"), "edited", at(9)
	h.must(h.update(edited, 1))
	got, err := h.Releases.ReleaseVersions(h.Context(), user, r.ID)
	h.must(err)
	h.same("history", got, []leger.ReleaseVersion{
		{Version: 2, Name: edited.Name, GitURL: r.GitURL, GitRef: r.GitRef, GitPath: r.GitPath, Description: "edited", CreatedAt: at(9)},
		{Version: 1, Name: r.Name, GitURL: r.GitURL, GitRef: r.GitRef, GitPath: r.GitPath, Description: r.Description, CreatedAt: at(1)},
	})
	_, err = h.Releases.ReleaseVersions(h.Context(), user, h.id())
	h.fails(err, leger.ErrNotFound)
}

func testDeleteRelease(h *harness) {
	user := h.account(1)
	r := h.createRelease(user, "web")
	h.must(h.update(r, 1))
	if e := h.conflict(h.deleteRelease(r, 1)); e.Version != 2 {
		h.Errorf("the conflict names version %d, want 2", e.Version)
	}
	h.must(h.deleteRelease(r, 2))
	h.fails(h.deleteRelease(r, 0), leger.ErrNotFound)
	_, err := h.Releases.Release(h.Context(), user, r.ID)
	h.fails(err, leger.ErrNotFound)
	_, err = h.Releases.ReleaseVersions(h.Context(), user, r.ID)
	h.fails(err, leger.ErrNotFound)
	again := h.createRelease(user, "web")
	h.must(h.deleteRelease(again, 0))
}

func testReleasePages(h *harness) {
	user := h.account(1)
	for _, name := range []string{"delta", "Bravo", "a-1", "Echo", "a.1", "charlie", "a1"} {
		h.createRelease(user, name)
	}
	var got []string
	var pages int
	page := leger.ReleasePage{Limit: 3}
	for {
		list, next, err := h.Releases.Releases(h.Context(), user, page)
		h.must(err)
		for _, r := range list {
			got = append(got, r.Name.String())
		}
		if pages++; next == "" || pages > 7 {
			break
		}
		page.After = next
	}
	h.same("names", got, []string{"a-1", "a.1", "a1", "Bravo", "charlie", "delta", "Echo"})
	h.same("pages", pages, 3)
	_, next, err := h.Releases.Releases(h.Context(), user, leger.ReleasePage{Limit: 7})
	h.must(err)
	h.same("next of a page that is exactly full", next, "")
}

func testOtherReleases(h *harness) {
	owner, other := h.account(1), h.account(2)
	r := h.createRelease(owner, "web")
	h.createRelease(other, "web")
	_, err := h.Releases.Release(h.Context(), other, r.ID)
	h.fails(err, leger.ErrNotFound)
	_, err = h.Releases.ReleaseVersions(h.Context(), other, r.ID)
	h.fails(err, leger.ErrNotFound)
	theirs := r
	theirs.User, theirs.Name = other, h.releaseName("stolen")
	h.fails(h.update(theirs, 1), leger.ErrNotFound)
	h.fails(h.deleteRelease(theirs, 0), leger.ErrNotFound)
	list, _, err := h.Releases.Releases(h.Context(), owner, leger.ReleasePage{Limit: 10})
	h.must(err)
	h.same("the owner's releases", list, []leger.Release{r})
}

func testReleaseLimit(h *harness) {
	user := h.account(1)
	var first leger.Release
	for i := range leger.MaxReleasesPerUser {
		r := h.createRelease(user, fmt.Sprintf("r%03d", i))
		if i == 0 {
			first = r
		}
	}
	h.fails(h.tryCreate(h.newRelease(user, "extra")), leger.ErrConflict)
	h.must(h.update(first, 1))
	h.must(h.deleteRelease(first, 0))
	h.createRelease(user, "extra")
	list, next, err := h.Releases.Releases(h.Context(), user, leger.ReleasePage{Limit: leger.MaxPageSize})
	h.must(err)
	h.same("releases on the largest page", len(list), leger.MaxReleasesPerUser)
	h.same("next", next, "")
}

func testConcurrentUpdate(h *harness) {
	user := h.account(1)
	r := h.createRelease(user, "web")
	var succeeded atomic.Int64
	h.together(func(i int) error {
		edit := r
		edit.Description = fmt.Sprint("writer ", i)
		err := h.update(edit, 1)
		if err == nil {
			succeeded.Add(1)
		}
		if errors.Is(err, leger.ErrConflict) {
			return nil
		}
		return err
	})
	h.same("edits that succeeded", succeeded.Load(), int64(1))
	h.same("version", h.release(user, r.ID).Version, leger.Version(2))
	versions, err := h.Releases.ReleaseVersions(h.Context(), user, r.ID)
	h.must(err)
	h.same("history", len(versions), 2)
}

func testConcurrentCreate(h *harness) {
	user := h.account(1)
	taken := make([]bool, writers)
	h.together(func(i int) error {
		err := h.tryCreate(h.newRelease(user, []string{"web", "WEB"}[i%2]))
		taken[i] = errors.Is(err, leger.ErrConflict)
		if taken[i] {
			return nil
		}
		return err
	})
	slices.SortFunc(taken, func(a, b bool) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	h.same("the first is not refused, the second is", taken[:2], []bool{false, true})
}
