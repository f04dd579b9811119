package quadlet_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"leger.run/leger/internal/quadlet"
)

// one is a release of app.container with these lines, and perhaps a file.
func one(lines string, more ...string) map[string][]byte {
	files := map[string][]byte{"app.container": []byte("[Container]\nImage=docker.io/a@sha256:0\n" + lines + "\n")}
	for i := 0; i+1 < len(more); i += 2 {
		files[more[i]] = []byte(more[i+1])
	}
	return files
}

// asksAnew reports whether somebody who agreed to all of the first has to be asked
// about the second.
func asksAnew(before, after map[string][]byte) bool {
	var agreed []string
	for _, r := range quadlet.LoadFiles(before).Risks {
		agreed = append(agreed, r.Key)
	}
	return slices.ContainsFunc(quadlet.LoadFiles(after).Risks, func(r quadlet.Risk) bool {
		return r.Asks && !slices.Contains(agreed, r.Key)
	})
}

// ExecStartPre=/bin/true, accepted once, let the next commit run sh -c "curl … | sh":
// consent was to the kind and the place. It is to the content.
func TestConsentIsToTheContent(t *testing.T) {
	t.Parallel()
	const parts = "# FileName=a\n[Container]\nImage=x@sha256:0\n%s---\n# FileName=b\n[Container]\nImage=x@sha256:0\n%s"
	const pre = "[Service]\nExecStartPre=/bin/true\n"
	script := "Volume=./run.sh:/run.sh:ro\nExec=/run.sh"
	build := func(more ...string) map[string][]byte {
		return one("", append([]string{"x.build", "[Build]\nImageTag=localhost/x\nSetWorkingDirectory=unit\n"}, more...)...)
	}
	for name, pair := range map[string][2]map[string][]byte{
		"another command":              {one(pre), one("[Service]\nExecStartPre=sh -c \"curl x | sh\"")},
		"a second command":             {one(pre), one(pre + "ExecStartPre=/bin/false")},
		"the same command twice":       {one(pre), one(pre + "ExecStartPre=/bin/true")},
		"at another time":              {one(pre), one("[Service]\nExecStopPost=/bin/true")},
		"in another quadlet":           {one(pre), one(pre, "b.container", "[Container]\nImage=x@sha256:0\n"+pre)},
		"in another part":              {{"a.quadlets": fmt.Appendf(nil, parts, pre, "")}, {"a.quadlets": fmt.Appendf(nil, parts, pre, pre)}},
		"in the other part":            {{"a.quadlets": fmt.Appendf(nil, parts, pre, "")}, {"a.quadlets": fmt.Appendf(nil, parts, "", pre)}},
		"a long one, changed late":     {one("[Service]\nExecStart=" + strings.Repeat("x", 3000) + "a"), one("[Service]\nExecStart=" + strings.Repeat("x", 3000) + "b")},
		"ro to writable":               {one("Volume=/etc:/etc:ro"), one("Volume=/etc:/etc")},
		"ro to writable, as a mount":   {one("Mount=type=bind,src=/etc,dst=/e,ro"), one("Mount=type=bind,src=/etc,dst=/e")},
		"another directory":            {one("Volume=/srv/a:/a"), one("Volume=/srv/b:/a")},
		"a mounted script":             {one(script, "run.sh", "#!/bin/sh\n"), one(script, "run.sh", "#!/bin/sh\ncurl x | sh\n")},
		"a script in a directory":      {one("Volume=./bin:/b:ro", "bin/a", "#!/bin/sh\n"), one("Volume=./bin:/b:ro", "bin/a", "#!/bin/sh\nx\n")},
		"another script, same command": {one(script, "run.sh", "#!/bin/sh\n"), one("Volume=./b.sh:/run.sh:ro\nExec=/run.sh", "b.sh", "#!/bin/sh\n")},
		"an executed script":           {one("[Service]\nExecStartPre=%h/.config/containers/systemd/run.sh", "run.sh", "a"), one("[Service]\nExecStartPre=%h/.config/containers/systemd/run.sh", "run.sh", "b")},
		"a script for an interpreter":  {one("[Service]\nExecStartPre=sh -c '. %h/x/run.sh; true'", "run.sh", "a"), one("[Service]\nExecStartPre=sh -c '. %h/x/run.sh; true'", "run.sh", "b")},
		"an environment file":          {one("[Service]\nEnvironmentFile=%h/x/app.env", "app.env", "A=1"), one("[Service]\nEnvironmentFile=%h/x/app.env", "app.env", "PATH=/x")},
		"a module of settings":         {one("ContainersConfModule=%h/x/m.conf", "m.conf", "a"), one("ContainersConfModule=%h/x/m.conf", "m.conf", "b")},
		"a Kubernetes file":            {{"a.kube": []byte("[Kube]\nYaml=a.yaml"), "a.yaml": []byte("a")}, {"a.kube": []byte("[Kube]\nYaml=a.yaml"), "a.yaml": []byte("b")}},
		"a ConfigMap":                  {{"a.kube": []byte("[Kube]\nYaml=a.yaml\nConfigMap=c.yaml"), "a.yaml": nil, "c.yaml": []byte("a")}, {"a.kube": []byte("[Kube]\nYaml=a.yaml\nConfigMap=c.yaml"), "a.yaml": nil, "c.yaml": []byte("b")}},
		"a Containerfile":              {build("Containerfile", "FROM a"), build("Containerfile", "FROM b")},
		"a file of the context":        {build("Containerfile", "FROM a", "src/x", "1"), build("Containerfile", "FROM a", "src/x", "2")},
		"a new file of the context":    {build("Containerfile", "FROM a"), build("Containerfile", "FROM a", "x", "")},
		"an argument of the build":     {build("Containerfile", "FROM a"), one("", "x.build", "[Build]\nImageTag=localhost/x\nSetWorkingDirectory=unit\nBuildArg=A=b\n", "Containerfile", "FROM a")},
		"what runs with access":        {one("AddCapability=ALL\nExec=serve"), one("AddCapability=ALL\nExec=sh -c evil")},
		"a file seen with access":      {one("AddCapability=ALL\nVolume=./a:/a:ro", "a", "1"), one("AddCapability=ALL\nVolume=./a:/a:ro", "a", "2")},
		"arguments":                    {one("PodmanArgs=--cpus=1"), one("PodmanArgs=--cpus=1 --privileged")},
		"arguments in another order":   {one("PodmanArgs=--env\nPodmanArgs=-v=/:/x"), one("PodmanArgs=-v=/:/x\nPodmanArgs=--env")},
		"an alias":                     {one("[Install]\nAlias=a.service"), one("[Install]\nAlias=a.service b.service")},
		"a drop-in's command":          {one("", "app.container.d/x.conf", pre), one("", "app.container.d/x.conf", "[Service]\nExecStartPre=/bin/x")},
		"a drop-in for all":            {one("", "container.d/x.conf", "[Container]\nMemory=1g\n"), one("", "container.d/x.conf", "[Container]\nMemory=2g\n")},
		"a variable":                   {one("[Service]\nEnvironment=A=1"), one("[Service]\nEnvironment=CONTAINERS_CONF_OVERRIDE=/x")},
		"a volume's device":            {{"a.volume": []byte("[Volume]\nDevice=/srv\nType=none\nOptions=bind,ro\n")}, {"a.volume": []byte("[Volume]\nDevice=/srv\nType=none\nOptions=bind\n")}},
	} {
		if !asksAnew(pair[0], pair[1]) {
			t.Errorf("%s: nobody is asked", name)
		}
	}
}

// A question for each change of no importance is a question that nobody reads.
func TestConsentOutlastsWhatChangesNothing(t *testing.T) {
	t.Parallel()
	for name, pair := range map[string][2]map[string][]byte{
		"another line":          {one("AddDevice=/dev/kvm\n[Service]\nExecStartPre=/bin/true"), one("# why\n\nAddDevice=/dev/kvm\n\n[Service]\n# x\nExecStartPre=/bin/true")},
		"other spaces":          {one("Volume=/etc:/etc"), one("Volume = /etc:/etc")},
		"another tag":           {{"a.container": []byte("[Container]\nImage=docker.io/a:1\n")}, {"a.container": []byte("[Container]\nImage=docker.io/a:2\n")}},
		"settings of a program": {one("Volume=./a.conf:/a.conf:ro", "a.conf", "1"), one("Volume=./a.conf:/a.conf:ro", "a.conf", "2")},
		"one of two goes":       {one("[Service]\nExecStartPre=/bin/a\nExecStartPre=/bin/b"), one("[Service]\nExecStartPre=/bin/b")},
		"one of two equal goes": {one("[Service]\nExecStartPre=/bin/a\nExecStartPre=/bin/a"), one("[Service]\nExecStartPre=/bin/a")},
		"a README":              {one("AddDevice=/dev/kvm", "README", "a"), one("AddDevice=/dev/kvm", "README", "b")},
	} {
		if asksAnew(pair[0], pair[1]) {
			t.Errorf("%s: asks again", name)
		}
	}
}
