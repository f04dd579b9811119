package quadlet_test

import (
	"strings"
	"testing"

	"leger.run/leger/internal/quadlet"
)

// What names the volume "data" in one of Podman's ways, whoever writes it down; what
// cannot be told counts, with the reason. Volume= and Mount= alone were known, so that
// "deploy remove --volumes" took the data of another release that had it as an argument.
func TestNamesVolume(t *testing.T) {
	t.Parallel()
	const app = "kind: Pod\nspec:\n  volumes:\n"
	for _, tc := range []struct {
		what, file, text, yaml string
		named                  bool
		doubt                  string
	}{
		{what: "a mount", text: "Volume=data:/x", named: true},
		{what: "a mount in the long form", text: "Mount=type=volume,source=data,target=/x", named: true},
		{what: "another volume", text: "Volume=data2:/x\nMount=type=volume,source=my-data,target=/x"},
		{what: "a directory of the name", text: "Volume=./data:/x\nVolume=/data:/y\nMount=type=bind,source=data,target=/z"},
		{what: "the place in the container", text: "Volume=/data\nPodmanArgs=-v /data --mount type=tmpfs,target=data"},
		{what: "a .volume that is called so", file: "x.volume", text: "VolumeName=data", named: true},
		{what: "a .volume of the release", text: "Volume=data.volume:/x"},
		{what: "a pod", file: "x.pod", text: "Volume=data:/x", named: true},

		{what: "-v", text: "PodmanArgs=-v data:/x", named: true},
		{what: "-v in one word", text: "PodmanArgs=-vdata:/x", named: true},
		{what: "-v with others in one word", text: "PodmanArgs=-itv data:/x", named: true},
		{what: "--volume", text: "PodmanArgs=--label=a --volume=data:/x:ro", named: true},
		{what: "--volume, and its value on the next line", text: "PodmanArgs=--volume\nPodmanArgs=data:/x", named: true},
		{what: "--mount", text: "PodmanArgs=--mount type=volume,src=data,target=/x", named: true},
		{what: "--mount without a type", text: "PodmanArgs=--mount=source=data,target=/x", named: true},
		{what: "--mount of a directory", text: "PodmanArgs=--mount=type=bind,source=data,target=/x"},
		{what: "an argument of another flag", text: "PodmanArgs=--label data:/x --env=data"},
		{what: "a command beside it", text: "[Service]\nExecStartPre=podman volume create data", named: true},
		{what: "a container beside it", text: "[Service]\nExecStartPost=podman run -d -v data:/x y", named: true},

		{what: "its own name", file: "data.container", text: "Volume=%N:/x", named: true},
		{what: "its own name, which is another", text: "Volume=%N:/x"},
		{what: "the home directory", text: "Volume=%h:/x\nVolume=%t/data:/y\nVolume=${DIR}/data:/z"},
		{what: "the host's name", text: "Volume=%H:/x", named: true, doubt: "what %H in x.container names"},
		{what: "the user's name", text: "Volume=%u:/x", named: true, doubt: "what %u in x.container names"},
		{what: "a variable", text: "PodmanArgs=-v ${VOL}:/x", named: true, doubt: "what ${VOL} in x.container names"},
		{what: "a name that begins so", text: "Volume=da%H:/x", named: true, doubt: "what %H in x.container names"},
		{what: "a name that begins otherwise", text: "Volume=web-%H:/x"},
		{what: "the instance of a template", file: "x@.container", text: "Volume=%i:/x", named: true, doubt: "what %i in x@.container names"},
		{what: "a doubt and a certainty", text: "Volume=%H:/x\nVolume=data:/y", named: true},

		{what: "a claim", yaml: app + "    - persistentVolumeClaim:\n        claimName: data\n", named: true},
		{what: "a claim in braces", yaml: app + `    - {persistentVolumeClaim: {"claimName":"data"}}`, named: true},
		{what: "a claim by an alias", yaml: "x: &d data\n" + app + "    - persistentVolumeClaim: {claimName: *d}\n", named: true},
		{what: "another claim", yaml: "data: 1\n" + app + "    - persistentVolumeClaim: {claimName: data2}\n"},
		{what: "a claim by the numbers of its letters", yaml: app + `    - persistentVolumeClaim: {claimName: "\x64ata"}`, named: true, doubt: "app.yaml cannot be read"},
		{what: "a file in UTF-16", yaml: "\xff\xfek\x00", named: true, doubt: "app.yaml cannot be read"},
		{what: "a file of the machine", file: "x.kube", text: "Yaml=/etc/app.yaml", named: true, doubt: "/etc/app.yaml of x.kube is no file of the release"},
	} {
		file, text := tc.file, tc.text
		switch {
		case tc.yaml != "":
			file, text = "x.kube", "[Kube]\nYaml=./app.yaml\n"
		case file == "":
			file, text = "x.container", "[Container]\nImage=x:1\n"+text
		default:
			kind := strings.TrimPrefix(file[strings.LastIndex(file, "."):], ".")
			text = "[" + quadlet.Kind(kind).Section() + "]\n" + text
		}
		set := quadlet.LoadFiles(map[string][]byte{file: []byte(text), "app.yaml": []byte(tc.yaml), "data.volume": []byte("[Volume]\n")})
		named, doubt := set.NamesVolume("data")
		if named != tc.named || (doubt == "") != (tc.doubt == "") || !strings.HasPrefix(doubt, tc.doubt) {
			t.Errorf("%s: named %v, doubt %q\n%s%s", tc.what, named, doubt, text, tc.yaml)
		}
	}
}
