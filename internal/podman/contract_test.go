package podman_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"leger.run/leger"
	"leger.run/leger/internal/podman"
)

// contract is what Leger relies on in Podman. It runs against the fake here, and
// against the real one, over the socket and over the program, with the build tag
// machine. The Podman given has no secrets called leger_contract_*.
func contract(t *testing.T, c *podman.Client) {
	t.Helper()
	const prefix = "leger_contract_"
	a, b := name(t, prefix+"a"), name(t, prefix+"b")
	ctx := t.Context()
	t.Cleanup(func() {
		after := context.WithoutCancel(ctx) // the test's own has ended
		all, err := c.Secrets(after)
		if err != nil {
			t.Error(err)
		}
		for _, s := range all {
			if strings.HasPrefix(s.Name, prefix) {
				_ = c.RemoveSecret(after, s.ID)
			}
		}
	})

	v, err := c.Version(ctx)
	if err != nil || v.Before(podman.MinVersion()) {
		t.Fatalf("version %v, %v", v, err)
	}

	if _, err := c.Containers(ctx); err != nil {
		t.Error(err)
	}
	if missing, err := c.MissingImages(ctx, []string{"localhost/leger-contract-none:1"}); err != nil || len(missing) != 1 {
		t.Errorf("an image that is nowhere: missing %v, %v", missing, err)
	}

	if _, err := c.Volumes(ctx); err != nil {
		t.Error(err)
	}

	if said, err := c.HealthOutput(ctx, "leger-contract-none"); err != nil || said != "" {
		t.Errorf("the health of a container that there is not: %q, %v", said, err)
	}

	_, err = c.SecretInfo(ctx, a)
	wantCode(t, err, leger.ErrNotFound)

	labels := map[string]string{"run.leger.managed": "true", "run.leger.version": "7", "odd": `a=b,c "d" é`}
	if err := c.CreateSecret(ctx, a, text("first\n"), labels, false); err != nil {
		t.Fatal(err)
	}
	first, err := c.SecretInfo(ctx, a)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(labels, first.Labels); diff != "" {
		t.Errorf("labels came back changed (-sent +got): %s", diff)
	}

	wantCode(t, c.CreateSecret(ctx, a, text("other"), nil, false), leger.ErrConflict)

	newer := map[string]string{"run.leger.version": "8"}
	if err := c.CreateSecret(ctx, a, text("second"), newer, true); err != nil {
		t.Fatal(err)
	}
	second, err := c.SecretInfo(ctx, a)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(newer, second.Labels); diff != "" {
		t.Errorf("replace does not replace the labels: %s", diff)
	}
	if first.ID == second.ID {
		t.Error("a replaced secret keeps its id: then an id does not tell one secret from the next")
	}
	wantCode(t, c.RemoveSecret(ctx, first.ID), leger.ErrNotFound)

	if err := c.CreateSecret(ctx, b, text("v"), nil, true); err != nil {
		t.Errorf("replace of a name that is not there: %v", err)
	}
	all, err := c.Secrets(ctx)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]podman.Secret{}
	for _, s := range all {
		seen[s.Name] = s
	}
	if diff := cmp.Diff(second, seen[a.String()]); diff != "" {
		t.Errorf("list and info differ: %s", diff)
	}
	if _, ok := seen[b.String()]; !ok {
		t.Error("the list lacks a secret")
	}

	wantCode(t, c.CreateSecret(ctx, name(t, prefix+"empty"), text(""), nil, false), leger.ErrInvalid)
	most := bytes.Repeat([]byte{'x'}, podman.MaxSecretValue)
	if err := c.CreateSecret(ctx, name(t, prefix+"big"), leger.NewPlaintext(most), nil, false); err != nil {
		t.Errorf("the longest value: %v", err)
	}
	wantCode(t, c.CreateSecret(ctx, name(t, prefix+"bigger"), leger.NewPlaintext(append(most, 'x')), nil, false), leger.ErrTooLarge)

	if err := c.RemoveSecret(ctx, second.ID); err != nil {
		t.Fatal(err)
	}
	_, err = c.SecretInfo(ctx, a)
	wantCode(t, err, leger.ErrNotFound)
	wantCode(t, c.RemoveSecret(ctx, second.ID), leger.ErrNotFound)
}

func TestContractWithTheFake(t *testing.T) {
	t.Parallel()
	fake := startFake(t)
	contract(t, client(t, podman.Config{Socket: fake.Socket}))
}
