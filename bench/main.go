// Command bench measures Leger side by side with setec and PocketBase, in one run
// on one machine, and says whether Leger keeps the speed it promises.
//
// Every server is a process of its own on loopback, with its data on the same
// disk, called by the same Go HTTP client over kept-alive connections. Samples are
// taken in turn, A B C A B C, so that whatever else the machine does falls on all
// alike. Ratios decide; absolute times are told and decide nothing, since they
// belong to the machine. Every answer that is timed is also checked.
//
// The peers are built from the module in bench/peer, with the very versions they were
// released with.
//
// It measures no network, no TLS and no container engine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"leger.run/leger/bench/trial"
)

func main() { trial.Main("bench", run) }

type options struct {
	bin        string
	peers      string
	data       string
	write      string
	rounds     int
	serverOnly bool
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	set := flag.NewFlagSet("bench", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.StringVar(&o.bin, "bin", "bin", "directory of leger, legerd and leger-server")
	set.StringVar(&o.peers, "peers", "bench/peer", "directory of the peers' module")
	set.StringVar(&o.data, "data", "", "directory for the servers' data, on the disk to measure; default the user's cache directory")
	set.StringVar(&o.write, "write", "", "also write the tables into this file, between its markers")
	set.IntVar(&o.rounds, "rounds", 60, "samples of each server for each operation")
	set.BoolVar(&o.serverOnly, "server-only", false, "leave out the command and the daemon")
	if err := set.Parse(args); err != nil {
		return o, err
	}
	if o.rounds < 3 || set.NArg() > 0 {
		return o, errors.New("usage: bench [-bin DIR] [-peers DIR] [-data DIR] [-write FILE] [-rounds N>=3] [-server-only]")
	}
	return o, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if o.bin, err = filepath.Abs(o.bin); err != nil {
		return err
	}
	dir, err := dataDir(o.data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	say := func(format string, a ...any) { _, _ = fmt.Fprintf(stderr, format+"\n", a...) }

	say("building the peers")
	peers := filepath.Join(dir, "peers")
	if err := buildPeers(ctx, o.peers, peers); err != nil {
		return err
	}
	r := newReport(dir)
	if err := measureServers(ctx, o, dir, peers, r, say); err != nil {
		return err
	}
	tables := r.markdown()
	if o.write != "" {
		if err := trial.WriteInto(o.write, "bench", tables); err != nil {
			return err
		}
	}
	if _, err := io.WriteString(stdout, tables); err != nil {
		return err
	}
	return trial.Failure(r.verdicts())
}

// dataDir makes a directory on a real disk: nothing outlives power loss on tmpfs,
// so that there a server that syncs nothing would look as good as one that does.
func dataDir(parent string) (string, error) {
	if parent == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		parent = filepath.Join(cache, "leger-dev")
	}
	parent, err := filepath.Abs(parent)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return "", err
	}
	if kind := fileSystem(parent); kind == "tmpfs" || kind == "ramfs" {
		return "", fmt.Errorf("%s is on %s, which keeps nothing: name a directory on a disk with -data", parent, kind)
	}
	return os.MkdirTemp(parent, "leger-bench-")
}

func measureServers(ctx context.Context, o options, dir, peers string, r *report, say func(string, ...any)) (err error) {
	all := contenders(o.bin, peers, dir)
	defer func() {
		for _, c := range all {
			err = errors.Join(err, c.stop())
		}
	}()
	w := &workload{secrets: trial.Seeded()}
	for _, c := range all {
		say("starting %s", c.name())
		if err := c.start(ctx); err != nil {
			return fmt.Errorf("start %s: %w", c.name(), err)
		}
		rest, err := residentAtRest(ctx, c)
		if err != nil {
			return err
		}
		r.memory(c.name()).started = rest
		if err := c.seed(ctx, w.secrets); err != nil {
			return fmt.Errorf("give %s its secrets: %w", c.name(), err)
		}
	}
	m := measurement{all: all, work: w, rounds: o.rounds, report: r, say: say}
	if err := m.run(ctx); err != nil {
		return err
	}
	if !o.serverOnly {
		leger, ok := all[0].(*leger)
		if !ok {
			return errors.New("the first contender is not Leger")
		}
		if err := measureCommand(ctx, o.bin, dir, leger, w, r, say); err != nil {
			return err
		}
	}
	for _, c := range all {
		say("what an acknowledged write survives: %s", c.name())
		d, err := checkDurability(ctx, c)
		if err != nil {
			return fmt.Errorf("durability of %s: %w", c.name(), err)
		}
		r.durability = append(r.durability, d)
	}
	return nil
}
