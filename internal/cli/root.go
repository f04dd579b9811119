package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "leger",
		Short: "Keep API keys in one place, bring them to your machines, run containers with them",
		Long: `leger keeps your API keys in one place, brings them to this machine as Podman
secrets, and installs releases: Git repositories of quadlets whose containers use
those secrets.`,
		Example: `  leger auth login
  leger secrets set openai_key
  leger secrets sync
  leger deploy install --release my-app`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage("%v", err) })
	f := root.PersistentFlags()
	f.StringVar(&a.flags.server, "server", "", "address of the Leger server (LEGER_SERVER)")
	f.BoolVar(&a.flags.json, "json", false, "print data as JSON")
	f.BoolVarP(&a.flags.quiet, "quiet", "q", false, "say nothing but data, warnings and errors")
	f.BoolVarP(&a.flags.verbose, "verbose", "v", false, "say more")
	f.BoolVar(&a.flags.noInput, "no-input", false, "never ask; fail where an answer is needed")
	f.BoolVar(&a.flags.noColor, "no-color", false, "no colour (NO_COLOR)")
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		if a.flags.quiet && a.flags.verbose {
			return usage("--quiet and --verbose contradict each other")
		}
		return nil
	}
	root.AddCommand(
		a.authCmd(), a.secretsCmd(), a.runCmd(), a.releasesCmd(), a.machinesCmd(), a.deployCmd(), a.serviceCmd(), a.validateCmd(), a.statusCmd(), a.doctorCmd(),
		a.configCmd(), a.completionCmd(), a.versionCmd(),
		&cobra.Command{Use: "exit-codes", Short: "What leger's exit codes mean", Long: exitCodesHelp},
	)
	return root
}

// group makes a command that only holds others.
func group(name, short string, subs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: name, Short: short,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return usage("%q is not a command of %s", args[0], cmd.CommandPath())
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(subs...)
	return c
}

// The functions below never repeat an argument in their errors, except where it
// names a command: a mistyped command line may hold a value.

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.HasSubCommands() {
		return usage("%q is not a command of %s", args[0], cmd.CommandPath())
	}
	return usage("%s takes no arguments", cmd.CommandPath())
}

func exactArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usage("%s needs %s", cmd.CommandPath(), names[len(args)])
		case len(args) > len(names):
			return usage("%s takes %d argument(s), not %d", cmd.CommandPath(), len(names), len(args))
		}
		return nil
	}
}

func (a *app) versionCmd() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print leger's version",
		Example: "  leger version\n  leger version --json",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			if a.flags.json {
				return a.printJSON(map[string]string{"version": a.env.Version})
			}
			return a.print("leger " + a.env.Version + "\n")
		},
	}
}

func (a *app) completionCmd() *cobra.Command {
	return &cobra.Command{
		Use: "completion bash|zsh|fish", Short: "Print the completion script of a shell",
		Example: `  leger completion bash > ~/.local/share/bash-completion/completions/leger
  leger completion zsh > "${fpath[1]}/_leger"
  leger completion fish > ~/.config/fish/completions/leger.fish`,
		ValidArgs: []string{"bash", "zsh", "fish"},
		Args:      exactArgs("the name of a shell: bash, zsh or fish"),
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return wrote(root.GenBashCompletionV2(a.env.Stdout, true))
			case "zsh":
				return wrote(root.GenZshCompletion(a.env.Stdout))
			case "fish":
				return wrote(root.GenFishCompletion(a.env.Stdout, true))
			default:
				return usage("%s knows bash, zsh and fish", cmd.CommandPath())
			}
		},
	}
}

// plural is for messages: "1 secret", "2 secrets".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
