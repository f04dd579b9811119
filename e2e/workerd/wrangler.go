package workerd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Wrangler runs a wrangler command on the Worker's local storage and gives what it
// printed on standard output. Values belong in files: arguments are for all to see. d1
// export works only where Config.Persist was empty.
func (w *Worker) Wrangler(ctx context.Context, args ...string) (string, error) {
	where := []string{"--config", w.settingsFile(), "--local"}
	// d1 export cannot be told where, and looks beside its configuration.
	if len(args) < 2 || args[0] != "d1" || args[1] != "export" {
		where = append(where, "--persist-to", w.config.Persist)
	}
	args = append(append([]string{w.config.wrangler()}, args...), where...)
	cmd := exec.CommandContext(ctx, w.config.node(), args...)
	cmd.Dir, cmd.Env = w.private, w.environ()
	var out, warnings bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &warnings
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("wrangler %s: %w\n%s%s", strings.Join(args[1:], " "), err, out.Bytes(), warnings.Bytes())
	}
	return out.String(), nil
}

// KVEntry is an entry of a KV namespace. KVList leaves its value out.
type KVEntry struct {
	Key      string
	Value    string
	Metadata map[string]any
}

// KVList gives the keys of a namespace, named by its binding, that begin with prefix.
func (w *Worker) KVList(ctx context.Context, binding, prefix string) ([]KVEntry, error) {
	out, err := w.Wrangler(ctx, "kv", "key", "list", "--binding", binding, "--prefix", prefix)
	if err != nil {
		return nil, err
	}
	var keys []struct {
		Name     string
		Metadata map[string]any
	}
	if err := json.Unmarshal([]byte(out), &keys); err != nil {
		return nil, fmt.Errorf("read wrangler's list of keys: %w", err)
	}
	entries := make([]KVEntry, len(keys))
	for i, k := range keys {
		entries[i] = KVEntry{Key: k.Name, Metadata: k.Metadata}
	}
	return entries, nil
}

// KVGet gives the values of those keys that are there.
func (w *Worker) KVGet(ctx context.Context, binding string, keys ...string) (map[string]string, error) {
	out, err := w.bulk(ctx, "get", binding, keys)
	if err != nil {
		return nil, err
	}
	var found map[string]struct{ Value *string }
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		return nil, fmt.Errorf("read wrangler's values: %w", err)
	}
	values := map[string]string{}
	for key, f := range found {
		if f.Value != nil {
			values[key] = *f.Value
		}
	}
	return values, nil
}

// KVPut writes entries.
func (w *Worker) KVPut(ctx context.Context, binding string, entries ...KVEntry) error {
	type entry struct {
		Key      string         `json:"key"`
		Value    string         `json:"value"`
		Metadata map[string]any `json:"metadata,omitempty"`
	}
	list := make([]entry, len(entries))
	for i, e := range entries {
		list[i] = entry(e)
	}
	_, err := w.bulk(ctx, "put", binding, list)
	return err
}

// KVDelete removes keys.
func (w *Worker) KVDelete(ctx context.Context, binding string, keys ...string) error {
	_, err := w.bulk(ctx, "delete", binding, keys, "--force")
	return err
}

// bulk runs one of wrangler's commands for many keys, which takes a file. One call is
// about a second.
func (w *Worker) bulk(ctx context.Context, verb, binding string, content any, args ...string) (string, error) {
	text, err := json.Marshal(content)
	if err != nil {
		return "", err
	}
	file, err := os.CreateTemp(w.private, "kv-*.json") // 0600
	if err != nil {
		return "", err
	}
	_, err = file.Write(text)
	if err := errors.Join(err, file.Close()); err != nil {
		return "", err
	}
	out, err := w.Wrangler(ctx, append([]string{"kv", "bulk", verb, file.Name(), "--binding", binding}, args...)...)
	return out, errors.Join(err, os.Remove(file.Name()))
}

// D1 runs one SQL statement on a database, named as in the configuration, and gives
// the rows.
func (w *Worker) D1(ctx context.Context, database, sql string) ([]map[string]any, error) {
	out, err := w.Wrangler(ctx, "d1", "execute", database, "--json", "--command", sql)
	if err != nil {
		return nil, err
	}
	var results []struct {
		Results []map[string]any `json:"results"`
	}
	if err := json.Unmarshal([]byte(out), &results); err != nil || len(results) == 0 {
		return nil, fmt.Errorf("read wrangler's answer to a statement: %w\n%s", err, out)
	}
	return results[0].Results, nil
}

// R2Objects counts the objects of a bucket, as they lie on the disk: wrangler has no
// command that lists them.
func (w *Worker) R2Objects(bucket string) (int, error) {
	blobs, err := filepath.Glob(filepath.Join(w.config.Persist, "v3", "r2", bucket, "blobs", "*"))
	return len(blobs), err
}
