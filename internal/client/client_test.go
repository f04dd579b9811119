package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"leger.run/leger"
	"leger.run/leger/internal/client"
	"leger.run/leger/internal/wire"
)

// serve answers every request with h and gives a client for it.
func serve(t *testing.T, h http.HandlerFunc) *client.Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	c, err := client.New(client.Config{Server: srv.URL + "/", Token: "tok-canary", UserAgent: "leger/test"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func answer(t *testing.T, w http.ResponseWriter, status int, body string) {
	t.Helper()
	w.Header().Set("Content-Type", wire.ContentType)
	w.WriteHeader(status)
	if _, err := io.WriteString(w, body); err != nil {
		t.Error(err)
	}
}

func name(t *testing.T, s string) leger.SecretName {
	t.Helper()
	n, err := leger.ParseSecretName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A token never goes where somebody on the way could read it.
func TestNewRefusesAddressesThatAreNotSafe(t *testing.T) {
	t.Parallel()
	for _, good := range []string{
		"https://leger.example.com", "https://leger.example.ts.net/", "http://127.0.0.1:8787", "http://[::1]:8787",
		"http://localhost:1", "http://box.example.ts.net",
	} {
		if _, err := client.New(client.Config{Server: good}); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "app.leger.run", "ftp://app.leger.run", "http://app.leger.run", "http://10.0.0.1", "https://user:pw@app.leger.run",
		"https://app.leger.run?x=1", "https://", "http://localhost.example.com", "http://evilts.net", "://", "https://a b",
	} {
		if _, err := client.New(client.Config{Server: bad}); !errors.Is(err, leger.ErrInvalid) {
			t.Errorf("%q: %v, want invalid_request", bad, err)
		}
	}
}

// Whoever puts a password into the address finds it in no error.
func TestAPasswordInTheAddressIsNotRepeated(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{
		"http://u:canary-pw@host", "https://u:canary-pw@app.leger.run", "https://canary-pw@app.leger.run", "https://u:canary-pw@",
		"u:canary-pw@host", "https://u:canary-pw /x@host", "https://u:canary-pw/x@host", "https://u:canary-pw@host:port",
		"ftp://u:canary-pw@host", "https://u:%zzcanary-pw@host", "https://host/?token=canary-pw", "http://u:canary-pw@127.0.0.1:8787",
	} {
		_, err := client.New(client.Config{Server: bad})
		e, ok := errors.AsType[*leger.Error](err)
		if !ok || e.Code != leger.CodeInvalid || e.Field != "server" || e.Hint == "" {
			t.Errorf("%s: %v", bad, err)
		} else if strings.Contains(e.Error()+e.Hint, "canary-pw") {
			t.Errorf("%s: the error shows it: %v", bad, e)
		}
	}
}

func TestARequestCarriesWhatTheContractAsks(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var body wire.SecretPut
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.Value != "a<b>&\n" {
			t.Errorf("body %+v, %v", body, err)
		}
		for header, want := range map[string]string{
			"Authorization": "Bearer tok-canary", "Content-Type": "application/json", "Accept": "application/json",
			"User-Agent": "leger/test", "If-Match": `"7"`,
		} {
			if got := r.Header.Get(header); got != want {
				t.Errorf("%s = %q, want %q", header, got, want)
			}
		}
		if r.Method != http.MethodPost || r.URL.Path != "/api/secrets/key" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		answer(t, w, http.StatusOK, `{"success":true,"data":{"name":"key","version":8,"changed":true,"created_at":"2025-01-01T00:00:00Z","updated_at":"2025-01-01T00:00:00Z"}}`)
	})
	out, err := c.SetSecret(t.Context(), name(t, "key"), leger.NewPlaintext([]byte("a<b>&\n")), 7)
	if err != nil || out.Version != 8 || !out.Changed {
		t.Errorf("SetSecret = %+v, %v", out, err)
	}
}

// The server's error comes out as the same error.
func TestErrorsKeepTheirMeaning(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(wire.HeaderRequestID, "req-1")
		answer(t, w, http.StatusConflict,
			`{"success":false,"error":{"code":"conflict","message":"moved on","hint":"look again","field":"name","current_version":9,"retry_after":3}}`)
	})
	err := c.DeleteSecret(t.Context(), name(t, "key"), 1)
	e, ok := errors.AsType[*leger.Error](err)
	if !ok || !errors.Is(err, leger.ErrConflict) {
		t.Fatalf("error = %v", err)
	}
	want := leger.Error{Code: leger.CodeConflict, Message: "moved on", Hint: "look again", Field: "name", Version: 9, RequestID: "req-1", RetryAfter: 3, FromServer: true}
	if *e != want {
		t.Errorf("error = %+v, want %+v", *e, want)
	}
}

func TestWhatIsNotLegerIsUnreachable(t *testing.T) {
	t.Parallel()
	for what, h := range map[string]http.HandlerFunc{
		"a web page":  func(w http.ResponseWriter, _ *http.Request) { answer(t, w, http.StatusOK, "<html>") },
		"no envelope": func(w http.ResponseWriter, _ *http.Request) { answer(t, w, http.StatusOK, `{"secrets":[]}`) },
		"no data":     func(w http.ResponseWriter, _ *http.Request) { answer(t, w, http.StatusOK, `{"success":true}`) },
		"no error":    func(w http.ResponseWriter, _ *http.Request) { answer(t, w, http.StatusOK, `{"success":false}`) },
		"a newer shape": func(w http.ResponseWriter, _ *http.Request) {
			answer(t, w, http.StatusOK, `{"success":true,"data":[1]}`)
		},
		"an illegal name": func(w http.ResponseWriter, _ *http.Request) {
			answer(t, w, http.StatusOK, `{"success":true,"data":{"secrets":[{"name":"../x"}]}}`)
		},
		"a hang-up":          func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"an unasked-for 304": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			_, err := serve(t, h).Secrets(t.Context())
			if e, ok := errors.AsType[*leger.Error](err); !ok || e.Code != leger.CodeUnreachable || e.Hint == "" {
				t.Errorf("error = %v", err)
			}
		})
	}
	c, err := client.New(client.Config{Server: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Secrets(t.Context()); !errors.Is(err, leger.ErrUnreachable) || strings.Contains(err.Error(), "/api/") {
		t.Errorf("nobody there: %v", err)
	}
}

// A redirect would carry the token to an address nobody checked.
func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the redirect was followed with Authorization %q", r.Header.Get("Authorization"))
	}))
	t.Cleanup(elsewhere.Close)
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	})
	if _, err := c.User(t.Context()); !errors.Is(err, leger.ErrUnreachable) {
		t.Errorf("error = %v", err)
	}
}

func TestSecretValuesWithAnETag(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery != "include_values=true" {
			t.Errorf("query %q", r.URL.RawQuery)
		}
		if r.Header.Get("If-None-Match") == `"e1"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("ETag", `"e1"`)
		answer(t, w, http.StatusOK, `{"success":true,"data":{"secrets":[{"name":"a","value":"v","version":3}],"installation":"i","epoch":2}}`)
	})
	list, err := c.SecretValues(t.Context(), "")
	if err != nil || list.NotModified || list.ETag != `"e1"` || len(list.Secrets) != 1 || *list.Secrets[0].Value != "v" ||
		list.Installation != "i" || list.Epoch != 2 {
		t.Fatalf("%+v %v", list, err)
	}
	list, err = c.SecretValues(t.Context(), list.ETag)
	if err != nil || !list.NotModified || list.ETag != `"e1"` || len(list.Secrets) != 0 {
		t.Errorf("%+v %v", list, err)
	}
}

// An answer in which the list is missing is not an empty list: a sync would take
// all secrets from the machine.
func TestNoListIsNotAnEmptyList(t *testing.T) {
	t.Parallel()
	for body, ok := range map[string]bool{
		`{"success":true,"data":{}}`:                           false,
		`{"success":true,"data":{"secrets":null}}`:             false,
		`{"success":true,"data":{"secrets":{}}}`:               false,
		`{"success":true,"data":{"secrets":[{"name":"a"`:       false,
		`{"success":true,"data":{"secrets":[{"name":"a/b"}]}}`: false,
		`{"success":true,"data":{"secrets":[]}}`:               true,
	} {
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(t, w, http.StatusOK, body) })
		if _, err := c.SecretValues(t.Context(), ""); (err == nil) != ok || err != nil && !errors.Is(err, leger.ErrUnreachable) {
			t.Errorf("%s: %v", body, err)
		}
		if _, err := c.Secrets(t.Context()); (err == nil) != ok {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestReleasesFollowsThePages(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		const release = `{"id":"1","name":"NAME","git_url":"https://example.com/x","git_branch":"main","git_path":""}`
		switch r.URL.Query().Get("cursor") {
		case "":
			answer(t, w, http.StatusOK, `{"success":true,"data":{"releases":[`+strings.ReplaceAll(release, "NAME", "a")+`],"next_cursor":"p2"}}`)
		case "p2":
			answer(t, w, http.StatusOK, `{"success":true,"data":{"releases":[`+strings.ReplaceAll(release, "NAME", "b")+`]}}`)
		default:
			t.Errorf("cursor %q", r.URL.Query().Get("cursor"))
		}
	})
	all, err := c.Releases(t.Context())
	if err != nil || len(all) != 2 || all[0].Name.String() != "a" || all[1].Name.String() != "b" {
		t.Errorf("Releases = %v, %v", all, err)
	}
}

// A server whose next_cursor led back to a page was asked for ever.
func TestPagesThatNeverEndAreGivenUp(t *testing.T) {
	t.Parallel()
	for name, next := range map[string]func(n int) string{
		"the same again": func(int) string { return "p" },
		"in a circle":    func(n int) string { return strconv.Itoa(n % 3) },
		"ever new ones":  strconv.Itoa,
	} {
		asked := 0
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			asked++
			answer(t, w, http.StatusOK, `{"success":true,"data":{"releases":[],"next_cursor":"`+next(asked)+`"}}`)
		})
		if _, err := c.Releases(t.Context()); !errors.Is(err, leger.ErrUnreachable) || !strings.Contains(err.Error(), "no end") {
			t.Errorf("%s: %v", name, err)
		}
		if asked > 1000 {
			t.Errorf("%s: asked %d times", name, asked)
		}
	}
}

func TestReleaseByNameWithoutOne(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.URL.Query().Get("name"); got != "web" {
			t.Errorf("name %q", got)
		}
		answer(t, w, http.StatusOK, `{"success":true,"data":{"releases":[]}}`)
	})
	n, err := leger.ParseReleaseName("web")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.ReleaseByName(t.Context(), n); !errors.Is(err, leger.ErrNotFound) {
		t.Errorf("error = %v", err)
	}
}

// What is not said must not be taken for "there is nothing".
func TestReportsSendOnlyTheListsTheyHave(t *testing.T) {
	t.Parallel()
	var got string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPut || r.URL.EscapedPath() != "/api/hosts/a%2Fb" {
			t.Errorf("%s %s: %v", r.Method, r.URL.EscapedPath(), err)
		}
		got = string(body)
		answer(t, w, http.StatusOK, `{"success":true,"data":{"device_id":"a/b","last_seen":"2026-03-01T10:20:30Z","created":true}}`)
	})
	for want, report := range map[string]wire.HostReport{
		`{"name":"box"}`: {Name: "box"},
		`{"name":"box","secrets":[],"deployments":[]}`: {
			Name: "box", Secrets: []wire.HostSecretReport{}, Deployments: []wire.HostDeploymentReport{},
		},
		`{"name":"box","secrets":[{"name":"a","version":3}]}`: {
			Name: "box", Secrets: []wire.HostSecretReport{{Name: "a", Version: 3}},
		},
		`{"name":"box","deployments":[{"release":"web","state":"active","updated_at":"2026-03-01T10:20:30Z"}]}`: {
			Name: "box", Deployments: []wire.HostDeploymentReport{{Release: "web", State: leger.HostActive, UpdatedAt: "2026-03-01T10:20:30Z"}},
		},
	} {
		reported, err := c.ReportHost(t.Context(), "a/b", report)
		if err != nil || !reported.Created || reported.DeviceID != "a/b" {
			t.Errorf("ReportHost = %+v, %v", reported, err)
		}
		if strings.TrimSpace(got) != want {
			t.Errorf("sent %s, want %s", got, want)
		}
	}
}

func TestHostsAndForgetting(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.Method + " " + r.URL.Path {
		case "GET /api/hosts":
			if r.URL.Query().Get("cursor") == "" {
				answer(t, w, http.StatusOK, `{"success":true,"data":{"hosts":[{"device_id":"n0","name":"a"}],"next_cursor":"more"}}`)
				return
			}
			answer(t, w, http.StatusOK, `{"success":true,"data":{"hosts":[{"device_id":"n1","name":"box","counts":{"secrets":1}}]}}`)
		case "GET /api/hosts/n1":
			answer(t, w, http.StatusOK, `{"success":true,"data":{"device_id":"n1","name":"box","secrets":[{"name":"a","version":3}],"deployments":[]}}`)
		case "DELETE /api/hosts/n1":
			answer(t, w, http.StatusOK, `{"success":true,"data":{"deleted":true}}`)
		default:
			answer(t, w, http.StatusNotFound, `{"success":false,"error":{"code":"not_found","message":"no such machine"}}`)
		}
	})
	list, err := c.Hosts(t.Context())
	if err != nil || len(list) != 2 || list[1].Name != "box" || list[1].Counts.Secrets != 1 {
		t.Errorf("Hosts = %+v, %v", list, err)
	}
	one, err := c.Host(t.Context(), "n1")
	if err != nil || one.Name != "box" || one.Secrets[0].Version != 3 {
		t.Errorf("Host = %+v, %v", one, err)
	}
	if _, err := c.Host(t.Context(), "n2"); !errors.Is(err, leger.ErrNotFound) {
		t.Errorf("Host of none: %v", err)
	}
	if err := c.ForgetHost(t.Context(), "n1"); err != nil {
		t.Errorf("ForgetHost: %v", err)
	}
	if err := c.ForgetHost(t.Context(), "n2"); !errors.Is(err, leger.ErrNotFound) {
		t.Errorf("ForgetHost of none: %v", err)
	}
}

// Health asks without the token: it is for finding out who is there.
func TestHealthSendsNoToken(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "" {
			t.Errorf("Authorization %q", got)
		}
		answer(t, w, http.StatusOK, `{"status":"healthy","service":"leger-app","version":"1.2.3","timestamp":"2025-01-01T00:00:00Z"}`)
	})
	h, err := c.Health(t.Context())
	if err != nil || h.Version != "1.2.3" {
		t.Errorf("Health = %+v, %v", h, err)
	}
	if _, err := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(t, w, http.StatusOK, `{}`) }).Health(t.Context()); !errors.Is(err, leger.ErrUnreachable) {
		t.Errorf("something else: %v", err)
	}
}

func TestCtrlCIsInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	if _, err := c.Secrets(ctx); !errors.Is(err, leger.ErrInterrupted) {
		t.Errorf("error = %v", err)
	}
}

// No error of the client's repeats the token or a value.
func TestErrorsHoldNoSecrets(t *testing.T) {
	t.Parallel()
	c := serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	_, err := c.SetSecret(t.Context(), name(t, "key"), leger.NewPlaintext([]byte("value-canary")), 0)
	if err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("error = %v", err)
	}
}
