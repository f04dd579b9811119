package procnet_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"

	"leger.run/leger/internal/procnet"
)

// The kernel's own table lists a socket of this process: in the machine's byte order,
// whichever it is.
func TestSocketsOfThisMachine(t *testing.T) {
	t.Parallel()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	table, err := os.ReadFile("/proc/self/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	want := netip.MustParseAddrPort(ln.Addr().String())
	for s := range procnet.Sockets(table) {
		if s.Local == want && s.State == procnet.Listen && s.UID == os.Geteuid() && s.Inode != "" {
			return
		}
	}
	t.Errorf("%v is not among\n%s", want, table)
}

func TestLinesThatAreNoSockets(t *testing.T) {
	t.Parallel()
	const end = " 00000000:00000000 00:00000000 00000000  1000        0 77 1"
	table := "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n" +
		"0: 00000000:1F90 00000000:0000 0A" + end + "\n" +
		"1: 00000000:1F9 \n2: xx:1F90 00000000:0000 0A" + end + "\n3: 00:1F90 00000000:0000 0A" + end + "\n\n"
	got := slices.Collect(procnet.Sockets([]byte(table)))
	if len(got) != 1 || fmt.Sprint(got[0]) != "{0.0.0.0:8080 0.0.0.0:0 0A 1000 77}" {
		t.Errorf("sockets %v; want the first line's alone", got)
	}
}

func FuzzSockets(f *testing.F) {
	f.Add([]byte("0: 0100007F:1F90 00000000:0000 0A 0:0 0:0 0 0 0 1\n"))
	f.Fuzz(func(t *testing.T, table []byte) {
		for s := range procnet.Sockets(table) {
			if !s.Local.IsValid() || !s.Remote.IsValid() || s.UID < 0 {
				t.Errorf("%+v", s)
			}
		}
	})
}
