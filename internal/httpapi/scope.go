package httpapi

import (
	"net/http"

	"leger.run/leger"
	"leger.run/leger/internal/wire"
)

// delivers: the caller is a machine that only delivers.
func (c caller) delivers() bool { return c.machine != nil && c.machine.Role != leger.RoleFull }

// given parts what the caller is given from what is withheld from its machine. The
// names of the latter are nil for a machine that only delivers: it is not to know of
// them.
func (c caller) given(infos []leger.SecretInfo) (given []leger.SecretInfo, withheld []leger.SecretName) {
	if c.machine == nil {
		return infos, nil
	}
	for _, s := range infos {
		switch {
		case s.Scope.Gives(*c.machine):
			given = append(given, c.told(s))
		case !c.delivers():
			withheld = append(withheld, s.Name)
		}
	}
	return given, withheld
}

// told is what the caller may know of a secret that it is given: a machine that only
// delivers is not told who else gets it.
func (c caller) told(s leger.SecretInfo) leger.SecretInfo {
	if c.delivers() {
		s.Scope = leger.Scope{}
	}
	return s
}

// setScope says which machines a secret is given to from now on.
func (a *API) setScope(w http.ResponseWriter, r *http.Request, c caller) error {
	name, err := leger.ParseSecretName(r.PathValue("name"))
	if err != nil {
		return err
	}
	body, err := decode[wire.Scope](w, r)
	if err != nil {
		return err
	}
	e := a.event(r, c)
	scope, detail, err := a.scopeOf(r, c, body)
	if err != nil {
		return err
	}
	e.Detail = detail
	if err := a.Vault.SetScope(r.Context(), c.user.ID, name, *scope, e); err != nil {
		return err
	}
	return ok(w, wire.ScopeOf(*scope))
}

// scopeOf checks a scope that was asked for: its machines are the caller's. detail is
// how the audit log tells it.
func (a *API) scopeOf(r *http.Request, c caller, in wire.Scope) (scope *leger.Scope, detail string, err error) {
	parsed, err := in.Parse()
	if err != nil {
		return nil, "", err
	}
	called := map[string]string{}
	if len(parsed.Machines) > 0 {
		list, err := a.Stores.Machines(r.Context(), c.user.ID)
		if err != nil {
			return nil, "", err
		}
		for _, m := range list {
			called[m.ID] = m.Name
		}
	}
	for _, id := range parsed.Machines {
		if called[id] == "" {
			return nil, "", leger.Invalid("machines", "one of the machines is not there, or not yours").WithHint("leger machines list")
		}
	}
	return &parsed, cut(parsed.Describe(func(id string) string { return called[id] }), 200), nil
}
