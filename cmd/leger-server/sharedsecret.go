package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"leger.run/leger"
	"leger.run/leger/internal/safefile"
	"leger.run/leger/internal/sqlite"
	"leger.run/leger/internal/terminal"
	"leger.run/leger/internal/token"
)

// nextSecretFile is there, in the data directory, from the decision to change the shared
// secret until that is on the audit log: it then takes the place of the former one.
const nextSecretFile = "jwt.secret.new" //nolint:gosec // G101: a name

// secretChanged is what a change of the shared secret did.
type secretChanged struct {
	File    string                 `json:"file"`              // where the new one is
	Keyless []leger.KeylessMachine `json:"keyless,omitempty"` // who came with the former one and has no key
}

// changeSecret makes a new shared secret and ends what the former one was good for: tokens,
// and all sessions of browsers, since nobody can tell which of them it opened.
//
// Once nextSecretFile is written the change is decided: whatever is cut, the next start or
// the next call finishes it.
func (r *rotation) changeSecret(ctx context.Context) (out secretChanged, err error) {
	out.File = filepath.Join(r.data, sharedSecretFile)
	end, err := r.begin(ctx)
	if err != nil {
		return out, err
	}
	defer end()
	given, err := r.find(sharedName)
	if err == nil && given.From != "" {
		err = leger.Errorf(leger.CodeConflict, "the shared secret is set outside the data directory (%s): the new one is yours to set", given.From).
			WithHint("set it there to a new one (openssl rand -base64 48) and restart the server: the former one is refused from then on. " +
				"Then sign out everywhere on the page Settings: browsers that are signed in stay so otherwise")
	}
	if err != nil {
		return out, err
	}
	since := r.now().Add(-token.AccessLifetime)
	if out.Keyless, err = r.store.KeylessMachines(ctx, since); err != nil {
		return out, err
	}
	next, err := r.nextSecret()
	if err != nil {
		return out, err
	}
	// A caller that gives up now must not leave it half done.
	ctx = context.WithoutCancel(ctx)
	r.useSecret(next)
	if err := r.finishSecret(ctx, r.data, r.store); err != nil {
		return out, leger.Wrap(leger.CodePartial, err, "the former shared secret is refused, but the change is not finished").
			WithHint("run the command again, or restart the server: either finishes it")
	}
	return out, nil
}

// nextSecret gives the secret that a change that was cut had made, or makes one.
func (r *rotation) nextSecret() (s token.Secret, err error) {
	path := filepath.Join(r.data, nextSecretFile)
	text, err := readKeyFile(path)
	if err == nil && text == "" {
		if text, err = newSharedSecret(r.random); err != nil {
			return s, err
		}
		if err := safefile.Write(path, []byte(text+"\n"), 0o600); err != nil {
			return s, leger.WrapFile(leger.CodeUnavailable, err, "write %s", path)
		}
	}
	if err != nil {
		return s, err
	}
	return token.ParseSecret([]byte(text))
}

// finishSecret finishes a change of the shared secret, if one is decided. Cut between its
// two steps it is told twice.
func (p program) finishSecret(ctx context.Context, data string, store *sqlite.Store) error {
	next := filepath.Join(data, nextSecretFile)
	if text, err := readKeyFile(next); err != nil || text == "" {
		return err
	}
	event := leger.AuditEvent{
		At: p.now(), Action: leger.ActionKeyRotate, Credential: leger.CredentialOperator, Detail: "shared secret",
	}
	if err := store.EndSessions(ctx, event); err != nil {
		return err
	}
	if err := safefile.Rename(next, filepath.Join(data, sharedSecretFile)); err != nil {
		return leger.WrapFile(leger.CodeUnavailable, err, "put %s in its place", next)
	}
	return nil
}

// settleSecret gives the shared secret of the data directory, after finishing a change of
// it that was cut.
func (p program) settleSecret(ctx context.Context, data string, store *sqlite.Store) (token.Secret, error) {
	given, err := p.find(sharedName)
	if err == nil && given.From == "" {
		err = p.finishSecret(ctx, data, store)
	}
	if err != nil {
		return token.Secret{}, err
	}
	return p.sharedSecret(data)
}

// rekeyShared changes the shared secret: through the running server, or by itself when
// none runs.
func (p program) rekeyShared(ctx context.Context, data string) error {
	var out secretChanged
	answer, err := askServer(ctx, data, "shared-secret", func(controlAnswer) {})
	switch {
	case errors.Is(err, errNoServer):
		err = p.alone(ctx, data, func(r *rotation) (err error) {
			out, err = r.changeSecret(ctx)
			return err
		})
	case err == nil && answer.Secret != nil:
		out = *answer.Secret
	}
	if err != nil {
		return err
	}
	return p.tellSecret(out)
}

func (p program) tellSecret(out secretChanged) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Made a new shared secret: %s\n", out.File)
	fmt.Fprintf(&b, "Tokens made with the former one are refused from now on, and all browsers are signed out.\n"+
		"Machines with a key of their own do not notice.\n")
	if len(out.Keyless) == 0 {
		fmt.Fprintf(&b, "Every machine that signed in within 30 days has one.\n")
	} else {
		fmt.Fprintf(&b, "\nThese signed in with the former one within 30 days and have no key. Copy the new one to\n"+
			"each of them, then run there: leger auth login\n")
	}
	for _, m := range out.Keyless {
		fmt.Fprintf(&b, "  %s  %s  last seen %s\n", m.Email, strings.TrimSpace(m.Name+" "+m.DeviceID), m.LastSeen.Format("2006-01-02"))
	}
	fmt.Fprintf(&b, "\nWho had the former one may have enrolled machines, which have keys now: look at\n"+
		"leger machines list. Recovery sheets and backups with keys from before hold the former one.\n")
	return terminal.NewWriter(p.stdout).Print(b.String())
}
