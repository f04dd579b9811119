package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"leger.run/leger/e2e/workerd"

	"leger.run/leger/bench/trial"
)

// Names of the two, as tables show them.
const (
	nameLeger      = "Leger"
	nameTypeScript = "TypeScript"
)

// contender is one of the two workers.
type contender struct {
	name    string
	config  workerd.Config
	shared  string
	bearer  string // of the running one
	http    *http.Client
	running *workerd.Worker
}

// newContenders gives Leger first. Their keys are this run's own.
func newContenders(o options, state string) ([]*contender, error) {
	random := make([]byte, 32+48)
	if _, err := rand.Read(random); err != nil {
		return nil, err
	}
	shared := base64.StdEncoding.EncodeToString(random[32:])
	secrets := map[string]string{"ENCRYPTION_KEY": base64.StdEncoding.EncodeToString(random[:32]), "JWT_SECRET": shared}
	client := trial.NewClient(time.Minute)
	var both []*contender
	for _, c := range []struct{ name, dir string }{{nameLeger, o.worker}, {nameTypeScript, o.typescript}} {
		both = append(both, &contender{name: c.name, shared: shared, http: client, config: workerd.Config{
			Dir: c.dir, Tools: o.tools, Persist: filepath.Join(state, c.name), Secrets: secrets, Quiet: true, Idle: true,
			Edit: func(s workerd.Settings) { s.SetRateLimit("LEGER_REQUESTS", 1_000_000) },
		}})
	}
	return both, nil
}

func (c *contender) start(ctx context.Context) (err error) {
	c.running, err = workerd.Start(ctx, c.config)
	if err != nil {
		return fmt.Errorf("start %s: %w", c.name, err)
	}
	if c.bearer, err = trial.Bearer(c.shared, c.running.URL); err != nil {
		return err
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
	for _, s := range trial.Seeded() {
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
	for _, s := range trial.Seeded() {
		if got[s.Name] != s.Value {
			return fmt.Errorf("%s is not what was stored", s.Name)
		}
	}
	if len(got) != trial.SecretCount {
		return fmt.Errorf("the list holds %d secrets", len(got))
	}
	return nil
}

func (c *contender) create(ctx context.Context, s trial.Secret) error {
	return c.createAt(ctx, "/api/secrets/", s)
}

// createWithLedger is creating as Leger does it, in both.
func (c *contender) createWithLedger(ctx context.Context, s trial.Secret) error {
	if c.name == nameTypeScript {
		return c.createAt(ctx, "/api/ledger/", s)
	}
	return c.create(ctx, s)
}

func (c *contender) createAt(ctx context.Context, path string, s trial.Secret) error {
	var out struct{ Data struct{ Version int } }
	err := c.call(ctx, http.MethodPost, path+s.Name, map[string]string{"value": s.Value}, &out)
	if err == nil && out.Data.Version != 1 {
		err = fmt.Errorf("%s was not created: it is at version %d", s.Name, out.Data.Version)
	}
	return err
}

func (c *contender) remove(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, "/api/secrets/"+name, nil, nil)
}

func (c *contender) call(ctx context.Context, method, path string, in, out any) error {
	return trial.Call(ctx, c.http, method, c.running.Direct+path, c.bearer, in, out)
}
