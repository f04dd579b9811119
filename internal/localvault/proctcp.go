package localvault

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strconv"
)

// established is the state of a live connection in /proc/net/tcp. Others are
// skipped: one in TIME_WAIT shows uid 0, whoever it was.
const established = "01"

// findConnection finds the uid of the socket local whose other side is remote in
// a table as /proc/net/tcp and tcp6 show it (Linux, Documentation/networking/
// proc_net_tcp.rst).
func findConnection(table []byte, local, remote netip.AddrPort) (uid int, ok bool) {
	for line := range bytes.Lines(table) {
		f := bytes.Fields(line)
		if len(f) < 8 || string(f[3]) != established {
			continue
		}
		if l, ok := parseProcAddr(f[1]); !ok || l != unmap(local) {
			continue
		}
		if r, ok := parseProcAddr(f[2]); !ok || r != unmap(remote) {
			continue
		}
		n, err := strconv.ParseUint(string(f[7]), 10, 32)
		if err != nil {
			continue
		}
		return int(n), true
	}
	return -1, false
}

// parseProcAddr reads "0100007F:1F90": 32-bit words in the machine's byte order,
// one for IPv4 and four for IPv6, and a port in network order.
func parseProcAddr(text []byte) (netip.AddrPort, bool) {
	addr, port, cut := bytes.Cut(text, []byte(":"))
	p, err := strconv.ParseUint(string(port), 16, 16)
	if !cut || err != nil || (len(addr) != 8 && len(addr) != 32) {
		return netip.AddrPort{}, false
	}
	raw, err := hex.DecodeString(string(addr))
	if err != nil {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	ip, ok := netip.AddrFromSlice(raw)
	return unmap(netip.AddrPortFrom(ip, uint16(p))), ok
}

// unmap makes one form of an IPv4 address that a v6 socket sees as ::ffff:a.b.c.d.
func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}
