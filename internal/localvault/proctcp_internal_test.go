package localvault // the parser of a kernel table has no face outside the package

import (
	"encoding/binary"
	"net/netip"
	"testing"
)

// Lines of /proc/net/tcp and tcp6 on a little-endian machine.
const procTable = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11 1 0000000000000000 100 0 0 10 0
   1: 0100007F:D431 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1000        0 12 1 0000000000000000 20 4 30 10 -1
   2: 0100007F:1F90 0100007F:D431 01 00000000:00000000 00:00000000 00000000     7        0 13 1 0000000000000000 20 4 30 10 -1
   3: 0100007F:D432 0100007F:1F90 06 00000000:00000000 03:00001771 00000000     0        0 0 3 0000000000000000
   4: 0000000000000000FFFF00000100007F:D433 0000000000000000FFFF00000100007F:1F90 01 00000000:00000000 00:00000000 00000000  1002        0 15 1 0000000000000000 20 4 30 10 -1
   5: 00000000000000000000000001000000:D434 00000000000000000000000001000000:1F90 01 00000000:00000000 00:00000000 00000000  1003        0 16 1 0000000000000000 20 4 30 10 -1
   6: nonsense
`

func TestFindConnection(t *testing.T) {
	t.Parallel()
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Fatal("the table of this test is that of a little-endian machine")
	}
	for _, test := range []struct {
		local, remote string
		uid           int
		ok            bool
	}{
		{"127.0.0.1:54321", "127.0.0.1:8080", 1000, true},
		{"127.0.0.1:54322", "127.0.0.1:8080", -1, false}, // TIME_WAIT shows uid 0, whoever it was
		{"127.0.0.1:54323", "127.0.0.1:8080", 1002, true},
		{"[::1]:54324", "[::1]:8080", 1003, true},
		{"127.0.0.1:8080", "127.0.0.1:9", -1, false},
	} {
		uid, ok := findConnection([]byte(procTable), netip.MustParseAddrPort(test.local), netip.MustParseAddrPort(test.remote))
		if uid != test.uid || ok != test.ok {
			t.Errorf("%s: got %d, %v", test.local, uid, ok)
		}
	}
}

func FuzzFindConnection(f *testing.F) {
	f.Add([]byte(procTable))
	f.Add([]byte("0: 0100007F:D431 0100007F:1F90 01 0 0 0 4294967295"))
	local, remote := netip.MustParseAddrPort("127.0.0.1:54321"), netip.MustParseAddrPort("127.0.0.1:8080")
	f.Fuzz(func(t *testing.T, table []byte) {
		if uid, ok := findConnection(table, local, remote); ok != (uid >= 0) {
			t.Errorf("uid %d, found %v", uid, ok)
		}
	})
}
