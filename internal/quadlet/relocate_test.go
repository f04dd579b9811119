package quadlet_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"leger.run/leger/internal/quadlet"
)

const dataDir = "/home/u/.local/share/leger/releases/app"

// relocated reads a release, given as pairs of name and content, for a machine.
func relocated(podman quadlet.Version, pairs ...string) *quadlet.Set {
	files := map[string][]byte{}
	for i := 0; i < len(pairs); i += 2 {
		files[pairs[i]] = []byte(pairs[i+1])
	}
	return quadlet.LoadFilesWith(files, quadlet.Options{Podman: podman, Data: dataDir, Executable: map[string]bool{"data/init.sh": true}})
}

// The story: Volume=./data:/data lay in the directory in which Podman looks for
// quadlets. A container wrote evil.container there, and after a reload it ran on
// the machine as the user.
func TestWritableMountsAreMoved(t *testing.T) {
	t.Parallel()
	const unit = "[Container]\nImage=x:1\n"
	set := relocated(quadlet.Version{5, 8, 6},
		"web.container", unit+"Volume=./data:/data:Z\nVolume=./conf:/conf:ro\nVolume=cache:/cache\nMount=type=volume,src=state,dst=/s\n"+
			"Mount=\"type=bind,src=./up load,dst=/u\" type=tmpfs,dst=/t\nEnvironmentFile=data/env\n",
		"reader.container", unit+"Volume=./data:/d:ro\n",
		"sub/b.build", "[Build]\nImageTag=localhost/b\nSetWorkingDirectory=unit\nVolume=../data:/data\n",
		"data/init.sh", "#!/bin/sh\n", "data/env", "A=1\n", "data/shared/x", "x", "conf/c", "c", "sub/Containerfile", "FROM x:1\n", "README.md", "r")
	if len(set.Problems) > 0 {
		t.Fatalf("problems: %+v", set.Problems)
	}
	for name, text := range map[string]string{
		"web.container.d/zz-leger-data.conf": "[Container]\nMount=\nMount=\"type=volume,src=state,dst=/s\"\nMount=\"type=bind,src=" + dataDir +
			"/up load,dst=/u\"\nMount=\"type=tmpfs,dst=/t\"\nVolume=\nVolume=" + dataDir + "/data:/data:Z\nVolume=./conf:/conf:ro\nVolume=cache:/cache\n",
		"reader.container.d/zz-leger-data.conf": "[Container]\nVolume=\nVolume=" + dataDir + "/data:/d:ro\n",
		"sub/b.build.d/zz-leger-data.conf":      "[Build]\nVolume=\nVolume=" + dataDir + "/data:/data\n",
	} {
		_, got, _ := strings.Cut(string(set.Files[name]), "\n") // below the comment
		if diff := cmp.Diff(text, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
	if diff := cmp.Diff([]string{
		"conf/c", "data/env", "reader.container", "reader.container.d/zz-leger-data.conf", "sub/Containerfile", "sub/b.build",
		"sub/b.build.d/zz-leger-data.conf", "web.container", "web.container.d/zz-leger-data.conf",
	}, slices.Sorted(maps.Keys(set.Files))); diff != "" {
		t.Errorf("installed: -want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"data/env", "data/init.sh", "data/shared/x"}, slices.Sorted(maps.Keys(set.Data))); diff != "" {
		t.Errorf("data: -want +got:\n%s", diff)
	}
	if !slices.Equal(set.DataDirs, []string{"data", "up load"}) || !slices.Equal(set.Ignored, []string{"README.md"}) || !set.Executable["data/init.sh"] {
		t.Errorf("directories %q, ignored %q, executable %v", set.DataDirs, set.Ignored, set.Executable)
	}
	if web, _ := set.Unit("web.container"); !slices.Contains(web.Parts, "data/init.sh") || len(set.WritesBesideQuadlets()) != 0 {
		t.Errorf("parts %q, beside the quadlets %+v", web.Parts, set.WritesBesideQuadlets())
	}
	for _, r := range set.Risks {
		if r.Danger || strings.HasPrefix(r.Text, "zz-leger") {
			t.Errorf("a risk: %+v", r)
		}
	}
	// The result is complete: so a recorded generation is read.
	again := quadlet.LoadFiles(set.Files)
	if len(again.Problems) > 0 || len(again.Files) != len(set.Files) || len(again.WritesBesideQuadlets()) != 0 {
		t.Errorf("again: %+v", again.Problems)
	}
}

// What cannot be moved is refused, with file and line.
func TestWritableMountsThatCannotBeMoved(t *testing.T) {
	t.Parallel()
	const unit = "[Container]\nImage=x:1\n"
	now, old := quadlet.Version{5, 8, 0}, quadlet.Version{4, 9, 3}
	for name, c := range map[string]struct {
		podman quadlet.Version
		files  []string
		want   string // "": no problem
	}{
		"the release's directory":   {now, []string{"a.container", unit + "Volume=.:/a\n"}, "change the quadlets themselves"},
		"a directory with quadlets": {now, []string{"a.container", unit + "Volume=./sub:/a\n", "sub/b.container", unit}, "change the quadlets themselves"},
		"a quadlet":                 {now, []string{"a.container", unit + "Volume=./a.container:/a\n"}, "change the quadlets themselves"},
		"a drop-in": {
			now,
			[]string{"a.container", unit + "Volume=./a.container.d:/a\n", "a.container.d/x.conf", "[Container]\nLabel=a=b\n"},
			"change the quadlets themselves",
		},
		"a file that is not there, named like a quadlet": {now, []string{"a.container", unit + "Volume=./evil.container:/a\n"}, "change the quadlets themselves"},
		"the outside":          {now, []string{"a.container", unit + "Volume=../x:/a\n"}, "leaves the release's directory"},
		"a specifier":          {now, []string{"a.container", unit + "Volume=./%p/x:/a\n"}, "where cannot be told"},
		"a pattern":            {now, []string{"a.container", unit + "Mount=type=glob,src=./d*,dst=/a\n", "data/x", "x"}, "where cannot be told"},
		"two sources":          {now, []string{"a.container", unit + "Mount=type=bind,src=/x,src=./data,dst=/a\n", "data/x", "x"}, "where cannot be told"},
		"an old Podman":        {old, []string{"a.container", unit + "Volume=./data:/a\n", "data/x", "x"}, "with Podman 5.0 or newer, and this is 4.9.3"},
		"an old Podman, reads": {old, []string{"a.container", unit + "Volume=./data:/a:ro\n", "data/x", "x"}, ""},
		"a later drop-in": {
			now,
			[]string{"a.container", unit + "Volume=./data:/a\n", "container.d/zzz.conf", "[Container]\nVolume=./evil:/e\n"},
			"would come after",
		},
		"an earlier drop-in": {now, []string{"a.container", unit, "a.container.d/10.conf", "[Container]\nVolume=./data:/e\n"}, ""},
		"Leger's own name": {
			now,
			[]string{"a.container", unit + "Volume=./data:/a\n", "a.container.d/zz-leger-data.conf", "[Container]\nLabel=a=b\n"},
			"the name is Leger's",
		},
		"a reader of all of it": {
			now,
			[]string{"a.container", unit + "Volume=./data:/a\n", "backup.container", unit + "Volume=.:/b:ro\n"},
			"would not show what is written to data",
		},
		"a reader by a pattern": {
			now,
			[]string{"a.container", unit + "Volume=./data:/a\n", "b.container", unit + "Mount=type=glob,src=./data/*,dst=/b,ro\n"},
			"would not show what is written to data",
		},
		// Whoever writes data can make data/keys a link to ~/.ssh.
		"a reader of a part": {
			now,
			[]string{"a.container", unit + "Volume=./data:/a\n", "b.container", unit + "Volume=./data/keys:/k:ro\n", "data/keys/x", "x"},
			"it could put a link to something else there",
		},
		"a writer of a part": {now, []string{"a.container", unit + "Volume=./data:/a\nVolume=./data/keys:/k\n", "data/keys/x", "x"}, "it could put a link"},
		"a pod":              {now, []string{"p.pod", "[Pod]\nVolume=./data:/a\n", "a.container", unit + "Pod=p.pod\n"}, ""},
		"an overlay":         {now, []string{"a.container", unit + "Volume=./data:/a:O\n", "data/x", "x"}, ""},
		"a template":         {now, []string{"a@.container", unit + "Volume=./data:/a\n"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := relocated(c.podman, c.files...)
			var all strings.Builder
			for _, p := range set.Problems {
				all.WriteString(p.File + ": " + p.Message + " (" + p.Hint + ")\n")
			}
			switch {
			case c.want == "" && all.Len() > 0:
				t.Errorf("problems:\n%s", all.String())
			case !strings.Contains(all.String(), c.want):
				t.Errorf("problems:\n%s\nwant %q", all.String(), c.want)
			case c.want == "" && len(set.WritesBesideQuadlets()) > 0:
				t.Errorf("can be written beside the quadlets: %+v", set.WritesBesideQuadlets())
			}
		})
	}
}
