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

// ErrNoKey is what KVGet gives for a key that is not there.
var ErrNoKey = errors.New("there is no such key")

// Wrangler runs a wrangler command on the Worker's local storage and gives what it
// printed on standard output. Values belong in files: arguments are for all to see.
func (w *Worker) Wrangler(ctx context.Context, args ...string) (string, error) {
	args = append([]string{w.config.wrangler()}, args...)
	args = append(args, "--config", w.settingsFile(), "--local", "--persist-to", w.config.Persist)
	cmd := exec.CommandContext(ctx, w.config.node(), args...)
	cmd.Dir, cmd.Env = w.private, w.environ()
	var out, warnings bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &warnings
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("wrangler %s: %w\n%s%s", strings.Join(args[1:], " "), err, out.Bytes(), warnings.Bytes())
	}
	return out.String(), nil
}

// KVKey is an entry of a KV namespace without its value.
type KVKey struct {
	Name     string         `json:"name"`
	Metadata map[string]any `json:"metadata"`
}

// KVList gives the keys of a namespace, named by its binding, that begin with prefix.
func (w *Worker) KVList(ctx context.Context, binding, prefix string) ([]KVKey, error) {
	out, err := w.Wrangler(ctx, "kv", "key", "list", "--binding", binding, "--prefix", prefix)
	if err != nil {
		return nil, err
	}
	var keys []KVKey
	if err := json.Unmarshal([]byte(out), &keys); err != nil {
		return nil, fmt.Errorf("read wrangler's list of keys: %w", err)
	}
	return keys, nil
}

// KVGet gives the value of a key, or ErrNoKey.
func (w *Worker) KVGet(ctx context.Context, binding, key string) (string, error) {
	// Of a key that is not there, wrangler says "Value not found" and succeeds.
	keys, err := w.KVList(ctx, binding, key)
	if err != nil {
		return "", err
	}
	for _, k := range keys {
		if k.Name == key {
			value, err := w.Wrangler(ctx, "kv", "key", "get", key, "--binding", binding, "--text")
			return strings.TrimSuffix(value, "\n"), err // wrangler's own
		}
	}
	return "", ErrNoKey
}

// KVPut sets the value of a key and its metadata, JSON or "" for none.
func (w *Worker) KVPut(ctx context.Context, binding, key, value, metadata string) error {
	file, err := os.CreateTemp(w.private, "kv-value-") // 0600
	if err != nil {
		return err
	}
	_, err = file.WriteString(value)
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	args := []string{"kv", "key", "put", key, "--path", file.Name(), "--binding", binding}
	if metadata != "" {
		args = append(args, "--metadata", metadata)
	}
	_, err = w.Wrangler(ctx, args...)
	return errors.Join(err, os.Remove(file.Name()))
}

// KVDelete removes a key.
func (w *Worker) KVDelete(ctx context.Context, binding, key string) error {
	_, err := w.Wrangler(ctx, "kv", "key", "delete", key, "--binding", binding)
	return err
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
