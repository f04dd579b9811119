package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"leger.run/leger/bench/trial"
)

// sharedSecret is the installation's trial.Secret; it guards nothing but this run's data.
const sharedSecret = "a shared secret of the benchmark, 32 bytes or more"

// leger is the real leger-server as a child process.
type leger struct {
	program, data string
	http          *http.Client
	url, token    string
	*process
}

func (l *leger) name() string  { return "Leger" }
func (l *leger) calls(int) int { return 1 }
func (l *leger) survives() string {
	return "power loss: SQLite in WAL with `synchronous=FULL`, synced before the answer"
}

func (l *leger) start(ctx context.Context) error {
	secretFile := l.secretFile()
	if err := os.MkdirAll(l.data, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(secretFile, []byte(sharedSecret), 0o600); err != nil {
		return err
	}
	// What an earlier start logged must not be taken for this one's.
	if err := os.RemoveAll(l.data + ".log"); err != nil {
		return err
	}
	p, _, err := launch(ctx, l.data, []string{"JWT_SECRET_FILE=" + secretFile},
		l.program, "--listen", "127.0.0.1:0", "--data", l.data, "--rate-limit", "0")
	if err != nil {
		return err
	}
	l.process = p
	if l.url, err = listening(ctx, l.data+".log"); err != nil {
		return errors.Join(err, p.stop())
	}
	if l.token, err = trial.Bearer(sharedSecret, l.url); err != nil {
		return err
	}
	no := map[string]bool{"session": false}
	return trial.Call(ctx, l.http, http.MethodPost, l.url+"/api/auth/validate", l.token, no, nil)
}

func (l *leger) secretFile() string { return filepath.Join(filepath.Dir(l.data), "jwt.secret") }

// listening waits for the log line that tells the address.
func listening(ctx context.Context, log string) (url string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		text, err := os.ReadFile(log) //nolint:gosec // the benchmark's own directory
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
		for s := bufio.NewScanner(strings.NewReader(string(text))); s.Scan(); {
			var line struct{ Msg, Address string }
			if json.Unmarshal(s.Bytes(), &line) == nil && line.Msg == "listening" {
				return "http://" + line.Address, nil
			}
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("leger-server did not say where it listens: %w\n%s", ctx.Err(), text)
		case <-tick.C:
		}
	}
}

type legerSecret struct{ Name, Value string }

func (l *leger) seed(ctx context.Context, secrets []trial.Secret) error {
	items := make([]map[string]string, len(secrets))
	for i, s := range secrets {
		items[i] = map[string]string{"name": s.Name, "value": s.Value}
	}
	var out struct{ Data struct{ Applied bool } }
	err := trial.Call(ctx, l.http, http.MethodPost, l.url+"/api/secrets:batch", l.token, map[string]any{"secrets": items}, &out)
	if err == nil && !out.Data.Applied {
		err = errors.New("the batch was not applied")
	}
	return err
}

func (l *leger) list(ctx context.Context) (map[string]string, error) {
	var out struct {
		Data struct{ Secrets []legerSecret }
	}
	if err := trial.Call(ctx, l.http, http.MethodGet, l.url+"/api/secrets?include_values=true", l.token, nil, &out); err != nil {
		return nil, err
	}
	got := make(map[string]string, len(out.Data.Secrets))
	for _, s := range out.Data.Secrets {
		got[s.Name] = s.Value
	}
	return got, nil
}

func (l *leger) read(ctx context.Context, name string) (string, error) {
	var out struct{ Data legerSecret }
	err := trial.Call(ctx, l.http, http.MethodGet, l.url+"/api/secrets/"+name, l.token, nil, &out)
	return out.Data.Value, err
}

func (l *leger) create(ctx context.Context, s trial.Secret) error {
	var out struct {
		Data struct {
			Version int
			Changed bool
		}
	}
	err := trial.Call(ctx, l.http, http.MethodPost, l.url+"/api/secrets/"+s.Name, l.token, map[string]string{"value": s.Value}, &out)
	if err == nil && (!out.Data.Changed || out.Data.Version != 1) {
		err = fmt.Errorf("%s was not created: %+v", s.Name, out.Data)
	}
	return err
}

func (l *leger) remove(ctx context.Context, name string) error {
	return trial.Call(ctx, l.http, http.MethodDelete, l.url+"/api/secrets/"+name, l.token, nil, nil)
}
