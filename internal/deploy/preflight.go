package deploy

import (
	"context"
	"fmt"
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
	if e.cfg.Podman != nil && len(next.Volumes()) > 0 {
		if facts.Volumes, err = e.cfg.Podman.Volumes(ctx); err != nil {
			return err
		}
	}
	wanted := wantedPorts(req.Set, next)
	if len(wanted) > 0 && e.cfg.Sockets != nil {
		facts.Listeners, err = e.cfg.Sockets.Listening(ctx, func(p leger.Port) bool {
			return slices.ContainsFunc(wanted, func(w wantedPort) bool { return w.Overlaps(quadlet.HostPort(p)) })
		})
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
