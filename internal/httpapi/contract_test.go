package httpapi_test

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"
	validation "github.com/pb33f/libopenapi-validator/errors"

	"leger.run/leger/api"
	"leger.run/leger/internal/httpapi"
)

// contract is api/openapi.yaml, to hold requests and answers against.
type contract struct {
	validator.Validator
	routes *http.ServeMux // of its operations, to find the one a request is for
	listed []string       // "METHOD /path/{parameter}"
}

func newContract(t *testing.T) *contract {
	t.Helper()
	doc, err := libopenapi.NewDocument(api.OpenAPI)
	must(t, err)
	// Strict: a field or header that the contract does not list is an error too,
	// except the headers that its introduction describes for every route.
	v, errs := validator.NewValidator(doc, config.WithFormatAssertions(), config.WithStrictMode(),
		config.WithStrictIgnoredHeadersExtra(append(slices.Collect(maps.Keys(httpapi.SecurityHeaders(true))), "sec-fetch-site")...),
		config.WithStrictIgnorePaths("$.cookies.*"))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	c := &contract{Validator: v, routes: http.NewServeMux()}
	model, err := doc.BuildV3Model()
	must(t, err)
	for where, item := range model.Model.Paths.PathItems.FromOldest() {
		for method := range item.GetOperations().FromOldest() {
			route := strings.ToUpper(method) + " " + where
			c.routes.Handle(route, http.NotFoundHandler())
			c.listed = append(c.listed, route)
		}
	}
	return c
}

// route gives the operation a request is for, "" for none.
func (c *contract) route(method string, r *http.Request) string {
	if p := r.URL.EscapedPath(); path.Clean(p) != p {
		return ""
	}
	probe := r.Clone(r.Context())
	probe.Method = method
	_, route := c.routes.Handler(probe)
	return route
}

// check fails unless the answer is as the contract says, and the request too when
// it was answered well. body is the request's, which has been sent.
func (c *contract) check(t *testing.T, at string, sent *http.Request, body string, res answer) {
	t.Helper()
	if sent.Method == http.MethodHead || c.route(sent.Method, sent) == "" {
		if res.status < 400 && sent.Method != http.MethodHead {
			t.Errorf("%s: answered %d, but the contract has no such operation", at, res.status)
		}
		return
	}
	request := func() *http.Request {
		r := sent.Clone(sent.Context())
		r.Body = io.NopCloser(strings.NewReader(body))
		if body == "" {
			r.Body = http.NoBody
		}
		return r
	}
	if res.status < 400 {
		if valid, errs := c.ValidateHttpRequestSync(request()); !valid {
			t.Errorf("%s: the request is good to the server but not to the contract:%s", at, explain(errs))
		}
	}
	if res.status == http.StatusNotModified && len(res.body) > 0 {
		t.Errorf("%s: 304 with a body", at)
	}
	valid, errs := c.ValidateHttpResponse(request(), &http.Response{
		StatusCode: res.status, Header: res.header, Body: io.NopCloser(bytes.NewReader(res.body)), Request: sent,
	})
	if !valid {
		t.Errorf("%s: the answer is not of the contract:%s\n%s", at, explain(errs), res.body)
	}
}

func explain(errs []*validation.ValidationError) string {
	var b strings.Builder
	for _, e := range errs {
		b.WriteString("\n  " + e.Message + ": " + e.Reason)
		for _, s := range e.SchemaValidationErrors {
			b.WriteString("\n    " + s.FieldPath + ": " + s.Reason)
		}
	}
	return b.String()
}

// TestContractIsOpenAPI holds openapi.yaml to the rules of OpenAPI 3.1.
func TestContractIsOpenAPI(t *testing.T) {
	t.Parallel()
	if valid, errs := newContract(t).ValidateDocument(); !valid {
		t.Errorf("openapi.yaml:%s", explain(errs))
	}
}

// TestContractListsEveryRoute: what the server answers is described, and what is
// described is answered.
func TestContractListsEveryRoute(t *testing.T) {
	t.Parallel()
	described, served := newContract(t).listed, startServer(t, nil).api.Routes()
	for _, route := range described {
		if !slices.Contains(served, route) {
			t.Errorf("openapi.yaml describes %s, which the server does not have", route)
		}
	}
	for _, route := range served {
		if !slices.Contains(described, route) {
			t.Errorf("the server has %s, which openapi.yaml does not describe", route)
		}
	}
}

// TestScriptsCoverEveryRouteAndCaller fails when a combination of route and caller
// is in no script.
func TestScriptsCoverEveryRouteAndCaller(t *testing.T) {
	t.Parallel()
	spec := newContract(t)
	callers := []string{"good", "bad", "other user", "no token", "browser session"}
	seen := map[string]map[string]bool{}
	for _, route := range startServer(t, nil).api.Routes() {
		seen[route] = map[string]bool{}
	}
	for _, s := range readScripts(t) {
		for _, e := range s.exchanges {
			r, err := http.NewRequestWithContext(t.Context(), e.method, "http://server"+variable.ReplaceAllString(e.path, "x"), nil)
			must(t, err)
			routes := []string{spec.route(e.method, r)}
			if e.status == http.StatusMethodNotAllowed { // bad for every route of the path
				routes = nil
				for _, method := range []string{"DELETE", "GET", "PATCH", "POST", "PUT"} {
					routes = append(routes, spec.route(method, r))
				}
			}
			for _, route := range routes {
				if seen[route] != nil {
					seen[route][e.class()] = true
				}
			}
		}
	}
	for _, route := range slices.Sorted(maps.Keys(seen)) {
		for _, caller := range callers {
			if route == "POST /api/auth/tailnet" && caller == "good" { // TestBrowserOnTheTailnet: scripts run on the Worker, too
				continue
			}
			if route == "POST /api/sessions:link" && caller == "good" { // good is a browser there, and nothing else
				continue
			}
			if !seen[route][caller] {
				t.Errorf("%s: no script has it with: %s", route, caller)
			}
		}
	}
}

// class says which of the callers an exchange shows.
func (e exchange) class() string {
	switch {
	case e.caller == "nobody":
		return "no token"
	case strings.HasPrefix(e.caller, "bob"):
		return "other user"
	case strings.Contains(e.caller, "@"):
		return "browser session"
	case e.status < 400:
		return "good"
	default:
		return "bad"
	}
}
