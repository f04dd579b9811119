// Package redteam is a table of what an attacker, or a careless author, could put into
// the next commit of a release, with what Leger has to do about it: for tests.
// Package deploy is held to it by itself, and package cli with the real command.
package redteam

import (
	_ "embed"
	"fmt"
	"strings"
)

// URL, Ref and Image are those of every first commit.
const (
	URL   = "https://example.com/r.git"
	Ref   = "main"
	Image = "docker.io/library/web:1"
)

// Secrets are the names of all that the commits use.
func Secrets() []string { return []string{"key", "key_other", "key_a", "second"} }

//go:embed commits.txt
var table string

// Verdict is what the second commit of a pair needs.
type Verdict string

// The verdicts.
const (
	Asks    Verdict = "asks"    // somebody's consent
	Informs Verdict = "informs" // it is shown, and goes on
	Nothing Verdict = "nothing" // it brings nothing new
)

// Pair is a case of commits.txt, which says how they are written.
type Pair struct {
	What          string
	Verdict       Verdict
	Before, After map[string]string // the files of the commits
	Shows         []string          // parts of what is shown of the second
	// URL, Ref and Path are the second commit's source; empty: the first's.
	URL, Ref, Path string
	// Volumes are on the machine and belong to no release.
	Volumes []string
	// VolumeOwners and NetworkOwners are other releases, by what is theirs.
	VolumeOwners, NetworkOwners map[string]string
}

// Base are the files that both commits of each pair begin with.
func Base() map[string]string {
	return map[string]string{
		"data.volume":   "[Volume]\n",
		"web.container": "[Install]\nWantedBy=default.target\n[Container]\nImage=" + Image + "\nSecret=key\nVolume=data.volume:/data\n",
	}
}

// Pairs reads the table.
func Pairs() ([]Pair, error) {
	var all []Pair
	for line := range strings.Lines(table) {
		mark, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch Verdict(mark) {
		case "", "#":
			continue
		case Asks, Informs, Nothing:
			all = append(all, Pair{
				What: rest, Verdict: Verdict(mark), Before: Base(), After: Base(),
				VolumeOwners: map[string]string{}, NetworkOwners: map[string]string{},
			})
			continue
		}
		if len(all) == 0 {
			return nil, fmt.Errorf("a line before the first pair: %q", line)
		}
		if err := all[len(all)-1].add(mark, rest); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (p *Pair) add(mark, rest string) error {
	switch mark {
	case "-":
		AddLines(p.Before, rest)
	case "+":
		AddLines(p.After, rest)
	case ">":
		p.Shows = append(p.Shows, rest)
	case "@":
		return p.fact(strings.Fields(rest))
	default:
		return fmt.Errorf("%s: what is %q?", p.What, mark)
	}
	return nil
}

// AddLines adds what a line of the table says to files.
func AddLines(files map[string]string, rest string) {
	name, text, isFile := strings.Cut(rest, ": ")
	if !isFile || strings.ContainsAny(name, "=[ ") {
		name, text = "web.container", rest
	}
	files[name] += strings.ReplaceAll(text, " | ", "\n") + "\n"
}

func (p *Pair) fact(words []string) error {
	value := words[len(words)-1]
	switch {
	case words[0] == "url" && len(words) == 2:
		p.URL = value
	case words[0] == "ref" && len(words) == 2:
		p.Ref = value
	case words[0] == "path" && len(words) == 2:
		p.Path = value
	case words[0] == "volume" && len(words) == 2:
		p.Volumes = append(p.Volumes, value)
	case words[0] == "volume-of" && len(words) == 3:
		p.VolumeOwners[value] = words[1]
	case words[0] == "network-of" && len(words) == 3:
		p.NetworkOwners[value] = words[1]
	default:
		return fmt.Errorf("%s: what is %q?", p.What, words)
	}
	return nil
}

// Moves reports whether the second commit comes from somewhere else.
func (p *Pair) Moves() bool { return p.URL != "" || p.Ref != "" || p.Path != "" }

// Bytes gives files as package quadlet takes them.
func Bytes(files map[string]string) map[string][]byte {
	out := map[string][]byte{}
	for name, text := range files {
		out[name] = []byte(text)
	}
	return out
}
