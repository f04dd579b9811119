package deploy

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"leger.run/leger"
	"leger.run/leger/internal/procnet"
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
		protocol := strings.TrimSuffix(table, "6")
		for socket := range procnet.Sockets(text) {
			port := leger.Port{
				Address: socket.Local.Addr().String(), Number: int(socket.Local.Port()), Protocol: protocol,
			}
			if waits(protocol, socket) && wanted(port) {
				inodes[socket.Inode] = append(inodes[socket.Inode], len(all))
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

// waits reports whether a socket takes what anybody sends to it.
func waits(protocol string, s procnet.Socket) bool {
	if protocol == "tcp" {
		return s.State == procnet.Listen
	}
	return s.State == procnet.Unconnected
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
