//go:build machine

package deploy_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// A graph is a release of one to six quadlets that depend on each other, made from
// a number, and what becomes of it.
type graph struct {
	seed    uint64
	rand    *rand.Rand
	members []*member
}

// member is one quadlet of a graph.
type member struct {
	name, kind string // "g7-b", "container"
	oneshot    bool
	remains    bool // a oneshot counts as active once it has run
	pod        *member
	volume     *member
	lines      map[string][]string // by section
	exec       string
	image      string
	pull       string
	version    int // its label: tells which text a container was made from
}

// Kinds of a member, and what Restart= may be (systemd.service(5)).
const (
	aContainer, aPod, aVolume, aTemplate = "container", "pod", "volume", "template"
	graphImage                           = "localhost/leger-e2e:latest"
)

func restarts() []string {
	return []string{"no", "on-success", "on-failure", "on-abnormal", "on-watchdog", "on-abort", "always"}
}

// newGraph makes the graph of a number, in which everything comes up.
func newGraph(seed uint64) *graph {
	g := &graph{seed: seed, rand: rand.New(rand.NewPCG(seed, 0x1e9e5))}
	for n := 1 + g.rand.IntN(6); len(g.members) < n; {
		g.add()
	}
	if !slices.ContainsFunc(g.members, (*member).runs) {
		g.members = append(g.members, g.container(len(g.members)))
	}
	return g
}

func (g *graph) chance(percent int) bool { return g.rand.IntN(100) < percent }

func pick[T any](g *graph, of ...T) T { return of[g.rand.IntN(len(of))] }

// add adds one member with its ties to those before it.
func (g *graph) add() {
	i := len(g.members)
	m := g.container(i)
	switch {
	case g.chance(12):
		m.kind, m.exec = aPod, ""
	case g.chance(8):
		m.kind, m.exec = aVolume, ""
	case g.chance(6):
		m.kind = aTemplate
	case g.chance(10):
		m.oneshot, m.remains, m.exec = true, g.chance(50), "get http://127.0.0.1:1/"
	}
	g.joins(m)
	g.restart(m)
	g.hooks(m)
	for _, other := range g.members {
		g.tie(m, other)
	}
	g.members = append(g.members, m)
}

func (g *graph) container(i int) *member {
	return &member{
		name: fmt.Sprintf("g%d-%c", g.seed, 'a'+i), kind: aContainer, image: graphImage, pull: "never", version: 1,
		exec: fmt.Sprintf("serve -listen 127.0.0.1:%d", 8081+i), lines: map[string][]string{},
	}
}

// joins puts a container into a pod, or gives it a volume.
func (g *graph) joins(m *member) {
	if m.kind != aContainer || m.oneshot { // a pod of jobs alone ends with them
		return
	}
	for _, other := range g.members {
		switch {
		case other.kind == aPod && m.pod == nil && g.chance(70):
			m.pod = other
			m.add("Container", "Pod="+other.name+".pod")
			if g.chance(20) {
				m.add("Container", "StartWithPod=false")
			}
		case other.kind == aVolume && m.volume == nil && g.chance(60):
			m.volume = other
			m.add("Container", "Volume="+other.name+".volume:/data")
		}
	}
}

func (g *graph) restart(m *member) {
	if m.kind == aVolume {
		return
	}
	how := pick(g, restarts()...)
	if m.oneshot && (how == "always" || how == "on-success") { // systemd refuses these
		how = "on-failure"
	}
	if g.chance(75) {
		m.add("Service", "Restart="+how)
	}
	if g.chance(30) {
		m.add("Service", "RestartSec="+pick(g, "0", "50ms", "500ms"))
	}
}

// hooks says what starts the member at a boot.
func (g *graph) hooks(m *member) {
	if m.kind == aVolume {
		return
	}
	switch p := g.rand.IntN(100); {
	case p < 60:
		m.add("Install", "WantedBy=default.target")
	case p < 66:
		m.add("Install", "WantedBy=multi-user.target")
	case p < 70:
		m.add("Install", "RequiredBy=default.target")
	case p < 73 && !m.oneshot:
		m.add("Install", "UpheldBy=default.target")
	case p < 83 && len(g.members) > 0:
		if other := pick(g, g.members...); other.kind != aTemplate && other.kind != aVolume {
			m.add("Install", pick(g, "WantedBy=", "RequiredBy=")+other.service())
		}
	}
	if m.kind == aTemplate {
		m.lines["Install"] = []string{"WantedBy=default.target", "DefaultInstance=x"}
	}
}

// tie makes a later member and an earlier one depend on each other, or not.
func (g *graph) tie(m, other *member) {
	if m.kind == aVolume || other.kind == aVolume || m.pod == other || m.kind == aTemplate || other.kind == aTemplate || !g.chance(45) {
		return
	}
	how := pick(g, "Requires", "Requires", "Wants", "Wants", "BindsTo", "PartOf", "Upholds", "OnFailure", "OnSuccess", "PropagatesStopTo")
	if other.oneshot && !other.remains && (how == "BindsTo" || how == "Upholds" || how == "PropagatesStopTo") {
		how = "Wants" // it is over at once, and would take the other one with it
	}
	if how == "PropagatesStopTo" && m.oneshot && !m.remains {
		how = "Wants"
	}
	if how == "OnSuccess" && (m.oneshot || other.pod != nil) {
		how = "Wants"
	}
	m.add("Unit", how+"="+other.service())
	if g.chance(60) && (other.pod == nil || other.pod != m) {
		m.add("Unit", "After="+other.service())
	}
	// Ties that go round are fine where nobody waits.
	if back := pick(g, "Wants", "Upholds", "PartOf", ""); back != "" && g.chance(25) && !m.oneshot {
		other.add("Unit", back+"="+m.service())
	}
}

func (m *member) add(section, line string) { m.lines[section] = append(m.lines[section], line) }

// runs: the member is started for its own sake.
func (m *member) runs() bool { return m.kind != aVolume }

// service is the unit that Podman makes of the member.
func (m *member) service() string {
	switch m.kind {
	case aPod, aVolume:
		return m.name + "-" + m.kind + ".service"
	case aTemplate:
		return m.name + "@x.service"
	default:
		return m.name + ".service"
	}
}

func (m *member) file() string {
	if m.kind == aTemplate {
		return m.name + "@.container"
	}
	return m.name + "." + m.kind
}

// text is the quadlet.
func (m *member) text() string {
	var b strings.Builder
	section := func(name string, lines ...string) {
		if lines = append(lines, m.lines[name]...); len(lines) > 0 {
			b.WriteString("[" + name + "]\n" + strings.Join(lines, "\n") + "\n")
		}
	}
	section("Unit")
	label := fmt.Sprintf("Label=leger.graph=%d", m.version)
	switch m.kind {
	case aVolume:
		section("Volume", label)
	case aPod:
		section("Pod", "Network=none", label)
	default:
		own := []string{"Image=" + m.image, "Pull=" + m.pull, label, "Exec=" + m.exec}
		if m.pod == nil {
			own = append(own, "Network=none")
		}
		section("Container", own...)
	}
	var service []string
	if m.oneshot {
		service = append(service, "Type=oneshot", "SuccessExitStatus=1")
		if m.remains {
			service = append(service, "RemainAfterExit=yes")
		}
	}
	section("Service", service...)
	section("Install")
	return b.String()
}

// files are pairs of name and text, as request takes them.
func (g *graph) files() []string {
	var pairs []string
	for _, m := range g.members {
		pairs = append(pairs, m.file(), m.text())
	}
	return pairs
}

// clone is the graph's next version, to be changed.
func (g *graph) clone() *graph {
	next := &graph{seed: g.seed, rand: g.rand}
	same := map[*member]*member{}
	for _, m := range g.members {
		c := *m
		c.lines = map[string][]string{}
		for section, lines := range m.lines {
			c.lines[section] = slices.Clone(lines)
		}
		c.pod, c.volume = same[m.pod], same[m.volume]
		same[m] = &c
		next.members = append(next.members, &c)
	}
	return next
}

// called gives the units that another one starts when it ends. To replace that one, or
// to go back from it, is to call them; no boot does. Whether they run is nobody's promise.
func (g *graph) called() []string {
	var units []string
	for _, m := range g.members {
		if slices.ContainsFunc(g.members, func(other *member) bool {
			return strings.Contains(other.text(), "OnSuccess="+m.service()) || strings.Contains(other.text(), "OnFailure="+m.service())
		}) {
			units = append(units, m.service())
		}
	}
	return units
}

// better is another version in which everything comes up: some members are
// changed, one may go, one may come.
func (g *graph) better(version int) *graph {
	next := g.clone()
	for _, m := range next.members {
		if g.chance(40) {
			m.version = version
		}
	}
	if last := len(next.members) - 1; last > 0 && g.chance(30) && !next.named(next.members[last]) {
		next.members = next.members[:last]
	}
	if len(next.members) < 6 && g.chance(40) {
		next.add()
		next.members[len(next.members)-1].version = version
	}
	next.members[g.rand.IntN(len(next.members))].version = version
	if !slices.ContainsFunc(next.members, (*member).runs) {
		return g.better(version)
	}
	return next
}

// named reports whether another member names this one.
func (g *graph) named(m *member) bool {
	for _, other := range g.members {
		if other != m && strings.Contains(other.text(), m.name) {
			return true
		}
	}
	return false
}

// worse is another version, in which one member does not come up.
func (g *graph) worse(version int) (next *graph, culprit *member, how string) {
	next = g.better(version)
	var able []*member
	for _, m := range next.members {
		if (m.kind == aContainer || m.kind == aTemplate) && !m.oneshot {
			able = append(able, m)
		}
	}
	if len(able) == 0 {
		m := g.container(len(next.members))
		m.add("Install", "WantedBy=default.target")
		next.members, able = append(next.members, m), []*member{m}
	}
	m := pick(g, able...)
	m.version = version
	how = pick(g, "ends at once", "ends soon", "no image", "no mount", "unhealthy", "never ready")
	switch how {
	case "ends at once":
		m.exec = "nonsense"
	case "ends soon":
		m.exec += " -exit-after 100ms"
	case "no image":
		m.image, m.pull = "localhost/leger-none:1", "missing"
	case "no mount":
		m.add("Container", "Volume=/nonexistent-leger:/x")
	default:
		m.exec += " -unhealthy"
		m.add("Container", "HealthCmd=/leger-e2e get "+strings.Fields(m.exec)[2])
		m.add("Container", "HealthInterval=1s")
		m.add("Container", "HealthRetries=1")
		if how == "never ready" {
			m.add("Container", "Notify=healthy")
			m.add("Service", "TimeoutStartSec=20")
		}
	}
	return next, m, how
}
