package gitrepo

import (
	"context"
	"regexp"
	"strings"

	"leger.run/leger"
)

// verify checks that the tag that was asked for, or else the commit, is signed by
// an allowed signer, and says by whom. git's exit code decides; its words only
// name the signer. ErrForbidden if not; ErrMissingPart without ssh-keygen or gpg.
func (s *session) verify(ctx context.Context, commit string) (signer string, err error) {
	if s.tag != "" {
		signer, good, err := s.verifyObject(ctx, "verify-tag", s.tag)
		if err != nil || good {
			return signer, err
		}
	}
	signer, good, err := s.verifyObject(ctx, "verify-commit", commit)
	if err != nil || good {
		return signer, err
	}
	what := "commit " + commit[:12]
	if s.tag != "" {
		what = "neither the tag nor its " + what
	}
	e := leger.Errorf(leger.CodeForbidden, "%s of %s is not signed by an allowed signer", what, s.name)
	if s.tag != "" {
		e = leger.Errorf(leger.CodeForbidden, "%s of %s is signed by an allowed signer", what, s.name)
	}
	e.Field = "commit"
	return "", e.WithHint("if you trust its author, add the key to %s: PRINCIPAL KEYTYPE KEY", s.client.cfg.AllowedSigners)
}

// sshSigner and gpgSigner find the signer in what ssh-keygen and gpg say.
var (
	sshSigner = regexp.MustCompile(`(?m)^Good "git" signature for (.+) with \S+ key (\S+)`)
	gpgSigner = regexp.MustCompile(`(?m)^\[GNUPG:\] GOODSIG ([0-9A-F]+) (.+)$`)
)

func (s *session) verifyObject(ctx context.Context, command, object string) (signer string, good bool, err error) {
	program, err := s.signatureProgram(ctx, object)
	if err != nil || program == "" {
		return "", false, err
	}
	if _, err := s.client.cfg.Runner.LookPath(program); err != nil {
		return "", false, err
	}
	res, err := s.git(ctx, command, "--raw", object)
	if err != nil || res.Code != 0 {
		return "", false, err
	}
	for _, p := range []*regexp.Regexp{sshSigner, gpgSigner} {
		if m := p.FindStringSubmatch(string(res.Stderr)); m != nil {
			return showName(m[1] + " (" + m[2] + ")"), true, nil
		}
	}
	return "an allowed signer", true, nil
}

// signatureProgram is what git checks the object's signature with, "" for none.
func (s *session) signatureProgram(ctx context.Context, object string) (string, error) {
	const most = 1 << 20 // a commit's or tag's whole text
	res, err := s.gitLimited(ctx, nil, most, "cat-file", "-p", object)
	if err != nil || res.Code != 0 {
		return "", err
	}
	switch text := string(res.Stdout); {
	case strings.Contains(text, "-----BEGIN SSH SIGNATURE-----"):
		return "ssh-keygen", nil
	case strings.Contains(text, "-----BEGIN PGP SIGNATURE-----"):
		return "gpg", nil
	default:
		return "", nil // none, or an X.509 one, for which there is no list of signers
	}
}
