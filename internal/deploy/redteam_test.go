package deploy_test

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"leger.run/leger"
	"leger.run/leger/internal/deploy"
	"leger.run/leger/internal/deploy/redteam"
	"leger.run/leger/internal/quadlet"
)

// pairOfCommits is one case of the table.
type pairOfCommits struct{ redteam.Pair }

func pairsOfCommits(t testing.TB) []pairOfCommits {
	t.Helper()
	pairs, err := redteam.Pairs()
	if err != nil {
		t.Fatal(err)
	}
	var all []pairOfCommits
	for _, p := range pairs {
		all = append(all, pairOfCommits{p})
	}
	return all
}

// source changes the first commit's source into the second's.
func (p *pairOfCommits) source(s *deploy.Source) {
	s.URL, s.Ref, s.Path = cmp.Or(p.URL, s.URL), cmp.Or(p.Ref, s.Ref), cmp.Or(p.Path, s.Path)
}

// facts adds what is on the machine besides the release.
func (p *pairOfCommits) facts(f *deploy.Facts) {
	f.Volumes, f.VolumeOwners, f.NetworkOwners = append(f.Volumes, p.Volumes...), p.VolumeOwners, p.NetworkOwners
}

func (p *pairOfCommits) request(t testing.TB, files map[string]string, commit string) deploy.Request {
	t.Helper()
	return deploy.Request{
		Release: releaseName(t, "App"), Set: quadlet.LoadFiles(redteam.Bytes(files)),
		Source: deploy.Source{URL: redteam.URL, Ref: redteam.Ref, Commit: commit},
	}
}

// plan is that of the second commit on a machine that runs the first.
func (p *pairOfCommits) plan(t testing.TB) deploy.Plan {
	t.Helper()
	first := deploy.NewPlan(p.request(t, p.Before, "c1"), deploy.Facts{Number: 1, Installer: "podman"}).Next
	req, facts := p.request(t, p.After, "c2"), deploy.Facts{Current: &first, Number: 2, Installer: "podman"}
	p.source(&req.Source)
	p.facts(&facts)
	return deploy.NewPlan(req, facts)
}

// Each of these was installed by deploy auto, which said "No new risk"; or must
// not bother anybody.
func TestWhatACommitMayBring(t *testing.T) {
	t.Parallel()
	pairs := pairsOfCommits(t)
	if len(pairs) < 60 {
		t.Fatalf("%d pairs", len(pairs))
	}
	for _, p := range pairs {
		t.Run(p.What, func(t *testing.T) {
			t.Parallel()
			plan := p.plan(t)
			var lines []string
			for _, r := range plan.Changes.Risks {
				lines = append(lines, fmt.Sprintf("%s:%d: %s", r.File, r.Line, r.Text))
			}
			verdict := redteam.Nothing
			switch {
			case len(plan.Asks()) > 0:
				verdict = redteam.Asks
			case len(lines) > 0:
				verdict = redteam.Informs
			}
			if verdict != p.Verdict {
				t.Errorf("it %s, want %s: %q", verdict, p.Verdict, lines)
			}
			for _, want := range p.Shows {
				if !strings.Contains(strings.Join(lines, "\n"), want) {
					t.Errorf("%q is not in %q", want, lines)
				}
			}
			// What was agreed to once does not come up again, and takes nothing else along.
			again := p.request(t, p.After, "c3")
			p.source(&again.Source)
			facts := deploy.Facts{Current: &plan.Next, Number: 3, Installer: "podman"}
			p.facts(&facts)
			if third := deploy.NewPlan(again, facts); len(third.Changes.Risks) > 0 {
				t.Errorf("the same again asks again: %v", third.Changes.Risks)
			}
		})
	}
}

// Nobody's consent is nobody's: Apply refuses what asks, whatever the caller has
// looked at, and changes nothing.
func TestWhatAsksIsNotAppliedWithoutConsent(t *testing.T) {
	t.Parallel()
	for _, p := range pairsOfCommits(t) {
		m := newMachine("key", "key_other", "key_a", "second")
		e := m.engine(t.TempDir())
		if _, err := install(t.Context(), e, p.request(t, p.Before, "c1")); err != nil {
			t.Fatalf("%s: %v", p.What, err)
		}
		var facts deploy.Facts
		if p.facts(&facts); len(facts.VolumeOwners)+len(facts.NetworkOwners) > 0 {
			continue // other releases are not on this machine
		}
		for _, v := range facts.Volumes {
			m.volumes[v] = true
		}
		req, before := p.request(t, p.After, "c2"), m.running()
		p.source(&req.Source)
		plan, err := e.Prepare(t.Context(), req)
		if err != nil || len(plan.Refusals) > 0 {
			continue // it is not even offered
		}
		_, err = e.Apply(t.Context(), plan, nil)
		switch asks := p.Verdict == redteam.Asks; {
		case asks && (!errors.Is(err, leger.ErrInvalid) || m.running() != before):
			t.Errorf("%s: applied without consent: %v", p.What, err)
		case !asks && err != nil:
			t.Errorf("%s: %v", p.What, err)
		}
	}
}

// A first installation that hands out secrets asks; its image, ports and source
// are what its user has just named.
func TestAFirstInstallationAsksForSecrets(t *testing.T) {
	t.Parallel()
	image := "[Container]\nImage=example.com/web@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\n"
	for text, want := range map[string][]string{
		"":                                 nil,
		"PublishPort=8080:80\n":            nil,
		"Volume=mine:/mine\n":              nil,
		"Secret=key\n":                     {"secret"},
		"Secret=key\nVolume=theirs:/x\n":   {"secret", "volume"},
		"Volume=old:/x\n":                  {"volume"},
		"Network=shop\n":                   {"network"},
		"Network=proxy\nVolume=mine:/x:ro": nil,
	} {
		plan := deploy.NewPlan(request(t, "App", "c1", "web.container", image+text), deploy.Facts{
			Number: 1, Installer: "podman", Volumes: []string{"old", "theirs"},
			VolumeOwners: map[string]string{"theirs": "Shop"}, NetworkOwners: map[string]string{"shop": "Shop"},
		})
		var kinds []string
		for _, r := range plan.Asks() {
			kinds = append(kinds, string(r.Kind))
		}
		if !slices.Equal(kinds, want) {
			t.Errorf("%q asks for %q, want %q", text, kinds, want)
		}
	}
}

// Versions before keys recorded risks by kind, file and text alone, where one
// accepted command covered every other: they count for nothing. What such a
// generation was given is in its manifest and still counts.
func TestRecordsWithoutKeysAcceptNoRisk(t *testing.T) {
	t.Parallel()
	files := redteam.Base()
	redteam.AddLines(files, "[Service] | ExecStartPre=/bin/true")
	req := deploy.Request{Release: releaseName(t, "App"), Set: quadlet.LoadFiles(redteam.Bytes(files)), Source: deploy.Source{URL: "u", Commit: "c1"}}
	old := deploy.NewPlan(req, deploy.Facts{Number: 1, Installer: "podman"}).Next
	for i := range old.Risks {
		old.Risks[i].Key, old.Risks[i].Asks = "", false
	}
	req.Source.Commit = "c2"
	plan := deploy.NewPlan(req, deploy.Facts{Current: &old, Number: 2, Installer: "podman"})
	if asks := plan.Asks(); len(asks) != 1 || asks[0].Kind != quadlet.RiskCommand {
		t.Errorf("it asks for %v", asks)
	}
	// What is installed and unchanged is repaired without a question.
	req.Source.Commit = "c1"
	if plan = deploy.NewPlan(req, deploy.Facts{Current: &old, Number: 2, Installer: "podman"}); plan.NeedsConsent() {
		t.Errorf("a repair asks for %v", plan.Asks())
	}
}

// Consent is to the plan that was shown: when another release has taken the volume
// meanwhile, Apply does not go on.
func TestConsentIsToWhatWasShown(t *testing.T) {
	t.Parallel()
	m := newMachine("key")
	e := m.engine(t.TempDir())
	if _, err := install(t.Context(), e, request(t, "App", "c1", "web.container", webV1, "data.volume", volume)); err != nil {
		t.Fatal(err)
	}
	plan, err := e.Prepare(t.Context(), request(t, "App", "c2", "web.container", webV1+"\n[Container]\nVolume=shared:/s\n", "data.volume", volume))
	if err != nil || plan.NeedsConsent() {
		t.Fatalf("%v, %v", plan.Asks(), err)
	}
	m.volumes["shared"] = true // somebody makes it
	before := maps.Clone(m.files)
	if _, err := e.Apply(t.Context(), plan.WithConsent(deploy.ConsentFlag), nil); !errors.Is(err, leger.ErrConflict) {
		t.Errorf("another plan than the one that was shown: %v, want a conflict", err)
	}
	if !maps.Equal(before, m.files) {
		t.Error("files were changed")
	}
}
