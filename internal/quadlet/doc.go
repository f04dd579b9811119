// Package quadlet reads quadlets, the unit files from which Podman's systemd
// generator makes services, and tells what a set of them is: its units and their
// names, the images, secrets, ports, mounts and other units they use, what is
// wrong with them, and what about them the user should know before they run.
//
// It is the only quadlet parser of Leger. Its invariants: it never executes,
// dials or follows anything, so that a stranger's files can be read with it; it
// finds all problems at once, each with file and line; and the same files always
// give the same Set. It reads values as Podman's generator does, which differs
// from systemd where Podman differs from systemd: every fixture in
// testdata/fixtures is held against Podman 5.8.6 on the test machine, verdict and
// units. Files of several quadlets (.quadlets) are read as "podman quadlet
// install" reads them.
//
// What Podman refuses is a problem here. So is, on purpose, what Podman takes
// without doing what is written, or what cannot work once it is started: a line
// that it skips because of a backslash, words after an empty one, a section or a
// drop-in without effect, a port, secret or mount that "podman run" refuses, a
// file that is not there, two quadlets that want one unit, name or port, quadlets
// that wait for each other, text that hides what it says, and what is over a
// limit. The fixtures say "leger: refuses" of each.
//
// It deliberately does not generate services and does not check the sections
// that Podman hands on to systemd ([Unit], [Service], [Install]) key by key:
// Podman's own generator, run by package podman, has the last word. Keys of a
// Podman that is newer than 5.8 are unknown to it, and marked as unsure.
package quadlet
