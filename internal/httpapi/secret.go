package httpapi

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"leger.run/leger"
	"leger.run/leger/internal/vault"
	"leger.run/leger/internal/wire"
)

// errValuesForCLI: a browser never gets a value back, so that a script that found
// its way into the page could not either.
func errValuesForCLI() *leger.Error {
	return leger.Errorf(leger.CodeForbidden, "values are given to the leger command only, not to a browser").
		WithHint("leger secrets get NAME")
}

func (a *API) secrets(w http.ResponseWriter, r *http.Request, c caller) error {
	values, err := boolParam(r, "include_values")
	if err != nil {
		return err
	}
	if !values {
		return a.secretInfos(w, r, c)
	}
	if c.session != nil {
		return a.forbid(r, c, errValuesForCLI())
	}
	in, err := a.Stores.Installation(r.Context())
	if err != nil {
		return err
	}
	if wanted := r.Header.Get("If-None-Match"); wanted != "" {
		infos, err := a.Vault.List(r.Context(), c.user.ID)
		if err != nil {
			return err
		}
		given, withheld := c.given(infos)
		if etag := secretsETag("values", in, given, withheld); matches(wanted, etag) {
			w.Header().Set("ETag", etag)
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
	}
	opened, withheld, err := a.Vault.OpenAll(r.Context(), c.user.ID, c.machine, a.event(r, c))
	if err != nil {
		return err
	}
	if c.delivers() {
		withheld = nil // it is not to know of them
	}
	return a.openedSecrets(w, c, in, opened, withheld)
}

func (a *API) openedSecrets(
	w http.ResponseWriter, c caller, in leger.Installation, opened []vault.Opened, withheld []leger.SecretName,
) error {
	infos := make([]leger.SecretInfo, len(opened))
	out := wire.Secrets{
		Secrets: make([]wire.Secret, len(opened)), Withheld: withheld, Installation: wire.InstallationOf(in),
	}
	for i, o := range opened {
		o.SecretInfo = c.told(o.SecretInfo)
		infos[i] = o.SecretInfo
		value := string(o.Value.Reveal())
		o.Value.Wipe()
		out.Secrets[i] = wire.SecretOf(o.SecretInfo)
		out.Secrets[i].Value = &value
	}
	// No cache may keep values, not even the caller's own: no-store stays. The leger
	// command needs none, it remembers the tag itself.
	w.Header().Set("ETag", secretsETag("values", in, infos, withheld))
	return ok(w, out)
}

// secretInfos gives the names: all of them, but to a machine that only delivers.
func (a *API) secretInfos(w http.ResponseWriter, r *http.Request, c caller) error {
	in, err := a.Stores.Installation(r.Context())
	if err != nil {
		return err
	}
	infos, err := a.Vault.List(r.Context(), c.user.ID)
	if err != nil {
		return err
	}
	given, withheld := c.given(infos)
	if c.delivers() {
		infos = given
	}
	etag := secretsETag("names", in, infos, withheld)
	if matches(r.Header.Get("If-None-Match"), etag) {
		return notModified(w, etag)
	}
	out := wire.Secrets{
		Secrets: make([]wire.Secret, len(infos)), Withheld: withheld, Installation: wire.InstallationOf(in),
	}
	for i, s := range infos {
		out.Secrets[i] = wire.SecretOf(s)
	}
	setETag(w, etag)
	return ok(w, out)
}

func (a *API) secret(w http.ResponseWriter, r *http.Request, c caller) error {
	name, err := leger.ParseSecretName(r.PathValue("name"))
	if err != nil {
		return err
	}
	if c.session != nil {
		return a.forbid(r, c, errValuesForCLI())
	}
	o, err := a.Vault.Open(r.Context(), c.user.ID, name, c.machine, a.event(r, c))
	if forbidden, isForbidden := errors.AsType[*leger.Error](err); isForbidden && forbidden.Code == leger.CodeForbidden {
		return a.forbid(r, c, forbidden)
	}
	if err != nil {
		return err
	}
	value := string(o.Value.Reveal())
	o.Value.Wipe()
	out := wire.SecretOf(c.told(o.SecretInfo))
	out.Value = &value
	return ok(w, out)
}

// secretToWrite gives the secret a request is about, and what it asks of the
// version that is there.
func secretToWrite(r *http.Request) (name leger.SecretName, pre vault.Precondition, err error) {
	if name, err = leger.ParseSecretName(r.PathValue("name")); err != nil {
		return name, pre, err
	}
	pre, err = precondition(r)
	return name, pre, err
}

func (a *API) putSecret(w http.ResponseWriter, r *http.Request, c caller) error {
	name, pre, err := secretToWrite(r)
	if err != nil {
		return err
	}
	if pre, err = ifNoneMatch(r, pre); err != nil {
		return err
	}
	body, err := decode[wire.SecretPut](w, r)
	if err != nil {
		return err
	}
	value, err := leger.ParsePlaintext([]byte(body.Value))
	if err != nil {
		return err
	}
	defer value.Wipe()
	it := vault.Item{Name: name, Value: value}
	e := a.event(r, c)
	if body.Scope != nil {
		if it.Scope, e.Detail, err = a.scopeOf(r, c, *body.Scope); err != nil {
			return err
		}
	}
	written, err := a.Vault.Put(r.Context(), c.user.ID, it, pre, e)
	if err != nil {
		return err
	}
	// The value was there already, and no version was written that could take the scope.
	if it.Scope != nil && !it.Scope.Equal(written.Scope) {
		if err := a.Vault.SetScope(r.Context(), c.user.ID, name, *it.Scope, e); err != nil {
			return err
		}
	}
	return ok(w, writtenSecret(written))
}

func (a *API) deleteSecret(w http.ResponseWriter, r *http.Request, c caller) error {
	name, pre, err := secretToWrite(r)
	if err != nil {
		return err
	}
	if err := a.Vault.Delete(r.Context(), c.user.ID, name, pre, a.event(r, c)); err != nil {
		return err
	}
	return ok(w, wire.Deleted{Deleted: true})
}

func (a *API) secretVersions(w http.ResponseWriter, r *http.Request, c caller) error {
	name, err := leger.ParseSecretName(r.PathValue("name"))
	if err != nil {
		return err
	}
	list, err := a.Vault.Versions(r.Context(), c.user.ID, name)
	if err != nil {
		return err
	}
	out := wire.SecretVersions{Versions: make([]wire.SecretVersion, len(list))}
	for i, v := range list {
		out.Versions[i] = wire.SecretVersion{Version: v.Version, CreatedAt: wire.At(v.CreatedAt), Current: v.Current}
	}
	return ok(w, out)
}

func (a *API) restoreSecret(w http.ResponseWriter, r *http.Request, c caller) error {
	name, pre, err := secretToWrite(r)
	if err != nil {
		return err
	}
	body, err := decode[wire.SecretRestore](w, r)
	if err != nil {
		return err
	}
	if body.Version < 1 {
		return leger.Invalid("version", "version must be a whole number from 1")
	}
	written, err := a.Vault.Restore(r.Context(), c.user.ID, name, body.Version, pre, a.event(r, c))
	if err != nil {
		return err
	}
	return ok(w, writtenSecret(written))
}

func writtenSecret(s vault.Written) wire.SecretWritten {
	return wire.SecretWritten{
		Name: s.Name, Version: s.Version, ValueID: s.ValueID, Changed: s.Changed,
		CreatedAt: wire.At(s.CreatedAt), UpdatedAt: wire.At(s.UpdatedAt),
	}
}

// batchSecrets imports many at once: all or nothing, with a verdict on each.
func (a *API) batchSecrets(w http.ResponseWriter, r *http.Request, c caller) error {
	body, err := decode[wire.SecretBatch](w, r)
	if err != nil {
		return err
	}
	if n := len(body.Secrets); n < 1 || n > leger.MaxSecretsPerUser {
		return leger.Invalid("secrets", "secrets must hold 1 to %d items, not %d", leger.MaxSecretsPerUser, n)
	}
	for i, it := range body.Secrets {
		if it.Version != nil && *it.Version < 0 {
			return leger.Invalid(fmt.Sprintf("secrets[%d].version", i), "version must be a whole number from 0")
		}
	}
	out := wire.SecretBatchResult{Results: make([]wire.SecretBatchState, len(body.Secrets))}
	items, valid := parseBatch(body.Secrets, out.Results)
	written, err := a.Vault.PutAll(r.Context(), c.user.ID, items, body.DryRun || !valid, a.event(r, c))
	if err != nil {
		return err
	}
	out.Applied = valid && !body.DryRun
	next := 0
	for i := range out.Results {
		res := &out.Results[i]
		if res.State == wire.BatchInvalid {
			continue
		}
		one := written[next]
		next++
		res.State, res.Version, res.Current = batchState(one), one.Version, one.Before
		if one.Conflict != nil {
			out.Applied, res.Message = false, one.Conflict.Message
		}
	}
	return ok(w, out)
}

func batchState(s vault.Written) wire.BatchState {
	switch {
	case s.Conflict != nil:
		return wire.BatchConflict
	case !s.Changed:
		return wire.BatchUnchanged
	case s.Created:
		return wire.BatchNew
	default:
		return wire.BatchChanged
	}
}

// parseBatch checks each item; what is wrong is noted in results, at its place.
func parseBatch(in []wire.SecretBatchItem, results []wire.SecretBatchState) (items []vault.Item, valid bool) {
	valid = true
	seen := map[leger.SecretName]bool{}
	for i, it := range in {
		results[i].Name = cut(it.Name, leger.MaxSecretName)
		name, err := leger.ParseSecretName(it.Name)
		var value leger.Plaintext
		if err == nil {
			value, err = leger.ParsePlaintext([]byte(it.Value))
		}
		if err == nil && seen[name] {
			err = leger.Invalid("name", "%s is in the list twice", name)
		}
		if err != nil {
			valid = false
			results[i].State, results[i].Message = wire.BatchInvalid, err.Error()
			continue
		}
		seen[name] = true
		items = append(items, vault.Item{Name: name, Value: value, Expect: it.Version})
	}
	return items, valid
}

func boolParam(r *http.Request, name string) (bool, error) {
	switch r.URL.Query().Get(name) {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	default:
		return false, leger.Invalid(name, "%s must be true or false", name)
	}
}

// secretsETag changes when any name, version, value, scope or identity in the list does,
// with what is withheld, with the installation and its epoch, and with the kind of list.
// It is known without opening a value.
func secretsETag(kind string, in leger.Installation, infos []leger.SecretInfo, withheld []leger.SecretName) string {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%s %s %d\n", kind, in.ID, in.Epoch)
	for _, s := range infos {
		_, _ = fmt.Fprintf(h, "%s %d %s %s\n", s.Name, s.Version, s.ID, s.ValueID)
		if s.Scope.Chosen {
			_, _ = fmt.Fprintf(h, "machines %q groups %q\n", s.Scope.Machines, s.Scope.Groups)
		}
	}
	for _, name := range withheld {
		_, _ = fmt.Fprintf(h, "withheld %s\n", name)
	}
	return `"` + hex.EncodeToString(h.Sum(nil)[:16]) + `"`
}

// matches compares If-None-Match weakly, as RFC 9110, 13.1.2 asks.
func matches(header, etag string) bool {
	if strings.TrimSpace(header) == "*" {
		return true
	}
	for part := range strings.SplitSeq(header, ",") {
		if strings.TrimPrefix(strings.TrimSpace(part), "W/") == etag {
			return true
		}
	}
	return false
}

// setETag lets the caller's own cache keep a list that holds no value.
func setETag(w http.ResponseWriter, etag string) {
	w.Header().Set("ETag", etag)
	w.Header().Set("Cache-Control", "private, no-cache")
}

func notModified(w http.ResponseWriter, etag string) error {
	setETag(w, etag)
	w.WriteHeader(http.StatusNotModified)
	return nil
}
