package workerd

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Settings is a wrangler configuration, as decoded JSON.
type Settings map[string]any

// ReadSettings reads a wrangler.json or wrangler.jsonc, and makes the paths in it
// absolute, so that it means the same in any directory.
func ReadSettings(file string) (Settings, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	s := Settings{}
	if err := json.Unmarshal(plainJSON(text), &s); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	dir, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return nil, err
	}
	absolute := func(in map[string]any, name string) {
		if path, ok := in[name].(string); ok && !filepath.IsAbs(path) {
			in[name] = filepath.Join(dir, path)
		}
	}
	for _, name := range []string{"main", "base_dir", "tsconfig"} {
		absolute(s, name)
	}
	if assets, ok := s["assets"].(map[string]any); ok {
		absolute(assets, "directory")
	}
	if build, ok := s["build"].(map[string]any); ok {
		if _, ok := build["cwd"]; !ok {
			build["cwd"] = dir
		}
		absolute(build, "cwd")
	}
	for _, database := range s.list("d1_databases") {
		absolute(database, "migrations_dir")
	}
	return s, nil
}

// list gives the objects of an array such as d1_databases.
func (s Settings) list(name string) []map[string]any {
	items, _ := s[name].([]any)
	var list []map[string]any
	for _, item := range items {
		if object, ok := item.(map[string]any); ok {
			list = append(list, object)
		}
	}
	return list
}

func (s Settings) databases() []string {
	var names []string
	for _, database := range s.list("d1_databases") {
		if name, ok := database["database_name"].(string); ok {
			names = append(names, name)
		}
	}
	return names
}

// Unbind takes the binding of this name away, whatever it is bound to.
func (s Settings) Unbind(binding string) {
	for _, kind := range bindingKinds() {
		items, ok := s[kind].([]any)
		if !ok {
			continue
		}
		s[kind] = slices.DeleteFunc(items, func(item any) bool {
			object, _ := item.(map[string]any)
			return object["binding"] == binding
		})
	}
	if assets, ok := s["assets"].(map[string]any); ok && assets["binding"] == binding {
		delete(assets, "binding")
	}
	if vars, ok := s["vars"].(map[string]any); ok {
		delete(vars, binding)
	}
}

// Rename gives a binding another name, as somebody does who mistypes it.
func (s Settings) Rename(binding, name string) {
	for _, kind := range bindingKinds() {
		for _, object := range s.list(kind) {
			if object["binding"] == binding {
				object["binding"] = name
			}
		}
	}
}

func bindingKinds() []string { return []string{"kv_namespaces", "r2_buckets", "d1_databases"} }

// SetRateLimit allows n events in each period of a rate limit.
func (s Settings) SetRateLimit(name string, n int) {
	for _, limit := range s.list("ratelimits") {
		if simple, ok := limit["simple"].(map[string]any); ok && limit["name"] == name {
			simple["limit"] = n
		}
	}
}

// SetVar sets a variable that is no secret.
func (s Settings) SetVar(name, value string) {
	vars, ok := s["vars"].(map[string]any)
	if !ok {
		vars = map[string]any{}
		s["vars"] = vars
	}
	vars[name] = value
}

func (s Settings) write(file string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
}

// plainJSON replaces what JSONC has beyond JSON, comments and commas before a
// closing bracket, by spaces.
func plainJSON(text []byte) []byte {
	out := slices.Clone(text)
	comma := -1 // of the last comma with nothing but space after it
	for i := 0; i < len(out); {
		end := i + 1
		switch c := out[i]; {
		case c == '"':
			end, comma = endOfString(out, i), -1
		case c == '/' && end < len(out) && (out[end] == '/' || out[end] == '*'):
			end = endOfComment(out, i)
			for j := i; j < end; j++ {
				out[j] = ' '
			}
		case c == ',':
			comma = i
		case c == ']' || c == '}':
			if comma >= 0 {
				out[comma] = ' '
			}
			comma = -1
		case c != ' ' && c != '\t' && c != '\r' && c != '\n':
			comma = -1
		}
		i = end
	}
	return out
}

func endOfString(text []byte, i int) int {
	for i++; i < len(text) && text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		}
	}
	return min(i+1, len(text))
}

func endOfComment(text []byte, i int) int {
	line := text[i+1] == '/'
	for i += 2; i < len(text); i++ {
		if line && text[i] == '\n' {
			return i
		}
		if !line && text[i] == '/' && text[i-1] == '*' {
			return i + 1
		}
	}
	return len(text)
}
