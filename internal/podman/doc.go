// Package podman keeps secrets in the user's Podman, and tells which containers
// and images it has.
//
// It speaks Podman's REST API over the user's socket, because a secret made
// that way takes 1 to 4 ms where the podman program takes 130 ms; the program
// itself is the fallback where no socket can be had. Either way a value travels
// in a request body or on standard input, never in an argument, a query or a
// file.
//
// Its invariant: a secret is replaced or removed only if it is the very one the
// caller saw. Podman takes the beginning of an id for a name, and its own
// "replace" of a name that does not exist may delete another secret; neither
// can happen through this package.
//
// It deliberately does not decide which secrets there should be (daemon does),
// and it keeps no copy of any value.
package podman
