package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"time"

	"leger.run/leger"
	"leger.run/leger/e2e/workerd"
	"leger.run/leger/internal/token"
)

// Names of the two, as tables show them.
const (
	nameLeger      = "Leger"
	nameTypeScript = "TypeScript"
)

// email is who the benchmark is.
const email = "bench@localhost"

// contender is one of the two workers.
type contender struct {
	name    string
	config  workerd.Config
	bearer  string
	http    *http.Client
	running *workerd.Worker
}

type secret struct{ name, value string }

const secretCount = 100

// seeded is the same for both: 100 secrets of 64 characters, the size of an API key.
func seeded() []secret {
	list := make([]secret, secretCount)
	for i := range list {
		list[i] = secret{fmt.Sprintf("SECRET_%03d", i), valueOf("seed", i)}
	}
	return list
}

func valueOf(kind string, i int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", kind, i))
	return base64.RawStdEncoding.EncodeToString(append(sum[:], sum[:16]...))
}

// newContenders gives Leger first. Their keys are this run's own.
func newContenders(o options, state string) ([]*contender, error) {
	random := make([]byte, 32+48)
	if _, err := rand.Read(random); err != nil {
		return nil, err
	}
	shared := base64.StdEncoding.EncodeToString(random[32:])
	secrets := map[string]string{"ENCRYPTION_KEY": base64.StdEncoding.EncodeToString(random[:32]), "JWT_SECRET": shared}
	bearer, err := signToken(shared)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}}
	var both []*contender
	for _, c := range []struct{ name, dir string }{{nameLeger, o.worker}, {nameTypeScript, o.typescript}} {
		both = append(both, &contender{name: c.name, bearer: bearer, http: client, config: workerd.Config{
			Dir: c.dir, Tools: o.tools, Persist: filepath.Join(state, c.name), Secrets: secrets, Quiet: true, Idle: true,
			Edit: func(s workerd.Settings) { s.SetRateLimit("LEGER_REQUESTS", 1_000_000) },
		}})
	}
	return both, nil
}

func signToken(shared string) (string, error) {
	s, err := token.ParseSecret([]byte(shared))
	if err != nil {
		return "", err
	}
	claims, err := token.New(time.Now(), rand.Reader, leger.LocalIdentity(email), token.IssuerCLI, token.AudienceAccess, "bench")
	if err != nil {
		return "", err
	}
	text, err := token.Sign(s, claims)
	return "Bearer " + text, err
}

func (c *contender) start(ctx context.Context) (err error) {
	c.running, err = workerd.Start(ctx, c.config)
	if err != nil {
		return fmt.Errorf("start %s: %w", c.name, err)
	}
	c.config.Unmigrated = true // from now on they are done
	return nil
}

func (c *contender) stop() error {
	if c.running == nil {
		return nil
	}
	return c.running.Stop()
}

// seed makes the account and its secrets.
func (c *contender) seed(ctx context.Context) error {
	no := map[string]bool{"session": false}
	if err := c.call(ctx, http.MethodPost, "/api/auth/validate", no, nil); err != nil {
		return err
	}
	for _, s := range seeded() {
		if err := c.create(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// list gets all secrets with their values, in one call.
func (c *contender) list(ctx context.Context) error {
	var out struct {
		Data struct {
			Secrets []struct{ Name, Value string }
		}
	}
	if err := c.call(ctx, http.MethodGet, "/api/secrets?include_values=true", nil, &out); err != nil {
		return err
	}
	got := make(map[string]string, len(out.Data.Secrets))
	for _, s := range out.Data.Secrets {
		got[s.Name] = s.Value
	}
	for _, s := range seeded() {
		if got[s.name] != s.value {
			return fmt.Errorf("%s is not what was stored", s.name)
		}
	}
	if len(got) != secretCount {
		return fmt.Errorf("the list holds %d secrets", len(got))
	}
	return nil
}

func (c *contender) create(ctx context.Context, s secret) error {
	return c.createAt(ctx, "/api/secrets/", s)
}

// createWithLedger is creating as Leger does it, in both.
func (c *contender) createWithLedger(ctx context.Context, s secret) error {
	if c.name == nameTypeScript {
		return c.createAt(ctx, "/api/ledger/", s)
	}
	return c.create(ctx, s)
}

func (c *contender) createAt(ctx context.Context, path string, s secret) error {
	var out struct{ Data struct{ Version int } }
	err := c.call(ctx, http.MethodPost, path+s.name, map[string]string{"value": s.value}, &out)
	if err == nil && out.Data.Version != 1 {
		err = fmt.Errorf("%s was not created: it is at version %d", s.name, out.Data.Version)
	}
	return err
}

func (c *contender) remove(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, "/api/secrets/"+name, nil, nil)
}

// call makes one JSON request and decodes the answer into out, if there is one.
func (c *contender) call(ctx context.Context, method, path string, in, out any) (err error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.running.Direct+path, body)
	if err != nil {
		return err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Authorization", c.bearer)
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s: %s", method, path, res.Status, bytes.TrimSpace(text))
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}
