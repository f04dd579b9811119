package wire_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/wire"
)

var update = flag.Bool("update", false, "write the golden files anew")

func parse[T any](t *testing.T, f func(string) (T, error), s string) T {
	t.Helper()
	v, err := f(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func envelope[T any](v T) wire.Envelope[T] { return wire.Envelope[T]{Success: true, Data: &v} }

// shapes gives one value of every shape, full and, where it matters, bare.
func shapes(t *testing.T) map[string]any {
	t.Helper()
	made := time.Date(2025, 10, 16, 14, 0, 0, 0, time.UTC)
	edited := time.Date(2025, 10, 16, 16, 30, 0, 123_456_789, time.FixedZone("", 7200))
	text, yes := "sk-proj-abc123 <&> 🔑", true
	user := leger.User{
		ID: parse(t, leger.ParseUserID, "550e8400-e29b-41d4-a716-446655440000"), TailscaleUserID: leger.TailscaleUserIDOf(123456789),
		Email: "alice@github", Tailnet: "example.ts.net", DisplayName: "Alice", CreatedAt: made, LastSeen: edited, TotalAuthentications: 3,
	}
	unnamed := user
	unnamed.DisplayName = ""
	secret := wire.SecretOf(leger.SecretInfo{Name: parse(t, leger.ParseSecretName, "openai_api_key"), Version: 2, CreatedAt: made, UpdatedAt: edited, ValueID: "AAECAwQFBgcICQoL"})
	withValue := secret
	withValue.Value = &text
	release := leger.Release{
		ID: "7d444840-9dc0-41d1-b245-5ffdce74fad2", Name: parse(t, leger.ParseReleaseName, "my-openwebui"),
		GitURL: parse(t, leger.ParseGitURL, "https://github.com/alice/quadlets"), GitRef: parse(t, leger.ParseGitRef, ""),
		GitPath: parse(t, leger.ParseGitPath, "deploy"), Description: "OpenWebUI setup", Version: 1, CreatedAt: made, UpdatedAt: made,
	}
	host := leger.Host{
		DeviceID: "nABC", Name: "box-1", CLIVersion: "0.1.0", LegerdVersion: "0.1.0", PodmanVersion: "5.8.6", CreatedAt: made, LastSeen: edited,
		Secrets: []leger.HostSecret{{Name: secret.Name, Version: 2, SyncedAt: edited}},
		Deployments: []leger.HostDeployment{{
			Release: release.Name, Version: 1, Commit: "0123456789abcdef0123456789abcdef01234567", State: leger.HostActive,
			InstalledAt: made, UpdatedAt: edited, Units: []leger.HostUnit{{Name: "openwebui.service", State: leger.HostActive}},
			Generation: 3, Health: leger.HealthGood, ReportedAt: edited,
			Findings: []leger.HostFinding{
				{Kind: leger.FindingFileChanged, Subject: "openwebui.container", Text: "was changed since it was installed"},
				{Kind: leger.FindingBranchMoved, Text: "the branch has moved on"},
			},
		}, {
			Release: release.Name, State: leger.HostUnknown, InstalledAt: made, UpdatedAt: edited,
		}},
	}
	installation := wire.InstallationOf(leger.Installation{ID: "b1946ac9-2b4d-4f52-9c1b-0a5b5f1d2c3e", Epoch: 1})
	bare := leger.Host{DeviceID: "local-0a", Name: "box-2", CreatedAt: made, LastSeen: made}
	summary := leger.HostSummary{Host: host, Counts: leger.HostCounts{Secrets: 1, Deployments: 2, UnitsDown: 3, GraveFindings: 4, OtherFindings: 5}}
	machine := leger.Machine{
		ID: release.ID, Name: "box-1", UnixUser: "me", DeviceID: "nABC", Role: leger.RoleDeliver, Groups: []string{"home", "web"},
		Key: leger.MachineKeyOf(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))), CLIVersion: "0.2.0",
		EnrolledBy: leger.SignInSharedSecret, EnrolledAt: made, EnrolledFrom: "192.0.2.7", LastSeen: edited, LastAddr: "192.0.2.8",
	}
	plain := machine
	plain.DeviceID, plain.Role, plain.Groups, plain.CLIVersion = "", leger.RoleFull, nil, ""
	code := parse(t, leger.ParseEnrolmentCode, "bcdf ghjk")
	expires, aUser, aMachine := wire.At(edited), wire.UserOf(user), wire.MachineOf(plain)
	return map[string]any{
		"validated": envelope(wire.Validated{User: wire.UserOf(user), Installation: installation}),
		"profile":   envelope(wire.Profile{User: wire.UserOf(unnamed), Installation: installation}),
		"profile_backup": envelope(wire.Profile{
			User: wire.UserOf(unnamed), Installation: installation, Backup: wire.BackupOf(leger.BackupState{MadeAt: made, KeysSaved: true}),
		}),
		"profile_no_backup": envelope(wire.Profile{
			User: wire.UserOf(unnamed), Installation: installation, Backup: wire.BackupOf(leger.BackupState{}),
		}),
		"auth_methods":    envelope(wire.AuthMethods{Server: "https://leger.example.com", Methods: []wire.AuthMethod{{Name: leger.SignInMachine}, {Name: leger.SignInSharedSecret}}}),
		"sessions":        envelope(wire.Sessions{Sessions: []wire.Session{{ID: release.ID, Current: true, CreatedAt: wire.At(made), LastSeen: wire.At(edited), ExpiresAt: wire.At(edited), UserAgent: "Firefox", RemoteAddr: "192.0.2.7"}}}),
		"signed_out":      envelope(wire.SignedOut{Deleted: true, Sessions: 2}),
		"deleted":         envelope(wire.Deleted{Deleted: true}),
		"secrets":         envelope(wire.Secrets{Secrets: []wire.Secret{secret}, Installation: installation}),
		"secrets_none":    envelope(wire.Secrets{Secrets: []wire.Secret{}, Installation: installation}),
		"secrets_values":  envelope(wire.Secrets{Secrets: []wire.Secret{withValue}, Installation: installation}),
		"secret_written":  envelope(wire.SecretWritten{Name: secret.Name, Version: 2, ValueID: secret.ValueID, CreatedAt: secret.CreatedAt, UpdatedAt: secret.UpdatedAt, Changed: true}),
		"secret_versions": envelope(wire.SecretVersions{Versions: []wire.SecretVersion{{Version: 2, CreatedAt: wire.At(edited), Current: true}, {Version: 1, CreatedAt: wire.At(made)}}}),
		"batch_result": envelope(wire.SecretBatchResult{Applied: true, Results: []wire.SecretBatchState{
			{Name: "a", State: wire.BatchNew, Version: 1, Current: 0},
			{Name: "b", State: wire.BatchChanged, Version: 2, Current: 1},
			{Name: "c", State: wire.BatchUnchanged, Version: 3, Current: 3},
			{Name: "d", State: wire.BatchConflict, Version: 4, Current: 4, Message: "why"},
			{Name: "", State: wire.BatchInvalid, Message: "why"},
		}}),
		"release":          envelope(wire.ReleaseOf(release)),
		"releases":         envelope(wire.Releases{Releases: []wire.Release{wire.ReleaseOf(release)}, NextCursor: "bXktb3BlbndlYnVp"}),
		"release_versions": envelope(wire.ReleaseVersions{Versions: []wire.ReleaseVersion{wire.ReleaseVersionOf(leger.ReleaseVersion{Version: 1, Name: release.Name, GitURL: release.GitURL, GitRef: release.GitRef, CreatedAt: made})}}),
		"audit": envelope(wire.AuditEvents{Events: []wire.AuditEvent{
			wire.AuditEventOf(leger.AuditEvent{
				ID: 7, At: edited, Action: leger.ActionSecretRead, Subject: "*", Count: 2, Credential: leger.CredentialToken,
				DeviceID: "nABC", RemoteAddr: "192.0.2.7", RequestID: "0123456789abcdef",
			}),
			wire.AuditEventOf(leger.AuditEvent{ID: 6, At: made, Action: leger.ActionSignIn, Credential: leger.CredentialNone}),
		}, NextCursor: "Ng"}),
		"machines":         envelope(wire.Machines{Machines: []wire.Machine{wire.MachineOf(machine), wire.MachineOf(plain)}}),
		"machine_enrolled": envelope(wire.MachineEnrolled{Machine: wire.MachineOf(machine), Created: true}),
		"enrolment_waits": envelope(wire.EnrolmentState{
			State: wire.EnrolmentWaits, Code: code.String(), VerificationURL: "https://leger.example.ts.net/machines/connect",
			Poll: "leger-poll-…", Interval: 3, ExpiresAt: &expires, Fingerprint: machine.Key.Fingerprint(),
		}),
		"enrolment_done":  envelope(wire.EnrolmentState{State: wire.EnrolmentDone, User: &aUser, Machine: &aMachine}),
		"enrolment":       envelope(wire.EnrolmentOf(leger.Enrolment{Code: code, Machine: machine, ExpiresAt: edited})),
		"invitations":     envelope(wire.Invitations{Invitations: []wire.Invitation{wire.InvitationOf(leger.Invitation{ID: release.ID, Name: "nas", Role: leger.RoleDeliver, Groups: []string{"home"}, CreatedAt: made, ExpiresAt: edited})}}),
		"invitation_made": envelope(wire.InvitationMade{Invitation: wire.InvitationOf(leger.Invitation{ID: release.ID, Role: leger.RoleFull, CreatedAt: made, ExpiresAt: edited}), Text: "leger-invite-…"}),
		"owner_invited": envelope(wire.OwnerInvited{
			InvitationMade: wire.InvitationMade{
				Invitation: wire.InvitationOf(leger.Invitation{ID: release.ID, Role: leger.RoleFull, CreatedAt: made, ExpiresAt: edited}),
				Text:       "leger-invite-…",
			},
			User: aUser, Created: true,
		}),
		"rekeyed":      envelope(wire.Rekeyed{KeyID: "0123456789abcdef", Resealed: 50, Passed: 100, Total: 120, Next: "e30"}),
		"rekeyed_done": envelope(wire.Rekeyed{KeyID: "0123456789abcdef", Passed: 120, Total: 120, Former: []string{"fedcba9876543210"}}),
		"host":         envelope(wire.HostOf(host)),
		"host_bare":    envelope(wire.HostOf(bare)),
		"hosts": envelope(wire.Hosts{Hosts: []wire.HostSummary{
			wire.HostSummaryOf(summary, false, false), wire.HostSummaryOf(summary, true, true), wire.HostSummaryOf(leger.HostSummary{Host: bare}, true, true),
		}, NextCursor: "Ym94LTIKbG9jYWwtMGE"}),
		"host_reported": envelope(wire.HostReported{DeviceID: "nABC", LastSeen: wire.At(edited), Created: true}),
		"error": wire.Envelope[struct{}]{Error: &wire.Error{
			Code: leger.CodeConflict, Message: "what happened", Hint: "what to do", Field: "name", Version: 4, RequestID: "0123456789abcdef", RetryAfter: 3,
		}},
		"error_bare":        wire.Envelope[struct{}]{Error: &wire.Error{Code: leger.CodeNotFound, Message: "what happened"}},
		"health":            wire.Health{Status: "healthy", Service: "leger-app", Version: "0.1.0", Timestamp: wire.At(made)},
		"ready":             wire.Ready{Status: "ready", Checks: map[string]string{"storage": "ok"}},
		"request_validate":  wire.ValidateRequest{Session: &yes},
		"request_user":      wire.UserPatch{DisplayName: "Alice"},
		"request_deletion":  wire.UserDelete{Email: "alice@github"},
		"request_secret":    wire.SecretPut{Value: text},
		"request_restore":   wire.SecretRestore{Version: 1},
		"request_batch":     wire.SecretBatch{Secrets: []wire.SecretBatchItem{{Name: "a", Value: text, Version: new(leger.Version)}, {Name: "b", Value: text}}, DryRun: true},
		"request_release":   wire.ReleaseCreate{Name: "x", GitURL: "https://example.com/x", GitBranch: "main", GitPath: "a", Description: "d"},
		"request_release_1": wire.ReleaseCreate{Name: "x", GitURL: "https://example.com/x"},
		"request_machine":   wire.MachineEnrolment{Name: "box-1", UnixUser: "me", DeviceID: "nABC", PublicKey: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
		"request_machine_1": wire.MachinePatch{Groups: &[]string{"home"}},
		"request_enrolment": wire.EnrolmentAsk{Name: "box-1", UnixUser: "me", PublicKey: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", CLIVersion: "0.2.0", Invitation: "leger-invite-…"},
		"request_poll":      wire.EnrolmentPoll{Poll: "leger-poll-…"},
		"request_owner":     wire.OwnerInvite{Email: "alice@github", TailscaleUserID: "u123456789", Tailnet: "example.ts.net", Name: "nas"},
		"request_rekey":     wire.Rekey{Cursor: "e30"},
		"request_terms":     wire.MachineTerms{Name: "nas", Role: leger.RoleDeliver, Groups: []string{"home"}},
		"request_update":    wire.ReleaseUpdate{Description: &text},
		"request_report": wire.HostReport{
			Name: "box-1", CLIVersion: "0.1.0", LegerdVersion: "0.1.0", PodmanVersion: "5.8.6",
			Secrets: []wire.HostSecretReport{{Name: "a", Version: 2, SyncedAt: "2025-10-16T14:00:00Z"}, {Name: "b", Version: 1}},
			Deployments: []wire.HostDeploymentReport{{
				Release: "my-openwebui", Version: 1, Commit: host.Deployments[0].Commit, State: leger.HostFailed,
				InstalledAt: "2025-10-16T14:00:00Z", UpdatedAt: "2025-10-16T14:30:00Z",
				Units: []wire.HostUnit{{Name: "openwebui.service", State: leger.HostFailed}}, Generation: 3, Health: leger.HealthFailed,
				Findings: []wire.HostFinding{{Kind: leger.FindingUnitFailed, Subject: "openwebui.service", Text: "is failed"}},
			}},
		},
		"request_report_none":  wire.HostReport{Name: "box-1", Secrets: []wire.HostSecretReport{}, Deployments: []wire.HostDeploymentReport{}},
		"request_report_stays": wire.HostReport{Name: "box-1"},
	}
}

// TestGoldenFiles pins every shape: a field that is renamed, dropped or added
// shows here before any client meets it. -update writes the files anew.
func TestGoldenFiles(t *testing.T) {
	t.Parallel()
	all := shapes(t)
	for name, v := range all {
		var got bytes.Buffer
		enc := json.NewEncoder(&got)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(v); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", name+".json")
		if *update {
			if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s is\n%s, want\n%s", name, got.Bytes(), want)
		}
		back := reflect.New(reflect.TypeOf(v))
		dec := json.NewDecoder(bytes.NewReader(want))
		dec.DisallowUnknownFields()
		if err := dec.Decode(back.Interface()); err != nil || !reflect.DeepEqual(back.Elem().Interface(), v) {
			t.Errorf("%s reads as %+v, %v", name, back.Elem(), err)
		}
	}
	files, err := filepath.Glob(filepath.Join("testdata", "*.json"))
	if err != nil || len(files) != len(all) {
		t.Errorf("there are %d golden files for %d shapes, %v", len(files), len(all), err)
	}
}

// An error means the same on both sides of the wire.
func TestErrorsSurviveTheWire(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(filepath.Join("testdata", "error.json"))
	if err != nil {
		t.Fatal(err)
	}
	var env wire.Envelope[json.RawMessage]
	if err := json.Unmarshal(b, &env); err != nil {
		t.Fatal(err)
	}
	e := env.Error.Leger()
	if !errors.Is(e, leger.ErrConflict) || e.Message != "what happened" || e.Hint != "what to do" || e.Field != "name" ||
		e.Version != 4 || e.RequestID != "0123456789abcdef" || e.RetryAfter != 3 {
		t.Errorf("%+v", e)
	}
}

func TestTimesAreUTCInMilliseconds(t *testing.T) {
	t.Parallel()
	b, err := json.Marshal(wire.At(time.Date(2025, 1, 2, 3, 4, 5, 999_999_999, time.FixedZone("", -3600))))
	if err != nil || string(b) != `"2025-01-02T04:04:05.999Z"` {
		t.Errorf("%s, %v", b, err)
	}
}

// What comes from a server is checked again: no name that is none gets further.
func TestAnswersAreParsed(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"../x", ""} {
		var out wire.Secrets
		if err := json.Unmarshal([]byte(`{"secrets":[{"name":"`+name+`","version":1}]}`), &out); !errors.Is(err, leger.ErrInvalid) {
			t.Errorf("%q: %v", name, err)
		}
	}
	for field, value := range map[string]string{"name": "-x", "git_url": "ext::id", "git_branch": "--x", "git_path": "../x"} {
		text := `{"` + field + `":"` + value + `"}`
		var out wire.Release
		var e *leger.Error
		if err := json.Unmarshal([]byte(text), &out); !errors.As(err, &e) || e.Field != field {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// FuzzSecrets: an answer that is read has only names that are names, and reads the
// same when written again.
func FuzzSecrets(f *testing.F) {
	f.Add([]byte(`{"secrets":[{"name":"a","value":"x","version":1,"created_at":"2025-10-16T14:00:00Z","updated_at":"2025-10-16T14:00:00Z"}]}`))
	f.Add([]byte(`{"secrets":[{"name":"-"}]}`))
	f.Add([]byte(`{"secrets":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var out wire.Secrets
		if json.Unmarshal(b, &out) != nil {
			return
		}
		for _, s := range out.Secrets {
			if s.Name == (leger.SecretName{}) {
				continue // the field was not there
			}
			if _, err := leger.ParseSecretName(s.Name.String()); err != nil {
				t.Errorf("%q: %v", b, err)
			}
		}
	})
}
