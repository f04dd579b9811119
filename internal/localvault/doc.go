// Package localvault is the machine's own store of secrets and the API through
// which programs of the same user reach it.
//
// The store is a database of github.com/tailscale/setec/db: one file, encrypted,
// rewritten whole at each change. Its invariants: one process at a time has it
// open, because two writers lose each other's data in silence; a write that was
// acknowledged survives the end of the process and of the power; a key that
// does not fit changes nothing; and while the key is changed the store opens with a
// key that is on the disk.
//
// The API is setec's, so that its Go client and its command line work unchanged,
// and Leger's own under /leger/v1/. It is served on a unix socket (and, when
// asked for, on a loopback port) to processes of the same user and to nobody
// else, and never to a browser.
//
// Leger's secrets are called leger/{user_uuid}/{name}. Other names belong to
// whoever stores them with setec's tools; Leger keeps them and does nothing else
// with them. Two are for itself, and are not listed: leger-replacing/… (Replace) and
// leger-digests/key.
//
// The package deliberately knows nothing of Podman: what follows from a write is
// the daemon's business.
package localvault
