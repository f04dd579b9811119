package leger

import (
	"fmt"
	"slices"
	"strings"
)

// Scope says which of its owner's machines a secret is given to. The zero value is
// all of them, those to come too.
type Scope struct {
	// Chosen: only those below. With neither a machine nor a group it is none.
	Chosen   bool
	Machines []string // their ids, in order, each once
	Groups   []string // in order, each once; a group may have no machine yet
}

// Gives reports whether m, a machine of the secret's owner, is given the secret.
func (s Scope) Gives(m Machine) bool {
	return !s.Chosen || slices.Contains(s.Machines, m.ID) ||
		slices.ContainsFunc(s.Groups, func(g string) bool { return slices.Contains(m.Groups, g) })
}

// Equal reports whether both give the secret to the same machines and groups.
func (s Scope) Equal(o Scope) bool {
	return s.Chosen == o.Chosen && slices.Equal(s.Machines, o.Machines) && slices.Equal(s.Groups, o.Groups)
}

// ParseScope checks a scope of chosen machines and groups, and puts them in order. It
// does not look whether the machines exist. ErrInvalid, field "machines" or "groups".
func ParseScope(machines, groups []string) (Scope, error) {
	for _, id := range machines {
		if !ValidID(id) {
			return Scope{}, Invalid("machines", "%s is not the id of a machine: a UUID", quoteInput(id))
		}
	}
	if err := atMost("machines", len(machines), MaxMachinesPerUser); err != nil {
		return Scope{}, err
	}
	groups, err := ParseMachineGroups(groups)
	if err != nil {
		return Scope{}, err
	}
	ids := slices.Compact(slices.Sorted(slices.Values(machines)))
	return Scope{Chosen: true, Machines: ids, Groups: groups}, nil
}

// Describe says in words where the secret goes. name gives what its owner calls a
// machine, and "" for one that is not there any more.
func (s Scope) Describe(name func(id string) string) string {
	if !s.Chosen {
		return "all machines"
	}
	var words []string
	for _, id := range s.Machines {
		if n := name(id); n != "" {
			words = append(words, n)
		}
	}
	for _, g := range s.Groups {
		words = append(words, fmt.Sprintf("group %s", g))
	}
	if len(words) == 0 {
		return "no machine"
	}
	return strings.Join(words, ", ")
}
