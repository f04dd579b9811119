package httpapi_test

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/wire"
)

// Forty machines with as much as a report may have were one answer of 17 MB, for which
// the server took 100 MB. A page of the list is below 1 MB whatever is asked for, and
// making it takes a small part of that.
func TestALongListOfBigMachinesIsGivenInSmallParts(t *testing.T) { // alone: it measures what is allocated
	const machines, most = 40, 1 << 20
	s := startServer(t, nil)
	p := newPeople(s.target())
	p.token(t, "alice")
	user := p.identity(t, "alice").UserID()
	for i := range machines {
		r := biggestReport(t, user, i)
		must(t, r.Validate())
		e := leger.AuditEvent{At: r.At, User: user, Action: leger.ActionHostAdd, Subject: r.DeviceID}
		_, err := s.store.ReportHost(t.Context(), r, e)
		must(t, err)
	}
	for lists, wantPages := range map[string]int{
		"": 1, "&include_secrets=true": 10, "&include_deployments=true": 2,
		"&include_secrets=true&include_deployments=true": 14,
	} {
		var got []string
		pages := 0
		for cursor := ""; pages == 0 || cursor != ""; pages++ {
			path := "/api/hosts?limit=500" + lists
			if cursor != "" {
				path += "&cursor=" + url.QueryEscape(cursor)
			}
			res := p.as(t, "alice", http.MethodGet, path, "")
			if len(res.body) > most {
				t.Errorf("%q: page %d has %d bytes", lists, pages, len(res.body))
			}
			out := data[wire.Hosts](t, res)
			for _, h := range out.Hosts {
				got = append(got, h.DeviceID)
			}
			cursor = out.NextCursor
		}
		sorted := slices.IsSorted(got) && len(slices.Compact(slices.Clone(got))) == machines
		if len(got) != machines || !sorted || pages != wantPages {
			t.Errorf("%q: %d machines on %d pages: %q", lists, len(got), pages, got)
		}
		first := func() { p.as(t, "alice", http.MethodGet, "/api/hosts?limit=500"+lists, "") }
		if n := leastAllocated(first); n > 32*most { // 6 to 10 of them; twice that in a race build
			t.Errorf("%q: a page takes %d bytes", lists, n)
		}
	}
	one := p.as(t, "alice", http.MethodGet, "/api/hosts/"+strings.Repeat("d", leger.MaxDeviceID-2)+"07", "")
	found := data[wire.Host](t, one).Deployments[0].Findings
	if len(found) != leger.MaxDeploymentFindings || len(one.body) > 2*leger.MaxBody {
		t.Errorf("one machine has %d bytes", len(one.body))
	}
}

// leastAllocated gives how many bytes f takes: the least of some tries, because what else
// runs in the process is counted too, and a race build's sync.Pool drops at random what
// it was given, so that one try may allocate every buffer anew.
func leastAllocated(f func()) uint64 {
	least := uint64(math.MaxUint64)
	for range 3 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}

// biggestReport has as many secrets and deployments as one may, with names as long as
// they may be, and findings for the rest of what a request's body takes.
func biggestReport(t *testing.T, user leger.UserID, i int) leger.HostReport {
	t.Helper()
	at := time.Date(2026, 3, 1, 10, 20, 30, 123_000_000, time.UTC)
	version := strings.Repeat("1", leger.MaxClientVersion)
	r := leger.HostReport{
		User: user, DeviceID: fmt.Sprintf("%s%02d", strings.Repeat("d", leger.MaxDeviceID-2), i),
		Name: strings.Repeat(`"`, leger.MaxHostName), At: at,
		CLIVersion: version, LegerdVersion: version, PodmanVersion: version,
	}
	for n := range leger.MaxSecretsPerUser {
		name, err := leger.ParseSecretName(fmt.Sprintf("%0*d", leger.MaxSecretName, n))
		must(t, err)
		r.Secrets = append(r.Secrets, leger.HostSecret{Name: name, Version: 1 << 62, SyncedAt: at})
	}
	finding := leger.HostFinding{
		Kind: leger.FindingUnitFailed, Subject: strings.Repeat("s", leger.MaxFindingSubject),
		Text: strings.Repeat("t", leger.MaxFindingText),
	}
	for n := range leger.MaxHostDeployments {
		name, err := leger.ParseReleaseName(fmt.Sprintf("%0*d", leger.MaxReleaseName, n))
		must(t, err)
		d := leger.HostDeployment{
			Release: name, Version: 1 << 62, State: leger.HostFailed, Health: leger.HealthPoor,
			InstalledAt: at, UpdatedAt: at,
			Units: []leger.HostUnit{{Name: strings.Repeat("u", leger.MaxUnitName), State: leger.HostFailed}},
		}
		if n < 10 {
			d.Findings = slices.Repeat([]leger.HostFinding{finding}, leger.MaxDeploymentFindings)
		}
		r.Deployments = append(r.Deployments, d)
	}
	return r
}
