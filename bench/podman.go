package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"leger.run/leger/bench/trial"
)

// podman stands in for Podman's REST socket where there is no Podman: it takes
// secrets and keeps them in memory, so that a sync goes its whole way and what it
// costs is Leger's own. The machine test measures the real Podman.
type podman struct {
	server *http.Server

	mu      sync.Mutex
	made    int
	secrets map[string]podmanSecret
}

// podmanSecret is a secret as Podman's API shows it, and its value.
type podmanSecret struct {
	ID        string
	CreatedAt time.Time
	UpdatedAt time.Time
	Spec      podmanSpec
	value     string
}

type podmanSpec struct {
	Name   string
	Labels map[string]string
	Driver struct{ Name string }
}

func startPodman(ctx context.Context, socket string) (*podman, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	p := &podman{secrets: map[string]podmanSecret{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_ping", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Libpod-Api-Version", "5.8.6")
	})
	mux.HandleFunc("GET /{v}/libpod/secrets/json", p.list)
	mux.HandleFunc("GET /{v}/libpod/secrets/{name}/json", p.inspect)
	mux.HandleFunc("POST /{v}/libpod/secrets/create", p.create)
	mux.HandleFunc("DELETE /{v}/libpod/secrets/{id}", p.remove)
	p.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = p.server.Serve(l) }()
	return p, nil
}

func (p *podman) stop() error { return p.server.Close() }

// holds fails unless the values are exactly the ones given.
func (p *podman) holds(want []trial.Secret) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range want {
		if p.secrets[s.Name].value != s.Value {
			return fmt.Errorf("after the sync Podman's trial.Secret %s does not have the server's value", s.Name)
		}
	}
	if len(p.secrets) != len(want) {
		return fmt.Errorf("after the sync Podman has %d secrets, not %d", len(p.secrets), len(want))
	}
	return nil
}

func (p *podman) list(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]podmanSecret, 0, len(p.secrets))
	for _, s := range p.secrets {
		all = append(all, s)
	}
	_ = json.NewEncoder(w).Encode(all)
}

func (p *podman) inspect(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.secrets {
		if s.Spec.Name == r.PathValue("name") || s.ID == r.PathValue("name") {
			_ = json.NewEncoder(w).Encode(s)
			return
		}
	}
	http.Error(w, `{"message":"no such secret"}`, http.StatusNotFound)
}

func (p *podman) create(w http.ResponseWriter, r *http.Request) {
	value, err := io.ReadAll(r.Body)
	q := r.URL.Query()
	name := q.Get("name")
	s := podmanSecret{CreatedAt: time.Now(), UpdatedAt: time.Now(), value: string(value)}
	s.Spec.Name, s.Spec.Driver.Name = name, "file"
	if labels := q.Get("labels"); labels != "" {
		err = errors.Join(err, json.Unmarshal([]byte(labels), &s.Spec.Labels))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, there := p.secrets[name]; err != nil || (there && q.Get("replace") != "true") {
		http.Error(w, `{"message":"secret name in use, or not understood"}`, http.StatusInternalServerError)
		return
	}
	p.made++
	s.ID = fmt.Sprintf("%025x", p.made)
	p.secrets[name] = s
	_ = json.NewEncoder(w).Encode(map[string]string{"ID": s.ID})
}

func (p *podman) remove(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, s := range p.secrets {
		if s.ID == r.PathValue("id") || name == r.PathValue("id") {
			delete(p.secrets, name)
			w.WriteHeader(http.StatusNoContent)
			return
		}
	}
	http.Error(w, `{"message":"no such secret"}`, http.StatusNotFound)
}
