package daemon

import (
	"context"
	"log/slog"
	"slices"

	"leger.run/leger"
	"leger.run/leger/internal/localvault"
	"leger.run/leger/internal/podman"
)

// preview compares and changes nothing: what a reconciliation for this user would
// do; zero is the one it knows. The caller has the turn.
func (k *Keeper) preview(ctx context.Context, user leger.UserID) (localvault.Report, error) {
	if user.IsZero() {
		k.mu.Lock()
		user = k.user
		k.mu.Unlock()
	}
	steps, err := k.plan(ctx, user, May{})
	if err != nil {
		return localvault.Report{}, err
	}
	report := localvault.Report{User: user, At: k.cfg.Now().UTC(), Secrets: make([]localvault.Outcome, 0, len(steps))}
	for _, step := range steps {
		report.Secrets = append(report.Secrets, outcome(step))
	}
	return report, nil
}

func (k *Keeper) plan(ctx context.Context, user leger.UserID, may May) ([]Step, error) {
	have, err := k.look(ctx)
	if err != nil {
		return nil, err
	}
	want, err := k.cfg.Store.Secrets(user)
	if err != nil {
		return nil, err
	}
	return Plan(user, want, have, may), nil
}

func outcome(s Step) localvault.Outcome {
	out := localvault.Outcome{Name: s.Name, Version: s.Version, Action: s.Action}
	if !s.Owner.IsZero() {
		owner := s.Owner
		out.Owner = &owner
	}
	return out
}

// reconcile compares and applies, once. The caller has the turn, and there is a
// user.
func (k *Keeper) reconcile(ctx context.Context, may May) (localvault.Report, error) {
	k.mu.Lock()
	user := k.user
	k.mu.Unlock()
	steps, err := k.plan(ctx, user, may)
	if err != nil {
		return localvault.Report{}, err
	}
	report := localvault.Report{User: user, Secrets: make([]localvault.Outcome, 0, len(steps))}
	for _, step := range steps {
		report.Secrets = append(report.Secrets, k.apply(ctx, user, step))
	}
	report.At = k.cfg.Now().UTC()
	k.mu.Lock()
	k.last = &report
	k.mu.Unlock()
	return report, nil
}

// look lists Podman's secrets and notes how that went.
func (k *Keeper) look(ctx context.Context) ([]podman.Secret, error) {
	version, err := k.cfg.Podman.Version(ctx)
	var have []podman.Secret
	if err == nil {
		have, err = k.cfg.Podman.Secrets(ctx)
	}
	status := localvault.PodmanStatus{Error: localvault.ProblemOf(err)}
	if err == nil {
		status.Version = version.String()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.podman = status
	return have, err
}

// apply takes one step and says how it went. A step that fails does not stop the
// others.
func (k *Keeper) apply(ctx context.Context, user leger.UserID, step Step) localvault.Outcome {
	out := outcome(step)
	log := k.cfg.Logger.With(slog.String("secret", step.Name.String()), slog.Int64("version", int64(step.Version)))
	var err error
	switch step.Action {
	case localvault.ActionUnchanged, localvault.ActionFailed:
		return out
	case localvault.ActionKept:
		if !k.was(step.Name, localvault.ActionKept) {
			log.WarnContext(ctx, "Podman has a secret of Leger's that the store does not have; it stays until a sync removes it")
		}
		return out
	case localvault.ActionConflict:
		out.Error = conflict(step.Name)
		if !k.was(step.Name, localvault.ActionConflict) {
			log.WarnContext(ctx, "Podman has a secret of this name that Leger did not make")
		}
		return out
	case localvault.ActionCreated, localvault.ActionReplaced:
		out.Version, err = k.put(ctx, user, step)
	case localvault.ActionRemoved:
		err = k.cfg.Podman.RemoveSecret(ctx, step.ID)
		if leger.CodeOf(err) == leger.CodeNotFound {
			err = nil // somebody was faster
		}
	}
	switch {
	case err == nil:
		log.InfoContext(ctx, "Podman secret changed", slog.String("action", string(step.Action)))
	case step.Action == localvault.ActionCreated && leger.CodeOf(err) == leger.CodeConflict:
		// It appeared after we looked, so somebody else made it.
		out.Action, out.Error = localvault.ActionConflict, conflict(step.Name)
	default:
		out.Action, out.Error = localvault.ActionFailed, localvault.ProblemOf(err)
		log.WarnContext(ctx, "Podman secret left as it was", slog.String("wanted", string(step.Action)), slog.Any("error", err))
	}
	return out
}

// put makes or replaces a Podman secret with the store's value of this moment,
// which may be newer than the plan's, and gives its version.
func (k *Keeper) put(ctx context.Context, user leger.UserID, step Step) (leger.Version, error) {
	value, v, err := k.cfg.Store.Value(user, step.Name)
	if err != nil {
		return step.Version, err
	}
	defer value.Wipe()
	labels := labelsOf(user, localvault.Secret{Version: v, Digest: k.cfg.Store.Digest(user, step.Name, value)})
	return v, k.cfg.Podman.CreateSecret(ctx, step.Name, value, labels, step.Action == localvault.ActionReplaced)
}

// was reports whether the last reconciliation said this of the secret already.
func (k *Keeper) was(name leger.SecretName, action localvault.Action) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.last != nil && slices.ContainsFunc(k.last.Secrets, func(o localvault.Outcome) bool {
		return o.Name == name && o.Action == action
	})
}

func conflict(name leger.SecretName) *localvault.Problem {
	return localvault.ProblemOf(
		leger.Errorf(leger.CodeConflict, "Podman already has a secret %s that Leger did not make; it was left alone", name).
			WithHint("to let Leger replace it: leger secrets adopt %s; to keep it, give one of the two another name", name))
}
