// Package cli is the leger command: it reads flags, settings and terminals, calls
// the packages that do the work, and prints what they say.
//
// Its invariants: stdout is data and stderr is talk; a secret value never comes
// from the command line and never reaches an error or a log line; an error is
// printed once, with what to do next; every *leger.Error code has one exit code.
//
// It keeps no state between runs but what auth.json and the sync state hold, and
// it deliberately makes no request that a command did not ask for.
package cli
