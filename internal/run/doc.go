// Package run executes programs for the rest of Leger, and nothing else does.
//
// Its invariants: a program gets exactly the environment the caller lists and
// nothing of Leger's own; it runs in a process group of its own, which is gone
// when the call is over after a cancellation; it cannot fill the memory with its
// output; and no argument ever reaches a log line or an error beyond the
// program's name and its subcommand, because arguments may hold what the user
// would not want to see there. No shell is involved.
//
// It deliberately does not interpret what a program says: an exit code other
// than 0 is a Result, not an error, and the adapters (gitrepo, podman, systemd)
// know what it means.
package run
