package storetest

import "leger.run/leger"

func installationTests() map[string]func(*harness) {
	return map[string]func(*harness){
		"an installation has one identity": testInstallation,
	}
}

func testInstallation(h *harness) {
	first, err := h.Installation.Installation(h.Context())
	h.must(err)
	if !leger.ValidID(first.ID) || first.Epoch != 1 {
		h.Errorf("a new installation is %+v", first)
	}
	h.put(h.account(1), "key", 0, "one")
	again, err := h.Installation.Installation(h.Context())
	h.must(err)
	h.same("the installation after a write", again, first)
}
