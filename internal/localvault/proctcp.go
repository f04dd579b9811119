package localvault

import (
	"net/netip"

	"leger.run/leger/internal/procnet"
)

// findConnection finds the uid of the socket local whose other side is remote in
// one of the kernel's tables.
func findConnection(table []byte, local, remote netip.AddrPort) (uid int, ok bool) {
	for s := range procnet.Sockets(table) {
		if s.State == procnet.Established && s.Local == procnet.Unmap(local) && s.Remote == procnet.Unmap(remote) {
			return s.UID, true
		}
	}
	return -1, false
}
