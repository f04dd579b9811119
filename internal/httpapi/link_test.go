package httpapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/httpapi"
	"leger.run/leger/internal/wire"
)

// handOn makes a link in a browser; it gives the link's ticket.
func (p *people) handOn(t *testing.T, browser string) string {
	t.Helper()
	made := data[wire.SignInLink](t, p.as(t, browser, http.MethodPost, "/api/sessions:link", ""))
	u, err := url.Parse(made.URL)
	must(t, err)
	if u.Path != "/auth" || !strings.HasPrefix(made.URL, p.base+"/") || !strings.HasPrefix(u.Query().Get("token"), leger.LinkPrefix) {
		t.Fatalf("the link is %s", made.URL)
	}
	return u.Query().Get("token")
}

// accept uses a ticket as the page behind the link does, and gives the cookie.
func (p *people) accept(t *testing.T, ticket string) (answer, *http.Cookie) {
	t.Helper()
	res := p.send(t, http.MethodPost, "/api/auth/validate", "", ticket)
	cookies := (&http.Response{Header: res.header}).Cookies()
	if len(cookies) == 0 {
		return res, nil
	}
	return res, cookies[0]
}

func TestABrowserSignsAnotherOneIn(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil)
	p := newPeople(s.target())
	ticket := p.handOn(t, "alice@laptop")
	res, cookie := p.accept(t, ticket)
	if res.status != http.StatusOK || cookie == nil {
		t.Fatalf("%d %s", res.status, res.body)
	}
	p.cookies["alice@phone"] = cookie
	user := data[wire.Profile](t, p.as(t, "alice@phone", http.MethodGet, "/api/user", ""))
	if user.Email != "alice@example.com" {
		t.Errorf("signed in as %s", user.Email)
	}
	list := data[wire.Sessions](t, p.as(t, "alice@phone", http.MethodGet, "/api/sessions", "")).Sessions
	if len(list) != 2 || list[0].ExpiresAt != list[1].ExpiresAt {
		t.Errorf("the new session outlives the one that made it: %+v", list)
	}
	// Once.
	if res, cookie := p.accept(t, ticket); res.status != http.StatusUnauthorized || cookie != nil {
		t.Errorf("a second time: %d %s", res.status, res.body)
	}
	// For a browser's session and nothing else.
	ticket = p.handOn(t, "alice@phone")
	for _, route := range []string{"GET /api/user", "GET /api/secrets?include_values=true", "POST /api/machines", "POST /api/sessions:link"} {
		method, path, _ := strings.Cut(route, " ")
		if res := p.send(t, method, path, "", ticket); res.status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", route, res.status, res.body)
		}
	}
	if res := p.send(t, http.MethodPost, "/api/auth/validate", `{"session":false}`, ticket); res.status != http.StatusBadRequest {
		t.Errorf("without a session: %d %s", res.status, res.body)
	}
	// It ends with the browser that made it.
	data[struct{}](t, p.as(t, "alice@laptop", http.MethodDelete, "/api/sessions", ""))
	if res, _ := p.accept(t, ticket); res.status != http.StatusUnauthorized {
		t.Errorf("of a session that was ended: %d %s", res.status, res.body)
	}
	if log := s.log.String(); strings.Contains(log, leger.LinkPrefix) {
		t.Error("a ticket is in the server's log")
	}
}

func TestOfFiftyThatUseALinkOneIsSignedIn(t *testing.T) {
	t.Parallel()
	p := newPeople(startServer(t, nil).target())
	ticket := p.handOn(t, "alice@laptop")
	var won atomic.Int64
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			switch res, cookie := p.accept(t, ticket); {
			case res.status == http.StatusOK && cookie != nil:
				won.Add(1)
			case res.status != http.StatusUnauthorized:
				t.Errorf("%d %s", res.status, res.body)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d browsers were signed in", won.Load())
	}
}

func TestALinkIsOpenForTwoMinutes(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	s := startServer(t, func(c *httpapi.Config) {
		c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	p := newPeople(s.target())
	first, second := p.handOn(t, "alice@laptop"), p.handOn(t, "alice@laptop")
	ahead.Store(int64(leger.LinkLifetime - 10*time.Second))
	if res, _ := p.accept(t, first); res.status != http.StatusOK {
		t.Errorf("within its time: %d %s", res.status, res.body)
	}
	ahead.Store(int64(leger.LinkLifetime + time.Second))
	if res, _ := p.accept(t, second); res.status != http.StatusUnauthorized || !strings.Contains(string(res.body), "2 minutes are over") {
		t.Errorf("after its time: %d %s", res.status, res.body)
	}
}
