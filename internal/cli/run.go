package cli

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"leger.run/leger"
	"leger.run/leger/internal/client"
	"leger.run/leger/internal/run"
)

func (a *app) runCmd() *cobra.Command {
	var c choice
	var how runHow
	cmd := &cobra.Command{
		Use: "run [flags] -- COMMAND [ARGUMENT…]", Short: "Run a command with your secrets in its environment",
		Long: `Run a command with your secrets as environment variables: openai_key becomes
OPENAI_KEY. The values are in the environment of that process and nowhere else, not
on disk and not among its arguments. It takes leger's place: signals, the terminal
and the exit code are its own.

Without flags it gets what the file .leger.toml names, in the working directory or the
nearest one above it, after you were asked about that file once:

  secrets = ["openai_key"]
  prefix = ["STRIPE_"]
  [env]
  PGPASSWORD = "db_password"

Where there is none, it gets every secret that this machine is given, but for those whose
names are not those of variables, or of variables such as PATH that say what is run.
A variable that is set already is replaced.

When the server does not answer, legerd's copies of this machine are used.

With --watch leger stays, asks the server every five seconds, and starts the command
again when a secret changed that it was given: SIGTERM, and after ten seconds SIGKILL.
It passes on what signals it gets, and ends with the command's exit code.`,
		Example: `  leger run -- npm start
  leger run --only openai_key,db_password -- ./server --port 8080
  leger run --prefix OPENAI_ --env PGPASSWORD=db_password -- psql`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("%s needs a command to run", cmd.CommandPath())
			}
			// Said, and empty, is not "all": it is a variable of a script that is not set.
			if (cmd.Flags().Changed("only") && len(c.only) == 0) || (cmd.Flags().Changed("prefix") && len(c.prefix) == 0) {
				return usage("--only and --prefix need a name")
			}
			return a.runWith(cmd.Context(), c, how, args)
		},
	}
	// What follows the command's name is the command's, flags too.
	cmd.Flags().SetInterspersed(false)
	cmd.Flags().StringSliceVar(&c.only, "only", nil, "these secrets, with commas between them")
	cmd.Flags().StringSliceVar(&c.prefix, "prefix", nil, "those whose variables begin so")
	cmd.Flags().StringArrayVar(&c.as, "env", nil, "the secret SECRET as the variable VARIABLE (VARIABLE=SECRET)")
	cmd.Flags().BoolVar(&how.all, "all", false, "all secrets, whatever the project names")
	cmd.Flags().BoolVar(&how.trust, "trust", false, "give the project what it asks for, without a question")
	cmd.Flags().BoolVar(&how.watch, "watch", false, "start the command again when one of its secrets changes")
	return cmd
}

// runHow is what else is said to run.
type runHow struct{ all, trust, watch bool }

// runWith becomes the command, with the secrets of the choice.
func (a *app) runWith(ctx context.Context, c choice, how runHow, command []string) (err error) {
	switch {
	case how.all && !c.all():
		return usage("--all and a choice contradict each other")
	case c.all() && !how.all:
		if c, err = a.ofProject(ctx, how.trust); err != nil {
			return err
		}
	}
	want, err := c.read()
	if err != nil {
		return err
	}
	program, err := a.runner().LookPath(command[0])
	if err != nil {
		return leger.Errorf(leger.CodeNotFound, "there is no program %.80q in PATH", command[0]).
			WithHint("the command comes after --, as in: leger run -- npm start")
	}
	if how.watch {
		return a.runWatched(ctx, want, program, command)
	}
	env, err := a.commandEnvironment(ctx, want)
	if err != nil {
		return err
	}
	return run.Replace(program, command[0], command[1:], env)
}

// commandEnvironment is leger's own environment with the secrets of the choice in it.
func (a *app) commandEnvironment(ctx context.Context, want chosen) ([]string, error) {
	values, err := a.chosenValues(ctx, want)
	if err != nil {
		return nil, err
	}
	defer values.wipe()
	return a.environmentOf(want, values)
}

// environmentOf is that with these values.
func (a *app) environmentOf(want chosen, values plaintexts) ([]string, error) {
	names := make([]leger.SecretName, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	list, leftOut, err := want.variables(names)
	if err != nil {
		return nil, err
	}
	a.sayLeftOut(leftOut)
	return environment(a.environ(), list, values)
}

// environ is the environment that leger was started with.
func (a *app) environ() []string {
	if a.env.Environ == nil {
		return os.Environ()
	}
	return a.env.Environ()
}

func (a *app) sayLeftOut(names []leger.SecretName) {
	if len(names) == 0 {
		return
	}
	slices.SortFunc(names, func(x, y leger.SecretName) int { return strings.Compare(x.String(), y.String()) })
	const shown = 5
	var texts []string
	for _, n := range names[:min(len(names), shown)] {
		texts = append(texts, n.String())
	}
	more := ""
	if len(names) > shown {
		more = " and others"
	}
	a.warn("left out, because their names are no variables for a program: %s%s (--env VARIABLE=%s gives one)",
		strings.Join(texts, ", "), more, names[0])
}

// plaintexts are values by name.
type plaintexts map[leger.SecretName]leger.Plaintext

func (p plaintexts) wipe() {
	for _, v := range p {
		v.Wipe()
	}
}

// chosenValues gives the values that a choice needs: from the server, and where that does
// not answer from legerd. ErrNotFound when one that was named is not there.
func (a *app) chosenValues(ctx context.Context, want chosen) (plaintexts, error) {
	in, c, err := a.signedIn()
	if err != nil {
		return nil, err
	}
	values, err := serverValues(ctx, c, want)
	if err == nil || !noAnswer(err) {
		return values, err
	}
	local, localErr := a.localValues(ctx, in.UserUUID, want)
	if localErr != nil {
		a.detail("legerd does not help either: %v", localErr)
		return nil, err
	}
	a.warn("the server does not answer: these are this machine's copies, as of its last sync")
	return local, nil
}

// noAnswer reports whether the server is away, or cannot answer now.
func noAnswer(err error) bool {
	return errors.Is(err, leger.ErrUnreachable) || errors.Is(err, leger.ErrUnavailable) && fromServer(err)
}

// fewSecrets is up to how many secrets are asked for one by one, so that no other is read.
const fewSecrets = 10

func serverValues(ctx context.Context, c *client.Client, want chosen) (plaintexts, error) {
	values := plaintexts{}
	if !want.all() && len(want.prefix) == 0 && len(want.named) <= fewSecrets {
		for _, v := range want.named {
			if _, has := values[v.secret]; has {
				continue
			}
			s, err := c.Secret(ctx, v.secret)
			if err != nil {
				values.wipe()
				return nil, err
			}
			if s.Value == nil {
				return nil, leger.Errorf(leger.CodeUnreachable, "the server sent no value for %s", v.secret).
					WithHint("update leger: the server may be newer")
			}
			values[v.secret] = leger.NewPlaintext([]byte(*s.Value))
		}
		return values, nil
	}
	list, err := c.SecretValues(ctx, "")
	if err != nil {
		return nil, err
	}
	for _, s := range list.Secrets {
		if s.Value != nil {
			values[s.Name] = leger.NewPlaintext([]byte(*s.Value))
		}
	}
	for _, v := range want.named {
		if _, has := values[v.secret]; has {
			continue
		}
		values.wipe()
		if slices.Contains(list.Withheld, v.secret) {
			return nil, leger.Errorf(leger.CodeForbidden, "the secret %s is not given to this machine", v.secret).
				WithHint("leger secrets scope %s tells which machines get it", v.secret)
		}
		return nil, leger.Errorf(leger.CodeNotFound, "there is no secret %s", v.secret).WithHint("leger secrets list")
	}
	return values, nil
}

// localValues gives them from legerd.
func (a *app) localValues(ctx context.Context, user leger.UserID, want chosen) (plaintexts, error) {
	d, err := a.legerd()
	if err != nil {
		return nil, err
	}
	defer d.Close()
	held, err := d.List(ctx, user)
	if err != nil {
		return nil, err
	}
	values := plaintexts{}
	for _, s := range held {
		one := []leger.SecretName{s.Name}
		list, _, err := chosen{choice: want.choice}.variables(one)
		named := slices.ContainsFunc(want.named, func(v variable) bool { return v.secret == s.Name })
		if err != nil || (len(list) == 0 && !named) {
			continue
		}
		if values[s.Name], _, err = d.Get(ctx, user, s.Name, 0); err != nil {
			values.wipe()
			return nil, err
		}
	}
	for _, v := range want.named {
		if _, has := values[v.secret]; !has {
			values.wipe()
			return nil, leger.Errorf(leger.CodeNotFound, "this machine holds no secret %s", v.secret)
		}
	}
	return values, nil
}

// environment is the former one with the variables in it, each once.
func environment(former []string, list []variable, values plaintexts) ([]string, error) {
	taken := map[string]bool{}
	for _, v := range list {
		taken[v.name] = true
	}
	env := slices.DeleteFunc(slices.Clone(former), func(line string) bool {
		name, _, _ := strings.Cut(line, "=")
		return taken[name]
	})
	for _, v := range list {
		value := values[v.secret].Reveal()
		if bytes.IndexByte(value, 0) >= 0 {
			return nil, leger.Invalid("env", "the secret %s holds a zero byte, which no environment can", v.secret).
				WithHint("leave it out with --only, and give it in a file: leger secrets get %s > FILE", v.secret)
		}
		env = append(env, v.name+"="+string(value))
	}
	return env, nil
}
