package cli

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"leger.run/leger"
	"leger.run/leger/internal/signin"
	"leger.run/leger/internal/token"
)

// checkSecret tries the shared secret, where there is a sign-in to try it with: one
// that this machine can read may still not be the server's.
func (a *app) checkSecret(ctx context.Context) finding {
	const check = "shared secret"
	if in, err := a.readSignIn(); err == nil && in.MachineID != "" {
		src, err := a.sharedSecretSource()
		if err != nil || src.File == "" || src.Credential {
			return fine(check, "not needed: this machine has a key of its own")
		}
		return warned(check, "%s is still here, and this machine has a key of its own: whoever reads it can sign in as anybody", src.File).
			withMend("rm " + src.File)
	}
	src, err := a.sharedSecretSource()
	if err == nil && src.From == "" {
		return fine(check, "none here: leger auth login does without, by Tailscale's word or by a code")
	}
	if err != nil {
		return failing(check, err)
	}
	secret, err := a.sharedSecret()
	if err != nil {
		return failing(check, err)
	}
	where := "from " + src.From
	if src.File != "" {
		where = src.File + ", only yours"
	}
	switch err := a.trySecret(ctx, secret); {
	case err == nil:
		return fine(check, "%s; the server takes it", where)
	case errors.Is(err, leger.ErrInvalidToken):
		return failing(check, leger.Errorf(leger.CodeInvalidToken, "%s, but the server refuses it", where).
			WithHint("copy the server's jwt.secret anew, then: leger auth login"))
	default:
		return fine(check, "%s; not tried: %v", where, err)
	}
}

// trySecret asks the server of the sign-in whether it takes the secret's tokens.
// ErrInvalidToken: it does not.
func (a *app) trySecret(ctx context.Context, secret token.Secret) error {
	in, _, err := a.signedIn()
	if err != nil {
		return signin.ErrNotTried
	}
	return a.signer(secret).Try(ctx, in)
}

// checkUsedSecrets looks for secrets that units of releases use and that are gone.
func (a *app) checkUsedSecrets(ctx context.Context) finding {
	const check = "secrets in use"
	m, err := a.openMachine()
	if err != nil {
		return warned(check, "not known: %v", err)
	}
	defer m.close()
	all, err := m.engine.List(ctx)
	if err != nil {
		return failing(check, localProblem(err))
	}
	if len(all) == 0 {
		return fine(check, "nothing is installed that uses any")
	}
	secrets := a.podmanHas(ctx, m)
	if secrets == nil {
		return warned(check, "not known: Podman does not list its secrets")
	}
	var gone []string
	used := map[string]bool{}
	for _, d := range all {
		for _, g := range secrets.Gone(d) {
			gone = append(gone, g.Secret+" ("+g.Unit+")")
		}
		for _, u := range d.Units {
			for _, name := range u.Secrets {
				used[name] = true
			}
		}
	}
	if len(gone) > 0 {
		return failing(check, leger.Errorf(leger.CodeMissingPart, "gone from this machine: %s; these units do not start again", strings.Join(gone, ", ")).
			WithHint("leger secrets sync; if a secret was deleted: leger secrets set NAME first"))
	}
	return fine(check, "%s, all in Podman", plural(len(used), "secret"))
}

// checkDeployments looks for deployments whose records cannot be read, and for those
// that were cut off. How their units are is up to deploy status.
func (a *app) checkDeployments(ctx context.Context) finding {
	const check = "deployments"
	m, err := a.openMachine()
	if err != nil {
		return warned(check, "not known: %v", err)
	}
	defer m.close()
	all, err := m.engine.List(ctx)
	if err != nil {
		return failing(check, localProblem(err))
	}
	for _, d := range all {
		if d.Damage != nil || d.Interrupted {
			return failing(check, unwell(d))
		}
	}
	return fine(check, "%s, each with its record", plural(len(all), "deployment"))
}

// diskProbe is how much is written to see whether there is room, in bytes: legerd
// writes its whole store anew at each change.
const diskProbe = 1 << 20

// checkDisk writes where Leger keeps things, and removes it again. A disk that is
// full or read-only shows in no other check.
func (a *app) checkDisk(context.Context) finding {
	const check = "disk"
	data, err := a.env.dataDir()
	if err != nil {
		return failing(check, err)
	}
	state, err := a.env.stateDir()
	if err != nil {
		return failing(check, err)
	}
	legerd, _, err := a.env.lookup("LEGERD_DATA")
	if err != nil {
		return failing(check, err)
	}
	if legerd == "" {
		legerd = filepath.Join(data, "legerd")
	}
	for _, dir := range []string{data, state, legerd} {
		if err := probe(dir); err != nil {
			return failing(check, leger.WrapFile(leger.CodeMissingPart, err, "cannot write to %s", dir).
				WithHint("see how full it is and whether it is read-only: df -h '%s'; findmnt -T '%s'", dir, dir))
		}
	}
	return fine(check, "%s and %s can be written", data, state)
}

// probe writes to a directory, or to the nearest one above it that there is.
func probe(dir string) (err error) {
	for {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	f, err := os.CreateTemp(dir, ".leger-doctor-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	_, err = f.Write(make([]byte, diskProbe))
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
