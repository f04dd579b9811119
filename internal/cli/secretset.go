package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"leger.run/leger"
	"leger.run/leger/internal/wire"
)

// setSource says where secrets set takes the value from: never from the command
// line, which other users of the machine can read.
type setSource struct {
	file string // "" is stdin, or the terminal
	trim bool   // drop one last newline
	have int64  // --if-version; 0: whatever is there

	scope scopeFlags // which machines it is given to from then on
}

func (a *app) setCmd() *cobra.Command {
	var src setSource
	set := &cobra.Command{
		Use: "set NAME", Short: "Create a secret or give it a new value",
		Long: `Create a secret or give it a new value. On a terminal the value is asked for and
not shown; several lines may be pasted. Otherwise standard input is taken to its
end, byte for byte: a newline at the end, which echo adds, is part of the value
unless --trim drops it. A value never goes on the command line: other users of the
machine could read it there.

A new secret is given to all your machines, unless --machines, --groups or --none says
otherwise: leger help secrets scope.`,
		Example: `  leger secrets set openai_key
  leger secrets set openai_key --file key.txt --trim
  pass show openai | leger secrets set openai_key --trim`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage("a secret's value is not taken from the command line, where others could read it: leave it out and you are asked for it")
			}
			return exactArgs("the name of a secret")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.secretsSet(cmd.Context(), args[0], src) },
	}
	// What looks like an unknown flag may be a value that begins with a dash.
	set.SetFlagErrorFunc(func(*cobra.Command, error) error {
		return usage("there is a flag that leger secrets set does not have (a value never goes on the command line)")
	})
	set.Flags().StringVar(&src.file, "file", "", "take the value from this file")
	set.Flags().BoolVar(&src.trim, "trim", false, "drop one newline at the end")
	src.scope.add(set)
	set.Flags().Int64Var(&src.have, "if-version", 0, "only if the secret is at this version now")
	return set
}

func (a *app) secretsSet(ctx context.Context, text string, src setSource) error {
	name, err := leger.ParseSecretName(text)
	if err != nil {
		return err
	}
	scoped, err := src.scope.given()
	if err != nil {
		return err
	}
	_, c, err := a.signedIn()
	if err != nil {
		return err
	}
	var scope *wire.Scope
	if scoped { // a machine that is not there is told before the value is asked for
		named, err := src.scope.scope(ctx, c)
		if err != nil {
			return err
		}
		scope = &named
	}
	raw, err := a.readValue(ctx, name, src)
	if err != nil {
		return err
	}
	value, err := leger.ParsePlaintext(raw)
	if err != nil {
		clear(raw)
		return err
	}
	defer value.Wipe()
	out, err := c.SetScopedSecret(ctx, name, value, leger.Version(src.have), scope)
	if err != nil {
		return err
	}
	switch {
	case !out.Changed:
		a.say("%s held this value already: it stays at version %d.", name, out.Version)
	default:
		a.say("%s is at version %d now. leger secrets sync brings it to this machine.", name, out.Version)
	}
	if a.flags.json {
		return a.printJSON(out)
	}
	return nil
}

// readValue takes the value from the file, the terminal or stdin. The bytes are
// the caller's to wipe.
func (a *app) readValue(ctx context.Context, name leger.SecretName, src setSource) ([]byte, error) {
	var b []byte
	var err error
	switch {
	case src.file != "" && src.file != "-":
		b, err = readFileValue(src.file)
	case src.file == "" && a.env.Terminal.In():
		if a.flags.noInput {
			return nil, leger.Errorf(leger.CodeInvalid, "there is no value: --no-input forbids asking for it").
				WithHint("give it on standard input, or with --file")
		}
		b, err = a.hidden(ctx, "Value of "+name.String()+" (not shown): ")
	default:
		b, err = await(ctx, func() ([]byte, error) { return readBounded(a.env.Stdin) }, func() {})
	}
	if err != nil {
		return nil, err
	}
	without, broken := bytes.CutSuffix(b, []byte("\n"))
	switch {
	case !broken:
	case src.trim:
		return bytes.TrimSuffix(without, []byte("\r")), nil
	default:
		// echo adds one, and few keys have one: a server would refuse the key.
		a.say("The value ends with a newline, which is kept as part of it. To drop it: --trim")
	}
	return b, nil
}

func readFileValue(path string) ([]byte, error) {
	f, err := os.Open(path) //nolint:gosec // the user names their own file
	if err != nil {
		return nil, leger.WrapFile(leger.CodeInvalid, err, "read the value from %s", path)
	}
	defer func() { _ = f.Close() }()
	b, err := readBounded(f)
	if err != nil && !errors.Is(err, leger.ErrTooLarge) {
		return nil, leger.WrapFile(leger.CodeInvalid, err, "read the value from %s", path)
	}
	return b, err
}

// readBounded reads to the end. ErrTooLarge for more than a value may have, which
// is not read further: how much more it is nobody knows. A line break at the end,
// which --trim takes away, is let through.
func readBounded(r io.Reader) ([]byte, error) {
	const most = leger.MaxSecretValue + len("\r\n")
	b, err := io.ReadAll(io.LimitReader(r, int64(most)+1))
	if err == nil && len(b) > most {
		return nil, &leger.Error{
			Code: leger.CodeTooLarge, Field: "value",
			Message: fmt.Sprintf("the value has more than %d bytes: a secret holds at most %d", most, leger.MaxSecretValue),
		}
	}
	return b, err
}
