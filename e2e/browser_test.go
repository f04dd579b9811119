//go:build e2e

package e2e_test

import (
	"bufio"
	"encoding/json"
	"io"
	"maps"
	"testing"

	"leger.run/leger/e2e/rig"
)

// person is somebody at a Chromium in the machine's network: see
// browser/browser.mjs.
type person struct {
	t   *testing.T
	in  io.WriteCloser
	out *bufio.Scanner
}

// sitDown starts the browser; it ends with the test.
func sitDown(t *testing.T, m *rig.Machine) *person {
	t.Helper()
	cmd := m.HostCommand(t.Context(), "node", "browser/browser.mjs")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatalf("start the browser: %v", err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	return &person{t: t, in: in, out: bufio.NewScanner(out)}
}

// does asks for one action and gives what came of it.
func (p *person) does(action string, words map[string]string) string {
	p.t.Helper()
	request := map[string]string{"do": action}
	maps.Copy(request, words)
	if err := json.NewEncoder(p.in).Encode(request); err != nil {
		p.t.Fatalf("%s: %v", action, err)
	}
	if !p.out.Scan() {
		p.t.Fatalf("%s: the browser is gone: %v", action, p.out.Err())
	}
	var answer struct{ Result, Error string }
	if err := json.Unmarshal(p.out.Bytes(), &answer); err != nil || answer.Error != "" {
		p.t.Fatalf("%s: %s %v", action, answer.Error, err)
	}
	return answer.Result
}
