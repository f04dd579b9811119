package quadlet

import (
	"slices"
	"strings"
)

// Description is a compact account of one quadlet, for people and as JSON.
type Description struct {
	File    string `json:"file"`
	Written string `json:"written,omitempty"` // the file of several quadlets that it is a part of
	Kind    Kind   `json:"kind"`
	// Units are the systemd units: the one that Podman makes and, of a template, the
	// instance that is started by itself.
	Units    []string `json:"units"`
	Resource string   `json:"resource,omitempty"` // Podman's name of it
	Images   []string `json:"images,omitempty"`   // names, or files of the quadlets that bring them
	Ports    []string `json:"ports,omitempty"`    // "127.0.0.1:8080→80/tcp"
	Secrets  []string `json:"secrets,omitempty"`  // "api_key → $API_KEY", "tls-cert → /run/secrets/tls-cert"
	Mounts   []string `json:"mounts,omitempty"`   // "data.volume → /var/lib/web (Z)"
	Networks []string `json:"networks,omitempty"` // as written
	Reads    []string `json:"reads,omitempty"`    // files that Podman or systemd reads for it: "%h/app.env"
	Needs    []string `json:"needs,omitempty"`    // other units that it cannot do without, sorted
	WantedBy []string `json:"wanted_by,omitempty"`
	Risks    []Risk   `json:"risks,omitempty"`
}

// Describe gives an account of each unit, in the order of Units.
func (s *Set) Describe() []Description {
	all := make([]Description, 0, len(s.Units))
	for _, u := range s.Units {
		all = append(all, u.Describe())
	}
	return all
}

// Describe gives an account of one unit.
func (u Unit) Describe() Description {
	d := Description{
		File: u.File, Kind: u.Kind, Units: []string{u.Service}, Resource: u.Resource,
		WantedBy: u.WantedBy, Risks: u.Risks,
	}
	if u.Written != u.File {
		d.Written = u.Written
	}
	if i, ok := u.defaultInstance(); ok {
		d.Units = append(d.Units, i.Service)
	}
	for _, image := range u.Images {
		d.Images = append(d.Images, image.Value)
	}
	for _, used := range u.Uses {
		if u.Kind != Image && hasKind(used.Value, Image, Build) {
			d.Images = append(d.Images, used.Value)
		}
	}
	for _, port := range u.Ports {
		d.Ports = append(d.Ports, u.showPort(port))
	}
	for _, secret := range u.Secrets {
		d.Secrets = append(d.Secrets, secret.show(u.Kind))
	}
	for _, m := range slices.Concat(u.Volumes, u.Tmpfs) {
		d.Mounts = append(d.Mounts, m.show())
	}
	for _, network := range u.Networks {
		d.Networks = append(d.Networks, network.Value)
	}
	for _, file := range u.Reads {
		d.Reads = append(d.Reads, file.Value)
	}
	for _, dep := range u.Deps {
		if dep.How == "Requires" || dep.How == "BindsTo" || dep.How == "Requisite" {
			d.Needs = append(d.Needs, dep.Service)
		}
	}
	slices.Sort(d.Needs)
	d.Needs = slices.Compact(d.Needs)
	return d
}

func (u Unit) showPort(written Ref) string {
	i := slices.IndexFunc(u.Published, func(p Port) bool { return p.Line == written.Line && p.File == written.File })
	if i < 0 {
		return written.Value
	}
	return u.Published[i].String()
}

func (s Secret) show(kind Kind) string {
	target := s.Target
	switch {
	case kind == Build:
		return s.Name
	case target == "":
		target = s.Name
	}
	switch {
	case s.Type == "env":
		target = "$" + target
	case !strings.HasPrefix(target, "/"):
		target = "/run/secrets/" + target
	}
	return s.Name + " → " + target
}

func (m Mount) show() string {
	source := m.Source
	switch {
	case m.Type == MountTmpfs || m.Type == MountRamfs:
		source = "memory"
	case source == "":
		source = string(m.Type)
	}
	text := source + " → " + m.Target
	if m.Options != "" {
		text += " (" + m.Options + ")"
	}
	return text
}

// String gives the account in lines, the first with file and units, the others
// indented.
func (d Description) String() string {
	var b strings.Builder
	b.WriteString(d.File)
	if d.Written != "" {
		b.WriteString(" in " + d.Written)
	}
	b.WriteString(": " + strings.Join(d.Units, ", ") + "\n")
	for _, line := range []struct {
		name   string
		values []string
	}{
		{"image", d.Images},
		{"port", d.Ports},
		{"secret", d.Secrets},
		{"mount", d.Mounts},
		{"network", d.Networks},
		{"reads", d.Reads},
		{"needs", d.Needs},
		{"wanted by", d.WantedBy},
	} {
		if len(line.values) > 0 {
			b.WriteString("  " + line.name + " " + strings.Join(line.values, ", ") + "\n")
		}
	}
	for _, r := range d.Risks {
		b.WriteString("  risk " + r.Text + "\n")
	}
	return b.String()
}
