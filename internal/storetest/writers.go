package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"leger.run/leger"
)

// writers is how many callers write at the same time.
const writers = 50

func secretWriterTests() map[string]func(*harness) {
	return map[string]func(*harness){
		"50 writers of one secret":             testSameSecret,
		"50 writers of a secret each":          testOwnSecrets,
		"50 writers and deleters of one":       testWritersAndDeleters,
		"50 writers at the limit":              testWritersAtLimit,
		"batches that overlap are all or none": testOverlappingBatches,
	}
}

// together runs one function per writer at once and reports what went wrong.
func (h *harness) together(run func(i int) error) {
	h.Helper()
	var wg sync.WaitGroup
	errs := make([]error, writers)
	for i := range writers {
		wg.Go(func() { errs[i] = run(i) })
	}
	wg.Wait()
	h.must(errors.Join(errs...))
}

// putNext puts value as the next version, again and again until no other writer
// comes in between, and gives the version that it got.
func (h *harness) putNext(user leger.UserID, name, value string) (leger.Version, error) {
	for {
		states, err := h.Secrets.SecretStates(h.Context(), user, []leger.SecretName{h.secretName(name)})
		if err != nil {
			return 0, err
		}
		w := h.write(user, name, states[0].Version, value)
		err = h.Secrets.PutSecrets(h.Context(), []leger.SecretWrite{w})
		if !errors.Is(err, leger.ErrConflict) {
			return w.Sealed.Version, err
		}
	}
}

func upTo(n int) []leger.Version {
	list := make([]leger.Version, n)
	for i := range list {
		list[i] = leger.Version(i + 1)
	}
	return list
}

func testSameSecret(h *harness) {
	user := h.account(1)
	got := make([]leger.Version, writers)
	h.together(func(i int) (err error) {
		got[i], err = h.putNext(user, "key", fmt.Sprint("writer ", i))
		return err
	})
	last := slices.Index(got, leger.Version(writers))
	slices.Sort(got)
	h.same("versions, without gap or repeat", got, upTo(writers))
	current, err := h.Secrets.SealedSecret(h.Context(), user, h.secretName("key"))
	h.must(err)
	h.same("current value", string(current.Ciphertext), fmt.Sprint("writer ", last))
	versions, err := h.Secrets.SecretVersions(h.Context(), user, h.secretName("key"))
	h.must(err)
	h.same("kept versions", len(versions), leger.KeptSecretVersions)
	h.same("audit events", len(h.actions(user)), writers+1)
}

func testOwnSecrets(h *harness) {
	user := h.account(1)
	const each = 4
	h.together(func(i int) error {
		for v := range leger.Version(each) {
			w := h.write(user, fmt.Sprintf("key%02d", i), v, fmt.Sprint(i, " ", v+1))
			if err := h.Secrets.PutSecrets(h.Context(), []leger.SecretWrite{w}); err != nil {
				return err
			}
		}
		return nil
	})
	all, err := h.Secrets.SealedSecrets(h.Context(), user, nil)
	h.must(err)
	h.same("secrets", len(all), writers)
	for i, s := range all {
		h.same(s.Name.String(), string(s.Ciphertext), fmt.Sprint(i, " ", each))
	}
}

// The number of a version is never given twice, whatever is deleted in between.
func testWritersAndDeleters(h *harness) {
	user, name := h.account(1), h.secretName("key")
	got := make([]leger.Version, writers)
	h.together(func(i int) (err error) {
		if got[i], err = h.putNext(user, "key", "x"); err != nil || i%2 == 0 {
			return err
		}
		if err = h.deleteSecret(user, "key", 0); errors.Is(err, leger.ErrNotFound) {
			return nil
		}
		return err
	})
	slices.Sort(got)
	h.same("versions, without gap or repeat", got, upTo(writers))
	states, err := h.Secrets.SecretStates(h.Context(), user, []leger.SecretName{name})
	h.must(err)
	h.same("last version", states[0].Version, leger.Version(writers))
}

// Of many that come for the last free places, only as many get one.
func testWritersAtLimit(h *harness) {
	user := h.account(1)
	const free = 10
	fill := make([]leger.SecretWrite, leger.MaxSecretsPerUser-free)
	for i := range fill {
		fill[i] = h.write(user, fmt.Sprintf("s%04d", i), 0, "x")
	}
	h.must(h.Secrets.PutSecrets(h.Context(), fill))
	refused := make([]bool, writers)
	h.together(func(i int) error {
		err := h.Secrets.PutSecrets(h.Context(), []leger.SecretWrite{h.write(user, fmt.Sprintf("late%02d", i), 0, "x")})
		refused[i] = errors.Is(err, leger.ErrConflict)
		if refused[i] {
			return nil
		}
		return err
	})
	n := 0
	for _, r := range refused {
		if r {
			n++
		}
	}
	h.same("refused", n, writers-free)
	infos, err := h.Secrets.Secrets(h.Context(), user)
	h.must(err)
	h.same("secrets", len(infos), leger.MaxSecretsPerUser)
}

// Each writer puts the same three secrets at once: they always move together.
func testOverlappingBatches(h *harness) {
	user := h.account(1)
	names := []leger.SecretName{h.secretName("a"), h.secretName("b"), h.secretName("c")}
	h.together(func(i int) error {
		for {
			states, err := h.Secrets.SecretStates(h.Context(), user, names)
			if err != nil {
				return err
			}
			var batch []leger.SecretWrite
			for n, name := range names {
				batch = append(batch, h.write(user, name.String(), states[n].Version, fmt.Sprint("writer ", i)))
			}
			if err := h.Secrets.PutSecrets(h.Context(), batch); !errors.Is(err, leger.ErrConflict) {
				return err
			}
		}
	})
	all, err := h.Secrets.SealedSecrets(h.Context(), user, nil)
	h.must(err)
	for _, s := range all {
		h.same("version of "+s.Name.String(), s.Version, leger.Version(writers))
		h.same("value of "+s.Name.String(), string(s.Ciphertext), string(all[0].Ciphertext))
	}
}
