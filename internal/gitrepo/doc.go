// Package gitrepo fetches the files of a release from a Git repository that may
// belong to a stranger, with the git program.
//
// Its invariants: git never runs anything that the repository brings (hooks,
// filters, submodules, LFS, remote helpers) and asks nobody anything; no operand
// can be taken for an option, and the configuration of the machine and of the
// user has no say, except the user's credential helpers and ssh settings where
// they were asked for; nothing is ever checked out, so that nothing in the tree
// can lead out of it: files are read from git's objects; and time, disk and
// memory are bounded.
//
// It deliberately keeps no clone between calls: a release's directory is small,
// and the tip of a branch is fetched alone.
package gitrepo
