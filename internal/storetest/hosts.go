package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"leger.run/leger"
)

func hostTests() map[string]func(*harness) {
	return map[string]func(*harness){
		"a machine comes back as it reported itself":    testReport,
		"a part that is not given stays":                testPartialReport,
		"an empty part is empty":                        testEmptyParts,
		"a secret keeps the time of its version":        testSyncedAt,
		"a deployment keeps the time it came":           testInstalledAt,
		"last seen never goes back":                     testLastSeen,
		"only the first report is audited":              testHostAudit,
		"machines in order of name":                     testHostOrder,
		"machines in pages":                             testHostPages,
		"a list of machines has no more than it needs":  testHostSummary,
		"a page of machines ends before it is too long": testHostPageItems,
		"one machine, and its name":                     testOneHost,
		"another account sees and changes no machine":   testOtherHosts,
		"a machine is forgotten with all it reported":   testForgetHost,
		"no more machines than the limit":               testHostLimit,
		"a machine with as much as it may have":         testFullHost,
		"of 50 first reports, one makes the machine":    testConcurrentFirstReport,
		"50 reports at once leave one of them whole":    testConcurrentReports,
		"50 new machines at the limit":                  testHostsAtLimit,
		"a deleted account takes its machines with it":  testDeleteUserHosts,
		"a report for an account that is not there":     testReportOfNobody,
		"a secret and a release may go, the report not": testHostOutlivesWhatItNames,
	}
}

// report is a whole report of a machine, made at that minute.
func (h *harness) report(user leger.UserID, device string, minute int) leger.HostReport {
	h.Helper()
	return leger.HostReport{
		User: user, DeviceID: device, Name: "box " + device, CLIVersion: "0.1.0", LegerdVersion: "0.1.1", PodmanVersion: "5.8.6",
		At: at(minute),
		Secrets: []leger.HostSecret{
			{Name: h.secretName("a"), Version: 3, SyncedAt: at(1)}, {Name: h.secretName("b"), Version: 1, SyncedAt: at(2)},
		},
		Deployments: []leger.HostDeployment{{
			Release: h.releaseName("Web"), Version: 2, Commit: strings.Repeat("0a", 20), State: leger.HostActive,
			InstalledAt: at(3), UpdatedAt: at(4),
			Units:      []leger.HostUnit{{Name: "web.service", State: leger.HostActive}, {Name: "<null>'\"🦊.service", State: leger.HostFailed}},
			Generation: 12, Health: leger.HealthFailed,
			Findings: []leger.HostFinding{
				{Kind: leger.FindingUnitFailed, Subject: "<null>'\"🦊.service", Text: "is failed"},
				{Kind: "of_a_newer_leger", Text: "says [\"something\"] else"},
			},
		}},
	}
}

// hostOf is what a first and whole report makes.
func hostOf(r leger.HostReport) leger.Host {
	return leger.Host{
		User: r.User, DeviceID: r.DeviceID, Name: r.Name, CLIVersion: r.CLIVersion, LegerdVersion: r.LegerdVersion,
		PodmanVersion: r.PodmanVersion, CreatedAt: r.At, LastSeen: r.At, Secrets: r.Secrets, Deployments: reportedAt(r.At, r.Deployments),
	}
}

// reportedAt is the list as it comes back from a report at that time.
func reportedAt(at time.Time, list []leger.HostDeployment) []leger.HostDeployment {
	list = slices.Clone(list)
	for i := range list {
		list[i].ReportedAt = at
	}
	return list
}

func (h *harness) tryReport(r leger.HostReport) (created bool, err error) {
	e := event(r.User, leger.ActionHostAdd, r.DeviceID, 0, 1)
	return h.Hosts.ReportHost(h.Context(), r, e)
}

// sendReport reports and gives what was reported.
func (h *harness) sendReport(r leger.HostReport) leger.HostReport {
	h.Helper()
	_, err := h.tryReport(r)
	h.must(err)
	return r
}

// hosts gives all machines with all that they reported.
func (h *harness) hosts(user leger.UserID) []leger.Host {
	h.Helper()
	summaries := h.hostPages(user, leger.HostPage{})
	list := make([]leger.Host, len(summaries))
	for i, s := range summaries {
		var err error
		list[i], err = h.Hosts.Host(h.Context(), user, s.DeviceID)
		h.must(err)
	}
	return list
}

func (h *harness) forget(user leger.UserID, device string) error {
	return h.Hosts.ForgetHost(h.Context(), user, device, event(user, leger.ActionHostForget, device, 0, 2))
}

func testReport(h *harness) {
	user := h.account(1)
	h.same("before", h.hosts(user), []leger.Host{})
	first := h.report(user, "node1", 5)
	created, err := h.tryReport(first)
	h.must(err)
	h.same("created", created, true)
	want := hostOf(first)
	h.same("after the first report", h.hosts(user), []leger.Host{want})

	next := leger.HostReport{
		User: user, DeviceID: "node1", Name: "renamed", CLIVersion: "0.2.0", LegerdVersion: "0.2.1", PodmanVersion: "6.0.0", At: at(9),
		Secrets: []leger.HostSecret{{Name: h.secretName("b"), Version: 2, SyncedAt: at(8)}, {Name: h.secretName("c"), Version: 7, SyncedAt: at(8)}},
		Deployments: []leger.HostDeployment{
			{Release: h.releaseName("db"), State: leger.HostUnknown, InstalledAt: at(6), UpdatedAt: at(6)},
			{
				Release: h.releaseName("WEB"), Version: 3, Commit: strings.Repeat("f", 64), State: leger.HostStopped, InstalledAt: at(3), UpdatedAt: at(7),
				Units: []leger.HostUnit{{Name: "web.service", State: leger.HostStopped}},
			},
		},
	}
	created, err = h.tryReport(next)
	h.must(err)
	h.same("created by the second", created, false)
	want = hostOf(next)
	want.CreatedAt = first.At
	h.same("after the second", h.hosts(user), []leger.Host{want})
}

func testPartialReport(h *harness) {
	user := h.account(1)
	want := hostOf(h.sendReport(h.report(user, "node1", 5)))
	secrets := leger.HostReport{
		User: user, DeviceID: "node1", Name: "box node1", At: at(6),
		Secrets: []leger.HostSecret{{Name: h.secretName("z"), Version: 1, SyncedAt: at(6)}},
	}
	h.sendReport(secrets)
	want.LastSeen, want.Secrets = at(6), secrets.Secrets
	h.same("after a report of secrets, without versions", h.hosts(user), []leger.Host{want})
	deployments := leger.HostReport{
		User: user, DeviceID: "node1", Name: "box node1", CLIVersion: "0.3.0", At: at(7),
		Deployments: []leger.HostDeployment{{Release: h.releaseName("db"), State: leger.HostActive, InstalledAt: at(7), UpdatedAt: at(7)}},
	}
	h.sendReport(deployments)
	want.LastSeen, want.CLIVersion, want.Deployments = at(7), "0.3.0", reportedAt(at(7), deployments.Deployments)
	h.same("after a report of deployments", h.hosts(user), []leger.Host{want})
	h.sendReport(leger.HostReport{User: user, DeviceID: "node1", Name: "box node1", At: at(8)})
	want.LastSeen = at(8)
	h.same("after a report of nothing", h.hosts(user), []leger.Host{want})
}

func testEmptyParts(h *harness) {
	user := h.account(1)
	r := h.sendReport(h.report(user, "node1", 5))
	r.Secrets, r.Deployments = []leger.HostSecret{}, []leger.HostDeployment{}
	h.sendReport(r)
	h.same("machines", h.hosts(user), []leger.Host{hostOf(r)})
}

func testSyncedAt(h *harness) {
	user := h.account(1)
	r := h.report(user, "node1", 5)
	a, b, c := h.secretName("a"), h.secretName("b"), h.secretName("c")
	r.Secrets = []leger.HostSecret{{Name: a, Version: 1}, {Name: b, Version: 1, SyncedAt: at(2)}}
	h.sendReport(r)
	h.same("no time given", h.hosts(user)[0].Secrets, []leger.HostSecret{{Name: a, Version: 1, SyncedAt: at(5)}, {Name: b, Version: 1, SyncedAt: at(2)}})
	r.At, r.Secrets = at(9), []leger.HostSecret{{Name: a, Version: 1}, {Name: b, Version: 2}, {Name: c, Version: 1}}
	h.sendReport(r)
	h.same("the same version, another, a new secret", h.hosts(user)[0].Secrets, []leger.HostSecret{
		{Name: a, Version: 1, SyncedAt: at(5)}, {Name: b, Version: 2, SyncedAt: at(9)}, {Name: c, Version: 1, SyncedAt: at(9)},
	})
}

func testInstalledAt(h *harness) {
	user := h.account(1)
	r := h.report(user, "node1", 5)
	deployment := leger.HostDeployment{Release: h.releaseName("web"), State: leger.HostActive, UpdatedAt: at(4)}
	r.Deployments = []leger.HostDeployment{deployment}
	h.sendReport(r)
	r.At, r.Deployments[0].Version, r.Deployments[0].UpdatedAt = at(9), 2, at(8)
	h.sendReport(r)
	deployment.Version, deployment.InstalledAt, deployment.UpdatedAt, deployment.ReportedAt = 2, at(5), at(8), at(9)
	h.same("deployments", h.hosts(user)[0].Deployments, []leger.HostDeployment{deployment})
}

func testLastSeen(h *harness) {
	user := h.account(1)
	r := h.sendReport(h.report(user, "node1", 9))
	r.At = at(3)
	h.sendReport(r)
	h.same("last seen", h.hosts(user)[0].LastSeen, at(9))
}

func testHostAudit(h *harness) {
	user := h.account(1)
	for minute := range 3 {
		h.sendReport(h.report(user, "node1", minute))
	}
	h.same("audit", h.actions(user), []leger.Action{leger.ActionSignIn, leger.ActionHostAdd})
	h.must(h.forget(user, "node1"))
	h.sendReport(h.report(user, "node1", 5))
	h.same("audit of one that comes back", h.actions(user),
		[]leger.Action{leger.ActionSignIn, leger.ActionHostAdd, leger.ActionHostForget, leger.ActionHostAdd})
}

func testHostOrder(h *harness) {
	user := h.account(1)
	for device, name := range map[string]string{"n4": "b", "n2": "a", "n1": "c", "n3": "b"} {
		r := h.report(user, device, 1)
		r.Name = name
		r.Secrets = []leger.HostSecret{{Name: h.secretName("z"), Version: 1}, {Name: h.secretName("B"), Version: 1}, {Name: h.secretName("a"), Version: 1}}
		r.Deployments = nil
		for _, release := range []string{"zeta", "Beta", "alpha"} {
			r.Deployments = append(r.Deployments, leger.HostDeployment{Release: h.releaseName(release), State: leger.HostActive, UpdatedAt: at(1)})
		}
		h.sendReport(r)
	}
	var got []string
	for _, host := range h.hosts(user) {
		line := []string{host.DeviceID}
		for _, s := range host.Secrets {
			line = append(line, s.Name.String())
		}
		for _, d := range host.Deployments {
			line = append(line, d.Release.String())
		}
		got = append(got, strings.Join(line, " "))
	}
	const lists = " B a z alpha Beta zeta"
	h.same("order", got, []string{"n2" + lists, "n3" + lists, "n4" + lists, "n1" + lists})
}

// Two people may use one machine; each has their own report of it.
func testOtherHosts(h *harness) {
	owner, other := h.account(1), h.account(2)
	mine := h.sendReport(h.report(owner, "shared", 1))
	h.same("another's machines", h.hosts(other), []leger.Host{})
	h.fails(h.forget(other, "shared"), leger.ErrNotFound)
	theirs := h.report(other, "shared", 2)
	theirs.Name, theirs.Secrets, theirs.Deployments = "theirs", []leger.HostSecret{}, []leger.HostDeployment{}
	h.sendReport(theirs)
	h.same("the owner's", h.hosts(owner), []leger.Host{hostOf(mine)})
	h.same("the other's", h.hosts(other), []leger.Host{hostOf(theirs)})
	h.must(h.forget(other, "shared"))
	h.same("the owner's, after the other forgot theirs", h.hosts(owner), []leger.Host{hostOf(mine)})
}

func testForgetHost(h *harness) {
	user := h.account(1)
	h.sendReport(h.report(user, "gone", 1))
	stays := h.sendReport(h.report(user, "stays", 1))
	h.must(h.forget(user, "gone"))
	h.fails(h.forget(user, "gone"), leger.ErrNotFound)
	h.fails(h.forget(user, "never"), leger.ErrNotFound)
	h.same("machines", h.hosts(user), []leger.Host{hostOf(stays)})
	back := leger.HostReport{User: user, DeviceID: "gone", Name: "a", At: at(7)}
	h.sendReport(back)
	h.same("one that comes back has nothing of before", h.hosts(user), []leger.Host{hostOf(back), hostOf(stays)})
	h.same("audit", h.actions(user), []leger.Action{
		leger.ActionSignIn, leger.ActionHostAdd, leger.ActionHostAdd, leger.ActionHostForget, leger.ActionHostAdd,
	})
}

func testHostLimit(h *harness) {
	user := h.account(1)
	for i := range leger.MaxHostsPerUser {
		h.sendReport(leger.HostReport{User: user, DeviceID: fmt.Sprintf("n%03d", i), Name: "box", At: at(1)})
	}
	extra := h.report(user, "extra", 2)
	_, err := h.tryReport(extra)
	h.fails(err, leger.ErrConflict)
	h.same("machines", len(h.hosts(user)), leger.MaxHostsPerUser)
	h.same("audit events", len(h.actions(user)), leger.MaxHostsPerUser+1)
	known := h.report(user, "n000", 3)
	known.Name = "a box"
	h.sendReport(known)
	h.same("a report of one that is known", h.hosts(user)[0].Secrets, known.Secrets)
	h.must(h.forget(user, "n000"))
	h.sendReport(extra)
}

func testFullHost(h *harness) {
	user := h.account(1)
	r := h.report(user, strings.Repeat("d", leger.MaxDeviceID), 1)
	r.Secrets, r.Deployments = nil, nil
	for i := range leger.MaxSecretsPerUser {
		name := fmt.Sprintf("%0*d", leger.MaxSecretName, i)
		r.Secrets = append(r.Secrets, leger.HostSecret{Name: h.secretName(name), Version: 1 << 62, SyncedAt: at(i)})
	}
	for i := range leger.MaxHostDeployments {
		d := leger.HostDeployment{
			Release: h.releaseName(fmt.Sprintf("%0*d", leger.MaxReleaseName, i)), State: leger.HostActive, InstalledAt: at(i), UpdatedAt: at(i),
		}
		units := 1
		if i == 0 {
			units = leger.MaxDeploymentUnits
		}
		for n := range units {
			d.Units = append(d.Units, leger.HostUnit{Name: fmt.Sprintf("%d.service", n), State: leger.HostActive})
		}
		if i == 0 {
			much := leger.HostFinding{
				Kind: leger.FindingMore, Subject: strings.Repeat("s", leger.MaxFindingSubject), Text: strings.Repeat("t", leger.MaxFindingText),
			}
			d.Findings = slices.Repeat([]leger.HostFinding{much}, leger.MaxDeploymentFindings)
		}
		r.Deployments = append(r.Deployments, d)
	}
	h.must(r.Validate())
	h.sendReport(r)
	h.same("machines", h.hosts(user), []leger.Host{hostOf(r)})
}

func testConcurrentFirstReport(h *harness) {
	user := h.account(1)
	var made atomic.Int64
	h.together(func(i int) error {
		created, err := h.tryReport(h.report(user, "node1", i))
		if created {
			made.Add(1)
		}
		return err
	})
	h.same("reports that made the machine", made.Load(), int64(1))
	h.same("machines", len(h.hosts(user)), 1)
	h.same("audit", h.actions(user), []leger.Action{leger.ActionSignIn, leger.ActionHostAdd})
}

// Both lists are of one report, whichever came last.
func testConcurrentReports(h *harness) {
	user := h.account(1)
	h.together(func(i int) error {
		r := h.report(user, "node1", i)
		for n := range 5 {
			r.Secrets = append(r.Secrets, leger.HostSecret{Name: h.secretName(fmt.Sprintf("of-%d-%d", i, n)), Version: leger.Version(i + 1), SyncedAt: at(i)})
		}
		r.Secrets[0].Version, r.Deployments[0].Version = leger.Version(i+1), leger.Version(i+1)
		_, err := h.tryReport(r)
		return err
	})
	host := h.hosts(user)[0]
	last := host.Deployments[0].Version
	want := []string{"a " + fmt.Sprint(last), "b 1"}
	for n := range 5 {
		want = append(want, fmt.Sprintf("of-%d-%d %d", last-1, n, last))
	}
	var got []string
	for _, s := range host.Secrets {
		got = append(got, fmt.Sprint(s.Name, " ", s.Version))
	}
	h.same("secrets", got, want)
	h.same("last seen", host.LastSeen, at(writers-1))
}

func testHostsAtLimit(h *harness) {
	user := h.account(1)
	const free = 10
	for i := range leger.MaxHostsPerUser - free {
		h.sendReport(leger.HostReport{User: user, DeviceID: fmt.Sprintf("n%03d", i), Name: "box", At: at(1)})
	}
	var refused atomic.Int64
	h.together(func(i int) error {
		_, err := h.tryReport(leger.HostReport{User: user, DeviceID: fmt.Sprintf("late%02d", i), Name: "box", At: at(1)})
		if errors.Is(err, leger.ErrConflict) {
			refused.Add(1)
			return nil
		}
		return err
	})
	h.same("refused", refused.Load(), int64(writers-free))
	h.same("machines", len(h.hosts(user)), leger.MaxHostsPerUser)
}

func testDeleteUserHosts(h *harness) {
	user, other := h.account(1), h.account(2)
	h.sendReport(h.report(user, "node1", 1))
	theirs := h.sendReport(h.report(other, "node1", 1))
	h.must(h.Users.DeleteUser(h.Context(), user, event(user, leger.ActionUserDelete, "", 0, 9)))
	h.same("machines of the deleted account", h.hosts(user), []leger.Host{})
	h.same("another's", h.hosts(other), []leger.Host{hostOf(theirs)})
	h.account(1)
	h.same("machines of who comes back", h.hosts(user), []leger.Host{})
	back := leger.HostReport{User: user, DeviceID: "node1", Name: "box", At: at(11)}
	h.sendReport(back)
	h.same("a machine of who comes back", h.hosts(user), []leger.Host{hostOf(back)})
}

func testReportOfNobody(h *harness) {
	nobody := identity(99).UserID()
	_, err := h.tryReport(h.report(nobody, "node1", 1))
	h.fails(err, leger.ErrNotFound)
	h.same("machines", h.hosts(nobody), []leger.Host{})
	h.fails(h.forget(nobody, "node1"), leger.ErrNotFound)
	h.same("audit", h.actions(nobody), []leger.Action{})
}

func testHostOutlivesWhatItNames(h *harness) {
	user := h.account(1)
	h.put(user, "a", 0, "x")
	web := h.createRelease(user, "web")
	r := h.sendReport(h.report(user, "node1", 1))
	h.must(h.deleteSecret(user, "a", 0))
	h.must(h.deleteRelease(web, 0))
	h.same("machines", h.hosts(user), []leger.Host{hostOf(r)})
	h.same("no secret is made by a report", h.secretNames(user), []string{})
}

// secretNames lists the live secrets.
func (h *harness) secretNames(user leger.UserID) []string {
	h.Helper()
	infos, err := h.Secrets.Secrets(h.Context(), user)
	h.must(err)
	names := make([]string, len(infos))
	for i, s := range infos {
		names[i] = s.Name.String()
	}
	slices.Sort(names)
	return names
}
