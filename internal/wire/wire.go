// Package wire holds the JSON shapes of Leger's HTTP API, shared by the server
// (httpapi) and the client, and described for everybody else by
// api/openapi.yaml. Field names and shapes are the specification's; golden files
// pin them.
//
// It holds no logic beyond conversion to and from the nouns of package leger.
package wire

import (
	"time"

	"leger.run/leger"
)

// ContentType is the media type of every request and response body under /api.
const ContentType = "application/json"

// Header names that are part of the contract.
const (
	HeaderRequestID = "X-Request-Id"
)

// Envelope wraps every answer under /api: Data when Success, Error otherwise.
type Envelope[T any] struct {
	Success bool   `json:"success"`
	Data    *T     `json:"data,omitempty"`
	Error   *Error `json:"error,omitempty"`
}

// Error is what a client is told of a failure.
type Error struct {
	Code       leger.Code    `json:"code"`
	Message    string        `json:"message"`
	Hint       string        `json:"hint,omitempty"`
	Field      string        `json:"field,omitempty"`
	Version    leger.Version `json:"current_version,omitempty"` // with code conflict
	RequestID  string        `json:"request_id,omitempty"`
	RetryAfter int           `json:"retry_after,omitempty"` // seconds
}

// Leger rebuilds the error the server had, so that errors.Is holds on both sides.
func (e *Error) Leger() *leger.Error {
	return &leger.Error{
		Code: e.Code, Message: e.Message, Hint: e.Hint, Field: e.Field,
		Version: e.Version, RequestID: e.RequestID, RetryAfter: e.RetryAfter,
	}
}

// Time is an instant in UTC, RFC 3339 with Z, cut to milliseconds.
type Time struct{ time.Time }

// At converts an instant.
func At(t time.Time) Time { return Time{t.UTC().Truncate(time.Millisecond)} }

// Health is the answer of GET /health; it has no envelope.
type Health struct {
	Status    string `json:"status"`  // "healthy"
	Service   string `json:"service"` // "leger-app"
	Version   string `json:"version"`
	Timestamp Time   `json:"timestamp"`
}

// Ready is the answer of GET /ready; it has no envelope.
type Ready struct {
	Status string            `json:"status"` // "ready" or "unavailable"
	Checks map[string]string `json:"checks"` // part → "ok" or what is wrong
}

// Deleted is the answer of every DELETE.
type Deleted struct {
	Deleted bool `json:"deleted"`
}
