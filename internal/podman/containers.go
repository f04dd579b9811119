package podman

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"

	"leger.run/leger"
)

// unitLabel is what Podman writes on a container that a systemd unit runs.
const unitLabel = "PODMAN_SYSTEMD_UNIT"

// Containers lists all containers, running or not, whoever made them. Podman calls
// a container running until it has cleaned up after it, which may take seconds on
// a busy machine: one whose first process is gone is not up.
func (c *Client) Containers(ctx context.Context) ([]leger.Container, error) {
	all, err := call(ctx, c, backend.containers)
	for i, found := range all {
		if found.PID > 0 {
			_, gone := os.Stat("/proc/" + strconv.Itoa(found.PID))
			all[i].Up = found.Up && !errors.Is(gone, fs.ErrNotExist)
		}
	}
	return all, err
}

// HealthOutput gives what the newest health check of a container printed; "" for
// none, and for a container that there is not. It may hold anything.
func (c *Client) HealthOutput(ctx context.Context, container string) (string, error) {
	return call(ctx, c, func(b backend, ctx context.Context) (string, error) { return b.healthOutput(ctx, container) })
}

// wireHealth is what a container's inspection tells of its health checks.
type wireHealth struct {
	State struct {
		Health struct {
			Log []struct{ Output string }
		}
	}
}

func (w wireHealth) output() string {
	log := w.State.Health.Log
	if len(log) == 0 {
		return ""
	}
	return log[len(log)-1].Output
}

func (r *rest) healthOutput(ctx context.Context, container string) (string, error) {
	a, err := r.do(ctx, http.MethodGet, r.prefix+"/libpod/containers/"+url.PathEscape(container)+"/json", nil)
	switch {
	case err != nil:
		return "", err
	case a.code == http.StatusNotFound:
		return "", nil
	case a.code != http.StatusOK:
		return "", a.failure("inspect the container " + container)
	}
	var found wireHealth
	if err := json.Unmarshal(a.body, &found); err != nil {
		return "", leger.Wrap(leger.CodeUnavailable, err, "Podman's account of a container was not understood")
	}
	return found.output(), nil
}

func (p *program) healthOutput(ctx context.Context, container string) (string, error) {
	res, err := p.podman(ctx, nil, "container", "inspect", "--", container)
	if err != nil || res.Code != 0 {
		return "", err
	}
	var found []wireHealth
	if err := json.Unmarshal(res.Stdout, &found); err != nil || len(found) == 0 {
		return "", leger.Wrap(leger.CodeUnavailable, err, "Podman's account of a container was not understood")
	}
	return found[0].output(), nil
}

// MissingImages gives those of the images that this machine does not have.
func (c *Client) MissingImages(ctx context.Context, names []string) ([]string, error) {
	var missing []string
	for _, name := range names {
		found, err := call(ctx, c, func(b backend, ctx context.Context) (bool, error) { return b.hasImage(ctx, name) })
		if err != nil {
			return nil, err
		}
		if !found {
			missing = append(missing, name)
		}
	}
	return missing, nil
}

// Volumes lists all volumes by name, whoever made them.
func (c *Client) Volumes(ctx context.Context) ([]string, error) {
	return call(ctx, c, backend.volumes)
}

// parseVolumes reads volumes as Podman's API and "podman volume ls" list them.
func parseVolumes(body []byte) ([]string, error) {
	var wire []struct{ Name string }
	if err := json.Unmarshal(body, &wire); err != nil {
		return nil, leger.Wrap(leger.CodeUnavailable, err, "Podman's list of volumes was not understood")
	}
	names := make([]string, 0, len(wire))
	for _, v := range wire {
		names = append(names, v.Name)
	}
	return names, nil
}

// wireContainer is a container as Podman's API and "podman ps" list it.
type wireContainer struct {
	Names   []string
	Labels  map[string]string
	State   string
	Status  string
	PodName string
	Pid     int
	Ports   []struct {
		HostIP   string `json:"host_ip"`
		HostPort int    `json:"host_port"`
		Range    int    `json:"range"`
		Protocol string `json:"protocol"`
	}
}

// health finds the word in "healthy" (the API) and "Up 5 seconds (healthy)" (the
// program).
var health = regexp.MustCompile(`\b(starting|healthy|unhealthy)\b`)

func parseContainers(body []byte) ([]leger.Container, error) {
	var wire []wireContainer
	if err := json.Unmarshal(body, &wire); err != nil {
		return nil, leger.Wrap(leger.CodeUnavailable, err, "Podman's list of containers was not understood")
	}
	all := make([]leger.Container, 0, len(wire))
	for _, w := range wire {
		c := leger.Container{Unit: w.Labels[unitLabel], Pod: w.PodName, PID: w.Pid, Health: health.FindString(w.Status)}
		c.Up = w.State != "exited" && w.State != "dead" && w.State != "created" && w.State != "configured"
		if len(w.Names) > 0 {
			c.Name = w.Names[0]
		}
		for _, p := range w.Ports {
			for n := range max(p.Range, 1) {
				c.Ports = append(c.Ports, leger.Port{Address: p.HostIP, Number: p.HostPort + n, Protocol: p.Protocol})
			}
		}
		all = append(all, c)
	}
	return all, nil
}

func (r *rest) containers(ctx context.Context) ([]leger.Container, error) {
	a, err := r.do(ctx, http.MethodGet, r.prefix+"/libpod/containers/json?all=true", nil)
	if err != nil {
		return nil, err
	}
	if a.code != http.StatusOK {
		return nil, a.failure("list its containers")
	}
	return parseContainers(a.body)
}

func (r *rest) volumes(ctx context.Context) ([]string, error) {
	a, err := r.do(ctx, http.MethodGet, r.prefix+"/libpod/volumes/json", nil)
	if err != nil {
		return nil, err
	}
	if a.code != http.StatusOK {
		return nil, a.failure("list its volumes")
	}
	return parseVolumes(a.body)
}

func (r *rest) hasImage(ctx context.Context, name string) (bool, error) {
	a, err := r.do(ctx, http.MethodGet, r.prefix+"/libpod/images/"+url.PathEscape(name)+"/exists", nil)
	switch {
	case err != nil:
		return false, err
	case a.code == http.StatusNoContent:
		return true, nil
	case a.code == http.StatusNotFound:
		return false, nil
	default:
		return false, a.failure("look for the image " + name)
	}
}

func (p *program) containers(ctx context.Context) ([]leger.Container, error) {
	res, err := p.podman(ctx, nil, "ps", "--all", "--format", "json")
	if err != nil {
		return nil, err
	}
	if res.Code != 0 {
		return nil, failed(res, "list its containers")
	}
	return parseContainers(res.Stdout)
}

func (p *program) volumes(ctx context.Context) ([]string, error) {
	res, err := p.podman(ctx, nil, "volume", "ls", "--format", "json")
	if err != nil {
		return nil, err
	}
	if res.Code != 0 {
		return nil, failed(res, "list its volumes")
	}
	return parseVolumes(res.Stdout)
}

func (p *program) hasImage(ctx context.Context, name string) (bool, error) {
	res, err := p.podman(ctx, nil, "image", "exists", "--", name)
	if err != nil {
		return false, err
	}
	switch res.Code { // podman-image-exists(1)
	case 0:
		return true, nil
	case 1:
		return false, nil
	default:
		return false, failed(res, "look for the image "+name)
	}
}
