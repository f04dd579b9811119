package secretsync_test

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"leger.run/leger"
	"leger.run/leger/internal/secretsync"
)

// blocking is a server that answers when it is told to.
type blocking struct {
	*server

	asked, answer chan struct{}
}

func (b blocking) SecretValues(ctx context.Context, etag string) (secretsync.List, error) {
	list, err := b.server.SecretValues(ctx, etag)
	b.asked <- struct{}{}
	<-b.answer
	return list, err
}

// The story: two syncs at once. The first had asked the server before a value
// changed and wrote after the second, so that the older value won.
func TestOfTwoSyncsTheOlderPlanDoesNotWin(t *testing.T) {
	t.Parallel()
	dir, st := t.TempDir(), newStore()
	old := blocking{
		&server{tag: `"old"`, values: []secretsync.Value{value(t, "key", 1, "old")}}, make(chan struct{}), make(chan struct{}),
	}
	waiting := make(chan string, 1)
	syncer := func(srv secretsync.Server) *secretsync.Syncer {
		return secretsync.New(secretsync.Config{
			Server: srv, Local: st, Consent: consents, Memory: secretsync.NewMemory(dir, serverURL, user(t)),
			Lock: secretsync.NewLock(dir, func(holder string) { waiting <- holder }),
		})
	}
	done := make(chan error, 2)
	go func() { _, err := syncer(old).Sync(t.Context()); done <- err }()
	<-old.asked
	go func() {
		_, err := syncer(&server{tag: `"new"`, values: []secretsync.Value{value(t, "key", 2, "new")}}).Sync(t.Context())
		done <- err
	}()
	if holder := <-waiting; !strings.Contains(holder, strconv.Itoa(os.Getpid())) {
		t.Errorf("the one who waits is told of %q", holder)
	}
	close(old.answer)
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if got := st.inPodman()["key"]; got != "new" {
		t.Errorf("Podman has the %s value", got)
	}
}

func TestWaitingForTheLockCanBeInterrupted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	release, err := secretsync.NewLock(dir, nil).Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err = secretsync.NewLock(dir, func(string) { cancel() }).Acquire(ctx)
	if !errors.Is(err, leger.ErrInterrupted) {
		t.Errorf("error = %v", err)
	}
	release()
	again, err := secretsync.NewLock(dir, func(holder string) { t.Errorf("waits for %s", holder) }).Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	again()
}

func TestLockWithoutAPlace(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := secretsync.NewLock(filepath.Join(file, "state"), nil).Acquire(t.Context())
	var e *leger.Error
	if !errors.Is(err, leger.ErrMissingPart) || !errors.As(err, &e) || e.Hint == "" {
		t.Errorf("error = %v", err)
	}
}

// A process that is killed lets go of the lock.
func TestAKilledHolderLetsGo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	holder := exec.CommandContext(t.Context(), "flock", "--no-fork", filepath.Join(dir, "sync.lock"), "sh", "-c", "echo locked; exec sleep 60")
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	waited := false
	release, err := secretsync.NewLock(dir, func(string) {
		waited = true
		_ = holder.Process.Kill()
	}).Acquire(t.Context())
	if err != nil || !waited {
		t.Fatalf("waited %v, %v", waited, err)
	}
	release()
	_ = holder.Wait() // it was killed
}
