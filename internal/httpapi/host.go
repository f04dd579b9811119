package httpapi

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/wire"
)

// hosts gives a page of the list. It leaves out what is long, because a machine may
// have reported half a megabyte of that.
func (a *API) hosts(w http.ResponseWriter, r *http.Request, c caller) error {
	limit, cursor, err := page(r)
	if err != nil {
		return err
	}
	ask := leger.HostPage{Limit: limit, After: cursor}
	if ask.Secrets, err = boolParam(r, "include_secrets"); err != nil {
		return err
	}
	if ask.Deployments, err = boolParam(r, "include_deployments"); err != nil {
		return err
	}
	list, next, err := a.Stores.Hosts(r.Context(), c.user.ID, ask)
	if err != nil {
		return err
	}
	out := wire.Hosts{Hosts: make([]wire.HostSummary, len(list)), NextCursor: cursorOf(next)}
	for i, h := range list {
		out.Hosts[i] = wire.HostSummaryOf(h, ask.Secrets, ask.Deployments)
	}
	return unlessKnown(w, r, "hosts", out)
}

// host gives one machine with all that it reported. One that only delivers sees what
// it said of itself.
func (a *API) host(w http.ResponseWriter, r *http.Request, c caller) error {
	device, err := leger.ParseDeviceID(r.PathValue("device_id"))
	if err != nil {
		return err
	}
	if m := c.machine; m != nil && m.Role != leger.RoleFull && m.ID != device {
		return a.forbid(r, c, onlyDelivers())
	}
	h, err := a.Stores.Host(r.Context(), c.user.ID, device)
	if err != nil {
		return err
	}
	return unlessKnown(w, r, "host", wire.HostOf(h))
}

// unlessKnown answers with data, or that the client has it. The tag is of all that is
// answered: machines have no version that would tell of every change.
func unlessKnown[T any](w http.ResponseWriter, r *http.Request, kind string, data T) error {
	h := sha256.New()
	_, _ = h.Write([]byte(kind + "\n"))
	if err := json.NewEncoder(h).Encode(data); err != nil {
		return leger.Wrap(leger.CodeInternal, err, "encode the answer")
	}
	etag := `"` + hex.EncodeToString(h.Sum(nil)[:16]) + `"`
	if matches(r.Header.Get("If-None-Match"), etag) {
		return notModified(w, etag)
	}
	setETag(w, etag)
	return ok(w, data)
}

// reportHost takes what a machine says of itself. A token that was made for one
// machine speaks for no other, and a browser for none.
func (a *API) reportHost(w http.ResponseWriter, r *http.Request, c caller) error {
	device, err := leger.ParseDeviceID(r.PathValue("device_id"))
	if err != nil {
		return err
	}
	if c.session != nil {
		return a.forbid(r, c, leger.Errorf(leger.CodeForbidden, "a machine is reported by the leger command on it, not by a browser").
			WithHint("on the machine: leger secrets sync"))
	}
	own := c.claims.Identity.DeviceID
	if c.machine != nil {
		own = c.machine.ID
	}
	if own != "" && own != device {
		return a.forbid(r, c, leger.Errorf(leger.CodeForbidden, "this token was made for another machine").
			WithHint("on each machine: leger auth login"))
	}
	body, err := decode[wire.HostReport](w, r)
	if err != nil {
		return err
	}
	e := a.event(r, c)
	report, err := reported(body, e.At)
	if err != nil {
		return err
	}
	report.User, report.DeviceID = c.user.ID, device
	if err := report.Validate(); err != nil {
		return err
	}
	e.Action, e.Subject, e.Detail = leger.ActionHostAdd, device, report.Name
	created, err := a.Stores.ReportHost(r.Context(), report, e)
	if err != nil {
		return err
	}
	if created && c.machine != nil {
		if err := a.replaceReport(r, c); err != nil {
			return err
		}
	}
	return ok(w, wire.HostReported{DeviceID: device, LastSeen: wire.At(e.At), Created: created})
}

// replaceReport forgets what the machine reported before it had a key: it was known
// by its device then, whichever Unix user spoke for it.
func (a *API) replaceReport(r *http.Request, c caller) error {
	if c.machine.DeviceID == "" {
		return nil
	}
	e := a.event(r, c)
	e.Action, e.Subject, e.Detail = leger.ActionHostForget, c.machine.DeviceID, "it reports as the machine "+c.machine.Name+" now"
	err := a.Stores.ForgetHost(r.Context(), c.user.ID, c.machine.DeviceID, e)
	if errors.Is(err, leger.ErrNotFound) {
		return nil
	}
	return err
}

// reported reads a body. What Validate looks at is left to it.
func reported(body wire.HostReport, now time.Time) (leger.HostReport, error) {
	report := leger.HostReport{
		Name: body.Name, CLIVersion: body.CLIVersion, LegerdVersion: body.LegerdVersion, PodmanVersion: body.PodmanVersion, At: now,
	}
	if body.Secrets != nil {
		report.Secrets = make([]leger.HostSecret, len(body.Secrets))
	}
	for i, s := range body.Secrets {
		in := fmt.Sprintf("secrets[%d].", i)
		name, err := leger.ParseSecretName(s.Name)
		if err != nil {
			return report, leger.Within(in, err)
		}
		at, err := reportedTime(in+"synced_at", s.SyncedAt, now)
		if err != nil {
			return report, err
		}
		report.Secrets[i] = leger.HostSecret{Name: name, Version: s.Version, SyncedAt: at}
	}
	if body.Deployments != nil {
		report.Deployments = make([]leger.HostDeployment, len(body.Deployments))
	}
	for i, d := range body.Deployments {
		var err error
		if report.Deployments[i], err = deployment(fmt.Sprintf("deployments[%d].", i), d, now); err != nil {
			return report, err
		}
	}
	return report, nil
}

func deployment(in string, d wire.HostDeploymentReport, now time.Time) (leger.HostDeployment, error) {
	out := leger.HostDeployment{
		Version: d.Version, Commit: d.Commit, State: d.State, Units: make([]leger.HostUnit, len(d.Units)),
		Generation: d.Generation, Health: d.Health, Findings: make([]leger.HostFinding, len(d.Findings)),
	}
	var err error
	if out.Release, err = leger.ParseReleaseName(d.Release); err != nil {
		return out, leger.Invalid(in+"release", "%v", err)
	}
	if out.InstalledAt, err = reportedTime(in+"installed_at", d.InstalledAt, now); err != nil {
		return out, err
	}
	if out.UpdatedAt, err = reportedTime(in+"updated_at", d.UpdatedAt, now); err != nil {
		return out, err
	}
	for i, u := range d.Units {
		out.Units[i] = leger.HostUnit(u)
	}
	for i, f := range d.Findings {
		out.Findings[i] = leger.HostFinding(f)
	}
	return out, nil
}

// reportedTime reads a time of a machine's own clock; "" is the zero time. Nothing
// happened in the future: where that clock is ahead, now stands instead.
func reportedTime(field, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, leger.Invalid(field, "%s is not a time such as 2026-03-01T10:20:30Z", field)
	}
	if t.After(now) {
		return now, nil
	}
	return t, nil
}

// forgetHost removes a machine from the list. It comes back with its next report.
func (a *API) forgetHost(w http.ResponseWriter, r *http.Request, c caller) error {
	device, err := leger.ParseDeviceID(r.PathValue("device_id"))
	if err != nil {
		return err
	}
	e := a.event(r, c)
	e.Action, e.Subject = leger.ActionHostForget, device
	// Afterwards the id means nothing to anybody.
	if e.Detail, err = a.Stores.HostName(r.Context(), c.user.ID, device); err != nil {
		return err
	}
	if err := a.Stores.ForgetHost(r.Context(), c.user.ID, device, e); err != nil {
		return err
	}
	return ok(w, wire.Deleted{Deleted: true})
}
