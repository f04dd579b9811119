package httpapi_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/httpapi"
	"leger.run/leger/internal/wire"
)

// FuzzBody: what the strict reader takes encoding/json takes too, with the same
// outcome, and it reads the same after being written again; what it refuses is the
// client's fault, said without the body's content.
func FuzzBody(f *testing.F) {
	for _, s := range []string{
		`{"value":"canary-9d21"}`, `{"value":"canary-9d21",}`, `{"value":12345678901}`, `{"value":null}`, `{"Value":"x"}`, `{"value":"a","value":"b"}`,
		`{"secrets":[{"name":"a","value":"canary-9d21"}],"dry_run":true}`, `{"secrets":[{"name":"a","value":["canary-9d21"]}]}`, `{"secrets":[[[[]]]]}`,
		`{"version":1}`, `{"version":1e3}`, `{"version":-0}`, `{"session":false}`, `{"session":"canary-9d21"}`, `{"name":"x","git_url":null}`,
		`{"value":"\ud83d\udd11"}`, `{"value":"\ud83d"}`, `{"value":"\\ud83d"}`, `{"value":"canary-9d21`, `canary-9d21`, ``, `null`, `[]`, `{}{}`, "\ufeff{}", `{"":1}`,
		`{"name":"box","secrets":[{"name":"a","version":1,"synced_at":"2026-03-01T10:20:30Z"}],"deployments":[]}`,
		`{"name":"box","deployments":[{"release":"web","state":"active","updated_at":"","units":[{"name":"w","state":""}]}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, v := range []any{
			&wire.ValidateRequest{}, &wire.UserPatch{}, &wire.UserDelete{}, &wire.SecretPut{}, &wire.SecretRestore{}, &wire.SecretBatch{},
			&wire.ReleaseCreate{}, &wire.ReleaseUpdate{}, &wire.HostReport{},
		} {
			if err := httpapi.DecodeStrict(body, v); err != nil {
				checkRefusal(t, body, err)
				continue
			}
			lax := reflect.New(reflect.TypeOf(v).Elem()).Interface()
			dec := json.NewDecoder(bytes.NewReader(body))
			dec.DisallowUnknownFields()
			if err := dec.Decode(lax); err != nil || !reflect.DeepEqual(v, lax) {
				t.Errorf("%q reads as %+v, with encoding/json as %+v, %v", body, v, lax, err)
			}
			again, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			back := reflect.New(reflect.TypeOf(v).Elem()).Interface()
			if len(again) > 2 && !bytes.Contains(again, []byte("null")) {
				if err := httpapi.DecodeStrict(again, back); err != nil || !reflect.DeepEqual(v, back) {
					t.Errorf("%q is written as %q, which reads as %+v, %v", body, again, back, err)
				}
			}
		}
	})
}

// FuzzReport: whatever a machine says, what is kept of it is valid and lies in the
// past, and what is refused names the field.
func FuzzReport(f *testing.F) {
	now := time.Date(2026, 3, 1, 10, 20, 30, 0, time.UTC)
	for _, s := range []string{
		`{"name":"box"}`, `{"name":"","secrets":[],"deployments":[]}`, `{"name":"box","secrets":[{"name":"a","version":1},{"name":"a","version":2}]}`,
		`{"name":"box","secrets":[{"name":"a","version":1,"synced_at":"0000-01-01T00:00:00+23:59"}]}`,
		`{"name":"box","secrets":[{"name":"a","version":1,"synced_at":"9999-12-31T23:59:59-23:59"}]}`,
		`{"name":"box","deployments":[{"release":"web","commit":"0123456789012345678901234567890123456789","state":"active","updated_at":"2026-03-01T10:20:30.123456789+01:00","units":[{"name":"web.service","state":"failed"}]}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var in wire.HostReport
		if httpapi.DecodeStrict(body, &in) != nil {
			return
		}
		report, err := httpapi.Reported(in, now)
		report.DeviceID = "nABC"
		if err == nil {
			err = report.Validate()
		}
		if err != nil {
			var e *leger.Error
			if !errors.As(err, &e) || e.Code != leger.CodeInvalid || e.Field == "" || e.Message == "" {
				t.Errorf("%q: %v", body, err)
			}
			return
		}
		if (report.Secrets == nil) != (in.Secrets == nil) || (report.Deployments == nil) != (in.Deployments == nil) {
			t.Errorf("%q: a list that was not sent is not one that is empty", body)
		}
		var times []time.Time
		for _, s := range report.Secrets {
			times = append(times, s.SyncedAt)
		}
		for _, d := range report.Deployments {
			times = append(times, d.InstalledAt, d.UpdatedAt)
		}
		for _, at := range times {
			if y := at.UTC().Year(); at.After(now) || (!at.IsZero() && y < 1970) {
				t.Errorf("%q: %s was taken", body, at)
			}
		}
	})
}

func checkRefusal(t *testing.T, body []byte, err error) {
	t.Helper()
	var e *leger.Error
	if !errors.As(err, &e) || e.Code != leger.CodeInvalid || e.Message == "" {
		t.Fatalf("%q: %v", body, err)
	}
	// The one text of a body that an error shows is the name of a field it does not
	// know; a value must not be in it.
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil {
		return
	}
	for _, value := range fields {
		if len(value) > 8 && bytes.Contains([]byte(err.Error()), bytes.Trim(value, `"`)) {
			t.Errorf("%q: the error shows the value: %v", body, err)
		}
	}
}
