package quadlet

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// RulesOf counts the rules that name a key of one of Podman's sections.
func RulesOf(section, key string) int {
	exact, bare := 0, 0
	for _, rule := range keyRules() {
		for name := range strings.FieldsSeq(rule.keys) {
			switch name {
			case section + "." + key:
				exact++
			case key:
				bare++
			}
		}
	}
	if exact > 0 {
		return exact
	}
	return bare
}

// RuledKeys lists the keys that the rules name, as they name them.
func RuledKeys() []string {
	var all []string
	for _, rule := range keyRules() {
		all = append(all, strings.Fields(rule.keys)...)
	}
	return all
}

// ConsentTable is what asks and what informs, in Markdown, made of the rules
// themselves. TestDocsSayWhatAsks holds docs/deployments.md against it.
func ConsentTable() string {
	var b strings.Builder
	b.WriteString("| what | | why | unless |\n|---|---|---|---|\n")
	row := func(what string, e effect, why, unless string) {
		_, _ = fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", what, effectWord(e), escaped(why), escaped(unless))
	}
	rules := keyRules()
	slices.SortStableFunc(rules, func(a, b keyRule) int { return int(b.worst) - int(a.worst) })
	for _, rule := range rules {
		if rule.worst != harmless {
			row(keyList(rule.keys), rule.worst, rule.text, rule.except)
		}
	}
	for _, sample := range tableSamples() {
		found := LoadFiles(maps.Clone(sample.files)).Risks
		why, e := "", harmless
		if len(found) > 0 {
			worst := slices.MaxFunc(found, func(a, b Risk) int { return a.Weight() - b.Weight() })
			e, why = effect(worst.Weight()+1), worst.Text
			if strings.Contains(strings.Fields(why)[0], "=") {
				_, why, _ = strings.Cut(why, " ")
			}
			why, _, _ = strings.Cut(why, " (")
		}
		row(sample.what, e, why, "")
	}
	row("another key of `[Service]` or `[Unit]`", asks, "is not known to be harmless", "one of those below: nothing")
	row("a key of `[Unit]` that ties ours to a unit of others", asks, "starts or stops it", "one of those below: nothing")
	for _, line := range []struct {
		what  string
		names []string
	}{
		{"Keys of Podman that mean nothing for this machine", strings.Fields(harmlessRules()[0].keys)},
		{"Keys of `[Service]` that are harmless", serviceKeys()},
		{"Keys of `[Unit]` that are harmless, beside `Condition…=` and `Assert…=`", unitKeys()},
		{"Units that anything may be tied to", milestones()},
	} {
		_, _ = fmt.Fprintf(&b, "\n%s: `%s`.\n", line.what, strings.Join(line.names, "` `"))
	}
	return b.String()
}

func effectWord(e effect) string {
	switch e {
	case endangers:
		return "**asks**, in red"
	case asks:
		return "**asks**"
	case informs:
		return "informs"
	case harmless:
	}
	return "nothing"
}

func escaped(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

// keyList writes keys as in "`Image=` of `[Build]`".
func keyList(keys string) string {
	var all []string
	for name := range strings.FieldsSeq(keys) {
		section, key, ok := strings.Cut(name, ".")
		if !ok {
			section, key = "", name
		}
		text := "`" + key + "=`"
		if ok {
			text += " of `[" + section + "]`"
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

type tableSample struct {
	what  string
	files map[string][]byte
}

func tableSamples() []tableSample {
	container := func(what, lines string, more ...string) tableSample {
		files := map[string][]byte{"app.container": []byte("[Container]\nImage=a@sha256:0\n" + lines + "\n")}
		for i := 0; i+1 < len(more); i += 2 {
			files[more[i]] = []byte(more[i+1])
		}
		return tableSample{what, files}
	}
	var all []tableSample
	for _, line := range []string{
		"Volume=/:/x:ro", "Volume=%h:/x:ro", "Volume=%h/..:/x:ro", "Volume=%h/.ssh:/x:ro", "Volume=%h/.config/systemd:/x:ro", "Volume=%h/.bashrc:/x:ro",
		"Volume=%t/podman/podman.sock:/x:ro", "Volume=%t/bus:/x:ro", "Volume=%t/leger:/x:ro", "Volume=/etc:/x", "Volume=/etc:/x:ro", "Volume=${X}:/x:ro",
		"Mount=type=glob,source=/srv/*,target=/x", "Volume=%h/data:/x", "Volume=/srv/data:/x", "Volume=/etc/localtime:/etc/localtime:ro",
		"Volume=data.volume:/x", "Volume=data:/x", "Tmpfs=/x",
	} {
		all = append(all, container("`"+line+"`", line, "data.volume", "[Volume]\n"))
	}
	return append(
		all,
		container("`Volume=./conf:/x`", "Volume=./conf:/x", "conf/a", ""),
		container("`Volume=./app.conf:/x`", "Volume=./app.conf:/x", "app.conf", ""),
		container("`Volume=./run.sh:/x:ro`", "Volume=./run.sh:/x:ro", "run.sh", "#!/bin/sh\n"),
		container("`Volume=./app.conf:/x:ro`", "Volume=./app.conf:/x:ro", "app.conf", ""),
		container("`Exec…=` of `[Service]`", "[Service]\nExecStartPre=/bin/true"),
		container("`Environment=` of `[Service]`", "[Service]\nEnvironment=A=1"),
		container("`EnvironmentFile=` of `[Service]`", "[Service]\nEnvironmentFile=/x"),
		container("`Alias=` of `[Install]`", "[Install]\nAlias=x.service"),
		container("`WantedBy=` a unit of others", "[Install]\nWantedBy=x.service"),
		container("`RequiredBy=`, `UpheldBy=` a unit of others", "[Install]\nRequiredBy=x.service"),
		container("a word `;` in any value", "HostName=;"),
		container("a word `$NAME` in any value but `Exec=`", "HostName=$X"),
		container("a drop-in for one quadlet of the release", "", "app.container.d/a.conf", "[Container]\nMemory=1g\n"),
		container("a drop-in for all quadlets of a kind", "", "container.d/a.conf", "[Container]\nMemory=1g\n"),
		tableSample{"a `.kube` file", map[string][]byte{"a.kube": []byte("[Kube]\nYaml=a.yaml\n"), "a.yaml": nil}},
		tableSample{"a `.build` file", map[string][]byte{"a.build": []byte("[Build]\nImageTag=localhost/a\nSetWorkingDirectory=unit\n"), "Containerfile": nil}},
		tableSample{"an image without a digest", map[string][]byte{"a.container": []byte("[Container]\nImage=example.com/a:1\n")}},
	)
}

// Keys lists the keys that each of Podman's sections takes, sorted; ok is false
// for a section that is not Podman's. KeySince tells since when.
func Keys(section string) (keys []string, ok bool) {
	since, ok := keysOf(section)
	return slices.Sorted(maps.Keys(since)), ok
}

// KeySince is the first Podman whose generator takes a key in a section; ok is
// false for a key that is not known up to Podman 5.8.
func KeySince(section, key string) (v Version, ok bool) {
	since, _ := keysOf(section)
	v, ok = since[key]
	return v, ok
}
