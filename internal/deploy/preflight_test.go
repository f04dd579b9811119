package deploy_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/deploy"
)

// sockets are listeners in memory.
type sockets []deploy.Listener

func (s sockets) Listening(_ context.Context, wanted func(leger.Port) bool) ([]deploy.Listener, error) {
	return slices.DeleteFunc(slices.Clone(s), func(l deploy.Listener) bool { return !wanted(l.Port) }), nil
}

func tcp(address string, number int) leger.Port {
	return leger.Port{Address: address, Number: number, Protocol: "tcp"}
}

func TestPreflight(t *testing.T) {
	t.Parallel()
	unit := func(lines string) string { return "[Container]\nImage=x:1\n" + lines }
	for name, c := range map[string]struct {
		files []string
		set   func(*machine) sockets
		want  string // "": nothing stands against it
	}{
		"a program has the port": {
			[]string{"web.container", unit("PublishPort=127.0.0.1:8080:80\n")},
			func(*machine) sockets { return sockets{{tcp("127.0.0.1", 8080), "caddy (process 7)", ""}} },
			"web.container:3: port 8080 (tcp) is taken by the program caddy (process 7)",
		},
		"somebody else listens on all addresses": {
			[]string{"web.container", unit("PublishPort=127.0.0.1:8080:80\n")},
			func(*machine) sockets { return sockets{{tcp("::", 8080), "", ""}} },
			"taken by a program of another user",
		},
		"another address": {
			[]string{"web.container", unit("PublishPort=127.0.0.1:8080:80\n")},
			func(*machine) sockets { return sockets{{tcp("192.0.2.7", 8080), "", ""}} }, "",
		},
		"another protocol": {
			[]string{"web.container", unit("PublishPort=53:53/udp\n")},
			func(*machine) sockets { return sockets{{tcp("0.0.0.0", 53), "", ""}} }, "",
		},
		"in a range": {
			[]string{"web.container", unit("PublishPort=[::1]:8000-8010:8000-8010\n")},
			func(*machine) sockets { return sockets{{tcp("::1", 8005), "x", ""}} }, "port 8005",
		},
		"the first of a range": {
			[]string{"web.container", unit("PublishPort=8000-8010:8000-8010\n")},
			func(*machine) sockets {
				return sockets{{tcp("127.0.0.1", 8007), "late", ""}, {tcp("0.0.0.0", 8003), "early", ""}}
			}, "port 8003 (tcp) is taken by the program early",
		},
		// Two implementations disagreed about these: an IPv4 socket on all addresses has
		// no IPv6 port, one on [::] has both.
		"all addresses of IPv4 are none of IPv6": {
			[]string{"web.container", unit("PublishPort=[::1]:8080:80\n")},
			func(*machine) sockets { return sockets{{tcp("0.0.0.0", 8080), "x", ""}} }, "",
		},
		"all addresses of IPv6 are those of IPv4, too": {
			[]string{"web.container", unit("PublishPort=0.0.0.0:8080:80\n")},
			func(*machine) sockets { return sockets{{tcp("::1", 8080), "x", ""}, {tcp("::", 8080), "y", ""}} }, "the program y",
		},
		"an IPv4 address written as an IPv6 one": {
			[]string{"web.container", unit("PublishPort=[::ffff:127.0.0.1]:8080:80\n")},
			func(*machine) sockets { return sockets{{tcp("127.0.0.1", 8080), "x", ""}} }, "the program x",
		},
		"any port of the host": {
			[]string{"web.container", unit("PublishPort=80\nPublishPort=127.0.0.1::80\nPublishPort=%i:80\n")},
			func(*machine) sockets { return sockets{{tcp("0.0.0.0", 80), "x", ""}} }, "",
		},
		"a container has the port": {
			[]string{"web.container", unit("PublishPort=8080:80\n")},
			func(m *machine) sockets {
				m.containers = []leger.Container{{Name: "theirs", Unit: "t.service", Up: true, Ports: []leger.Port{tcp("", 8080)}}}
				return sockets{{tcp("0.0.0.0", 8080), "rootlessport", "t.service"}}
			},
			"taken by the container theirs of t.service",
		},
		"a container that does not run": {
			[]string{"web.container", unit("PublishPort=8080:80\n")},
			func(m *machine) sockets {
				m.containers = []leger.Container{{Name: "theirs", Ports: []leger.Port{tcp("", 8080)}}}
				return nil
			}, "",
		},
		"two units want it": {
			[]string{"a.container", unit("PublishPort=8080:80\n"), "b.container", unit("PublishPort=127.0.0.1:8080:80\n")},
			func(*machine) sockets { return nil }, "b.container:3: port 8080 (tcp) is taken by a.service, which is in the same release",
		},
		"a container of this name": {
			[]string{"web.container", unit("ContainerName=db\n")},
			func(m *machine) sockets { m.containers = []leger.Container{{Name: "db"}}; return nil },
			"a container called db that Leger did not make is there, and would be replaced",
		},
		"a pod of this name": {
			[]string{"web.pod", "[Pod]\nPodName=db\n", "a.container", unit("Pod=web.pod\n")},
			func(m *machine) sockets { m.containers = []leger.Container{{Name: "x", Pod: "db"}}; return nil },
			"a pod called db that Leger did not make",
		},
		"an image that may not be pulled": {
			[]string{"web.container", unit("Pull=never\n")},
			func(m *machine) sockets { m.images = []string{"x:1"}; return nil },
			"web.container:2: the image x:1 is not on this machine, and Pull=never forbids to pull it",
		},
		"an image that may be pulled": {
			[]string{"web.container", unit("")},
			func(m *machine) sockets { m.images = []string{"x:1"}; return nil }, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine()
			e := deploy.New(deploy.Config{
				StateDir: t.TempDir(), Installers: []deploy.Installer{installer{m, "podman", true}}, Units: m, Podman: m, Clock: m, Sockets: c.set(m),
			})
			_, err := install(t.Context(), e, request(t, "App", "c", c.files...))
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || len(m.files) != 0):
				t.Errorf("got %v, want %q; %d files installed", err, c.want, len(m.files))
			}
		})
	}
}

// A quadlet that published 1-65535 on tcp and udp kept the plan busy for minutes,
// because each port of a range was compared with every other.
func TestAPlanOfAllPortsIsQuick(t *testing.T) {
	t.Parallel()
	const all = "[Container]\nImage=x:1\nPublishPort=1-65535:1-65535\nPublishPort=1-65535:1-65535/udp\n"
	m := newMachine()
	var taken sockets
	for n := 1; n < 2000; n++ {
		taken = append(taken, deploy.Listener{Port: tcp("192.0.2.1", n), Program: "x"})
	}
	e := deploy.New(deploy.Config{
		StateDir: t.TempDir(), Installers: []deploy.Installer{installer{m, "podman", true}}, Units: m, Podman: m, Clock: m, Sockets: taken,
	})
	begin := time.Now()
	plan, err := e.Prepare(t.Context(), request(t, "App", "c", "a.container", all, "b.container", all))
	if took := time.Since(begin); took > 5*time.Second { // a slow machine takes 50 ms
		t.Errorf("the plan took %v", took)
	}
	if err != nil || len(plan.Refusals) < 3 || !strings.Contains(plan.Err().Error(), "a.container:3: port 1 (tcp) is taken by the program x") {
		t.Errorf("%v, %v", plan.Err(), err)
	}
}

// A plan that nobody waits for any more ends.
func TestAPlanObeysItsContext(t *testing.T) {
	t.Parallel()
	m := newMachine()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.engine(t.TempDir()).Prepare(ctx, request(t, "App", "c", "a.container", "[Container]\nImage=x:1\nPublishPort=1-65535:1-65535\n")); !errors.Is(err, leger.ErrInterrupted) {
		t.Errorf("got %v, want interrupted", err)
	}
}

// The release's own containers hold its ports; an update is no conflict, and
// neither is a port that moves from one unit to another.
func TestTheReleasesOwnPortsAreNoConflict(t *testing.T) {
	t.Parallel()
	m, dir := newMachine(), t.TempDir()
	taken := sockets{}
	engine := func() *deploy.Engine {
		return deploy.New(deploy.Config{
			StateDir: dir, Installers: []deploy.Installer{installer{m, "podman", true}}, Units: m, Podman: m, Clock: m, Sockets: taken,
		})
	}
	const unit = "[Container]\nImage=x:1\nPublishPort=8080:80\n"
	mustInstall(t, engine(), request(t, "App", "c1", "a.container", unit))
	taken = sockets{{tcp("0.0.0.0", 8080), "rootlessport", ""}}
	m.containers = []leger.Container{{Name: "systemd-a", Unit: "a.service", Up: true, Ports: []leger.Port{tcp("", 8080)}}}
	mustInstall(t, engine(), request(t, "App", "c2", "a.container", unit+"Label=a=b\n"))
	mustInstall(t, engine(), request(t, "App", "c3", "b.container", unit))
	// A container that only comes or goes is not listed with its ports.
	m.containers, taken = nil, sockets{{tcp("0.0.0.0", 8080), "pasta", "b.service"}}
	mustInstall(t, engine(), request(t, "App", "c4", "b.container", unit+"Label=a=b\n"))
}

func TestTwoReleasesCannotShareAContainersName(t *testing.T) {
	t.Parallel()
	m := newMachine()
	e := m.engine(t.TempDir())
	mustInstall(t, e, request(t, "One", "c", "a.container", "[Container]\nImage=x:1\nContainerName=db\n"))
	_, err := install(t.Context(), e, request(t, "Two", "c", "b.container", "[Container]\nImage=x:1\nContainerName=db\n"))
	if !errors.Is(err, leger.ErrConflict) || !strings.Contains(err.Error(), "the release One has a container called db") {
		t.Errorf("got %v, want conflict", err)
	}
}

// Alias=dbus.service put a release in the place of the system's unit, because only
// the names that files have were looked at.
func TestAnAliasIsAUnitsName(t *testing.T) {
	t.Parallel()
	const unit = "[Container]\nImage=x:1\n"
	const alias = unit + "[Install]\nAlias=dbus.service\n"
	m := newMachine()
	e := m.engine(t.TempDir())
	m.units["dbus.service"] = &leger.UnitState{Name: "dbus.service", LoadState: "loaded", ActiveState: "active", Source: "/usr/lib/systemd/user/dbus.service"}
	_, err := install(t.Context(), e, request(t, "One", "c", "a.container", alias))
	if !errors.Is(err, leger.ErrConflict) || !strings.Contains(err.Error(), "a unit dbus.service that Leger did not install is there already") {
		t.Errorf("the system's: got %v, want conflict", err)
	}
	delete(m.units, "dbus.service")
	mustInstall(t, e, request(t, "One", "c", "a.container", alias))
	mustInstall(t, e, request(t, "One", "c2", "a.container", alias+"# the same again\n"))
	for what, files := range map[string][]string{
		"the same alias":     {"b.container", alias},
		"a unit of its name": {"dbus.container", unit},
	} {
		_, err := install(t.Context(), e, request(t, "Two", "c", files...))
		if !errors.Is(err, leger.ErrConflict) || !strings.Contains(err.Error(), "the release One has a unit dbus.service already") {
			t.Errorf("%s: got %v, want conflict", what, err)
		}
	}
}

// The machine's own tables: what this test listens on is found, with its name.
func TestProcSockets(t *testing.T) {
	t.Parallel()
	var numbers []int
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = ln.Close() })
		numbers = append(numbers, ln.Addr().(*net.TCPAddr).Port) //nolint:forcetypeassert // it listens on tcp
	}
	wanted := func(p leger.Port) bool { return slices.Contains(numbers, p.Number) }
	got, err := deploy.NewProcSockets("/proc").Listening(t.Context(), wanted)
	if err != nil || len(got) < 2 {
		t.Fatalf("got %+v, %v", got, err)
	}
	self := filepath.Base(os.Args[0])
	for _, l := range got {
		if l.Protocol != "tcp" || !strings.HasPrefix(self, strings.SplitN(l.Program, " ", 2)[0][:5]) {
			t.Errorf("%+v, want a tcp socket of %s", l, self)
		}
	}
	if got[0].Address != "127.0.0.1" || got[1].Address != "::1" {
		t.Errorf("addresses %s and %s", got[0].Address, got[1].Address)
	}
	if none, err := deploy.NewProcSockets(t.TempDir()).Listening(t.Context(), wanted); err != nil || len(none) != 0 {
		t.Errorf("without tables: %v, %v", none, err)
	}
}
