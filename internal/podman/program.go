package podman

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"leger.run/leger"
	"leger.run/leger/internal/run"
)

// program runs the podman program once per request: about 130 ms each.
type program struct {
	runner *run.Runner
	env    []string
}

func (p *program) version(ctx context.Context) (Version, error) {
	res, err := p.podman(ctx, nil, "version", "--format", "{{.Client.Version}}")
	if err != nil {
		return Version{}, err
	}
	if res.Code != 0 {
		return Version{}, failed(res, "tell its version")
	}
	return ParseVersion(string(res.Stdout))
}

func (p *program) secrets(ctx context.Context) ([]Secret, error) {
	res, err := p.podman(ctx, nil, "secret", "ls", "--quiet")
	if err != nil {
		return nil, err
	}
	if res.Code != 0 {
		return nil, failed(res, "list its secrets")
	}
	ids := strings.Fields(string(res.Stdout))
	var all []Secret
	// Labels are shown by inspect alone. A thousand ids are 25 KB of arguments; the
	// kernel takes 128 KB in one.
	for chunk := range slices.Chunk(ids, 1000) {
		res, err := p.podman(ctx, nil, append([]string{"secret", "inspect", "--"}, chunk...)...)
		if err != nil {
			return nil, err
		}
		// Code 125 with some answers: one was removed since it was listed.
		some, err := parseSecrets(res.Stdout)
		if err != nil {
			return nil, failed(res, "show its secrets")
		}
		all = append(all, some...)
	}
	return all, nil
}

func (p *program) secret(ctx context.Context, name string) (Secret, error) {
	res, err := p.podman(ctx, nil, "secret", "inspect", "--", name)
	if err != nil {
		return Secret{}, err
	}
	found, err := parseSecrets(res.Stdout)
	switch {
	case err != nil:
		return Secret{}, failed(res, "show its secret "+name)
	case len(found) == 0:
		// Podman's exit code is 125 for this and for everything else; an empty list
		// on standard output is what tells them apart.
		return Secret{}, notFound(name)
	}
	return found[0], nil
}

func (p *program) create(ctx context.Context, name leger.SecretName, value leger.Plaintext, labels map[string]string, replace bool) error {
	args := []string{"secret", "create"}
	for key, label := range labels {
		args = append(args, "--label", key+"="+label)
	}
	if replace {
		args = append(args, "--replace")
	}
	res, err := p.podman(ctx, value.Reveal(), append(args, "--", name.String(), "-")...)
	if err != nil {
		return err
	}
	if res.Code != 0 {
		return failed(res, "make the secret "+name.String())
	}
	return nil
}

func (p *program) remove(ctx context.Context, id string) error {
	res, err := p.podman(ctx, nil, "secret", "rm", "--", id)
	if err != nil {
		return err
	}
	if res.Code == 0 {
		return nil
	}
	if _, err := p.secret(ctx, id); err != nil {
		return err
	}
	return failed(res, "remove the secret "+id)
}

func (p *program) podman(ctx context.Context, stdin []byte, args ...string) (run.Result, error) {
	return p.runner.Run(ctx, run.Command{
		Path: "podman", Args: args, Env: p.env, Stdin: bytes.NewReader(stdin),
	})
}

// failed shows the last line Podman wrote: its error. Before it come warnings.
func failed(res run.Result, what string) error {
	lines := strings.Split(strings.TrimSpace(string(res.Stderr)), "\n")
	text := strings.TrimPrefix(lines[len(lines)-1], "Error: ")
	const most = 300
	if len(text) > most {
		text = text[:most] + "…"
	}
	return leger.Errorf(leger.CodeUnavailable, "podman could not %s (exit code %d): %s", what, res.Code, text).
		WithHint("Podman's socket answers better than the program does: systemctl --user reset-failed podman.socket podman.service; systemctl --user start podman.socket")
}
