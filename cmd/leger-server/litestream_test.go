//go:build e2e

package main_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/client"
	"leger.run/leger/internal/killtest"
)

// litestream is Litestream beside a server, with the settings that packaging/ has.
type litestream struct {
	t       *testing.T
	program string
	config  string
	replica string
	log     *os.File
	running *exec.Cmd
}

// newLitestream builds Litestream, and gives it the example's settings for this data.
func newLitestream(t *testing.T, data string) *litestream {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), filepath.Join("..", "..", "e2e", "litestream", "build")).Output()
	if err != nil {
		t.Fatalf("build Litestream: %v", err)
	}
	settings, err := os.ReadFile(filepath.Join("..", "..", "packaging", "litestream", "litestream.yml"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	l := &litestream{
		t: t, program: filepath.Join(strings.TrimSpace(string(out)), "litestream"),
		config: filepath.Join(dir, "litestream.yml"), replica: filepath.Join(dir, "replica"),
	}
	text := string(settings)
	for example, ours := range map[string]string{"/var/lib/leger-server": data, "/mnt/backup/leger": l.replica} {
		if !strings.Contains(text, example) {
			t.Fatalf("the example names no %s", example)
		}
		text = strings.ReplaceAll(text, example, ours)
	}
	if err := os.WriteFile(l.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if l.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.kill()
		_ = l.log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(l.log.Name())
			t.Logf("Litestream's log:\n%s", text[max(0, len(text)-20_000):])
		}
	})
	return l
}

func (l *litestream) start() {
	l.t.Helper()
	l.running = exec.CommandContext(context.WithoutCancel(l.t.Context()), l.program, "replicate", "-config", l.config)
	l.running.Stdout, l.running.Stderr = l.log, l.log
	if err := l.running.Start(); err != nil {
		l.t.Fatal(err)
	}
}

func (l *litestream) kill() {
	if l.running != nil {
		_ = l.running.Process.Kill()
		_ = l.running.Wait()
		l.running = nil
	}
}

// restore gives what the replica has as a database, or why it gives none.
func (l *litestream) restore() (string, error) {
	file := filepath.Join(l.t.TempDir(), "leger.db")
	out, err := exec.CommandContext(l.t.Context(), l.program, "restore", "-config", l.config, "-o", file,
		l.database()).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return file, nil
}

func (l *litestream) database() string {
	text, err := os.ReadFile(l.config)
	if err != nil {
		l.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "- path: ")
	path, _, _ := strings.Cut(rest, "\n")
	return path
}

// Litestream copies the database while 50 clients write. Server and Litestream are killed
// at random. What the replica gives is whole at each moment, and holds all that was
// acknowledged once Litestream has caught up; a server restored from it goes on.
func TestLitestreamKilledUnderWrites(t *testing.T) { //nolint:paralleltest // it measures
	data := filepath.Join(t.TempDir(), "data")
	ack := &acknowledged{newest: map[string]leger.Version{}, checked: map[string]leger.Version{}, values: map[string]map[leger.Version]string{}}
	seed := rand.Uint64()
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	s := start(t, data, nil)
	l := newLitestream(t, data)
	l.start()
	rounds := killtest.Times(t, 12)
	behind := 0
	for round := range rounds {
		if round%3 != 0 {
			time.AfterFunc(time.Duration(1000+random.IntN(1500))*time.Millisecond, func() { _ = l.running.Process.Kill() })
		}
		load(t, s, s.client(), ack, round, time.Duration(1000+random.IntN(1500))*time.Millisecond)
		if round%3 != 0 {
			_ = l.running.Wait()
		}
		// The machine may be lost now: this is all there is.
		if file, err := l.restore(); err == nil {
			succeeds(t, "verify", file, "--data", data)
			behind++
		}
		s = start(t, data, nil)
		checkAcknowledged(t, s.client(), ack)
		if round%3 != 0 {
			l.start()
		}
	}
	if behind < rounds/2 {
		t.Errorf("the replica gave a database %d times in %d rounds: this tested nothing", behind, rounds)
	}
	file := l.caughtUp(ack)
	s.kill()

	elsewhere := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(elsewhere, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"encryption.key", "jwt.secret"} {
		copyFile(t, filepath.Join(data, key), filepath.Join(elsewhere, key))
	}
	wantText(t, succeeds(t, "restore", file, "--data", elsewhere), "Every record was opened", "fits its chains")
	restored := start(t, elsewhere, nil)
	checkAcknowledged(t, restored.client(), ack)
	set(t, restored.client(), shared, "it goes on")
	restored.kill()
	succeeds(t, "audit", "verify", "--data", elsewhere)
}

// caughtUp waits until the replica holds the newest version of each secret, and gives
// the database that it gives then.
func (l *litestream) caughtUp(ack *acknowledged) (file string) {
	l.t.Helper()
	deadline, tick := time.After(time.Minute), time.NewTicker(500*time.Millisecond)
	defer tick.Stop()
	for {
		file, err := l.restore()
		if err == nil {
			if err = l.lacks(file, ack); err == nil {
				return file
			}
		}
		select {
		case <-deadline:
			l.t.Fatalf("the replica does not catch up: %v", err)
		case <-tick.C:
		}
	}
}

func (l *litestream) lacks(file string, ack *acknowledged) error {
	there := versionsIn(l.t, file)
	var errs []error
	for secret, version := range ack.newest {
		if there[secret] < version {
			errs = append(errs, fmt.Errorf("%s is at %d, not %d", secret, there[secret], version))
		}
	}
	return errors.Join(errs...)
}

// versionsIn reads the version of each secret in a database.
func versionsIn(t *testing.T, file string) map[string]leger.Version {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	rows, err := db.QueryContext(t.Context(), `SELECT name, version FROM secrets WHERE deleted_at IS NULL`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	there := map[string]leger.Version{}
	for rows.Next() {
		var secret string
		var version leger.Version
		if err := rows.Scan(&secret, &version); err != nil {
			t.Fatal(err)
		}
		there[secret] = version
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return there
}

// TestLitestreamCosts measures what Litestream costs the server's writes, side by side.
func TestLitestreamCosts(t *testing.T) { //nolint:paralleltest // it measures
	data := filepath.Join(t.TempDir(), "data")
	s := start(t, data, nil)
	c := s.client()
	l := newLitestream(t, data)
	const turns, length = 4, 3 * time.Second
	var alone, beside, log, logBeside int64
	for range turns {
		n, size := writesIn(t, c, data, length)
		alone, log = alone+n, max(log, size)
		l.start()
		writesIn(t, c, data, length) // the first copy
		n, size = writesIn(t, c, data, length)
		beside, logBeside = beside+n, max(logBeside, size)
		l.kill()
	}
	t.Logf("writes of %d clients: %d alone, %d beside Litestream, %.2f times as many; SQLite's log at most %.1f and %.1f MB",
		writers, alone, beside, float64(beside)/float64(alone), float64(log)/1e6, float64(logBeside)/1e6)
	if beside*10 < alone {
		t.Errorf("Litestream nearly stops the writes: %d of %d", beside, alone)
	}
}

// writesIn counts the writes that are acknowledged within d, and gives the greatest size
// of SQLite's log meanwhile.
func writesIn(t *testing.T, c *client.Client, data string, d time.Duration) (n, log int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var count atomic.Int64
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			secret := name(t, fmt.Sprintf("own_%d", w))
			for i := 0; ctx.Err() == nil; i++ {
				value := fmt.Sprintf("%d %d", time.Now().UnixNano(), i)
				if _, err := c.SetSecret(ctx, secret, leger.NewPlaintext([]byte(value)), 0); err == nil {
					count.Add(1)
				} else if ctx.Err() == nil {
					t.Error(err)
					return
				}
			}
		})
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		if info, err := os.Stat(filepath.Join(data, "leger.db-wal")); err == nil {
			log = max(log, info.Size())
		}
		<-tick.C
	}
	group.Wait()
	return count.Load(), log
}
