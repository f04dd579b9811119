// Package quadlet reads quadlets, the unit files from which Podman's systemd
// generator makes services, and tells what a set of them is: its units and their
// names, the images, secrets, ports and volumes they use, what is wrong with
// them, and what about them the user should know before they run.
//
// It is the only quadlet parser of Leger. Its invariants: it never executes,
// dials or follows anything, so that a stranger's files can be read with it; it
// finds all problems at once, each with file and line; and the same files always
// give the same Set. It reads values as Podman's generator does (Podman 5.8),
// which differs from systemd where Podman differs from systemd.
//
// It deliberately does not generate services and does not check the sections
// that Podman hands on to systemd ([Unit], [Service], [Install]) key by key:
// Podman's own generator, run by package podman, has the last word.
package quadlet
