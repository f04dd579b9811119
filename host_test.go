package leger_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"leger.run/leger"
)

func secretName(t testing.TB, s string) leger.SecretName {
	t.Helper()
	n, err := leger.ParseSecretName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func releaseName(t testing.TB, s string) leger.ReleaseName {
	t.Helper()
	n, err := leger.ParseReleaseName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// goodReport has something in every place.
func goodReport(t testing.TB) leger.HostReport {
	t.Helper()
	at := time.Date(2026, 3, 1, 10, 20, 30, 0, time.UTC)
	return leger.HostReport{
		DeviceID: "nCNTRL11", Name: "box-1", CLIVersion: "0.1.0", LegerdVersion: "0.1.0", PodmanVersion: "5.8.6", At: at,
		Secrets: []leger.HostSecret{{Name: secretName(t, "key"), Version: 3, SyncedAt: at}},
		Deployments: []leger.HostDeployment{{
			Release: releaseName(t, "web"), Version: 2, Commit: strings.Repeat("0123456789", 4), State: leger.HostActive,
			InstalledAt: at, UpdatedAt: at, Units: []leger.HostUnit{{Name: "web.service", State: leger.HostActive}},
			Generation: 4, Health: leger.HealthPoor,
			Findings: []leger.HostFinding{{Kind: leger.FindingFileChanged, Subject: "web.container", Text: "was changed since it was installed"}},
		}},
	}
}

func TestReportsThatAreTaken(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(*leger.HostReport){
		"whole":                  func(*leger.HostReport) {},
		"nothing but a name":     func(r *leger.HostReport) { *r = leger.HostReport{DeviceID: "n1", Name: "box"} },
		"empty lists":            func(r *leger.HostReport) { r.Secrets, r.Deployments = []leger.HostSecret{}, []leger.HostDeployment{} },
		"no time of the secret":  func(r *leger.HostReport) { r.Secrets[0].SyncedAt = time.Time{} },
		"no time it came":        func(r *leger.HostReport) { r.Deployments[0].InstalledAt = time.Time{} },
		"no version of releases": func(r *leger.HostReport) { r.Deployments[0].Version = 0 },
		"no commit":              func(r *leger.HostReport) { r.Deployments[0].Commit = "" },
		"a commit of SHA-256":    func(r *leger.HostReport) { r.Deployments[0].Commit = strings.Repeat("f", 64) },
		"no units":               func(r *leger.HostReport) { r.Deployments[0].Units = nil },
		"no health": func(r *leger.HostReport) {
			r.Deployments[0].Generation, r.Deployments[0].Health, r.Deployments[0].Findings = 0, "", nil
		},
		"a finding of a newer leger": func(r *leger.HostReport) { r.Deployments[0].Findings[0].Kind = "something_else" },
		"a finding about the whole":  func(r *leger.HostReport) { r.Deployments[0].Findings[0].Subject = "" },
		"a name of any letters":      func(r *leger.HostReport) { r.Name = "Zoës Kiste" },
		"a clock at its start":       func(r *leger.HostReport) { r.Deployments[0].UpdatedAt = time.Unix(0, 0) },
		"the longest names": func(r *leger.HostReport) {
			r.DeviceID, r.Name = strings.Repeat("x", leger.MaxDeviceID), strings.Repeat("x", leger.MaxHostName)
			r.Deployments[0].Units[0].Name = strings.Repeat("x", leger.MaxUnitName)
			longest := leger.HostFinding{
				Kind: leger.FindingKind(strings.Repeat("x", 32)), Subject: strings.Repeat("x", leger.MaxFindingSubject), Text: strings.Repeat("x", leger.MaxFindingText),
			}
			r.Deployments[0].Findings = slices.Repeat([]leger.HostFinding{longest}, leger.MaxDeploymentFindings)
		},
	} {
		r := goodReport(t)
		change(&r)
		if err := r.Validate(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestReportsThatAreRefused(t *testing.T) {
	t.Parallel()
	deployment := func(r *leger.HostReport) *leger.HostDeployment { return &r.Deployments[0] }
	finding := func(r *leger.HostReport) *leger.HostFinding { return &deployment(r).Findings[0] }
	for _, tc := range []struct {
		field  string
		change func(*leger.HostReport)
	}{
		{"device_id", func(r *leger.HostReport) { r.DeviceID = "" }},
		{"device_id", func(r *leger.HostReport) { r.DeviceID = ".." }},
		{"device_id", func(r *leger.HostReport) { r.DeviceID = strings.Repeat("x", leger.MaxDeviceID+1) }},
		{"device_id", func(r *leger.HostReport) { r.DeviceID = "a\nb" }},
		{"name", func(r *leger.HostReport) { r.Name = "" }},
		{"name", func(r *leger.HostReport) { r.Name = strings.Repeat("x", leger.MaxHostName+1) }},
		{"name", func(r *leger.HostReport) { r.Name = "box\u202e" }},
		{"cli_version", func(r *leger.HostReport) { r.CLIVersion = strings.Repeat("1", leger.MaxClientVersion+1) }},
		{"legerd_version", func(r *leger.HostReport) { r.LegerdVersion = "\xff" }},
		{"podman_version", func(r *leger.HostReport) { r.PodmanVersion = "\x1b[31m" }},
		{"secrets", func(r *leger.HostReport) { r.Secrets = make([]leger.HostSecret, leger.MaxSecretsPerUser+1) }},
		{"secrets[0].name", func(r *leger.HostReport) { r.Secrets[0].Name = leger.SecretName{} }},
		{"secrets[1].name", func(r *leger.HostReport) { r.Secrets = append(r.Secrets, r.Secrets[0]) }},
		{"secrets[0].version", func(r *leger.HostReport) { r.Secrets[0].Version = 0 }},
		// In UTC this lies in the year -1, which no timestamp of four digits can say.
		{"secrets[0].synced_at", func(r *leger.HostReport) {
			r.Secrets[0].SyncedAt = time.Date(0, 1, 1, 0, 0, 0, 0, time.FixedZone("", 86000))
		}},
		{"deployments", func(r *leger.HostReport) { r.Deployments = make([]leger.HostDeployment, leger.MaxHostDeployments+1) }},
		{"deployments[0].release", func(r *leger.HostReport) { deployment(r).Release = leger.ReleaseName{} }},
		{"deployments[1].release", func(r *leger.HostReport) {
			r.Deployments = append(r.Deployments, *deployment(r))
			r.Deployments[1].Release = releaseName(t, "WEB")
		}},
		{"deployments[0].version", func(r *leger.HostReport) { deployment(r).Version = -1 }},
		{"deployments[0].commit", func(r *leger.HostReport) { deployment(r).Commit = "HEAD" }},
		{"deployments[0].commit", func(r *leger.HostReport) { deployment(r).Commit = strings.Repeat("A", 40) }},
		{"deployments[0].commit", func(r *leger.HostReport) { deployment(r).Commit = strings.Repeat("a", 41) }},
		{"deployments[0].state", func(r *leger.HostReport) { deployment(r).State = "" }},
		{"deployments[0].state", func(r *leger.HostReport) { deployment(r).State = "Active" }},
		{"deployments[0].updated_at", func(r *leger.HostReport) { deployment(r).UpdatedAt = time.Time{} }},
		{"deployments[0].installed_at", func(r *leger.HostReport) { deployment(r).InstalledAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }},
		{"deployments[0].units", func(r *leger.HostReport) { deployment(r).Units = make([]leger.HostUnit, leger.MaxDeploymentUnits+1) }},
		{"deployments[0].units[0].name", func(r *leger.HostReport) { deployment(r).Units[0].Name = "" }},
		{"deployments[0].units[0].name", func(r *leger.HostReport) { deployment(r).Units[0].Name = strings.Repeat("x", leger.MaxUnitName+1) }},
		{"deployments[0].generation", func(r *leger.HostReport) { deployment(r).Generation = -1 }},
		{"deployments[0].health", func(r *leger.HostReport) { deployment(r).Health = "Healthy" }},
		{"deployments[0].findings", func(r *leger.HostReport) {
			deployment(r).Findings = make([]leger.HostFinding, leger.MaxDeploymentFindings+1)
		}},
		{"deployments[0].findings[0].kind", func(r *leger.HostReport) { finding(r).Kind = "" }},
		{"deployments[0].findings[0].kind", func(r *leger.HostReport) { finding(r).Kind = "file-changed" }},
		{"deployments[0].findings[0].kind", func(r *leger.HostReport) { finding(r).Kind = leger.FindingKind(strings.Repeat("x", 33)) }},
		{"deployments[0].findings[0].subject", func(r *leger.HostReport) { finding(r).Subject = strings.Repeat("x", leger.MaxFindingSubject+1) }},
		{"deployments[0].findings[0].subject", func(r *leger.HostReport) { finding(r).Subject = "\x1b[31m" }},
		{"deployments[0].findings[0].text", func(r *leger.HostReport) { finding(r).Text = "" }},
		{"deployments[0].findings[0].text", func(r *leger.HostReport) { finding(r).Text = "two\nlines" }},
		{"deployments[0].findings[0].text", func(r *leger.HostReport) { finding(r).Text = strings.Repeat("x", leger.MaxFindingText+1) }},
		{"deployments[0].units[0].state", func(r *leger.HostReport) { deployment(r).Units[0].State = "running" }},
	} {
		r := goodReport(t)
		tc.change(&r)
		err := r.Validate()
		e, ok := errors.AsType[*leger.Error](err)
		if !ok || e.Code != leger.CodeInvalid || e.Field != tc.field || e.Message == "" {
			t.Errorf("%s: %v (%+v)", tc.field, err, e)
		}
	}
}

func TestHostStates(t *testing.T) {
	t.Parallel()
	for _, s := range []leger.HostState{leger.HostActive, leger.HostFailed, leger.HostStopped, leger.HostUnknown} {
		if got, err := leger.ParseHostState(string(s)); got != s || err != nil {
			t.Errorf("%s: %q, %v", s, got, err)
		}
	}
	if got, err := leger.ParseHostState("running"); got != "" || !errors.Is(err, leger.ErrInvalid) {
		t.Errorf("running: %q, %v", got, err)
	}
}

func TestWithinNamesThePlace(t *testing.T) {
	t.Parallel()
	inner := leger.Invalid("name", "wrong")
	e, ok := errors.AsType[*leger.Error](leger.Within("secrets[2].", fmt.Errorf("around: %w", inner)))
	if !ok || e.Field != "secrets[2].name" || inner.Field != "name" {
		t.Errorf("field %v, of the error itself %q", e, inner.Field)
	}
	for _, other := range []error{errors.New("plain"), leger.Errorf(leger.CodeConflict, "about nothing in particular"), nil} {
		if got := leger.Within("secrets[2].", other); !errors.Is(got, other) {
			t.Errorf("%v became %v", other, got)
		}
	}
}

func FuzzParseDeviceID(f *testing.F) {
	for _, seed := range []string{"nCNTRL11", "", ".", "..", "a/b", "a b", "\x00", "é", strings.Repeat("x", 65)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := leger.ParseDeviceID(s)
		if err != nil {
			if !errors.Is(err, leger.ErrInvalid) || got != "" {
				t.Errorf("%q: %q, %v", s, got, err)
			}
			return
		}
		if got != s || s == "" || len(s) > leger.MaxDeviceID || !utf8.ValidString(s) || strings.ContainsAny(s, "\x00\r\n\t\x1b") {
			t.Errorf("%q was taken as %q", s, got)
		}
	})
}
