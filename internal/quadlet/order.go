package quadlet

import (
	"path"
	"strings"
)

// checkOrder reports quadlets that wait for each other to start. systemd notices
// only when they are started, and then leaves one of them out.
func (l *loader) checkOrder() {
	g := orderGraph{after: map[string][]edge{}, state: map[string]visit{}}
	for _, u := range l.set.Units {
		for _, d := range u.Deps {
			switch {
			case d.File == "":
			case d.How == "After":
				g.after[u.File] = append(g.after[u.File], edge{d.File, d.At})
			case d.How == "Before":
				g.after[d.File] = append(g.after[d.File], edge{u.File, d.At})
			}
		}
	}
	for _, u := range l.set.Units {
		g.follow(u.File)
	}
	for _, cycle := range g.cycles {
		l.problem(cycle.at.File, cycle.at.Line, "leave out one After= or Before=", "they wait for each other to start: %s", strings.Join(cycle.names, " waits for "))
	}
}

type visit int

const (
	unvisited visit = iota
	underWay
	done
)

// edge: the quadlet starts after another one, because of what is written there.
type edge struct {
	to string
	at Ref
}

type cycle struct {
	names []string // the first one is also the last
	at    Ref      // where the last of its edges is written
}

type orderGraph struct {
	after  map[string][]edge
	state  map[string]visit
	path   []string // quadlets under way
	cycles []cycle
}

// follow goes from a quadlet to all that it waits for. It is as deep as there are
// quadlets, which MaxUnits bounds.
func (g *orderGraph) follow(file string) {
	if g.state[file] != unvisited {
		return
	}
	g.state[file] = underWay
	g.path = append(g.path, file)
	for _, e := range g.after[file] {
		if g.state[e.to] == underWay {
			g.cycles = append(g.cycles, cycle{g.namesFrom(e.to), e.at})
			continue
		}
		g.follow(e.to)
	}
	g.path = g.path[:len(g.path)-1]
	g.state[file] = done
}

func (g *orderGraph) namesFrom(file string) []string {
	var names []string
	for _, f := range g.path {
		if f == file || len(names) > 0 {
			names = append(names, path.Base(f))
		}
	}
	return append(names, path.Base(file))
}
