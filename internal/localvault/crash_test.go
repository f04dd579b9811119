package localvault_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/killtest"
	"leger.run/leger/internal/localvault"
)

// A daemon is killed again and again while secrets are written through it. What
// it has acknowledged is there afterwards; what it has not is there whole or not
// at all.
func TestKilledDaemonLosesNothingItAcknowledged(t *testing.T) {
	t.Parallel()
	kills := killtest.Times(t, 40)
	dir := shortDir(t)
	names := []leger.SecretName{name(t, "a"), name(t, "b"), name(t, "c")}
	acked := make([]leger.Version, len(names))
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for round := range kills {
		d := startDaemon(t, dir)
		// Writes until the daemon dies under one of them: after a few that went well, at
		// any moment of the next.
		timer := (*time.Timer)(nil)
		for i, left := 0, random.IntN(8); ; i, left = (i+1)%len(names), left-1 {
			if left == 0 || timer == nil && left < 0 {
				timer = time.AfterFunc(time.Duration(random.IntN(8_000))*time.Microsecond, d.kill)
			}
			// One ahead of what was acknowledged may be taken: by the write that the last
			// kill cut off after it had reached the disk.
			v := acked[i] + 1
			err := d.client.CreateVersion(t.Context(), user(t, 1), names[i], v, text(valueOf(names[i], v)))
			if err != nil && leger.CodeOf(err) != leger.CodeConflict {
				break
			}
			acked[i] = v
		}
		timer.Stop()
		d.kill()
		d.wait()
		verify(t, dir, names, acked, round)
	}
	total := leger.Version(0)
	for _, v := range acked {
		total += v
	}
	if int(total) < kills {
		t.Errorf("only %d writes were acknowledged in %d rounds: nothing was tested", total, kills)
	}
	t.Logf("%d acknowledged writes in %d rounds", total, kills)
}

func valueOf(n leger.SecretName, v leger.Version) string {
	return strings.Repeat(fmt.Sprintf("%s %d;", n, v), 500)
}

func verify(t *testing.T, dir string, names []leger.SecretName, acked []leger.Version, round int) {
	t.Helper()
	store, err := localvault.Open(localvault.Config{Dir: filepath.Join(dir, "data"), Key: testKey(7)})
	if err != nil {
		t.Fatalf("round %d: %v", round, err)
	}
	defer store.Close() // only read
	for i, n := range names {
		if acked[i] == 0 {
			continue
		}
		value, v, err := store.Value(user(t, 1), n)
		switch {
		case err != nil:
			t.Fatalf("round %d: %s: %v", round, n, err)
		case v < acked[i] || v > acked[i]+1:
			t.Fatalf("round %d: %s is at version %d, %d was acknowledged", round, n, v, acked[i])
		case string(value.Reveal()) != valueOf(n, v):
			t.Fatalf("round %d: version %d of %s is not what was written", round, v, n)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, "data", "*.tmp*"))
	if err != nil || len(left) != 0 {
		t.Fatalf("round %d: half-written files were left: %v %v", round, left, err)
	}
}

type childDaemon struct {
	cmd    *exec.Cmd
	client *localvault.Client
}

// startDaemon runs serveRole in a process of its own and waits until it serves.
func startDaemon(t *testing.T, dir string, env ...string) childDaemon {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "LOCALVAULT_TEST_ROLE=serve", "DIR="+dir)
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "serving\n" {
		t.Fatalf("the daemon did not start: %q %v", line, err)
	}
	return childDaemon{cmd, localvault.NewClient(localvault.ClientConfig{Socket: filepath.Join(dir, "s")})}
}

func (d childDaemon) kill() { _ = d.cmd.Process.Kill() }

func (d childDaemon) wait() {
	_ = d.cmd.Wait()
	d.client.Close()
}
