package workerd

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Memory is the resident memory, in bytes, of the process that runs the Worker: all
// of workerd, of which the Worker's own instance is a part.
func (w *Worker) Memory() (int64, error) {
	pid, err := w.process()
	if err != nil {
		return 0, err
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmRSS:" {
			kib, err := strconv.ParseInt(f[1], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("/proc/%d/status has no VmRSS", pid)
}

// process is the one that listens on the port of Direct.
func (w *Worker) process() (int, error) {
	for _, p := range w.processes() {
		for _, s := range p.listening() {
			if strings.HasSuffix(w.Direct, ":"+strconv.Itoa(s.port)) {
				return p.pid, nil
			}
		}
	}
	return 0, errors.New("the Worker's process is gone")
}

// entryPort is where the Worker's own workerd takes requests. There are two: the
// proxy's listens on wrangler's port; of the other's sockets the first it opened is
// the entry, the rest are for debuggers.
func (w *Worker) entryPort(proxyPort int) (int, error) {
	proxySeen, entry := false, 0
	for _, p := range w.processes() {
		sockets := p.listening()
		switch {
		case p.name != "workerd" || len(sockets) == 0:
		case slices.ContainsFunc(sockets, func(s socket) bool { return s.port == proxyPort }):
			proxySeen = true
		default:
			entry = sockets[0].port
		}
	}
	if !proxySeen || entry == 0 {
		return 0, errors.New("no workerd listens yet")
	}
	return entry, nil
}

// running reports whether any process of the group is left, zombies aside, which
// wait for a parent and not for us.
func (w *Worker) running() bool { return len(w.processes()) > 0 }

type process struct {
	pid  int
	name string
	cpu  time.Duration // of all its threads so far
}

// processorTime is what all processes of the group have taken so far.
func (w *Worker) processorTime() time.Duration {
	var sum time.Duration
	for _, p := range w.processes() {
		sum += p.cpu
	}
	return sum
}

// processes are those of wrangler's group.
func (w *Worker) processes() []process {
	entries, _ := filepath.Glob("/proc/[0-9]*/stat")
	var found []process
	for _, file := range entries {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it ended
		}
		// pid (name) state ppid pgrp; the name may hold anything.
		open, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
		if open < 0 || end < open {
			continue
		}
		rest := strings.Fields(string(text[end+1:]))
		if len(rest) < 13 || rest[2] != strconv.Itoa(w.group) || rest[0] == "Z" {
			continue
		}
		const tick = 10 * time.Millisecond // USER_HZ is 100 on every architecture we know
		user, _ := strconv.Atoi(rest[11])
		system, _ := strconv.Atoi(rest[12])
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
			found = append(found, process{pid, string(text[open+1 : end]), time.Duration(user+system) * tick})
		}
	}
	return found
}

type socket struct{ fd, port int }

// listening gives the process's listening TCP sockets, the oldest first.
func (p process) listening() []socket {
	ports := map[string]int{}
	table, _ := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", p.pid))
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		const listen = "0A" // of the kernel's enum of TCP states
		if len(f) < 10 || f[3] != listen {
			continue
		}
		_, hex, _ := strings.Cut(f[1], ":")
		if port, err := strconv.ParseUint(hex, 16, 16); err == nil {
			ports["socket:["+f[9]+"]"] = int(port)
		}
	}
	var found []socket
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.pid))
	for _, link := range links {
		to, _ := os.Readlink(link)
		fd, err := strconv.Atoi(filepath.Base(link))
		if port, ok := ports[to]; ok && err == nil {
			found = append(found, socket{fd, port})
		}
	}
	slices.SortFunc(found, func(a, b socket) int { return a.fd - b.fd })
	return found
}
