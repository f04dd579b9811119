package httpapi

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"leger.run/leger"
)

// maxSubject is longer than any subject: a release's name, an id, a path that was refused.
const maxSubject = 200

// auditFilter reads what GET /api/audit chooses events by.
func auditFilter(r *http.Request) (f leger.AuditFilter, err error) {
	q := r.URL.Query()
	f.Action = leger.Action(q.Get("action"))
	if f.Action != "" && !slices.Contains(leger.Actions(), f.Action) {
		return f, leger.Invalid("action", "there is no such action").WithHint("one of: %s", actionList())
	}
	if f.Subject, err = filterText(q, "subject", maxSubject); err != nil {
		return f, err
	}
	if f.DeviceID, err = filterText(q, "device_id", leger.MaxDeviceID); err != nil {
		return f, err
	}
	if f.Since, err = filterTime(q, "since"); err != nil {
		return f, err
	}
	if f.Until, err = filterTime(q, "until"); err != nil {
		return f, err
	}
	if !f.Since.IsZero() && !f.Until.IsZero() && !f.Since.Before(f.Until) {
		return f, leger.Invalid("until", "until must be after since: the events are those from since to before until")
	}
	return f, nil
}

func actionList() string {
	var names []string
	for _, a := range leger.Actions() {
		names = append(names, string(a))
	}
	return strings.Join(names, ", ")
}

func filterText(q url.Values, field string, longest int) (string, error) {
	text := q.Get(field)
	if len(text) > longest || text != leger.PrintableText(text) {
		return "", leger.Invalid(field, "%s must be at most %d bytes of printable text", field, longest)
	}
	return text, nil
}

func filterTime(q url.Values, field string) (time.Time, error) {
	text := q.Get(field)
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, leger.Invalid(field, "%s must be a time as in 2026-11-28T14:30:00Z (RFC 3339)", field).
			WithHint("in a URL, the + of an offset is written %%2B")
	}
	return t, nil
}
