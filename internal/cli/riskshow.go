package cli

import (
	"fmt"
	"slices"
	"strings"

	"leger.run/leger/internal/deploy"
	"leger.run/leger/internal/quadlet"
	"leger.run/leger/internal/terminal"
)

// riskTitle is the heading over the risks of a kind. Kinds that are not here are
// their own heading.
func riskTitle(kind quadlet.RiskKind) string {
	switch kind {
	case quadlet.RiskArguments:
		return "arguments for Podman"
	case quadlet.RiskCommand:
		return "runs on this machine, outside the containers"
	case quadlet.RiskPrivilege:
		return "privileges and devices"
	case quadlet.RiskNamespace:
		return "shared with this machine"
	case quadlet.RiskProtection:
		return "protections"
	case quadlet.RiskMount:
		return "places of this machine"
	case quadlet.RiskFile:
		return "files of this machine"
	case quadlet.RiskOpaque:
		return "not checked"
	case quadlet.RiskImage:
		return "images that may change"
	case quadlet.RiskDropIn:
		return "drop-ins"
	case quadlet.RiskService:
		return "settings of services"
	case quadlet.RiskInside:
		return "what runs in the containers, and their files"
	case deploy.RiskSource:
		return "where it comes from"
	case deploy.RiskSecret:
		return "secrets"
	case deploy.RiskVolume:
		return "volumes of others"
	case deploy.RiskNetwork:
		return "networks of others"
	case deploy.RiskPort:
		return "ports that other machines reach"
	case deploy.RiskFrom:
		return "images from elsewhere"
	default:
		return string(kind)
	}
}

// danger marks a line that is shown in red.
const danger = "  ! "

// shownNotes is how many risks of a kind are shown that only inform; --json has
// all of them. Of 2,097 lines over 443 public applications 1,154 were images with
// a tag, and nobody reads the rest after those.
const shownNotes = 3

// riskLines shows risks by kind, the dangerous first. What several quadlets have in
// common is one line.
func riskLines(risks []quadlet.Risk) string {
	var b strings.Builder
	for _, group := range quadlet.GroupRisks(risks) {
		lines := mergedRisks(group.Risks)
		title := riskTitle(group.Kind)
		if len(lines) > 1 {
			title = fmt.Sprintf("%s (%d)", title, len(lines))
		}
		prefix := "    "
		if group.Risks[0].Danger {
			prefix = danger + "  "
			title = "! " + title
		}
		_, _ = fmt.Fprintf(&b, "  %s:\n", title)
		shown := lines
		if !group.Risks[0].Asks {
			shown = lines[:min(len(lines), shownNotes)]
		}
		for _, line := range shown {
			b.WriteString(prefix + terminal.Fold(line) + "\n")
		}
		if more := len(lines) - len(shown); more > 0 {
			_, _ = fmt.Fprintf(&b, "    and %d more (--json lists them)\n", more)
		}
	}
	return b.String()
}

// mergedRisks are lines with the places first: one for each text.
func mergedRisks(risks []quadlet.Risk) []string {
	places := map[string][]string{}
	var texts []string
	for _, r := range risks {
		place := r.File
		if r.Line > 0 {
			place = fmt.Sprintf("%s:%d", r.File, r.Line)
		}
		if _, ok := places[r.Text]; !ok {
			texts = append(texts, r.Text)
		}
		if place != "" && !slices.Contains(places[r.Text], place) {
			places[r.Text] = append(places[r.Text], place)
		}
	}
	lines := make([]string, 0, len(texts))
	for _, text := range texts {
		where := ""
		if at := places[text]; len(at) > 0 {
			where = strings.Join(at, ", ") + ": "
		}
		lines = append(lines, where+text)
	}
	return lines
}

// contentsText shows what each quadlet of a first installation gets: one block per
// quadlet that has something.
func contentsText(contents []quadlet.Description) string {
	var b strings.Builder
	for _, d := range contents {
		rows := []struct {
			label  string
			values []string
			apart  bool // a line for each
		}{
			{"image", d.Images, false},
			{"ports", d.Ports, false},
			{"secrets", d.Secrets, false},
			{"mounts", d.Mounts, true},
			{"networks", d.Networks, false},
			{"reads", d.Reads, true},
		}
		head := "  " + d.File + "\n"
		for _, row := range rows {
			separator := ", "
			if row.apart {
				separator = "\n             "
			}
			if len(row.values) > 0 {
				values := make([]string, len(row.values))
				for i, v := range row.values {
					values[i] = terminal.Fold(v)
				}
				b.WriteString(head)
				_, _ = fmt.Fprintf(&b, "    %-8s %s\n", row.label, strings.Join(values, separator))
				head = ""
			}
		}
	}
	return b.String()
}
