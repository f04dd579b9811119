package cli

import (
	"fmt"
	"slices"
	"strings"

	"leger.run/leger/internal/deploy"
	"leger.run/leger/internal/quadlet"
)

// showPlan tells what will be done, and what about it may be risky. Where the
// plan is what was asked for, it is data and goes to stdout; elsewhere it is talk,
// but the risks are told even with --quiet, because consent follows.
func (a *app) showPlan(p deploy.Plan, in install) error {
	if p.Unchanged() {
		return nil
	}
	if !in.unattended {
		a.warnNotChecked(p.NotChecked)
	}
	text := planText(p, in.planOnly || p.From > 0)
	if in.planOnly {
		if a.flags.json {
			return nil
		}
		return a.print(a.tint(text + riskText(p))...)
	}
	if !a.flags.quiet {
		a.errln(a.tint(strings.TrimSuffix(text, "\n"))...)
	}
	if risks := riskText(p); risks != "" {
		head, rest, _ := strings.Cut(strings.TrimSuffix(risks, "\n"), "\n")
		a.errln(a.paint(yellow, head))
		if rest != "" {
			a.errln(a.tint(rest))
		}
	}
	return nil
}

// tint colours the lines of a diff.
func (a *app) tint(text string) (parts []any) {
	for line := range strings.Lines(text) {
		bare := strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(bare, "    +"):
			parts = append(parts, a.paint(green, bare), line[len(bare):])
		case strings.HasPrefix(bare, "    -"), strings.HasPrefix(bare, danger):
			parts = append(parts, a.paint(red, bare), line[len(bare):])
		default:
			parts = append(parts, line)
		}
	}
	return parts
}

// planText is a plan for people; with diffs it shows how each file changes.
func planText(p deploy.Plan, diffs bool) string {
	var b strings.Builder
	say := func(format string, args ...any) {
		fold(args)
		_, _ = fmt.Fprintf(&b, format+"\n", args...)
	}
	commit := deploy.ShortCommit(p.Next.Source.Commit)
	switch {
	case p.From > 0 && commit != "":
		say("Change generation %d of %s to commit %s:", p.From, p.Next.Release, commit)
	case p.From > 0:
		say("Change generation %d of %s:", p.From, p.Next.Release)
	case commit != "":
		say("Install %s, commit %s:", p.Next.Release, commit)
	default:
		say("Install %s:", p.Next.Release)
	}
	for _, s := range p.Changes.Source {
		say("  %-7s %s", "source", s)
	}
	for _, u := range p.Changes.Units {
		from := ""
		if u.From != "" {
			from = ", which was " + u.From
		}
		say("  %-7s %s (%s)%s", u.Action, u.Service, u.Kind, from)
	}
	if p.From > 0 {
		changedValues(say, p.Changes)
	} else {
		b.WriteString(contentsText(p.Contents))
	}
	if len(p.Stop) > 0 {
		say("  %-7s %s", "stop", strings.Join(p.Stop, ", "))
	}
	if len(p.Start) > 0 {
		say("  %-7s %s", "start", strings.Join(p.Start, ", "))
	}
	for _, n := range p.Notices {
		say("Note: %s.", withHint(strings.TrimSuffix(n.Text, "."), n.Hint))
	}
	planFiles(say, p, diffs)
	if p.FailedBefore != nil {
		say("This commit was tried here on %s: %s.", p.FailedBefore.At.Format("2006-01-02 15:04"), p.FailedBefore.Reason)
	}
	return b.String()
}

// changedValues lists what is another than before.
func changedValues(say func(string, ...any), c deploy.Changes) {
	for _, group := range []struct {
		label  string
		values []deploy.ValueChange
	}{
		{"image", c.Images},
		{"port", c.Ports},
		{"secret", c.Secrets},
		{"volume", c.Volumes},
	} {
		for _, v := range group.values {
			of := ""
			if v.Service != "" {
				of = " of " + v.Service
			}
			switch {
			case v.Action == deploy.Change:
				say("  %-7s %s -> %s%s", group.label, v.From, v.Value, of)
			case v.Action == deploy.Add:
				say("  %-7s + %s%s", group.label, v.Value, of)
			case group.label == "volume":
				say("  %-7s - %s: it stays on this machine, with what is in it", group.label, v.Value)
			default:
				say("  %-7s - %s%s", group.label, v.Value, of)
			}
		}
	}
}

func planFiles(say func(string, ...any), p deploy.Plan, diffs bool) {
	if len(p.Files)+len(p.Kept) > 0 {
		say("Files:")
	}
	for _, path := range p.Kept {
		say("  keep    %s: its container has changed it, and it stays as it is, without Git's newer version", path)
	}
	for _, f := range p.Files {
		note := ""
		if f.Edited {
			note = ": it was edited on this machine, and that will be lost"
		}
		say("  %-7s %s%s", f.Action, f.Path, note)
		if !diffs {
			continue
		}
		if f.Diff == "" {
			say("    (no text, or too long to be shown)")
		}
		shown := 0
		for line := range strings.Lines(f.Diff) {
			// The names in the head of a diff say nothing new.
			if shown++; shown > 3 {
				say("    %s", strings.TrimSuffix(line, "\n"))
			}
		}
	}
}

// riskText tells what needs consent, what is only to be known, and how much was
// accepted before, "" if there is nothing.
func riskText(p deploy.Plan) string {
	var b strings.Builder
	asks := p.Asks()
	informs := len(p.Changes.Risks) - len(asks)
	before := ""
	if n := len(p.Risks) - len(p.Changes.Risks); n > 0 {
		before = fmt.Sprintf(", beside %d accepted before", n)
	}
	switch {
	case len(p.Risks) == 0:
		return ""
	case len(p.Changes.Risks) == 0:
		return fmt.Sprintf("No new risk; accepted before: %d.\n", len(p.Risks))
	case len(asks) == 1:
		_, _ = fmt.Fprintf(&b, "1 thing needs your consent%s:\n", before)
	case len(asks) > 1:
		_, _ = fmt.Fprintf(&b, "%d things need your consent%s:\n", len(asks), before)
	}
	b.WriteString(riskLines(asks))
	switch {
	case informs == 0:
		return b.String()
	case len(asks) > 0:
		_, _ = fmt.Fprintf(&b, "%s to know of:\n", plural(informs, "more risk"))
	default:
		_, _ = fmt.Fprintf(&b, "%s to know of%s:\n", plural(informs, "new risk"), before)
	}
	b.WriteString(riskLines(slices.DeleteFunc(slices.Clone(p.Changes.Risks), func(r quadlet.Risk) bool { return r.Asks })))
	return b.String()
}
