package rig

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Image is the image that [Machine.BuildImage] makes.
const Image = "localhost/leger-e2e:latest"

// buildTimeout allows for compiling everything with a cold cache.
const buildTimeout = 10 * time.Minute

// BuildPrograms compiles main packages of this repository, such as
// "./cmd/legerd", into the machine's [Bin], without cgo: the machine's C
// library is not the host's.
func (m *Machine) BuildPrograms(ctx context.Context, packages ...string) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, buildTimeout)
	defer cancel()
	args := append([]string{"build", "-buildvcs=false", "-o", m.bin() + "/"}, packages...)
	build := exec.CommandContext(ctx, "go", args...)
	build.Dir = m.root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		m.t.Fatalf("rig: go build %v: %v\n%s", packages, err, output)
	}
}

// AddPrograms puts programs of the host, statically linked, into the machine's
// [Bin] under their own names.
func (m *Machine) AddPrograms(files ...string) {
	m.t.Helper()
	for _, file := range files {
		if err := place(file, filepath.Join(m.bin(), filepath.Base(file))); err != nil {
			m.t.Fatalf("rig: add %s: %v", file, err)
		}
	}
}

// BuildImage builds [Image] for the test user. Its program and what it answers
// are described in e2e/image.
func (m *Machine) BuildImage(ctx context.Context) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, buildTimeout)
	defer cancel()
	if output, err := m.script(ctx, "image/build", m.state).CombinedOutput(); err != nil {
		m.t.Fatalf("rig: build image: %v\n%s", err, output)
	}
}

// bin is [Bin] on the host's side.
func (m *Machine) bin() string { return filepath.Join(m.state, "share", "bin") }

// place makes the file to the same as from: by a link where one file system
// holds both, else by copying, under another name first, so that a program that
// runs in the machine is replaced and not written into.
func place(from, to string) error {
	temporary := to + ".new"
	if err := os.Link(from, temporary); err != nil {
		if err := copyFile(from, temporary); err != nil {
			return err
		}
	}
	return os.Rename(temporary, to)
}

func copyFile(from, to string) (err error) {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(target, source); err != nil {
		_ = target.Close()
		return fmt.Errorf("copy: %w", err)
	}
	return target.Close()
}
