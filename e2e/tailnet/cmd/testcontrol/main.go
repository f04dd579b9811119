// Testcontrol is a Tailscale control server for the machine tests. It runs
// Tailscale's own test server, puts the identity a test wants into what it
// tells the node, and lets the test put the node into other states while it
// runs.
//
//	testcontrol [-listen ADDR] [-login NAME] [-display NAME] [-user-id N]
//	            [-tailnet NAME] [-suffix NAME] [-require-login]
//
// When it listens it prints one line, "READY http://ADDR". Besides Tailscale's
// protocol it answers
//
//	GET   /rig/state   the State as JSON
//	PATCH /rig/state   changes the given fields and tells the nodes at once
//	POST  /rig/login   {"url": "…"} completes the interactive login that
//	                   "tailscale up" waits for; only with -require-login
//
// It serves one node, or several that all have the same owner and are not told how
// to reach each other; or, with members in its state, a network of nodes. Stopping and logging out need nothing of this
// server: "tailscale down" and "tailscale logout" do it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	if err := run(os.Args[1:]); err != nil {
		log.Fatalln("testcontrol:", err)
	}
}

func run(args []string) error {
	var state State
	flags := flag.NewFlagSet("testcontrol", flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:0", "loopback address to listen on")
	flags.StringVar(&state.LoginName, "login", "alice@github", "login name of the node's owner")
	flags.StringVar(&state.DisplayName, "display", "Alice", "display name of the node's owner")
	flags.Int64Var(&state.UserID, "user-id", 123456789, "Tailscale user id of the node's owner")
	flags.StringVar(&state.Tailnet, "tailnet", "example.ts.net", "name of the tailnet")
	flags.StringVar(&state.MagicDNSSuffix, "suffix", "example.ts.net", "MagicDNS suffix of the tailnet")
	requireLogin := flags.Bool("require-login", false, "make new nodes log in at a URL, as people do")
	if err := flags.Parse(args); err != nil {
		return err
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", *listen)
	if err != nil {
		return err
	}
	if !listener.Addr().(*net.TCPAddr).IP.IsLoopback() {
		return fmt.Errorf("%s is not a loopback address", *listen)
	}
	relays, err := startRelay(ctx)
	if err != nil {
		return fmt.Errorf("start relay: %w", err)
	}
	url := "http://" + listener.Addr().String()

	server := &http.Server{
		Handler:           newControl(url, relays, state, *requireLogin).handler(),
		ReadHeaderTimeout: 5 * time.Second,
	}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	fmt.Fprintln(os.Stdout, "READY", url)
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
