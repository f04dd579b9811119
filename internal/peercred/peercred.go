// Package peercred tells whose process is at the other end of a unix socket, as the
// kernel knows it: the mode of a socket's file is not enough, since a directory that
// others may write to lets them put a socket of their own there.
package peercred
