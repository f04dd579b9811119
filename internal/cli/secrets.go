package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"leger.run/leger"
	"leger.run/leger/internal/terminal"
	"leger.run/leger/internal/wire"
)

func (a *app) secretsCmd() *cobra.Command {
	list := &cobra.Command{
		Use: "list", Short: "List your secrets, without their values",
		Example: "  leger secrets list\n  leger secrets list --json",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.secretsList(cmd.Context()) },
	}
	var yes bool
	get := &cobra.Command{
		Use: "get NAME", Short: "Print a secret's value, byte for byte",
		Example: "  leger secrets get openai_key > key.txt\n  leger secrets get openai_key --yes",
		Args:    exactArgs("the name of a secret"),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.secretsGet(cmd.Context(), args[0], yes) },
	}
	get.Flags().BoolVarP(&yes, "yes", "y", false, "show it on a terminal without asking")
	var yesDelete bool
	del := &cobra.Command{
		Use: "delete NAME", Aliases: []string{"rm"}, Short: "Delete a secret and all its versions",
		Long: `Delete a secret and all its versions from the server. Units on this machine that use
it are named first.`,
		Example: "  leger secrets delete openai_key --yes",
		Args:    exactArgs("the name of a secret"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.secretsDelete(cmd.Context(), args[0], yesDelete)
		},
	}
	del.Flags().BoolVarP(&yesDelete, "yes", "y", false, "do not ask")
	adopt := &cobra.Command{
		Use: "adopt NAME", Short: "Let Leger replace a Podman secret of this name that it did not make",
		Example: "  leger secrets adopt openai_key",
		Args:    exactArgs("the name of a secret"),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.secretsAdopt(cmd.Context(), args[0]) },
	}
	return group("secrets", "Your secrets: on the server, and on this machine", list, a.syncCmd(), a.setCmd(), get, del, a.scopeCmd(), adopt)
}

func (a *app) secretsList(ctx context.Context) error {
	_, c, err := a.signedIn()
	if err != nil {
		return err
	}
	list, err := c.Secrets(ctx)
	if err != nil {
		return err
	}
	if a.flags.json {
		if list == nil {
			list = []wire.Secret{}
		}
		return a.printJSON(wire.Secrets{Secrets: list})
	}
	if len(list) == 0 {
		a.say("You have no secrets yet. leger secrets set NAME makes one.")
		return nil
	}
	called, err := machineNames(ctx, c, list)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, s := range list {
		given := describeScope(s.Scope, called)
		rows = append(rows, []string{s.Name.String(), fmt.Sprint(s.Version), a.when(s.UpdatedAt.Time), given})
	}
	return a.table([]string{"NAME", "VERSION", "CHANGED", "GIVEN TO"}, rows)
}

// when shows an instant in local time, to the minute.
func (a *app) when(t time.Time) string { return t.Local().Format("2006-01-02 15:04") }

// valueJSON is secrets get in --json.
type valueJSON struct {
	Name    leger.SecretName `json:"name"`
	Version leger.Version    `json:"version"`
	Value   string           `json:"value"`
}

func (a *app) secretsGet(ctx context.Context, text string, yes bool) error {
	name, err := leger.ParseSecretName(text)
	if err != nil {
		return err
	}
	_, c, err := a.signedIn()
	if err != nil {
		return err
	}
	if a.env.Terminal.Out() && !yes {
		if err := a.mustConfirm(ctx, fmt.Sprintf("Show the value of %s on this screen?", name)); err != nil {
			return err
		}
	}
	s, err := c.Secret(ctx, name)
	if err != nil {
		return err
	}
	if s.Value == nil {
		return leger.Errorf(leger.CodeUnreachable, "the server sent no value for %s", name).WithHint("update leger: the server may be newer")
	}
	if a.flags.json {
		return a.printJSON(valueJSON{s.Name, s.Version, *s.Value})
	}
	if !a.env.Terminal.Out() {
		return wrote(a.out.Raw(*s.Value))
	}
	if err := a.print(*s.Value); err != nil {
		return err
	}
	if !strings.HasSuffix(*s.Value, "\n") {
		a.errln("") // the prompt begins on a line of its own
	}
	if terminal.Text(*s.Value) != *s.Value {
		a.warn("some characters of this value cannot be shown; write it to a file or a pipe to get them all")
	}
	return nil
}

// mustConfirm asks, and fails where nobody can be asked or the answer is no.
func (a *app) mustConfirm(ctx context.Context, question string) error {
	if !a.mayAsk() {
		return leger.Errorf(leger.CodeInvalid, "this needs your consent, and there is nobody to ask").
			WithHint("add --yes to give it beforehand")
	}
	ok, err := a.confirm(ctx, question)
	if err != nil {
		return err
	}
	if !ok {
		return leger.Errorf(leger.CodeDeclined, "you answered no: nothing was changed")
	}
	return nil
}

// deletedJSON is secrets delete in --json.
type deletedJSON struct {
	wire.Deleted

	// Units are those on this machine that use the secret.
	Units []string `json:"units"`
}

func (a *app) secretsDelete(ctx context.Context, text string, yes bool) error {
	name, err := leger.ParseSecretName(text)
	if err != nil {
		return err
	}
	_, c, err := a.signedIn()
	if err != nil {
		return err
	}
	users := a.usersOf(ctx, name)
	question := fmt.Sprintf("Delete %s and all its versions?", name)
	if len(users) > 0 {
		a.warn("on this machine %s is used by %s: after the next sync they do not start again without it", name, strings.Join(users, ", "))
		question = fmt.Sprintf("Delete %s and all its versions, though it is in use?", name)
	}
	if !yes {
		if err := a.mustConfirm(ctx, question); err != nil {
			return err
		}
	}
	if err := c.DeleteSecret(ctx, name, 0); err != nil {
		return err
	}
	a.say("%s is deleted. Machines forget it at their next leger secrets sync.", name)
	if a.flags.json {
		return a.printJSON(deletedJSON{wire.Deleted{Deleted: true}, list(users)})
	}
	return nil
}

// usersOf names the units on this machine that use a secret. Where systemd does not
// answer nothing runs that could use it.
func (a *app) usersOf(ctx context.Context, name leger.SecretName) []string {
	m, err := a.openMachine()
	if err != nil {
		a.detail("which units use %s is not known: %v", name, err)
		return nil
	}
	defer m.close()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	all, err := m.engine.List(ctx)
	if err != nil {
		a.detail("which units use %s may not be known: %v", name, err)
	}
	var users []string
	for _, d := range all {
		for _, u := range d.Units {
			if slices.Contains(u.Secrets, name.String()) {
				users = append(users, u.Service)
			}
		}
	}
	return users
}
