package deploy

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"leger.run/leger"
	"leger.run/leger/internal/quadlet"
)

// preflight looks at what else on the machine may stand against a set.
func (e *Engine) preflight(ctx context.Context, req Request, next Generation, facts *Facts) (err error) {
	if e.cfg.Podman != nil {
		if facts.Containers, err = e.cfg.Podman.Containers(ctx); err != nil {
			return err
		}
		images := values(neverPulled(req.Set))
		slices.Sort(images)
		if images = slices.Compact(images); len(images) > 0 {
			if facts.MissingImages, err = e.cfg.Podman.MissingImages(ctx, images); err != nil {
				return err
			}
		}
	}
	var numbers []int
	for _, w := range wantedPorts(req.Set, next) {
		numbers = append(numbers, w.Number)
	}
	if len(numbers) > 0 && e.cfg.Sockets != nil {
		facts.Listeners, err = e.cfg.Sockets.Listening(ctx, numbers)
	}
	return err
}

// neverPulled lists the images that have to be on the machine already.
func neverPulled(set *quadlet.Set) []quadlet.Ref {
	var all []quadlet.Ref
	for _, u := range set.Units {
		if u.Pull == "never" {
			all = append(all, u.Images...)
		}
	}
	return all
}

// named reports whether Podman replaces whatever has the unit's name when the
// unit starts. A name with a specifier is known to systemd alone.
func (u Unit) named() bool {
	return (u.Kind == quadlet.Container || u.Kind == quadlet.Pod) && u.Resource != "" && !u.Template && !strings.ContainsAny(u.Resource, "%$")
}

// nameRefusals finds containers and pods of others that a start would replace:
// Podman's units run podman with --replace.
func nameRefusals(next Generation, facts Facts) []Refusal {
	var all []Refusal
	refuse := func(u Unit, format string, args ...any) {
		all = append(all, Refusal{
			Code: leger.CodeConflict, File: u.File, Text: fmt.Sprintf(format, args...),
			Hint: "give one of the two another name: ContainerName= or PodName=",
		})
	}
	for _, u := range next.Units {
		if !u.named() {
			continue
		}
		if owner := facts.Resources[u.Resource]; owner != "" {
			refuse(u, "the release %s has a %s called %s", owner, u.Kind, u.Resource)
			continue
		}
		ours, others := false, false
		for _, c := range facts.Containers {
			has := (u.Kind == quadlet.Container && c.Name == u.Resource) || (u.Kind == quadlet.Pod && c.Pod == u.Resource)
			mine := has && (c.Unit == u.Service || facts.Ours[c.Unit])
			ours, others = ours || mine, others || (has && !mine)
		}
		if others && !ours {
			refuse(u, "a %s called %s that Leger did not make is there, and would be replaced", u.Kind, u.Resource)
		}
	}
	return all
}

// wantedPort is a port that a unit publishes.
type wantedPort struct {
	leger.Port
	unit Unit
	at   quadlet.Port
}

// portRefusals finds ports that somebody else has, or that two units want.
func portRefusals(req Request, next Generation, facts Facts) []Refusal {
	var all []Refusal
	refuse := func(w wantedPort, by string) {
		all = append(all, Refusal{
			Code: leger.CodeConflict, File: w.at.File, Line: w.at.Line,
			Text: fmt.Sprintf("port %d (%s) is taken by %s", w.Number, w.Protocol, by),
			Hint: "publish another port, or stop what has this one: ss -tulpn",
		})
	}
	wanted := wantedPorts(req.Set, next)
	for i, w := range wanted {
		if j := slices.IndexFunc(wanted[:i], func(o wantedPort) bool { return overlap(o.Port, w.Port) }); j >= 0 {
			refuse(w, wanted[j].unit.Service+", which is in the same release")
			continue
		}
		if by := holder(w, facts); by != "" {
			refuse(w, by)
		}
	}
	return all
}

// holder says who has a port, "" for nobody but this release.
func holder(w wantedPort, facts Facts) string {
	for _, c := range facts.Containers {
		if !c.Up || !slices.ContainsFunc(c.Ports, func(p leger.Port) bool { return overlap(p, w.Port) }) {
			continue
		}
		switch {
		case facts.Ours[c.Unit]:
			return "" // it stops before, or is the one that wants it
		case c.Unit != "":
			return "the container " + c.Name + " of " + c.Unit
		default:
			return "the container " + c.Name
		}
	}
	for _, l := range facts.Listeners {
		switch {
		case !overlap(l.Port, w.Port) || facts.Ours[l.Unit]:
		case l.Program == "":
			return "a program of another user"
		default:
			return "the program " + l.Program
		}
	}
	return ""
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
			for n := int(p.Host); n > 0 && n <= int(p.HostEnd); n++ {
				all = append(all, wantedPort{leger.Port{Address: p.HostIP, Number: n, Protocol: p.Protocol}, next.Units[i], p})
			}
		}
	}
	return all
}

// overlap reports whether two cannot listen at once.
func overlap(a, b leger.Port) bool {
	if a.Number != b.Number || a.Protocol != b.Protocol {
		return false
	}
	x, y := address(a.Address), address(b.Address)
	return x == y || x.IsUnspecified() || y.IsUnspecified()
}

// address reads an address; none is all of them.
func address(text string) netip.Addr {
	if text == "" {
		return netip.IPv4Unspecified()
	}
	if text == "localhost" {
		text = "127.0.0.1"
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{} // of no socket
	}
	return a.Unmap()
}
