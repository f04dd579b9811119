//go:build !linux

package main

import "golang.org/x/sys/unix"

// forbidCoreDumps keeps secrets out of core files.
func forbidCoreDumps() error {
	return unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
}

// lockMemory does nothing here.
func lockMemory() error { return nil }
