package ledger

import (
	"context"
	"database/sql/driver"

	"leger.run/leger"
)

const (
	releaseColumns = `id, name, git_url, git_branch, git_path, description, version, created_at, updated_at`

	selectReleases = `
SELECT ` + releaseColumns + ` FROM releases
WHERE user_uuid = ?1 AND name_key > ?2 ORDER BY name_key LIMIT ?3`

	selectReleaseByName = `SELECT ` + releaseColumns + ` FROM releases WHERE user_uuid = ?1 AND name_key = ?2`

	selectRelease = `SELECT ` + releaseColumns + ` FROM releases WHERE user_uuid = ?1 AND id = ?2`

	selectReleaseVersion = `SELECT version FROM releases WHERE user_uuid = ?1 AND id = ?2`

	selectReleaseVersions = `
SELECT v.version, v.name, v.git_url, v.git_branch, v.git_path, v.description, v.created_at
FROM releases AS r JOIN release_versions AS v ON v.release_id = r.id
WHERE r.user_uuid = ?1 AND r.id = ?2 ORDER BY v.version DESC`

	selectWhyNotRelease = `
SELECT (SELECT count(*) FROM users WHERE user_uuid = ?1),
       coalesce((SELECT version FROM releases WHERE user_uuid = ?1 AND id = ?2), 0),
       (SELECT count(*) FROM releases WHERE user_uuid = ?1 AND name_key = ?3 AND id <> ?2),
       (SELECT count(*) FROM releases WHERE user_uuid = ?1)`
)

// To write a release one of the first three decides; insertReleaseVersion
// follows the first two, and insertAudit each.
const (
	// ?11 is the most releases a user may own.
	insertRelease = `
INSERT INTO releases (user_uuid, id, name, name_key, git_url, git_branch, git_path, description, version, created_at, updated_at)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 1, ?9, ?10
WHERE EXISTS (SELECT 1 FROM users WHERE user_uuid = ?1)
  AND NOT EXISTS (SELECT 1 FROM releases WHERE user_uuid = ?1 AND name_key = ?4)
  AND (SELECT count(*) FROM releases WHERE user_uuid = ?1) < ?11`

	updateRelease = `
UPDATE releases SET name = ?3, name_key = ?4, git_url = ?5, git_branch = ?6, git_path = ?7, description = ?8,
       version = version + 1, updated_at = ?9
WHERE user_uuid = ?1 AND id = ?2 AND version = ?10
  AND NOT EXISTS (SELECT 1 FROM releases WHERE user_uuid = ?1 AND name_key = ?4 AND id <> ?2)`

	deleteRelease = `DELETE FROM releases WHERE user_uuid = ?1 AND id = ?2 AND (?3 = 0 OR version = ?3)`

	insertReleaseVersion = `
INSERT INTO release_versions (release_id, version, name, git_url, git_branch, git_path, description, created_at)
SELECT id, version, name, git_url, git_branch, git_path, coalesce(description, ''), ?3
FROM releases WHERE user_uuid = ?1 AND id = ?2 AND changes() > 0`
)

// Releases implements leger.ReleaseStore. A Limit outside 1 to MaxPageSize is
// moved into it.
func (s *Store) Releases(ctx context.Context, user leger.UserID, page leger.ReleasePage) (list []leger.Release, next string, err error) {
	limit := pageLimit(page.Limit)
	text, args := selectReleases, []driver.Value{user.String(), page.After, int64(limit + 1)}
	if page.Name != nil {
		text, args = selectReleaseByName, []driver.Value{user.String(), page.Name.Key()}
	}
	err = s.read(ctx, text, args, func(r *Row) {
		list = append(list, release(r, user))
	})
	if err != nil {
		return nil, "", err
	}
	if len(list) > limit {
		list = list[:limit]
		next = list[limit-1].Name.Key()
	}
	return list, next, nil
}

// Release implements leger.ReleaseStore.
func (s *Store) Release(ctx context.Context, user leger.UserID, id string) (found leger.Release, err error) {
	err = s.read(ctx, selectRelease, []driver.Value{user.String(), id}, func(r *Row) {
		found = release(r, user)
	})
	if err == nil && found.ID == "" {
		err = noRelease()
	}
	return found, err
}

// release reads releaseColumns.
func release(r *Row, user leger.UserID) leger.Release {
	return leger.Release{
		ID: r.Text(), User: user, Name: parsed(r, leger.ParseReleaseName), GitURL: parsed(r, leger.ParseGitURL),
		GitRef: parsed(r, keptRef), GitPath: parsed(r, keptPath), Description: r.Text(),
		Version: leger.Version(r.Integer()), CreatedAt: r.Time(), UpdatedAt: r.Time(),
	}
}

func noRelease() error { return leger.Errorf(leger.CodeNotFound, "there is no such release") }

// ReleaseVersions implements leger.ReleaseStore.
func (s *Store) ReleaseVersions(ctx context.Context, user leger.UserID, id string) (list []leger.ReleaseVersion, err error) {
	err = s.read(ctx, selectReleaseVersions, []driver.Value{user.String(), id}, func(r *Row) {
		list = append(list, leger.ReleaseVersion{
			Version: leger.Version(r.Integer()), Name: parsed(r, leger.ParseReleaseName), GitURL: parsed(r, leger.ParseGitURL),
			GitRef: parsed(r, keptRef), GitPath: parsed(r, keptPath), Description: r.Text(), CreatedAt: r.Time(),
		})
	})
	if err == nil && len(list) == 0 {
		err = noRelease()
	}
	return list, err
}

// CreateRelease implements leger.ReleaseStore.
func (s *Store) CreateRelease(ctx context.Context, r leger.Release, audit leger.AuditEvent) error {
	args := append(contentOf(r), Timestamp(r.CreatedAt), Timestamp(r.UpdatedAt), int64(leger.MaxReleasesPerUser))
	return s.putRelease(ctx, r, audit, deciding(insertRelease, args...), func(is releaseState) error {
		switch {
		case is.nameTaken:
			return releaseNameTaken(r.Name)
		case is.owned < leger.MaxReleasesPerUser:
			return nil
		}
		return leger.Errorf(leger.CodeConflict, "there are %d releases already, which is the most one account may own", leger.MaxReleasesPerUser).
			WithHint("delete a release that is not needed any more")
	})
}

// UpdateRelease implements leger.ReleaseStore.
func (s *Store) UpdateRelease(ctx context.Context, r leger.Release, expect leger.Version, audit leger.AuditEvent) error {
	args := append(contentOf(r), Timestamp(r.UpdatedAt), int64(expect))
	return s.putRelease(ctx, r, audit, deciding(updateRelease, args...), func(is releaseState) error {
		switch {
		case is.current == 0:
			return noRelease()
		case is.current != expect:
			return staleRelease(is.current, expect)
		case is.nameTaken:
			return releaseNameTaken(r.Name)
		}
		return nil
	})
}

// contentOf gives ?1 to ?8 of the statements that write a release.
func contentOf(r leger.Release) []driver.Value {
	return []driver.Value{
		r.User.String(), r.ID, r.Name.String(), r.Name.Key(), r.GitURL.String(), r.GitRef.String(), r.GitPath.String(), r.Description,
	}
}

// releaseState is what decides whether a release may be written.
type releaseState struct {
	current   leger.Version // 0: there is none of this id
	nameTaken bool          // by another release
	owned     int           // releases of the user
}

// putRelease runs the statement that decides and those that follow. whyNot makes
// the error when it did not hold.
func (s *Store) putRelease(ctx context.Context, r leger.Release, audit leger.AuditEvent, put Statement, whyNot func(releaseState) error) error {
	list := []Statement{
		put,
		following(insertReleaseVersion, r.User.String(), r.ID, Timestamp(r.UpdatedAt)),
		s.auditChange(audit),
	}
	_, err := s.decide(ctx, SurvivesPowerLoss, list, func(ctx context.Context) error {
		var users int64
		var is releaseState
		err := s.read(ctx, selectWhyNotRelease, []driver.Value{r.User.String(), r.ID, r.Name.Key()}, func(row *Row) {
			users, is = row.Integer(), releaseState{
				current: leger.Version(row.Integer()), nameTaken: row.Integer() > 0, owned: int(row.Integer()),
			}
		})
		switch {
		case err != nil:
			return err
		case users == 0:
			return noUser()
		}
		return whyNot(is)
	})
	return err
}

// keptRef and keptPath read what was kept before it had to be printable: the account's
// other releases are not to be lost by one.
func keptRef(s string) (leger.GitRef, error)   { return leger.ParseGitRef(leger.PrintableText(s)) }
func keptPath(s string) (leger.GitPath, error) { return leger.ParseGitPath(leger.PrintableText(s)) }

func releaseNameTaken(name leger.ReleaseName) error {
	e := leger.Errorf(leger.CodeConflict, "there is a release named %s already", name).WithHint("choose another name")
	e.Field = "name"
	return e
}

func staleRelease(current, expect leger.Version) error {
	e := leger.Errorf(leger.CodeConflict, "the release is at version %d, not %d", current, expect).
		WithHint("look at the current version and try again")
	e.Version = current
	return e
}

// DeleteRelease implements leger.ReleaseStore.
func (s *Store) DeleteRelease(ctx context.Context, user leger.UserID, id string, expect leger.Version, audit leger.AuditEvent) error {
	list := []Statement{deciding(deleteRelease, user.String(), id, int64(expect)), s.auditChange(audit)}
	_, err := s.decide(ctx, SurvivesPowerLoss, list, func(ctx context.Context) error { return s.whyNotDeletedRelease(ctx, user, id, expect) })
	return err
}

func (s *Store) whyNotDeletedRelease(ctx context.Context, user leger.UserID, id string, expect leger.Version) error {
	var current leger.Version
	err := s.read(ctx, selectReleaseVersion, []driver.Value{user.String(), id}, func(r *Row) {
		current = leger.Version(r.Integer())
	})
	switch {
	case err != nil:
		return err
	case current == 0, expect == 0, current == expect:
		return noRelease() // or it was not there a moment ago, and came back since
	}
	return staleRelease(current, expect)
}
