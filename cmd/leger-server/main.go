// Command leger-server is Leger's API and web app in one program, on an embedded
// SQLite database.
package main

import (
	"context"
	"crypto/rand"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	p := program{
		args: os.Args[1:], getenv: os.Getenv, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		now: time.Now, every: time.Tick, random: rand.Reader,
	}
	code := p.main(ctx)
	stop()
	os.Exit(code)
}
