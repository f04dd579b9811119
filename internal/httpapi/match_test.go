package httpapi_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// matcher compares an answer with a golden one that has placeholders.
type matcher struct {
	vars    map[string]string
	mayHave []string // fields that the answer may have besides
}

// placeholders says what each <kind> stands for.
func placeholders() map[string]string {
	return map[string]string{
		"time":   `[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,3})?Z`,
		"id":     `[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`,
		"text":   `.+?`,
		"number": `[0-9]+`,
	}
}

var placeholder = regexp.MustCompile(`<([a-z]+)(?::([a-z0-9_]+))?>`)

// json compares two JSON documents: the same fields, the same items in order.
func (m matcher) json(want, got string) error {
	var w, g any
	for text, v := range map[string]*any{want: &w, got: &g} {
		dec := json.NewDecoder(strings.NewReader(text))
		dec.UseNumber()
		if err := dec.Decode(v); err != nil {
			return fmt.Errorf("read as JSON: %w", err)
		}
	}
	return m.value("$", w, g)
}

func (m matcher) value(at string, want, got any) error {
	switch want := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return fmt.Errorf("%s is %v, want an object", at, got)
		}
		return m.object(at, want, g)
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(want) {
			return fmt.Errorf("%s is %v, want %d items", at, got, len(want))
		}
		for i := range want {
			if err := m.value(fmt.Sprintf("%s[%d]", at, i), want[i], g[i]); err != nil {
				return err
			}
		}
		return nil
	case string:
		return m.scalar(at, want, got)
	default:
		if want != got {
			return fmt.Errorf("%s is %v, want %v", at, got, want)
		}
		return nil
	}
}

func (m matcher) object(at string, want, got map[string]any) error {
	for _, name := range slices.Sorted(maps.Keys(want)) {
		g, ok := got[name]
		if !ok {
			return fmt.Errorf("%s has no field %s", at, name)
		}
		if err := m.value(at+"."+name, want[name], g); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[name]; !ok && !slices.Contains(m.mayHave, name) {
			return fmt.Errorf("%s has the field %s besides: %v", at, name, got[name])
		}
	}
	return nil
}

// scalar compares with a golden string, whose placeholder <number> stands for a
// number and not for a string of digits.
func (m matcher) scalar(at, want string, got any) error {
	number := strings.HasPrefix(want, "<number")
	switch g := got.(type) {
	case string:
		if number {
			break
		}
		if err := m.text(want, g); err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
		return nil
	case json.Number:
		if number {
			return m.text(want, g.String())
		}
	}
	return fmt.Errorf("%s is %v, want %s", at, got, want)
}

// text compares a whole text and remembers what named placeholders stood for.
func (m matcher) text(want, got string) error {
	var names []string
	var pattern strings.Builder
	rest := want
	for {
		found := placeholder.FindStringSubmatchIndex(rest)
		if found == nil {
			break
		}
		pattern.WriteString(regexp.QuoteMeta(rest[:found[0]]))
		kind, name := rest[found[2]:found[3]], ""
		if found[4] >= 0 {
			name = rest[found[4]:found[5]]
		}
		expr, known := placeholders()[kind]
		if !known {
			return fmt.Errorf("there is no placeholder <%s>", kind)
		}
		if value, bound := m.vars[name]; bound && name != "" {
			expr = regexp.QuoteMeta(value)
		}
		names = append(names, name)
		pattern.WriteString("(" + expr + ")")
		rest = rest[found[1]:]
	}
	pattern.WriteString(regexp.QuoteMeta(rest))
	match := regexp.MustCompile(`(?s)^` + pattern.String() + `$`).FindStringSubmatch(got)
	if match == nil {
		return fmt.Errorf("is %q, want %q", got, want)
	}
	for i, name := range names {
		if name != "" {
			m.vars[name] = match[i+1]
		}
	}
	return nil
}
