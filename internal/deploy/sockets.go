package deploy

import (
	"context"
	"encoding/hex"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"leger.run/leger"
)

// ProcSockets reads the machine's sockets from /proc (proc_pid_net(5)).
type ProcSockets struct{ proc string }

// NewProcSockets makes one over the directory that is /proc.
func NewProcSockets(proc string) ProcSockets { return ProcSockets{proc} }

// Listening gives who listens on the wanted ports. Programs are known where they
// are the user's own. A table that is not there has no sockets. ErrInterrupted
// when ctx is done.
func (s ProcSockets) Listening(ctx context.Context, wanted func(leger.Port) bool) ([]Listener, error) {
	var all []Listener
	inodes := map[string][]int{}
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
		if ctx.Err() != nil {
			return nil, leger.Wrap(leger.CodeInterrupted, ctx.Err(), "look for ports that are taken")
		}
		text, err := os.ReadFile(filepath.Join(s.proc, "net", table)) //nolint:gosec // G304: below /proc
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			port, inode, ok := parseSocket(strings.TrimSuffix(table, "6"), line)
			if ok && wanted(port) {
				inodes[inode] = append(inodes[inode], len(all))
				all = append(all, Listener{Port: port})
			}
		}
	}
	if len(all) > 0 {
		s.programs(func(inode, program, unit string) {
			for _, i := range inodes[inode] {
				all[i].Program, all[i].Unit = program, unit
			}
		})
	}
	return all, nil
}

// States of include/net/tcp_states.h: LISTEN, and what an unconnected datagram
// socket shows.
const (
	tcpListen = "0A"
	udpOpen   = "07"
)

// parseSocket reads a line: "0: 0100007F:1F90 00000000:0000 0A … uid … inode …".
func parseSocket(protocol, line string) (port leger.Port, inode string, ok bool) {
	const fieldLocal, fieldState, fieldInode = 1, 3, 9
	f := strings.Fields(line)
	if len(f) <= fieldInode {
		return port, "", false
	}
	if state := f[fieldState]; (protocol == "tcp" && state != tcpListen) || (protocol == "udp" && state != udpOpen) {
		return port, "", false
	}
	host, number, _ := strings.Cut(f[fieldLocal], ":")
	n, err := strconv.ParseUint(number, 16, 16)
	raw, err2 := hex.DecodeString(host)
	if err != nil || err2 != nil {
		return port, "", false
	}
	// Each group of four bytes is in the machine's order: little endian wherever
	// Podman runs but on s390x.
	for group := range slices.Chunk(raw, 4) {
		slices.Reverse(group)
	}
	addr, isAddr := netip.AddrFromSlice(raw)
	return leger.Port{Address: addr.Unmap().String(), Number: int(n), Protocol: protocol}, f[fieldInode], isAddr
}

// programs tells each socket of a process that may be looked at.
func (s ProcSockets) programs(found func(inode, program, unit string)) {
	fds, err := filepath.Glob(filepath.Join(s.proc, "[0-9]*", "fd", "*"))
	if err != nil {
		return
	}
	names, units := map[string]string{}, map[string]string{}
	for _, fd := range fds {
		target, err := os.Readlink(fd)
		inode, isSocket := strings.CutPrefix(target, "socket:[")
		if err != nil || !isSocket {
			continue
		}
		dir := filepath.Dir(filepath.Dir(fd))
		if _, known := names[dir]; !known {
			comm, _ := os.ReadFile(filepath.Join(dir, "comm")) //nolint:gosec // G304: below /proc; it may have ended
			names[dir] = strings.TrimSpace(string(comm)) + " (process " + filepath.Base(dir) + ")"
			cgroup, _ := os.ReadFile(filepath.Join(dir, "cgroup")) //nolint:gosec // G304: below /proc
			units[dir] = unitOf(string(cgroup))
		}
		found(strings.TrimSuffix(inode, "]"), names[dir], units[dir])
	}
}

// unitOf finds the unit in a control group's path (cgroups(7), /proc/PID/cgroup):
// "0::/user.slice/…/app.slice/web.service/libpod-payload-1f2e". What forwards a
// port for a container runs in the container's unit, also while the container is
// only coming or going and Podman does not list its ports.
func unitOf(cgroup string) string {
	unit := ""
	for line := range strings.Lines(cgroup) {
		for part := range strings.SplitSeq(strings.TrimSpace(line), "/") {
			if strings.HasSuffix(part, ".service") {
				unit = part
			}
		}
	}
	return unit
}
