// Command leger keeps API keys in one place, brings them to this machine and runs
// containers with them.
package main

import (
	"context"
	"crypto/rand"
	"os"
	"os/signal"
	"syscall"

	"leger.run/leger/internal/cli"
)

// version is set by the build, with -ldflags "-X main.version=…".
var version = "0.1.0"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	code := cli.Main(ctx, cli.OSEnv(version, rand.Reader))
	stop()
	os.Exit(code)
}
