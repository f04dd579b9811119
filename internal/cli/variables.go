package cli

import (
	"slices"
	"strings"

	"leger.run/leger"
)

// choice says which secrets a command is given, and under which names.
type choice struct {
	only   []string // names of secrets
	prefix []string // beginnings of variables, in any case
	as     []string // VAR=SECRET
}

// all reports whether nothing was chosen.
func (c choice) all() bool { return len(c.only)+len(c.prefix)+len(c.as) == 0 }

// variable is an environment variable that holds a secret.
type variable struct {
	name   string
	secret leger.SecretName
}

// chosen is a choice that was read.
type chosen struct {
	choice

	named []variable // of --only and --env: these have to be there
}

// read checks a choice. What is wrong is not repeated: it may be a value.
func (c choice) read() (chosen, error) {
	out := chosen{choice: c}
	if slices.Contains(c.prefix, "") {
		return out, leger.Invalid("prefix", "--prefix takes the beginning of a variable, and every one begins with nothing").
			WithHint("leave it out to give the command all secrets")
	}
	for _, text := range c.only {
		name, err := leger.ParseSecretName(strings.TrimSpace(text))
		if err != nil {
			return out, leger.Invalid("only", "--only takes names of secrets, with commas between them").WithHint("leger secrets list")
		}
		v := variable{variableOf(name), name}
		if !isVariable(v.name) {
			return out, leger.Invalid("only", "the name of the secret %s is no name of a variable", name).
				WithHint("choose one: --env VARIABLE=%s", name)
		}
		out.named = append(out.named, v)
	}
	for _, text := range c.as {
		name, secret, _ := strings.Cut(text, "=")
		parsed, err := leger.ParseSecretName(secret)
		if err != nil || !isVariable(name) {
			return out, leger.Invalid("env", "--env takes VARIABLE=SECRET, the names of a variable and of a secret").
				WithHint("for example: --env DATABASE_PASSWORD=db_password")
		}
		out.named = append(out.named, variable{name, parsed})
	}
	return out, out.noneTwice(out.named)
}

// variables gives the variables of the choice among these secrets, in order of name, and
// the secrets of "all" and of a prefix that are left out because their names are not those
// of variables, or of variables that steer the program itself.
func (c chosen) variables(there []leger.SecretName) (list []variable, leftOut []leger.SecretName, err error) {
	list = slices.Clone(c.named)
	for _, name := range there {
		v := variable{variableOf(name), name}
		wanted := c.all() || slices.ContainsFunc(c.prefix, func(p string) bool {
			return strings.HasPrefix(v.name, strings.ToUpper(p))
		})
		switch {
		case !wanted, slices.Contains(c.named, v):
		case !isVariable(v.name), steers(v.name):
			leftOut = append(leftOut, name)
		default:
			list = append(list, v)
		}
	}
	slices.SortFunc(list, func(a, b variable) int { return strings.Compare(a.name, b.name) })
	return list, leftOut, c.noneTwice(list)
}

// noneTwice: of two secrets for one variable nobody knows which is meant.
func (c chosen) noneTwice(list []variable) error {
	by := map[string]leger.SecretName{}
	for _, v := range list {
		if other, taken := by[v.name]; taken && other != v.secret {
			return leger.Invalid("env", "%s and %s would both be the variable %s", other, v.secret, v.name).
				WithHint("choose with --only, and give one of them another name: --env VARIABLE=%s", v.secret)
		}
		by[v.name] = v.secret
	}
	return nil
}

// variableOf is the variable that a secret goes into unless it is said otherwise.
func variableOf(name leger.SecretName) string { return strings.ToUpper(name.String()) }

// isVariable reports whether every program can read a variable of this name (POSIX, Base
// Definitions, 8.1).
func isVariable(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := c == '_' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// steers reports whether a variable says what is run and from where, rather than something
// to the program. A secret takes its place only if the user says so by --env.
func steers(name string) bool {
	switch name {
	case "PATH", "HOME", "SHELL", "USER", "LOGNAME", "PWD", "OLDPWD", "IFS", "ENV", "BASH_ENV", "TMPDIR", "TERM", "LANG",
		"PYTHONPATH", "PYTHONHOME", "NODE_OPTIONS", "PERL5LIB", "PERL5OPT", "RUBYLIB", "RUBYOPT", "JAVA_TOOL_OPTIONS",
		"GIT_SSH", "GIT_SSH_COMMAND", "GIT_ASKPASS", "SSH_ASKPASS", "EDITOR", "VISUAL", "PAGER", "BROWSER":
		return true
	}
	for _, prefix := range []string{"LD_", "DYLD_", "GCONV_", "GLIBC_", "XDG_", "LC_", "BASH_FUNC_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
