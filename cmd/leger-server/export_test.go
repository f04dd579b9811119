package main

import (
	"context"
	"crypto/rand"
	"io"
	"time"
)

// Serve runs leger-server in the process of the test, where time passes as every says.
func Serve(ctx context.Context, args []string, stderr io.Writer, every func(time.Duration) <-chan time.Time, listening func(addr string)) int {
	return program{
		args: args, getenv: func(string) string { return "" }, stdout: io.Discard, stderr: stderr,
		now: time.Now, every: every, random: rand.Reader, listening: listening,
	}.main(ctx)
}
