package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"leger.run/leger"
	"leger.run/leger/internal/client"
	"leger.run/leger/internal/wire"
)

func (a *app) machinesCmd() *cobra.Command {
	list := &cobra.Command{
		Use: "list", Short: "List the machines that are signed in as you",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.machinesList(cmd.Context()) },
	}
	show := &cobra.Command{
		Use: "show MACHINE", Short: "Show one machine",
		Example: "  leger machines show box-1 --json",
		Args:    exactArgs("the name or id of a machine"),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.machinesShow(cmd.Context(), args[0]) },
	}
	rename := &cobra.Command{
		Use: "rename MACHINE NAME", Short: "Give a machine another name",
		Example: "  leger machines rename debian nas",
		Args:    exactArgs("the name or id of a machine", "its new name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.machinesChange(cmd.Context(), args[0], wire.MachinePatch{Name: &args[1]})
		},
	}
	var role string
	var groups []string
	set := &cobra.Command{
		Use: "set MACHINE", Short: "Say what a machine may do, and which groups it is in",
		Long: `Say what a machine may do, and which groups it is in. A machine of the role full may
do whatever you may. One of the role deliver reads the secrets that it is given and
your releases, and reports itself; it writes nothing else, and signs no browser in. A
secret may be given to a group of machines: leger secrets scope.`,
		Example: `  leger machines set nas --role deliver
  leger machines set nas --groups home,media`,
		Args: exactArgs("the name or id of a machine"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var patch wire.MachinePatch
			if cmd.Flags().Changed("role") {
				patch.Role = (*leger.MachineRole)(&role)
			}
			if cmd.Flags().Changed("groups") {
				patch.Groups = &groups
			}
			if patch == (wire.MachinePatch{}) {
				return usage("say what to set: --role or --groups")
			}
			return a.machinesChange(cmd.Context(), args[0], patch)
		},
	}
	set.Flags().StringVar(&role, "role", "", "full or deliver")
	set.Flags().StringSliceVar(&groups, "groups", nil, "the groups it is in, in place of those it was in")
	var yes bool
	revoke := &cobra.Command{
		Use: "revoke MACHINE", Short: "Sign a machine out for good: its next request is refused",
		Long: `Sign a machine out for good: its next request is refused, and what it reported is
forgotten. The secrets that it holds stay on it: change those that it should not know
any more.`,
		Args: exactArgs("the name or id of a machine"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.machinesRevoke(cmd.Context(), args[0], yes) },
	}
	revoke.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return group("machines", "Machines that are signed in as you", list, show, rename, set, revoke, a.approveCmd(), a.inviteCmd())
}

// termsFlags are what a machine is enrolled as.
func termsFlags(cmd *cobra.Command, terms *wire.MachineTerms, otherwise leger.MachineRole) {
	cmd.Flags().StringVar(&terms.Name, "name", "", "what the machine is called (default: its host name)")
	cmd.Flags().StringVar((*string)(&terms.Role), "role", string(otherwise), "full or deliver")
	cmd.Flags().StringSliceVar(&terms.Groups, "groups", nil, "the groups it is in")
}

func (a *app) approveCmd() *cobra.Command {
	var terms wire.MachineTerms
	var yes bool
	cmd := &cobra.Command{
		Use: "approve CODE", Short: "Approve a machine that shows a code, after leger auth login on it",
		Long: `Approve a machine that shows a code, after leger auth login on it. Compare the key's
fingerprint with what the machine shows: a code that somebody sent you may be their
machine's. If you answer no, the machine is denied.`,
		Example: "  leger machines approve BCDF-GHJK --name nas --role deliver",
		Args:    exactArgs("the code that the machine shows"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.machinesApprove(cmd.Context(), args[0], terms, yes)
		},
	}
	termsFlags(cmd, &terms, leger.RoleFull)
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

func (a *app) inviteCmd() *cobra.Command {
	var terms wire.MachineTerms
	cmd := &cobra.Command{
		Use: "invite", Short: "Print an invitation: it enrols one machine, within an hour",
		Long: `Print an invitation: it enrols one machine, within an hour, without anybody's approval.
It is for machines without a person or a browser: servers, cloud-init, containers.
Whoever has it can use it, so it is given to a machine in a file, on standard input or
in its environment, never as an argument.`,
		Example: `  leger machines invite --name nas | ssh nas leger auth login --server https://leger.example.ts.net --invitation-file -
  leger machines invite --role full --groups home`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.machinesInvite(cmd.Context(), terms) },
	}
	termsFlags(cmd, &terms, leger.RoleDeliver)
	return cmd
}

func (a *app) machinesList(ctx context.Context) error {
	_, c, err := a.signedIn()
	if err != nil {
		return err
	}
	list, err := c.Machines(ctx)
	if err != nil {
		return olderThanMachines(err)
	}
	if a.flags.json {
		if list == nil {
			list = []wire.Machine{}
		}
		return a.printJSON(wire.Machines{Machines: list})
	}
	if len(list) == 0 {
		a.say("No machine has a key of its own yet. leger auth login gives this one a key.")
		return nil
	}
	var rows [][]string
	for _, m := range list {
		mark := ""
		if m.Current {
			mark = "this one"
		}
		rows = append(rows, []string{m.Name, m.UnixUser, string(m.Role), strings.Join(m.Groups, ", "), a.when(m.LastSeen.Time), m.LastAddr, mark})
	}
	return a.table([]string{"NAME", "USER", "ROLE", "GROUPS", "LAST SEEN", "FROM", ""}, rows)
}

// olderThanMachines explains the 404 of a server that has no such route.
func olderThanMachines(err error) error {
	if leger.CodeOf(err) == leger.CodeNotFound {
		return leger.Wrap(leger.CodeNotFound, err, "the server is older than machines with keys of their own").
			WithHint("update the server, then: leger auth login")
	}
	return err
}

// machine finds a machine by its id or its name, which several may share.
func (a *app) machine(ctx context.Context, text string) (wire.Machine, *client.Client, error) {
	_, c, err := a.signedIn()
	if err != nil {
		return wire.Machine{}, nil, err
	}
	list, err := c.Machines(ctx)
	if err != nil {
		return wire.Machine{}, nil, olderThanMachines(err)
	}
	m, err := findMachine(list, text)
	return m, c, err
}

// findMachine finds one by its id or its name.
func findMachine(list []wire.Machine, text string) (wire.Machine, error) {
	named := slices.DeleteFunc(slices.Clone(list), func(m wire.Machine) bool { return m.ID != text && m.Name != text })
	switch len(named) {
	case 0:
		return wire.Machine{}, leger.Errorf(leger.CodeNotFound, "you have no machine %q", text).WithHint("leger machines list")
	case 1:
		return named[0], nil
	}
	var ids []string
	for _, m := range named {
		ids = append(ids, m.ID+" ("+m.UnixUser+")")
	}
	return wire.Machine{}, leger.Errorf(leger.CodeConflict, "you have %d machines that are called %q", len(named), text).
		WithHint("say which by its id: %s", strings.Join(ids, ", "))
}

func (a *app) machinesShow(ctx context.Context, text string) error {
	m, _, err := a.machine(ctx, text)
	if err != nil {
		return err
	}
	return a.printMachine(m)
}

func (a *app) printMachine(m wire.Machine) error {
	if a.flags.json {
		return a.printJSON(m)
	}
	return a.print(lines(
		"name", m.Name,
		"id", m.ID,
		"Unix user", m.UnixUser,
		"device", m.DeviceID,
		"role", string(m.Role),
		"groups", strings.Join(m.Groups, ", "),
		"key", m.Fingerprint,
		"leger", m.CLIVersion,
		"enrolled", fmt.Sprintf("%s from %s, by %s", a.when(m.EnrolledAt.Time), m.EnrolledFrom, m.EnrolledBy),
		"last seen", fmt.Sprintf("%s from %s", a.when(m.LastSeen.Time), m.LastAddr),
	))
}

func (a *app) machinesChange(ctx context.Context, text string, patch wire.MachinePatch) error {
	m, c, err := a.machine(ctx, text)
	if err != nil {
		return err
	}
	if m.Current && patch.Role != nil && *patch.Role == leger.RoleDeliver {
		a.warn("this is the machine you are on: it cannot take this back itself")
	}
	m, err = c.ChangeMachine(ctx, m.ID, patch)
	if err != nil {
		return err
	}
	return a.printMachine(m)
}

func (a *app) machinesRevoke(ctx context.Context, text string, yes bool) error {
	m, c, err := a.machine(ctx, text)
	if err != nil {
		return err
	}
	if !yes {
		question := fmt.Sprintf("Revoke %s (user %s, last seen %s)?", m.Name, m.UnixUser, a.when(m.LastSeen.Time))
		if m.Current {
			question = fmt.Sprintf("Revoke %s, the machine you are on? You are signed out here then.", m.Name)
		}
		if err := a.mustConfirm(ctx, question); err != nil {
			return err
		}
	}
	if err := c.RevokeMachine(ctx, m.ID); err != nil {
		return err
	}
	a.say("%s is revoked: its next request is refused. It keeps the secrets that it has: change those it should not know.", m.Name)
	if a.flags.json {
		return a.printJSON(wire.Deleted{Deleted: true})
	}
	return nil
}
