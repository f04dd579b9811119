package httpapi_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"testing"

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
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, v := range []any{
			&wire.ValidateRequest{}, &wire.UserPatch{}, &wire.UserDelete{}, &wire.SecretPut{}, &wire.SecretRestore{}, &wire.SecretBatch{},
			&wire.ReleaseCreate{}, &wire.ReleaseUpdate{},
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
