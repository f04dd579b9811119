package cli_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"leger.run/leger/internal/cli"
	"leger.run/leger/internal/deploy"
	"leger.run/leger/internal/quadlet"
)

// A reader who sees forty lines reads none: over 443 public applications more than
// half of the lines were tags of images, with the one that mattered among them.
// What is dangerous comes first, what several quadlets share is one line, and of
// what only informs a few are shown.
func TestRisksAreGrouped(t *testing.T) {
	t.Parallel()
	files := map[string][]byte{}
	for i := range 6 {
		text := fmt.Sprintf("[Container]\nImage=example.com/app-%d:1\nVolume=/srv/media:/media:ro\n", i)
		if i == 4 {
			text += "Volume=%t/podman/podman.sock:/s\n[Service]\nExecStartPre=/bin/true\n"
		}
		files[fmt.Sprintf("a%d.container", i)] = []byte(text)
	}
	risks := quadlet.LoadFiles(files).Risks
	got := cli.RiskText(deploy.Plan{Risks: risks, Changes: deploy.Changes{Risks: risks}})
	const tag = " has a tag but no digest: the registry may put another image behind it\n"
	want := "8 things need your consent:\n" +
		"  ! runs on this machine, outside the containers:\n" +
		"  !   a4.container:6: ExecStartPre=/bin/true runs a command on this machine, outside the container\n" +
		"  ! places of this machine:\n" +
		"  !   a4.container:4: Volume=%t/podman/podman.sock:/s mounts /run/user/UID/podman/podman.sock, " +
		"the container engine's socket, which can do whatever you can do, writable\n" +
		"  places of this machine:\n" +
		"    a0.container:3, a1.container:3, a2.container:3, a3.container:3, a4.container:3, a5.container:3: " +
		"Volume=/srv/media:/media:ro mounts /srv/media, a part of this machine that is not the release's, read-only\n" +
		"6 more risks to know of:\n" +
		"  images that may change (6):\n" +
		"    a0.container:2: example.com/app-0:1" + tag + "    a1.container:2: example.com/app-1:1" + tag + "    a2.container:2: example.com/app-2:1" + tag +
		"    and 3 more (--json lists them)\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
