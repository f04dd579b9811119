package sqlite_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"leger.run/leger"
	"leger.run/leger/internal/chain"
	"leger.run/leger/internal/killtest"
	"leger.run/leger/internal/sqlite"
	"leger.run/leger/internal/storetest"
)

// The test binary runs itself as a second process: these variables say as what,
// and on which database.
const (
	childRole = "LEGER_SQLITE_TEST_CHILD"
	childPath = "LEGER_SQLITE_TEST_PATH"
)

const childWriters = 8

func runChild(role string) {
	if role == "migrate" {
		fmt.Println("begin")
	}
	s, err := sqlite.Open(context.Background(), sqlite.Config{Path: os.Getenv(childPath)})
	if err != nil {
		fmt.Println("error", err)
		return
	}
	fmt.Println("open")
	switch role {
	case "hold":
		_, err = io.Copy(io.Discard, os.Stdin)
	case "write":
		err = writeForEver(s)
	case "link":
		if err = s.OpenAuditKey(context.Background(), storetest.PlainKeys("key"), rand.Reader); err == nil {
			go linkForEver(s)
			err = writeForEver(s)
		}
	}
	fmt.Println("error", err)
}

// writeForEver puts and reads secrets from several goroutines until it is
// killed, and prints a line for each write that was acknowledged.
func writeForEver(s *sqlite.Store) error {
	ctx := context.Background()
	u, _, err := s.SignIn(ctx, leger.SignIn{Identity: owner(), At: start()}, nil)
	if err != nil {
		return err
	}
	failed := make(chan error)
	for i := range childWriters {
		go func() { failed <- writeOne(ctx, s, u.ID, fmt.Sprintf("writer%d", i)) }()
	}
	return <-failed
}

// linkForEver links the audit log as fast as it can.
func linkForEver(s *sqlite.Store) {
	for {
		n, err := s.LinkAudit(context.Background())
		if err != nil {
			fmt.Println("error", err)
			return
		}
		if n > 0 {
			fmt.Println("linked", n)
		}
	}
}

func writeOne(ctx context.Context, s *sqlite.Store, user leger.UserID, secret string) error {
	n, err := leger.ParseSecretName(secret)
	if err != nil {
		return err
	}
	states, err := s.SecretStates(ctx, user, []leger.SecretName{n})
	if err != nil {
		return err
	}
	for v := states[0].Version; ; v++ {
		if err := s.PutSecrets(ctx, []leger.SecretWrite{write(user, n, v, fmt.Sprint(secret, " ", v+1))}); err != nil {
			return err
		}
		fmt.Printf("put %s %d\n", secret, v+1)
		read := leger.AuditEvent{At: start(), User: user, Action: leger.ActionSecretRead, Subject: secret, Version: v + 1}
		if err := s.RecordAccess(ctx, user, []leger.SecretName{n}, read); err != nil {
			return err
		}
		fmt.Printf("read %s %d\n", secret, v+1)
	}
}

type child struct {
	cmd   *exec.Cmd
	stdin io.Closer
	lines *bufio.Scanner
}

func startChild(t *testing.T, role, path string) *child {
	t.Helper()
	c := launchChild(t, role, path)
	if got := c.line(); got != "open" {
		t.Fatalf("the child says %q", got)
	}
	return c
}

func launchChild(t *testing.T, role, path string) *child {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), binary)
	cmd.Env = append(os.Environ(), childRole+"="+role, childPath+"="+path)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return &child{cmd: cmd, stdin: stdin, lines: bufio.NewScanner(stdout)}
}

func (c *child) line() string {
	c.lines.Scan()
	return c.lines.Text()
}

// kill ends the child as a power cut would, as far as a process can tell.
func (c *child) kill(t *testing.T) {
	t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "leger.db")
	c := startChild(t, "hold", path)
	_, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	var e *leger.Error
	if !errors.As(err, &e) || e.Code != leger.CodeUnavailable || e.Hint == "" {
		t.Fatalf("error = %v", err)
	}
	if pid := strconv.Itoa(c.cmd.Process.Pid); !strings.Contains(e.Message, "process "+pid) {
		t.Errorf("%q does not name process %s", e.Message, pid)
	}
	c.kill(t)
	_ = c.cmd.Wait() // says that it was killed
	open(t, sqlite.Config{Path: path})
	if _, err := sqlite.Open(t.Context(), sqlite.Config{Path: path}); !errors.Is(err, leger.ErrUnavailable) {
		t.Errorf("the same process, a second time: %v", err)
	}
}

// Whatever was acknowledged is there after kill -9, whenever it comes: secrets,
// which were synced, and reads, which were not.
func TestAcknowledgedWritesSurviveKill(t *testing.T) {
	t.Parallel()
	rounds := killtest.Times(t, 20)
	path := filepath.Join(t.TempDir(), "leger.db")
	seed := mathrand.Uint64()
	t.Log("seed", seed)
	random := mathrand.New(mathrand.NewPCG(seed, 0))
	acknowledged := make(map[string]bool)
	for range rounds {
		c := startChild(t, "write", path)
		killAfter := random.IntN(300)
		for n := 0; c.lines.Scan(); n++ {
			if strings.HasPrefix(c.lines.Text(), "error") {
				t.Fatalf("the child says %q", c.lines.Text())
			}
			acknowledged[c.lines.Text()] = true
			if n == killAfter {
				c.kill(t)
			}
		}
		_ = c.cmd.Wait() // says that it was killed
		checkAcknowledged(t, path, acknowledged)
	}
	if len(acknowledged) < rounds {
		t.Errorf("only %d writes were acknowledged", len(acknowledged))
	}
}

// Whenever kill -9 comes, between an event and its link or in the middle of linking,
// the log fits its chains and goes on.
func TestChainSurvivesKill(t *testing.T) {
	t.Parallel()
	rounds := killtest.Times(t, 20)
	path := filepath.Join(t.TempDir(), "leger.db")
	seed := mathrand.Uint64()
	t.Log("seed", seed)
	random := mathrand.New(mathrand.NewPCG(seed, 0))
	var before, linked int64
	for round := range rounds {
		c := startChild(t, "link", path)
		killAfter := random.IntN(300)
		for n := 0; c.lines.Scan(); n++ {
			if strings.HasPrefix(c.lines.Text(), "error") {
				t.Fatalf("the child says %q", c.lines.Text())
			}
			if n == killAfter {
				c.kill(t)
			}
		}
		_ = c.cmd.Wait() // says that it was killed
		report := verifyAudit(t, path)
		for _, f := range report.Faults {
			t.Fatalf("round %d: %+v", round, f)
		}
		if report.Total.Events < before {
			t.Errorf("round %d: %d events, and there were %d", round, report.Total.Events, before)
		}
		before, linked = report.Total.Events, report.Total.Linked
	}
	if int(linked) < rounds {
		t.Errorf("only %d events were linked: this tested nothing", linked)
	}
}

func verifyAudit(t *testing.T, path string) chain.Report {
	t.Helper()
	s := open(t, sqlite.Config{Path: path, ReadOnly: true})
	key, err := s.AuditKey(t.Context(), storetest.PlainKeys("key"))
	if err != nil {
		t.Fatal(err)
	}
	report, err := s.VerifyAudit(t.Context(), key, nil)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func checkAcknowledged(t *testing.T, path string, acknowledged map[string]bool) {
	t.Helper()
	s := mustOpen(t, sqlite.Config{Path: path})
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	user := owner().UserID()
	there := eventLines(t, s, user)
	for line := range acknowledged {
		if there[line] != 1 {
			t.Errorf("%q was acknowledged and is there %d times", line, there[line])
		}
	}
	secrets, err := s.SealedSecrets(t.Context(), user, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range secrets {
		if want := fmt.Sprint(secret.Name, " ", secret.Version); string(secret.Ciphertext) != want {
			t.Errorf("%s holds %s, want %s", secret.Name, secret.Ciphertext, want)
		}
		for v := range secret.Version + 2 {
			line, want := fmt.Sprintf("put %s %d", secret.Name, v), 1
			if v == 0 || v > secret.Version {
				want = 0
			}
			if there[line] != want {
				t.Errorf("%s is at version %d with %d audit events for %d: a change and its event came apart", secret.Name, secret.Version, there[line], v)
			}
		}
	}
}

// eventLines counts the audit events, each in the words of the child.
func eventLines(t *testing.T, s *sqlite.Store, user leger.UserID) map[string]int {
	t.Helper()
	verbs := map[leger.Action]string{leger.ActionSecretUpdate: "put", leger.ActionSecretRead: "read"}
	counts := make(map[string]int)
	page := leger.AuditPage{Limit: leger.MaxPageSize}
	for {
		events, next, err := s.AuditEvents(t.Context(), user, page)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			counts[fmt.Sprintf("%s %s %d", verbs[e.Action], e.Subject, e.Version)]++
		}
		if next == 0 {
			return counts
		}
		page.Before = next
	}
}
