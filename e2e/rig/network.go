package rig

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"syscall"
)

// Dial connects from inside the machine's network, to an address with a literal
// IP or localhost: "127.0.0.1:8787" is the machine's loopback, not the host's.
func (m *Machine) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	// A name could have several addresses, which net dials from goroutines of
	// their own, out of the thread that is in the machine's network.
	if net.ParseIP(host) == nil {
		return nil, fmt.Errorf("dial %s: only IP addresses and localhost", address)
	}
	type dialed struct {
		connection net.Conn
		err        error
	}
	done := make(chan dialed, 1)
	go func() {
		// Never unlocked: the thread stays in the machine's network, so it must
		// end with this goroutine and serve no other.
		runtime.LockOSThread()
		if err := joinNetwork(m.pid); err != nil {
			done <- dialed{err: err}
			return
		}
		var dialer net.Dialer
		connection, err := dialer.DialContext(ctx, network, net.JoinHostPort(host, port))
		done <- dialed{connection, err}
	}()
	result := <-done
	return result.connection, result.err
}

// HTTPClient returns a client whose requests come from inside the machine's
// network.
func (m *Machine) HTTPClient() *http.Client {
	transport := &http.Transport{DialContext: m.Dial, MaxIdleConnsPerHost: 4}
	m.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// joinNetwork moves the calling thread into the network namespace of a process.
func joinNetwork(pid int) error {
	// The syscall package has no name for setns.
	setns, known := map[string]uintptr{"amd64": 308, "arm64": 268}[runtime.GOARCH]
	if !known {
		return fmt.Errorf("join network: no number for setns on %s", runtime.GOARCH)
	}
	file := "/proc/" + strconv.Itoa(pid) + "/ns/net"
	descriptor, err := syscall.Open(file, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("join network: open %s: %w", file, err)
	}
	defer func() { _ = syscall.Close(descriptor) }()
	if _, _, errno := syscall.RawSyscall(setns, uintptr(descriptor), syscall.CLONE_NEWNET, 0); errno != 0 {
		return fmt.Errorf("join network: %w", errno)
	}
	return nil
}
