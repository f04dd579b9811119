package storetest

import (
	"fmt"

	"leger.run/leger"
)

// hostPages gives the machines of all pages.
func (h *harness) hostPages(user leger.UserID, page leger.HostPage) []leger.HostSummary {
	h.Helper()
	var all []leger.HostSummary
	for range leger.MaxHostsPerUser {
		list, next, err := h.Hosts.Hosts(h.Context(), user, page)
		h.must(err)
		all = append(all, list...)
		if next == "" {
			return all
		}
		page.After = next
	}
	h.Fatal("the pages have no end")
	return nil
}

// Pages are in order of name, then of device id, and none is left out or given twice
// when names are the same, are parts of each other, or come and go meanwhile.
func testHostPages(h *harness) {
	user := h.account(1)
	names := map[string]string{"n9": "a", "n1": "b", "n2": "b", "n10": "b", "n3": "b b", "n4": "B", "n5": "ü", "n6": "b-1"}
	for device, name := range names {
		h.sendReport(leger.HostReport{User: user, DeviceID: device, Name: name, At: at(1)})
	}
	h.sendReport(leger.HostReport{User: h.account(2), DeviceID: "n1", Name: "b", At: at(1)})
	want := []string{"n4", "n9", "n1", "n10", "n2", "n3", "n6", "n5"}
	for _, limit := range []int{1, 2, 3, len(want) - 1, len(want), leger.MaxPageSize} {
		var got []string
		for _, s := range h.hostPages(user, leger.HostPage{Limit: limit}) {
			got = append(got, s.DeviceID)
		}
		h.same(fmt.Sprint("pages of ", limit), got, want)
	}
	list, next, err := h.Hosts.Hosts(h.Context(), user, leger.HostPage{Limit: 3})
	h.must(err)
	h.same("the first page", len(list), 3)
	h.must(h.forget(user, "n1")) // where the page ended
	list, next, err = h.Hosts.Hosts(h.Context(), user, leger.HostPage{Limit: 1, After: next})
	h.must(err)
	h.same("the second page", list[0].DeviceID, "n10")
	for _, after := range []string{next + "\n", "ü\nn5", "z"} {
		_, _, err := h.Hosts.Hosts(h.Context(), user, leger.HostPage{After: after})
		h.must(err)
	}
	list, next, err = h.Hosts.Hosts(h.Context(), user, leger.HostPage{After: "ü\nn5"})
	h.must(err)
	h.same("after the last", fmt.Sprint(len(list), next), "0")
}

// summaryOf is what a list has of a machine that reported so.
func summaryOf(r leger.HostReport, counts leger.HostCounts) leger.HostSummary {
	s := leger.HostSummary{Host: hostOf(r), Counts: counts}
	s.Secrets, s.Deployments = []leger.HostSecret{}, []leger.HostDeployment{}
	return s
}

func testHostSummary(h *harness) {
	user := h.account(1)
	r := h.report(user, "node1", 5)
	r.Deployments = append(r.Deployments,
		leger.HostDeployment{
			Release: h.releaseName("api"), State: leger.HostStopped, InstalledAt: at(2), UpdatedAt: at(3),
			Units: []leger.HostUnit{
				{Name: "api.service", State: leger.HostStopped}, {Name: "x.service", State: leger.HostUnknown},
			},
		},
		leger.HostDeployment{
			Release: h.releaseName("zeta"), State: leger.HostActive, Health: leger.HealthGood,
			InstalledAt: at(2), UpdatedAt: at(3),
			Findings: []leger.HostFinding{
				{Kind: leger.FindingBranchMoved, Text: "x"}, {Kind: leger.FindingSecretGone, Text: "x"},
			},
		})
	h.sendReport(r)
	empty := h.sendReport(leger.HostReport{User: user, DeviceID: "node2", Name: "empty", At: at(1)})
	counts := leger.HostCounts{Secrets: 2, Deployments: 3, UnitsDown: 2, GraveFindings: 2, OtherFindings: 2}
	full, bare := summaryOf(r, counts), summaryOf(empty, leger.HostCounts{})
	h.same("without lists", h.hostPages(user, leger.HostPage{}), []leger.HostSummary{full, bare})
	withSecrets := full
	withSecrets.Secrets = r.Secrets
	h.same("with secrets", h.hostPages(user, leger.HostPage{Secrets: true}),
		[]leger.HostSummary{withSecrets, bare})
	full.Deployments = []leger.HostDeployment{
		{Release: h.releaseName("api"), State: leger.HostStopped, UpdatedAt: at(3)},
		{Release: h.releaseName("Web"), Version: 2, State: leger.HostActive, UpdatedAt: at(4), Health: leger.HealthFailed},
		{Release: h.releaseName("zeta"), State: leger.HostActive, UpdatedAt: at(3), Health: leger.HealthGood},
	}
	h.same("with deployments", h.hostPages(user, leger.HostPage{Deployments: true}),
		[]leger.HostSummary{full, bare})
	full.Secrets = r.Secrets
	h.same("with both", h.hostPages(user, leger.HostPage{Secrets: true, Deployments: true}),
		[]leger.HostSummary{full, bare})
}

func testHostPageItems(h *harness) {
	user := h.account(1)
	const machines, each = 6, leger.MaxHostPageItems / 4 // four fit exactly
	const deployments = leger.MaxHostDeployments
	const secrets = each - deployments
	for i := range machines {
		r := leger.HostReport{User: user, DeviceID: fmt.Sprintf("n%d", i), Name: "box", At: at(1)}
		for n := range secrets {
			r.Secrets = append(r.Secrets, leger.HostSecret{Name: h.secretName(fmt.Sprintf("s%04d", n)), Version: 1})
		}
		for n := range deployments {
			r.Deployments = append(r.Deployments, leger.HostDeployment{
				Release: h.releaseName(fmt.Sprintf("r%04d", n)), State: leger.HostActive, UpdatedAt: at(1),
			})
		}
		h.sendReport(r)
	}
	h.sendReport(leger.HostReport{User: user, DeviceID: "n9", Name: "box", At: at(1)})
	for what, want := range map[string]struct {
		page  leger.HostPage
		first int
	}{
		"without lists":    {leger.HostPage{}, machines + 1},
		"with secrets":     {leger.HostPage{Secrets: true}, leger.MaxHostPageItems / secrets},
		"with deployments": {leger.HostPage{Deployments: true}, machines + 1},
		"with both":        {leger.HostPage{Secrets: true, Deployments: true}, 4},
	} {
		first, next, err := h.Hosts.Hosts(h.Context(), user, want.page)
		h.must(err)
		h.same(what+": machines of the first page", len(first), want.first)
		h.same(what+": there is another page", next != "", want.first <= machines)
		all := h.hostPages(user, want.page)
		h.same(what+": machines of all pages", len(all), machines+1)
		for _, s := range all[:machines] {
			h.same(what+": secrets", len(s.Secrets), map[bool]int{true: secrets}[want.page.Secrets])
			h.same(what+": deployments", len(s.Deployments), map[bool]int{true: deployments}[want.page.Deployments])
		}
	}
}

func testOneHost(h *harness) {
	owner, other := h.account(1), h.account(2)
	r := h.sendReport(h.report(owner, "node1", 5))
	h.sendReport(h.report(owner, "node2", 5))
	got, err := h.Hosts.Host(h.Context(), owner, "node1")
	h.must(err)
	h.same("the machine", got, hostOf(r))
	name, err := h.Hosts.HostName(h.Context(), owner, "node1")
	h.must(err)
	h.same("its name", name, r.Name)
	for _, of := range []struct {
		user   leger.UserID
		device string
	}{{other, "node1"}, {owner, "never"}, {owner, ""}} {
		_, err = h.Hosts.Host(h.Context(), of.user, of.device)
		h.fails(err, leger.ErrNotFound)
		_, err = h.Hosts.HostName(h.Context(), of.user, of.device)
		h.fails(err, leger.ErrNotFound)
	}
}
