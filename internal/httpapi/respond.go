package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"

	"leger.run/leger"
	"leger.run/leger/internal/wire"
)

// handler answers a request or says why it cannot.
type handler func(w http.ResponseWriter, r *http.Request) error

// Status maps an error's code to the HTTP status of the contract.
func Status(c leger.Code) int {
	switch c {
	case leger.CodeInvalid:
		return http.StatusBadRequest
	case leger.CodeInvalidToken:
		return http.StatusUnauthorized
	case leger.CodeForbidden:
		return http.StatusForbidden
	case leger.CodeNotFound:
		return http.StatusNotFound
	case leger.CodeMethodNotAllowed:
		return http.StatusMethodNotAllowed
	case leger.CodeConflict:
		return http.StatusConflict
	case leger.CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	case leger.CodeUnsupportedMedia:
		return http.StatusUnsupportedMediaType
	case leger.CodeRateLimited:
		return http.StatusTooManyRequests
	case leger.CodeUnavailable:
		return http.StatusServiceUnavailable
	case leger.CodeInternal, leger.CodeMissingPart, leger.CodePartial, leger.CodeUnhealthy,
		leger.CodeUnreachable, leger.CodeInterrupted, leger.CodeDeclined, leger.CodeDisk:
		return http.StatusInternalServerError
	}
	return http.StatusInternalServerError
}

// SecurityHeaders are what every answer carries, whoever writes it: a handler, the
// mux that redirects, or the net under panics. A browser may show it, frame it
// nowhere, and load or run nothing for it. Pages replace the policy by their own.
// https: the server's visitors come over https, and should go on doing so.
func SecurityHeaders(https bool) map[string]string {
	all := map[string]string{
		"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
		"X-Content-Type-Options":  "nosniff",
		"X-Frame-Options":         "DENY",
		"Referrer-Policy":         "no-referrer",
		// Other sites can neither read an answer nor embed it.
		"Cross-Origin-Resource-Policy": "same-origin",
	}
	if https {
		all["Strict-Transport-Security"] = "max-age=31536000"
	}
	return all
}

// handle runs h for /api: headers first, then the answer or the one error.
func (a *API) handle(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		err := a.sameOrigin(r)
		if err == nil {
			err = h(w, r)
		}
		switch {
		case errors.Is(err, errGone):
			noteError(r.Context(), err)
		case err != nil:
			a.fail(w, r, err)
		}
	})
}

// sameOrigin refuses what another site makes a browser send.
func (a *API) sameOrigin(r *http.Request) error {
	if err := a.sites.Check(r); err != nil {
		return leger.Wrap(leger.CodeForbidden, err, "this request was sent by another site")
	}
	return nil
}

// fail writes err for the client and notes it for the log line.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	var e *leger.Error
	if !errors.As(err, &e) {
		e = leger.Wrap(leger.CodeInternal, err, "something went wrong on the server")
	}
	status := Status(e.Code)
	body := wire.Error{
		Code: e.Code, Message: e.Message, Hint: e.Hint, Field: e.Field,
		Version: e.Version, RetryAfter: e.RetryAfter, RequestID: requestID(r.Context()),
	}
	if status == http.StatusInternalServerError {
		body.Code = leger.CodeInternal
		body.Hint = "the server's log has the cause under this request id"
	}
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(e.RetryAfter))
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="leger"`)
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Del("ETag")
	noteError(r.Context(), err)
	if err := writeJSON(w, status, wire.Envelope[struct{}]{Error: &body}); err != nil {
		a.Log.DebugContext(r.Context(), "write the error", slog.Any("error", err))
	}
}

// ok writes data in the envelope.
func ok[T any](w http.ResponseWriter, data T) error {
	return writeJSON(w, http.StatusOK, wire.Envelope[T]{Success: true, Data: &data})
}

func writeJSON(w http.ResponseWriter, status int, v any) error {
	w.Header().Set("Content-Type", wire.ContentType)
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return nil
}

// errGone: the answer had begun when the client went away, so that there is
// nobody left to tell.
var errGone = errors.New("the client went away")
