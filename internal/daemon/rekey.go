package daemon

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"syscall"

	"leger.run/leger"
	"leger.run/leger/internal/localvault"
)

// guard does what must be done before a secret is in memory.
func guard(ctx context.Context, log *slog.Logger) {
	if err := harden(); err != nil {
		log.WarnContext(ctx, "not as guarded as it should be", slog.Any("error", err))
	}
	// Whatever is made is the owner's alone.
	syscall.Umask(0o077)
}

// storeConfig finds the keys of the store.
func storeConfig(p Process, set settings, log *slog.Logger) (localvault.Config, error) {
	src := localvault.KeySource{Lookup: p.Lookup, Dir: set.data, Random: rand.Reader}
	key, from, err := localvault.LoadKey(src)
	if err != nil {
		return localvault.Config{}, err
	}
	former, formerFrom, err := localvault.LoadFormerKey(src)
	if err != nil {
		return localvault.Config{}, err
	}
	if former != nil {
		log.Warn("a former key is given: once legerd has started it is not needed any more", slog.String("key", formerFrom))
	}
	return localvault.Config{
		Dir: set.data, Key: key, Own: src.OwnKey(from), From: from, Former: former, Random: rand.Reader,
	}, nil
}

// rekey changes the key of the store: through the legerd that runs, or by itself when none
// does.
func rekey(ctx context.Context, p Process, set settings) error {
	guard(ctx, slog.New(slog.DiscardHandler))
	out, err := askDaemon(ctx, set)
	if errors.Is(err, leger.ErrMissingPart) {
		out, err = rekeyAlone(p, set)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.Stdout, "Sealed the store with a new key: %s\n"+
		"The former key is gone and opens nothing any more. Podman's secrets are as they were.\n", out.KeyFile)
	return err
}

// askDaemon asks the legerd that runs. ErrMissingPart: none does.
func askDaemon(ctx context.Context, set settings) (localvault.Rekeyed, error) {
	if set.socket == "" {
		return localvault.Rekeyed{}, leger.Errorf(leger.CodeMissingPart, "there is no socket")
	}
	dir := ""
	if set.dataGiven {
		var err error
		if dir, err = filepath.Abs(set.data); err != nil {
			return localvault.Rekeyed{}, leger.Wrap(leger.CodeInvalid, err, "resolve the data directory")
		}
	}
	c := localvault.NewClient(localvault.ClientConfig{Socket: set.socket})
	defer c.Close()
	return c.Rekey(ctx, dir)
}

// rekeyAlone opens the store in this process. It makes none.
func rekeyAlone(p Process, set settings) (out localvault.Rekeyed, err error) {
	exists, err := localvault.Exists(set.data)
	if err == nil && !exists {
		err = leger.Errorf(leger.CodeNotFound, "there is no store in %s", set.data).
			WithHint("name its directory with --data DIR; legerd makes the store at its first start")
	}
	if err != nil {
		return out, err
	}
	cfg, err := storeConfig(p, set, slog.New(slog.DiscardHandler))
	if errors.Is(err, leger.ErrNotFound) {
		err = leger.Wrap(leger.CodeNotFound, err, "legerd does not run, and its key is not here").
			WithHint("start legerd (systemctl --user start legerd), which systemd may give the key, and run legerd rekey again")
	}
	if err != nil {
		return out, err
	}
	store, err := localvault.Open(cfg)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return store.Rekey()
}
