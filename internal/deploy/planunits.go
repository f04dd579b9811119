package deploy

import (
	"slices"

	"leger.run/leger"
	"leger.run/leger/internal/quadlet"
)

// changeUnits decides what stops and what starts: what changes, and whatever
// systemd stops together with that. What ran before runs again afterwards.
func (p *Plan) changeUnits(facts Facts, changed map[string]bool) {
	touched := p.Next.affected(changed)
	old := slices.Clone(facts.Pending)
	p.ran = map[string]bool{}
	for name, s := range facts.States {
		p.ran[name] = awake(s)
	}
	if facts.Current != nil {
		old = append(old, *facts.Current)
		for _, u := range facts.Current.Units {
			// An interrupted deployment may have stopped what ran before.
			if (u.runs() && p.ran[u.Service]) || (u.Run && len(facts.Pending) > 0) {
				p.back = append(p.back, u.Service)
			}
		}
	}
	stop := map[string]bool{}
	for _, g := range old {
		hit := g.affected(changed)
		for _, service := range g.services() {
			// What systemd does not know cannot run. One that the release drops stops
			// also when somebody has deleted its file before.
			// So does one that ran because something wanted it, and nothing does any more.
			drops := !slices.Contains(p.Next.services(), service) || (g.wants(service) && !p.Next.wants(service) && p.ran[service])
			if (hit[service] || touched[service] || drops) && facts.Ours[service] && !stop[service] {
				stop[service] = true
				p.Stop = append(p.Stop, service)
			}
		}
	}
	p.changeInstances(facts, old, touched, changed)
	p.stopPods(facts, old, stop)
	others := p.stopDependents(facts, old, stop)
	byHand := func(u Unit) bool {
		return u.runs() && p.ran[u.Service] && (facts.Current == nil || !facts.Current.wants(u.Service))
	}
	for _, u := range p.Next.Units {
		if u.Run {
			p.Run = append(p.Run, u.Service)
		}
		// Its file is there, and systemd does not know it yet.
		p.Reload = p.Reload || (!u.Template && !facts.Ours[u.Service])
		// The containers of a pod are started with it, by name: their own results tell
		// what is wrong.
		state := facts.States[u.Service]
		unsure := u.Oneshot && !up(state) && (facts.Current == nil || len(facts.Pending) > 0)
		again := stop[u.Service] && !u.Run && byHand(u)
		if again {
			p.Run = append(p.Run, u.Service)
		}
		if again || (u.Run && (touched[u.Service] || stop[u.Service] || unsure || !running(u, state))) {
			p.Start = append(p.Start, u.Service)
		}
	}
	p.Start, p.others = append(p.Start, others...), others
	p.Reload = p.Reload || len(p.Stop) > 0
}

// stopPods stops a pod whose containers all stop. It would end by itself then
// (podman-pod-create(1), --exit-policy), in the middle of its containers' start.
func (p *Plan) stopPods(facts Facts, old []Generation, stop map[string]bool) {
	for _, g := range old {
		for _, pod := range g.Units {
			if pod.Kind != quadlet.Pod || stop[pod.Service] || !facts.Ours[pod.Service] {
				continue
			}
			stops, stays := false, false
			for _, u := range g.Units {
				if slices.Contains(u.Uses, pod.File) && p.ran[u.Service] {
					stops, stays = stops || stop[u.Service], stays || !stop[u.Service]
				}
			}
			if stops && !stays {
				stop[pod.Service] = true
				p.Stop = append(p.Stop, pod.Service)
			}
		}
	}
}

// stopDependents adds to what stops the units that systemd stops together with
// it, and gives those among them that are no units of this release.
func (p *Plan) stopDependents(facts Facts, old []Generation, stop map[string]bool) (others []string) {
	ours := func(name string) bool {
		return slices.ContainsFunc(append(slices.Clone(old), p.Next), func(g Generation) bool { return slices.Contains(g.services(), name) })
	}
	for _, unit := range slices.Clone(p.Stop) {
		for _, name := range facts.Dependents[unit] {
			if slices.Contains(p.Stop, name) {
				continue
			}
			stop[name] = true
			p.Stop = append(p.Stop, name)
			if !ours(name) && !slices.Contains(p.back, name) {
				others = append(others, name)
			}
		}
	}
	return others
}

// changeInstances stops the instances that somebody has started of templates that
// change, and starts those again whose template stays.
func (p *Plan) changeInstances(facts Facts, old []Generation, touched, changed map[string]bool) {
	for _, g := range old {
		hit := g.affected(changed)
		for _, u := range g.Units {
			if !u.Template || (!hit[u.Service] && !touched[u.Service]) {
				continue
			}
			stays := slices.ContainsFunc(p.Next.Units, func(n Unit) bool { return n.Service == u.Service })
			for _, instance := range facts.Instances[u.Service] {
				if slices.Contains(p.Stop, instance) {
					continue
				}
				p.Stop, p.back = append(p.Stop, instance), append(p.back, instance)
				if stays {
					p.Start = append(p.Start, instance)
				}
			}
		}
	}
}

// runs: the unit is there for its own sake, and not to be found by others.
func (u Unit) runs() bool {
	return u.Kind == quadlet.Container || u.Kind == quadlet.Kube || u.Kind == quadlet.Pod
}

// wants reports whether a service is to be up in the generation.
func (g Generation) wants(service string) bool {
	return slices.ContainsFunc(g.Units, func(u Unit) bool { return u.Service == service && u.Run })
}

// serves reports whether a service of the generation is there for its own sake.
func (g Generation) serves(service string) bool {
	i := slices.IndexFunc(g.Units, func(u Unit) bool { return u.Service == service })
	return i < 0 || g.Units[i].runs()
}

// awake: the unit runs or is about to.
func awake(s leger.UnitState) bool { return up(s) || s.ActiveState == "activating" }

// up: the unit runs, or has run to its end and counts as active.
func up(s leger.UnitState) bool { return s.ActiveState == "active" || s.ActiveState == "reloading" }

// running is up, or not failed for a unit that runs to its end: systemd forgets
// that it ran, but a generation is recorded only when it has.
func running(u Unit, s leger.UnitState) bool {
	return up(s) || (u.Oneshot && s.ActiveState == "inactive" && (s.Result == "success" || s.Result == ""))
}
