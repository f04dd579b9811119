// Command legerd holds the machine's secrets for Leger: see package daemon.
package main

import (
	"context"
	"os"

	"leger.run/leger/internal/daemon"
)

// version is set by the build, with -ldflags "-X main.version=…".
var version = "0.1.0" // a variable, because the linker can set nothing else

func main() {
	os.Exit(daemon.Main(context.Background(), daemon.Process{
		Args: os.Args[1:], Lookup: os.LookupEnv, Stdout: os.Stdout, Stderr: os.Stderr, Version: version,
	}))
}
