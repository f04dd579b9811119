package deploy

import (
	"fmt"
	"slices"

	"leger.run/leger"
	"leger.run/leger/internal/quadlet"
)

// wantedPort is a port, or a range of ports, that a unit publishes.
type wantedPort struct {
	quadlet.Port
	unit Unit
}

// takenPort is a port of the machine with who has it.
type takenPort struct {
	quadlet.Port
	by string
}

// portRefusals finds ports that somebody else has, or that two units want. A
// range is compared as a range: 1-65535 costs no more than one port.
func portRefusals(req Request, next Generation, facts Facts) []Refusal {
	wanted := wantedPorts(req.Set, next)
	if len(wanted) > quadlet.MaxPorts {
		return []Refusal{{
			Code: leger.CodeInvalid, Text: fmt.Sprintf("there are more than %d published ports", quadlet.MaxPorts),
			Hint: "publish fewer ports, or ranges of them",
		}}
	}
	var all []Refusal
	refuse := func(w wantedPort, number uint16, by string) {
		all = append(all, Refusal{
			Code: leger.CodeConflict, File: w.File, Line: w.Line,
			Text: fmt.Sprintf("port %d (%s) is taken by %s", number, w.Protocol, by),
			Hint: "publish another port, or stop what has this one: ss -tulpn",
		})
	}
	taken := takenPorts(facts)
	for i, w := range wanted {
		if j := slices.IndexFunc(wanted[:i], func(o wantedPort) bool { return o.Overlaps(w.Port) }); j >= 0 {
			refuse(w, max(w.Host, wanted[j].Host), wanted[j].unit.Service+", which is in the same release")
			continue
		}
		// Of a range the first one that is taken, and of two that have it the container.
		first := -1
		for j, t := range taken {
			if t.Overlaps(w.Port) && (first < 0 || t.Host < taken[first].Host) {
				first = j
			}
		}
		if first >= 0 {
			refuse(w, taken[first].Host, taken[first].by)
		}
	}
	return all
}

// takenPorts lists the ports that others than this release have. What has one of
// its own ports stops before, or is the unit that wants it.
func takenPorts(facts Facts) []takenPort {
	var all []takenPort
	var ours []quadlet.Port
	for _, c := range facts.Containers {
		for _, p := range c.Ports {
			switch {
			case !c.Up:
			case facts.Ours[c.Unit]:
				ours = append(ours, quadlet.HostPort(p))
			case c.Unit != "":
				all = append(all, takenPort{quadlet.HostPort(p), "the container " + c.Name + " of " + c.Unit})
			default:
				all = append(all, takenPort{quadlet.HostPort(p), "the container " + c.Name})
			}
		}
	}
	for _, l := range facts.Listeners {
		p := quadlet.HostPort(l.Port)
		switch {
		case facts.Ours[l.Unit] || slices.ContainsFunc(ours, p.Overlaps): // what forwards a container's port listens, too
		case l.Program == "":
			all = append(all, takenPort{p, "a program of another user"})
		default:
			all = append(all, takenPort{p, "the program " + l.Program})
		}
	}
	return all
}

func wantedPorts(set *quadlet.Set, next Generation) []wantedPort {
	var all []wantedPort
	for _, u := range set.Units {
		i := slices.IndexFunc(next.Units, func(n Unit) bool { return n.Service == u.Service })
		// What is not started takes no port; a template has none before it has a name.
		if i < 0 || u.Template || (!next.Units[i].Run && u.Kind != quadlet.Pod) {
			continue
		}
		for _, p := range u.Published {
			if p.Host > 0 {
				all = append(all, wantedPort{p, next.Units[i]})
			}
		}
	}
	return all
}
