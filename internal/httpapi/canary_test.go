package httpapi_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"os"
	"strings"
	"testing"
)

// TestCanary sends one value on every way in, right and wrong, and then searches
// for it where it must not be: answers other than the two that give values, the
// log, and the database, in plain and in the usual encodings. The same holds for
// what signs people in.
func TestCanary(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	p := newPeople(s.target())
	const canary, number = "canary-7f3a9c51e8", "73190284655128"

	send := func(label, method, path, body string) {
		t.Helper()
		res := p.as(t, label, method, path, body)
		for _, secret := range []string{canary, number} {
			if bytes.Contains(res.body, []byte(secret)) || strings.Contains(headers(res.header), secret) {
				t.Errorf("%s %s %s: the answer has the value: %s", label, method, path, res.body)
			}
		}
	}
	value := `{"value":"` + canary + `"}`
	for _, who := range []string{"alice", "alice@browser"} {
		for _, body := range []string{
			value, value, value[:len(value)-1], value[:len(value)-2], value + value, value + canary, `["` + canary + `"]`, canary,
			`{"value":["` + canary + `"]}`, `{"value":{"a":"` + canary + `"}}`, `{"value":` + number + `}`, `{"value":"` + canary + `\ud800"}`,
			`{"value":"` + canary + "\xff" + `"}`, `{"value":"` + canary + `","value":"` + canary + `"}`, `{"value":"` + canary + `","x":1}`,
			`{"value":"` + canary + strings.Repeat("x", 1<<16) + `"}`, `{"value":"` + canary + strings.Repeat("x", 1<<19) + `"}`,
			`{"value":"` + canary + `-2"}`,
		} {
			send(who, http.MethodPost, "/api/secrets/key", body)
			send(who, http.MethodPost, "/api/secrets/not%20a%20name", body)
			send(who, http.MethodPost, "/api/secrets/key/restore", body)
			send(who, http.MethodPost, "/api/releases", body)
			send(who, http.MethodPatch, "/api/user", body)
			send(who, http.MethodDelete, "/api/user", body)
		}
		for _, item := range []string{
			`{"name":"key","value":"` + canary + `"}`, `{"name":"","value":"` + canary + `"}`, `{"name":"a","value":` + number + `}`,
			`{"name":"key","value":"` + canary + strings.Repeat("x", 1<<16) + `"}`, `"` + canary + `"`, number,
			`{"name":"a","value":"` + canary + `"},{"name":"a","value":"` + canary + `"}`,
		} {
			send(who, http.MethodPost, "/api/secrets:batch", `{"secrets":[`+item+`]}`)
			send(who, http.MethodPost, "/api/secrets:batch", `{"dry_run":true,"secrets":[`+item+`]}`)
		}
		send(who, http.MethodPost, "/api/secrets/key/restore", `{"version":1}`)
		send(who, http.MethodPost, "/api/secrets/key/restore", `{"version":`+number+`}`)
		for _, path := range []string{"/api/secrets", "/api/secrets/key/versions", "/api/audit", "/api/sessions", "/api/user"} {
			send(who, http.MethodGet, path, "")
		}
		for _, url := range []string{"https://u:" + canary + "@example.com/x", "u:" + canary + "@example.com/x", canary + "://example.com/x", "https://example.com/x?token=" + canary} {
			send(who, http.MethodPost, "/api/releases", `{"name":"x","git_url":"`+url+`"}`)
		}
	}
	send("alice@browser", http.MethodGet, "/api/secrets?include_values=true", "")
	send("alice@browser", http.MethodGet, "/api/secrets/key", "")
	for _, path := range []string{"/api/secrets?include_values=true", "/api/secrets/key"} {
		if res := p.as(t, "alice", http.MethodGet, path, ""); !bytes.Contains(res.body, []byte(canary)) {
			t.Errorf("%s: does not give the value, so this test searches for nothing: %s", path, res.body)
		}
	}
	p.as(t, "alice/link", http.MethodPost, "/api/auth/validate?token="+p.token(t, "alice/link"), "")
	p.as(t, "alice/wrong-secret", http.MethodGet, "/api/user", "")
	send("alice", http.MethodDelete, "/api/secrets/key", "")
	send("alice", http.MethodPost, "/api/secrets/key", value)

	hidden := []string{canary, number, s.key, s.shared, p.cookies["alice@browser"].Value}
	for _, bearer := range p.tokens {
		hidden = append(hidden, bearer)
	}
	s.search(t, hidden)
}

// search looks for texts in the log and in the database's files.
func (s *server) search(t *testing.T, hidden []string) {
	t.Helper()
	places := map[string][]byte{"log": []byte(s.log.String())}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		b, err := os.ReadFile(s.path + suffix)
		must(t, err)
		places["file"+suffix] = b
	}
	if all := bytes.Join([][]byte{places["file"], places["file-wal"]}, nil); !bytes.Contains(all, []byte("secret.create")) {
		t.Error("the database's files do not have what must be in them, so this test searches for nothing")
	}
	if !strings.Contains(s.log.String(), "/api/secrets/key") {
		t.Error("the log does not have what must be in it")
	}
	for place, content := range places {
		for _, text := range hidden {
			raw := []byte(text)
			if key, err := base64.StdEncoding.DecodeString(text); err == nil && len(key) == 32 && bytes.Contains(content, key) {
				t.Errorf("%s: has the bytes of a key", place)
			}
			for form, encoded := range map[string]string{
				"plain": text, "hex": hex.EncodeToString(raw), "base64": base64.RawStdEncoding.EncodeToString(raw[:len(raw)/3*3]),
			} {
				if bytes.Contains(content, []byte(encoded)) {
					t.Errorf("%s: has %.12s… in %s", place, text, form)
				}
			}
		}
	}
}

func headers(h http.Header) string {
	var b strings.Builder
	_ = h.Write(&b)
	return b.String()
}
