package quadlet

import (
	"slices"
	"strings"

	"leger.run/leger"
)

// ToStart gives the services that a deployment starts, in the order of Units:
//
//   - a container, kube or pod whose [Install] names something that the set does
//     not make: a target, or a unit of others;
//   - if there is none of these, all of them.
//
// Everything else is started by what needs it: volumes, networks, images and
// builds, the containers of a pod, and what WantedBy= or Wants= ties to a unit of
// the set. A template runs only as an instance: as its DefaultInstance= when it
// has an [Install], else when somebody names one.
func (s *Set) ToStart() []string {
	wanted, all := []string{}, []string{}
	for _, u := range s.Units {
		if !u.runs() {
			continue
		}
		hooked := slices.ContainsFunc(u.WantedBy, func(by string) bool { return !s.makes(by) })
		if i, ok := u.defaultInstance(); ok && hooked {
			wanted = append(wanted, i.Service)
		}
		if u.Template {
			continue
		}
		if hooked {
			wanted = append(wanted, u.Service)
		}
		if u.Pod == "" || !u.StartedByPod {
			all = append(all, u.Service)
		}
	}
	if len(wanted) > 0 {
		return wanted
	}
	return all
}

// makes reports whether the set has a quadlet for a unit.
func (s *Set) makes(service string) bool {
	return slices.ContainsFunc(s.Units, func(u Unit) bool { return u.Service == service })
}

// ToRun gives the units that are up after those of ToStart were started: they
// themselves and those that systemd starts with them. Of a template it is the
// default instance, with the service's name of that.
func (s *Set) ToRun() []Unit {
	services := s.pulled(s.ToStart())
	var run []Unit
	for _, u := range s.Units {
		if i, ok := u.defaultInstance(); ok && slices.Contains(services, i.Service) {
			run = append(run, i)
			continue
		}
		if u.runs() && !u.Template && slices.Contains(services, u.Service) {
			run = append(run, u)
		}
	}
	return run
}

// NotAtBoot gives the units of ToRun that nothing starts when the machine boots.
func (s *Set) NotAtBoot() []Unit {
	var roots []string
	for _, u := range s.Units {
		if !slices.ContainsFunc(u.WantedBy, func(by string) bool { return !s.makes(by) && atBoot(by) }) {
			continue
		}
		if i, ok := u.defaultInstance(); ok {
			roots = append(roots, i.Service)
		} else if !u.Template {
			roots = append(roots, u.Service)
		}
	}
	booted := s.pulled(roots)
	return slices.DeleteFunc(s.ToRun(), func(u Unit) bool { return slices.Contains(booted, u.Service) })
}

// pulled gives services with all that systemd starts together with them
// (systemd.unit(5)).
func (s *Set) pulled(services []string) []string {
	all := slices.Clone(services)
	add := func(service string) {
		if !slices.Contains(all, service) {
			all = append(all, service)
		}
	}
	for n := 0; n < len(all); n++ {
		for _, u := range s.Units {
			if i, ok := u.defaultInstance(); ok && all[n] == i.Service {
				u = i
			}
			if slices.Contains(u.WantedBy, all[n]) {
				if i, ok := u.defaultInstance(); ok {
					add(i.Service)
				} else if !u.Template {
					add(u.Service)
				}
			}
			if u.Service != all[n] {
				continue
			}
			for _, d := range u.Deps {
				if slices.Contains([]string{"Wants", "Requires", "BindsTo", "Upholds"}, d.How) {
					add(d.Service)
				}
			}
		}
	}
	return all
}

// atBoot reports whether a user's systemd reaches what [Install] names when the
// machine boots. Of targets it has few (systemd.special(7), "Units managed by the user
// service manager"); those of a graphical session come with somebody who logs in at a
// desktop, which a server never sees. Of units of others nothing is known here.
func atBoot(unit string) bool {
	return !strings.HasSuffix(unit, ".target") || slices.Contains([]string{
		"default.target", "basic.target", "paths.target", "sockets.target", "timers.target",
	}, unit)
}

// checkBoot notes the units that are started now and not when the machine boots.
func (l *loader) checkBoot() {
	for _, u := range l.set.NotAtBoot() {
		n := leger.Problem{
			File: u.Written, Line: u.Line, Hint: "write [Install] WantedBy=default.target",
			Message: u.Service + " will not start when the machine boots: nothing that starts then asks for it",
		}
		if len(u.WantedBy) > 0 {
			n.Message = u.Service + " will not start when the machine boots: a user's systemd does not reach " + strings.Join(u.WantedBy, ", ")
		}
		l.set.Notices = append(l.set.Notices, n)
	}
}
