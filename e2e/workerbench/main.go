// Command workerbench measures Leger's Worker beside the specification's worker in
// plain TypeScript (bench/worker-ts), in one run on one machine, and says whether it
// keeps the speed it promises.
//
// Both run in workerd under wrangler dev, and are called by the same Go HTTP client
// over kept-alive connections, past wrangler's proxy, which takes several times
// longer than either. Samples are taken in turn, each round beginning with the other
// one, and the median of the rounds' ratios decides; absolute times belong to the
// machine. Every answer that is timed is also checked.
//
// It measures the simulation of KV and D1 that wrangler brings, on this machine's
// disk, and no network.
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

func main() { trial.Main("workerbench", run) }

type options struct {
	worker, typescript, tools string
	write                     string
	rounds, starts            int
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	set := flag.NewFlagSet("workerbench", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.StringVar(&o.worker, "worker", "worker", "directory of Leger's Worker, built")
	set.StringVar(&o.typescript, "typescript", "bench/worker-ts", "directory of the TypeScript worker")
	set.StringVar(&o.tools, "tools", "worker", "directory whose node_modules holds node and wrangler")
	set.StringVar(&o.write, "write", "", "also write the tables into this file, between its markers")
	set.IntVar(&o.rounds, "rounds", 20, "samples of each worker for each operation")
	set.IntVar(&o.starts, "starts", 7, "cold starts of each worker")
	if err := set.Parse(args); err != nil {
		return o, err
	}
	if o.rounds < 3 || o.starts < 3 || set.NArg() > 0 {
		return o, errors.New("usage: workerbench [-worker DIR] [-typescript DIR] [-tools DIR] [-write FILE] [-rounds N>=3] [-starts N>=3]")
	}
	for _, dir := range []*string{&o.worker, &o.typescript, &o.tools} {
		var err error
		if *dir, err = filepath.Abs(*dir); err != nil {
			return o, err
		}
	}
	return o, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	state, err := os.MkdirTemp("", "leger-workerbench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(state)) }()
	both, err := newContenders(o, state)
	if err != nil {
		return err
	}
	defer func() {
		for _, c := range both {
			err = errors.Join(err, c.stop())
		}
	}()
	m := measurement{both: both, options: o, report: newReport(), say: func(format string, a ...any) {
		_, _ = fmt.Fprintf(stderr, format+"\n", a...)
	}}
	if err := m.run(ctx); err != nil {
		return err
	}
	tables := m.report.markdown()
	if o.write != "" {
		if err := trial.WriteInto(o.write, "bench-worker", tables); err != nil {
			return err
		}
	}
	if _, err := io.WriteString(stdout, tables); err != nil {
		return err
	}
	return trial.Failure(m.report.verdicts())
}
