package deploy

import (
	"fmt"
	"slices"
	"strings"

	"leger.run/leger"
	"leger.run/leger/internal/quadlet"
)

// refusals lists what stands against the request, the gravest first.
func refusals(req Request, next Generation, facts Facts) []Refusal {
	all := []Refusal{}
	for _, problem := range facts.Checked.Problems {
		all = append(all, Refusal{
			Code: leger.CodeInvalid, Text: problem.Message, Hint: problem.Hint, File: problem.File, Line: problem.Line,
		})
	}
	if facts.Installer == "" {
		all = append(all, Refusal{Code: leger.CodeMissingPart, Text: "no way to install such files is there", Hint: "install Podman 5.6 or newer"})
	}
	if f := remembered(facts, next); f != nil && req.RefuseFailed && !halfway(facts, *f) {
		hint := "push a commit that mends it, or try this one again: --retry"
		all = append(all, Refusal{Code: leger.CodeConflict, Hint: hint, Text: fmt.Sprintf(
			"commit %.12s has failed on this machine on %s (%s), and the branch has no newer one", f.Identity, f.At.Format("2006-01-02 15:04"), f.Reason)})
	}
	all = append(all, unitRefusals(next, facts)...)
	all = append(all, fileRefusals(next, facts)...)
	all = append(all, scriptRefusals(req, facts)...)
	all = append(all, dataRefusals(req, facts)...)
	all = append(all, nameRefusals(next, facts)...)
	all = append(all, portRefusals(req, next, facts)...)
	for _, ref := range neverPulled(req.Set) {
		if slices.Contains(facts.MissingImages, ref.Value) {
			all = append(all, Refusal{
				Code: leger.CodeMissingPart, File: ref.File, Line: ref.Line, Text: fmt.Sprintf("the image %s is not on this machine, and Pull=never forbids to pull it", ref.Value),
				Hint: "podman pull " + ref.Value + ", build it, or leave out Pull=never",
			})
		}
	}
	for _, name := range facts.MissingSecrets {
		all = append(all, Refusal{
			Code: leger.CodeNotFound, Text: fmt.Sprintf("the secret %s is not on this machine", name), Secret: name,
			Hint: secretHint(req.Set, name),
		})
	}
	return all
}

// secretHint says how a missing secret is made. Leger does not keep every name that
// Podman takes.
func secretHint(set *quadlet.Set, name string) string {
	if set != nil {
		for _, u := range set.Units {
			for _, s := range u.Secrets {
				if rename := s.Rename(); s.Name == name && rename != "" {
					return rename + "; or make it by hand: podman secret create " + name + " FILE"
				}
			}
		}
	}
	return "create it: leger secrets set " + name + ", then: leger secrets sync; " +
		"if there is one, this machine may not be given it: leger secrets scope " + name
}

// unitRefusals finds units of these names that are another's. An alias is a name
// like any other: Alias=dbus.service would put the release in that one's place.
func unitRefusals(next Generation, facts Facts) []Refusal {
	var all []Refusal
	for _, u := range next.Units {
		for _, name := range u.names() {
			hint := "rename the file, give it a ServiceName=, or remove the other one"
			if name != u.Service {
				hint = "leave out Alias=" + name + ", or remove the other one"
			}
			refuse := func(format string, args ...any) {
				all = append(all, Refusal{Code: leger.CodeConflict, File: u.File, Text: fmt.Sprintf(format, args...), Hint: hint})
			}
			state, owner := facts.States[name], facts.Owners[name]
			switch {
			case owner != "":
				hint += ": leger deploy remove " + owner
				refuse("the release %s has a unit %s already", owner, name)
			case !facts.Ours[name] && state.LoadState != "" && state.LoadState != "not-found":
				refuse("a unit %s that Leger did not install is there already%s", name, from(state.Source))
			}
		}
	}
	return all
}

// fileRefusals finds files in the quadlet directory that are another's.
func fileRefusals(next Generation, facts Facts) []Refusal {
	var all []Refusal
	for _, path := range next.paths() {
		owner, mine := facts.Owners[path], knows(facts, path)
		switch _, there := facts.Disk[facts.Installer][path]; {
		case owner != "":
			all = append(all, Refusal{
				Code: leger.CodeConflict, File: path, Text: fmt.Sprintf("the release %s has installed a file of this name", owner),
				Hint: "rename it, or remove the other release: leger deploy remove " + owner,
			})
		case there && !mine:
			all = append(all, Refusal{
				Code: leger.CodeConflict, File: path, Text: "a file of this name, which Leger did not install, is among the quadlets already",
				Hint: "rename one of them, or remove the other one if it is not needed",
			})
		}
	}
	return all
}

// scriptRefusals finds commands that name a file of the release where it will not be.
func scriptRefusals(req Request, facts Facts) []Refusal {
	if req.Set == nil {
		return nil
	}
	var all []Refusal
	for _, u := range req.Set.Units {
		for _, s := range u.Scripts {
			place := facts.places[s.Name]
			_, below, known := strings.Cut(place, "/containers/systemd/")
			if !known || below == s.At {
				continue
			}
			all = append(all, Refusal{
				Code: leger.CodeInvalid, File: s.Ref.File, Line: s.Ref.Line,
				Text: fmt.Sprintf("%s names %s of this release, which is installed as %s", s.Ref.Value, s.Name, place),
				Hint: "write %h/.config/containers/systemd/" + below,
			})
		}
	}
	return all
}

func from(source string) string {
	if source == "" {
		return ""
	}
	return ", from " + source
}

// knows reports whether a file on disk was put there for this release.
func knows(facts Facts, path string) bool {
	recorded := func(g Generation) bool { return g.Installer == facts.Installer && g.hashes()[path] != "" }
	return (facts.Current != nil && recorded(*facts.Current)) || slices.ContainsFunc(facts.Pending, recorded)
}

// remembered is what is known of a state that was tried before, nil for nothing.
func remembered(facts Facts, next Generation) *Failure {
	if i := slices.IndexFunc(facts.Failures, func(f Failure) bool { return f.Of(next.Source, next.identity()) }); i >= 0 {
		return &facts.Failures[i]
	}
	return nil
}

// halfway reports whether the state that has failed is what an unfinished deployment
// left: to go on with it is the way out.
func halfway(facts Facts, f Failure) bool {
	return slices.ContainsFunc(facts.Pending, func(g Generation) bool { return f.Of(g.Source, g.identity()) })
}
