package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"leger.run/leger"
	"leger.run/leger/internal/client"
	"leger.run/leger/internal/secretsync"
	"leger.run/leger/internal/signin"
	"leger.run/leger/internal/wire"
)

// scopeFlags say which machines a secret is given to.
type scopeFlags struct {
	all, none        bool
	machines, groups []string
}

func (in *scopeFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&in.all, "all", false, "give it to all your machines, those to come too")
	cmd.Flags().BoolVar(&in.none, "none", false, "give it to no machine")
	cmd.Flags().StringSliceVar(&in.machines, "machines", nil, "give it to these machines (names or ids)")
	cmd.Flags().StringSliceVar(&in.groups, "groups", nil, "give it to the machines of these groups")
}

// given says whether any of the flags was; an error if they contradict each other.
func (in *scopeFlags) given() (bool, error) {
	kinds := 0
	for _, on := range []bool{in.all, in.none, len(in.machines)+len(in.groups) > 0} {
		if on {
			kinds++
		}
	}
	if kinds > 1 {
		return true, usage("--all, --none, and --machines or --groups contradict each other: give one of them")
	}
	return kinds == 1, nil
}

// scope finds the machines that the flags name.
func (in *scopeFlags) scope(ctx context.Context, c *client.Client) (wire.Scope, error) {
	if in.all {
		return wire.Scope{All: true}, nil
	}
	scope := wire.Scope{Machines: []string{}, Groups: append([]string{}, in.groups...)}
	if len(in.machines) == 0 {
		return scope, nil
	}
	list, err := c.Machines(ctx)
	if err != nil {
		return scope, olderThanMachines(err)
	}
	for _, text := range in.machines {
		m, err := findMachine(list, text)
		if err != nil {
			return scope, err
		}
		scope.Machines = append(scope.Machines, m.ID)
	}
	return scope, nil
}

func (a *app) scopeCmd() *cobra.Command {
	var in scopeFlags
	cmd := &cobra.Command{
		Use: "scope NAME", Short: "Show or change which machines a secret is given to",
		Long: `Show which of your machines a secret is given to, or with a flag change it. The flags
replace what was there before. The server gives a machine nothing else, and one that
only delivers does not learn that there is more. A machine that is no longer given a
secret loses it with its next sync; change the value if the machine should not know it.

Whoever holds the server's shared secret can sign in as any machine: scopes hold where
machines have keys of their own and the shared secret is on none of them.`,
		Example: `  leger secrets scope db_password
  leger secrets scope db_password --machines nas
  leger secrets scope smtp_key --groups mail,web
  leger secrets scope smtp_key --all`,
		Args: exactArgs("the name of a secret"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.secretsScope(cmd.Context(), args[0], in) },
	}
	in.add(cmd)
	return cmd
}

// scopeJSON is secrets scope in --json.
type scopeJSON struct {
	Name  leger.SecretName `json:"name"`
	Scope wire.Scope       `json:"scope"`
}

func (a *app) secretsScope(ctx context.Context, text string, in scopeFlags) error {
	name, err := leger.ParseSecretName(text)
	if err != nil {
		return err
	}
	change, err := in.given()
	if err != nil {
		return err
	}
	_, c, err := a.signedIn()
	if err != nil {
		return err
	}
	var scope wire.Scope
	if change {
		if scope, err = in.scope(ctx, c); err == nil {
			scope, err = c.SetScope(ctx, name, scope)
		}
	} else {
		scope, err = shownScope(ctx, c, name)
	}
	if err != nil {
		return err
	}
	if a.flags.json {
		return a.printJSON(scopeJSON{name, scope})
	}
	called, err := machineNames(ctx, c, []wire.Secret{{Scope: &scope}})
	if err != nil {
		return err
	}
	if change {
		a.say("%s is given to %s. Machines follow with their next leger secrets sync.", name, describeScope(&scope, called))
		return nil
	}
	return a.print(describeScope(&scope, called) + "\n")
}

// shownScope reads a secret's scope from the list, which gives no value.
func shownScope(ctx context.Context, c *client.Client, name leger.SecretName) (wire.Scope, error) {
	list, err := c.Secrets(ctx)
	if err != nil {
		return wire.Scope{}, err
	}
	i := slices.IndexFunc(list, func(s wire.Secret) bool { return s.Name == name })
	switch {
	case i < 0:
		return wire.Scope{}, leger.NoSuchSecret(name)
	case list[i].Scope == nil:
		return wire.Scope{All: true}, nil
	}
	return *list[i].Scope, nil
}

// machineNames gives what the machines are called that the secrets' scopes name. Where
// none is named, nobody is asked.
func machineNames(ctx context.Context, c *client.Client, secrets []wire.Secret) (map[string]string, error) {
	named := func(s wire.Secret) bool { return s.Scope != nil && len(s.Scope.Machines) > 0 }
	if !slices.ContainsFunc(secrets, named) {
		return map[string]string{}, nil
	}
	list, err := c.Machines(ctx)
	if err != nil {
		return nil, olderThanMachines(err)
	}
	called := make(map[string]string, len(list))
	for _, m := range list {
		called[m.ID] = m.Name
	}
	return called, nil
}

// describeScope says in words where a secret goes; nil: to all machines.
func describeScope(s *wire.Scope, called map[string]string) string {
	if s == nil {
		return leger.Scope{}.Describe(nil)
	}
	scope := leger.Scope{Chosen: !s.All, Machines: s.Machines, Groups: s.Groups}
	return scope.Describe(func(id string) string { return called[id] })
}

// sayWithheld tells what a sync left out because this machine is not given it, and where
// scopes cannot hold.
func (a *app) sayWithheld(f signin.SignIn, p secretsync.Plan) {
	const shown = 10
	names := p.Withheld
	switch {
	case len(names) == 0 && p.NotGiven == 1:
		a.say("Not given to this machine: one secret, as at the last sync (leger secrets list tells which).")
	case len(names) == 0 && p.NotGiven > 1:
		a.say("Not given to this machine: %d secrets, as at the last sync (leger secrets list tells which).", p.NotGiven)
	case len(names) > 0:
		var texts []string
		for _, n := range names[:min(len(names), shown)] {
			texts = append(texts, n.String())
		}
		list := strings.Join(texts, ", ")
		if more := len(names) - shown; more > 0 {
			list += fmt.Sprintf(" and %d more", more)
		}
		a.say("Not given to this machine: %s (leger secrets scope NAME tells which machines are).", list)
	}
	if f.MachineID == "" {
		a.detail("this machine has no key of its own: the server gives it every secret, whatever its scope")
	}
}
