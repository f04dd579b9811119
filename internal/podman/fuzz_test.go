package podman_test

import (
	"strings"
	"testing"

	"leger.run/leger/internal/podman"
)

func TestUnitsOfADryRun(t *testing.T) {
	t.Parallel()
	got := podman.SplitUnits([]byte("---a.service---\n[Unit]\nX=---\n\n---b-volume.service---\n[Service]\n"))
	if len(got) != 2 || string(got["a.service"]) != "[Unit]\nX=---\n\n" || string(got["b-volume.service"]) != "[Service]\n" {
		t.Errorf("got %q", got)
	}
}

func FuzzDryRun(f *testing.F) {
	f.Add("---a.service---\n[Unit]\n---b.service---\n")
	f.Add("------\n---/---\n---a---")
	f.Fuzz(func(t *testing.T, out string) {
		for name := range podman.SplitUnits([]byte(out)) {
			if name == "" || strings.ContainsAny(name, "/\n") {
				t.Errorf("a unit called %q", name)
			}
		}
	})
}

func TestContainersAsTheAPIAndTheProgramListThem(t *testing.T) {
	t.Parallel()
	for _, status := range []string{"healthy", "Up 5 seconds (healthy)"} {
		got, err := podman.ParseContainers([]byte(`[{"Names":["web"],"State":"running","Status":"` + status + `","PodName":"p",
			"Labels":{"PODMAN_SYSTEMD_UNIT":"web.service"},"Ports":[{"host_ip":"127.0.0.1","host_port":8080,"range":2,"protocol":"tcp"}]}]`))
		if err != nil || len(got) != 1 {
			t.Fatalf("%v, %v", got, err)
		}
		c := got[0]
		if c.Name != "web" || c.Unit != "web.service" || c.Pod != "p" || c.Health != "healthy" || !c.Up || len(c.Ports) != 2 || c.Ports[1].Number != 8081 {
			t.Errorf("%+v", c)
		}
	}
	got, err := podman.ParseContainers([]byte(`[{"Names":null,"State":"exited","Status":"","Labels":null,"Ports":null}]`))
	if err != nil || got[0].Up || got[0].Health != "" {
		t.Errorf("%+v, %v", got, err)
	}
}

func FuzzContainers(f *testing.F) {
	f.Add(`[{"Names":["a"],"Ports":[{"range":65535}]}]`)
	f.Fuzz(func(t *testing.T, body string) {
		all, err := podman.ParseContainers([]byte(body))
		if err == nil && len(all) > len(body) {
			t.Errorf("%d containers in %d bytes", len(all), len(body))
		}
	})
}
