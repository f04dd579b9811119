// Package podmantest is a stand-in for Podman's REST socket, for tests of what
// talks to Podman.
//
// It answers as Podman 5.8.6 does where secrets are concerned, its oddities
// included: a duplicate is a 500, the beginning of an id is taken for a name, and
// a body sent as a form arrives empty. One contract test in package podman holds
// it against the real Podman. As version 4 (SetVersion) it also has the fault
// that Podman had then: "replace" of a name that is not there fails or deletes
// the only other secret. Besides secrets it only lists
// containers and volumes, and tells what health checks printed and which images
// there are.
package podmantest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Fake is a Podman that holds secrets in memory.
type Fake struct {
	// Socket is where it listens.
	Socket string

	mu      sync.Mutex
	version string
	next    int
	secrets []Secret
	broken  int // requests left that fail
	// containers as the API lists them, and the names of images
	containers []map[string]any
	images     []string
	volumes    []string
	checks     map[string][]string // what a container's health checks printed, the newest last
	calls      []string
	server     *http.Server
}

// Secret is one secret of the fake's, with its value.
type Secret struct {
	ID, Name  string
	Value     []byte
	Labels    map[string]string
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Start serves on podman.sock in dir, which is to have a short path (a socket's
// has at most 107 bytes), until Stop.
func Start(ctx context.Context, dir string) (*Fake, error) {
	f := &Fake{Socket: filepath.Join(dir, "podman.sock"), version: "5.8.6"}
	f.containers = []map[string]any{}
	return f, f.Listen(ctx)
}

// Listen serves again after Stop.
func (f *Fake) Listen(ctx context.Context) error {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "unix", f.Socket)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_ping", f.ping)
	mux.HandleFunc("GET /{v}/libpod/secrets/json", f.list)
	mux.HandleFunc("GET /{v}/libpod/secrets/{name}/json", f.inspect)
	mux.HandleFunc("POST /{v}/libpod/secrets/create", f.create)
	mux.HandleFunc("DELETE /{v}/libpod/secrets/{name}", f.remove)
	mux.HandleFunc("GET /{v}/libpod/containers/json", func(w http.ResponseWriter, _ *http.Request) { answer(w, f.containers) })
	mux.HandleFunc("GET /{v}/libpod/containers/{name}/json", f.inspectContainer)
	mux.HandleFunc("GET /{v}/libpod/volumes/json", f.listVolumes)
	mux.HandleFunc("GET /{v}/libpod/images/{name}/exists", f.hasImage)
	server := &http.Server{Handler: f.record(mux), ReadHeaderTimeout: time.Minute}
	f.mu.Lock()
	f.server = server
	f.mu.Unlock()
	go func() { _ = server.Serve(ln) }()
	return nil
}

// Stop closes the socket and every connection. The secrets stay.
func (f *Fake) Stop() {
	f.mu.Lock()
	server := f.server
	f.mu.Unlock()
	_ = server.Close()
}

// SetVersion changes the version it reports; an empty one makes it a Docker.
func (f *Fake) SetVersion(v string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.version = v
}

// Break makes the next n requests fail with a 500.
func (f *Fake) Break(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken = n
}

// Run makes a container of this name, run by a unit ("" for none), with a health
// ("" for no check) and ports of the host on 127.0.0.1, in place of one that has
// the name.
func (f *Fake) Run(name, unit, health string, ports ...int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	labels, list := map[string]string{}, []map[string]any{}
	if unit != "" {
		labels["PODMAN_SYSTEMD_UNIT"] = unit
	}
	for _, p := range ports {
		list = append(list, map[string]any{"host_ip": "127.0.0.1", "host_port": p, "container_port": 80, "range": 1, "protocol": "tcp"})
	}
	f.rm(name)
	f.containers = append(f.containers, map[string]any{"Names": []string{name}, "Labels": labels, "State": "running", "Status": health, "Ports": list})
}

// Check notes what a health check of a container printed.
func (f *Fake) Check(name, output string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.checks == nil {
		f.checks = map[string][]string{}
	}
	f.checks[name] = append(f.checks[name], output)
}

func (f *Fake) inspectContainer(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	known := slices.ContainsFunc(f.containers, func(c map[string]any) bool { return slices.Contains(c["Names"].([]string), name) })
	if !known {
		fail(w, http.StatusNotFound, "no such container")
		return
	}
	log := []map[string]any{}
	for _, output := range f.checks[name] {
		log = append(log, map[string]any{"ExitCode": 1, "Output": output})
	}
	answer(w, map[string]any{"Name": name, "State": map[string]any{"Status": "running", "Health": map[string]any{"Log": log}}})
}

// Rm removes a container.
func (f *Fake) Rm(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rm(name)
}

func (f *Fake) rm(name string) {
	f.containers = slices.DeleteFunc(f.containers, func(c map[string]any) bool {
		names, _ := c["Names"].([]string)
		return slices.Contains(names, name)
	})
}

// Pull makes an image be there.
func (f *Fake) Pull(image string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.images = append(f.images, image)
}

// MakeVolume makes a volume be there.
func (f *Fake) MakeVolume(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.volumes = append(f.volumes, name)
}

func (f *Fake) listVolumes(w http.ResponseWriter, _ *http.Request) {
	list := []map[string]any{}
	for _, name := range f.volumes {
		list = append(list, map[string]any{"Name": name})
	}
	answer(w, list)
}

func (f *Fake) hasImage(w http.ResponseWriter, r *http.Request) {
	if !slices.Contains(f.images, r.PathValue("name")) {
		fail(w, http.StatusNotFound, "no such image")
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// Put makes or replaces a secret, as a user with the podman program would.
func (f *Fake) Put(name, value string, labels map[string]string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drop(name)
	f.add(name, []byte(value), labels)
}

// Drop removes a secret by name, as a user with the podman program would.
func (f *Fake) Drop(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drop(name)
}

// Secrets gives a copy of all secrets in order of name.
func (f *Fake) Secrets() []Secret {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := slices.Clone(f.secrets)
	slices.SortFunc(all, func(a, b Secret) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Secret gives the secret of this name.
func (f *Fake) Secret(name string) (Secret, bool) {
	for _, s := range f.Secrets() {
		if s.Name == name {
			return s, true
		}
	}
	return Secret{}, false
}

// Calls gives the method and URL of every request so far: what a log would show.
func (f *Fake) Calls() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

func (f *Fake) add(name string, value []byte, labels map[string]string) string {
	f.next++
	now := time.Now().UTC()
	s := Secret{ID: fmt.Sprintf("%025x", f.next), Name: name, Value: value, Labels: labels, CreatedAt: now, UpdatedAt: now}
	f.secrets = append(f.secrets, s)
	return s.ID
}

func (f *Fake) drop(name string) {
	f.secrets = slices.DeleteFunc(f.secrets, func(s Secret) bool { return s.Name == name })
}

// find looks a secret up by id, by name and by the beginning of an id.
func (f *Fake) find(what string) (Secret, error) {
	var partly []Secret
	for _, s := range f.secrets {
		switch {
		case s.ID == what || s.Name == what:
			return s, nil
		case strings.HasPrefix(s.ID, what):
			partly = append(partly, s)
		}
	}
	switch len(partly) {
	case 0:
		return Secret{}, fmt.Errorf("no secret with name or id %q: no such secret", what)
	case 1:
		return partly[0], nil
	default:
		return Secret{}, fmt.Errorf("more than one result secret with prefix %s: ambiguous secret ID", what)
	}
}

func (f *Fake) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.calls = append(f.calls, r.Method+" "+r.URL.String())
		if f.broken > 0 {
			f.broken--
			fail(w, http.StatusInternalServerError, "disk quota exceeded")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (f *Fake) ping(w http.ResponseWriter, _ *http.Request) {
	if f.version != "" {
		w.Header().Set("Libpod-Api-Version", f.version)
	}
	_, _ = io.WriteString(w, "OK")
}

func (f *Fake) list(w http.ResponseWriter, _ *http.Request) {
	out := make([]any, 0, len(f.secrets))
	for _, s := range f.secrets {
		out = append(out, s.wire())
	}
	answer(w, out)
}

func (f *Fake) inspect(w http.ResponseWriter, r *http.Request) {
	s, err := f.find(r.PathValue("name"))
	if err != nil {
		fail(w, http.StatusNotFound, err.Error())
		return
	}
	answer(w, s.wire())
}

func (f *Fake) create(w http.ResponseWriter, r *http.Request) {
	// Podman's router parses forms, which eats the body of one.
	_ = r.ParseForm()
	value, err := io.ReadAll(r.Body)
	q := r.URL.Query()
	name := q.Get("name")
	var labels map[string]string
	if text := q.Get("labels"); text != "" && err == nil {
		err = json.Unmarshal([]byte(text), &labels)
	}
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	exists := slices.ContainsFunc(f.secrets, func(s Secret) bool { return s.Name == name })
	replace := q.Get("replace") == "true"
	switch {
	case len(value) == 0 || len(value) >= 512_000:
		fail(w, http.StatusInternalServerError, "secret data must be larger than 0 and less than 512000 bytes")
		return
	case exists && !replace:
		fail(w, http.StatusInternalServerError, name+": secret name in use")
		return
	case replace && !exists && strings.HasPrefix(f.version, "4."):
		old, err := f.find("")
		if err != nil {
			fail(w, http.StatusInternalServerError, err.Error())
			return
		}
		f.drop(old.Name)
	case exists:
		f.drop(name)
	}
	answer(w, map[string]string{"ID": f.add(name, value, labels)})
}

func (f *Fake) remove(w http.ResponseWriter, r *http.Request) {
	s, err := f.find(r.PathValue("name"))
	if err != nil {
		fail(w, http.StatusNotFound, err.Error())
		return
	}
	f.drop(s.Name)
	w.WriteHeader(http.StatusNoContent)
}

func (s Secret) wire() any {
	return map[string]any{
		"ID": s.ID, "CreatedAt": s.CreatedAt, "UpdatedAt": s.UpdatedAt,
		"Spec": map[string]any{"Name": s.Name, "Driver": map[string]any{"Name": "file", "Options": map[string]string{}}, "Labels": s.Labels},
	}
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func fail(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{"cause": text, "message": text, "response": code})
}
