// Package daemon is legerd: it holds the machine's secrets and sees to it that
// Podman has exactly those of the user who synced last.
//
// Its invariants: a Podman secret that does not carry Leger's label is never
// replaced or removed until its owner says so (adopt); whatever goes wrong, the
// next reconciliation finishes the job, because each one starts from what the
// store and Podman hold and from nothing else; and the store is served whether
// Podman is there or not.
//
// It deliberately talks to no server (the CLI syncs) and keeps no values outside
// the store. When there is nothing to do it does nothing: it waits for requests,
// and looks at Podman every few minutes for secrets that were removed by hand.
package daemon
