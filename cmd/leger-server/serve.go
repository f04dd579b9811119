package main

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"leger.run/leger"
	"leger.run/leger/api"
	"leger.run/leger/internal/httpapi"
	"leger.run/leger/internal/sqlite"
	"leger.run/leger/internal/tailnet"
	"leger.run/leger/internal/token"
	"leger.run/leger/internal/vault"
	"leger.run/leger/web"
)

const (
	linkEvery   = time.Minute
	pruneEvery  = time.Hour
	verifyEvery = 24 * time.Hour
)

// refusalsPerSecond allows an address this many wrong credentials a second, in
// bursts of ten times as many: nobody mistypes faster.
const refusalsPerSecond = 2

func (p program) serve(ctx context.Context, args []string) error {
	set := p.flags("leger-server")
	listen, data, publicURL, rate := settingFlags(set)
	newDatabase := set.Bool("new-database", false, "")
	if err := p.parse(set, args); err != nil {
		return err
	}
	s, err := p.settings(*listen, *data, *publicURL, *rate)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(p.stderr, nil))
	if err := forbidCoreDumps(); err != nil {
		return leger.Wrap(leger.CodeInternal, err, "switch core dumps off")
	}
	if err := lockMemory(); err != nil {
		log.Warn("memory is not locked: what is in it may be swapped out", slog.Any("error", err))
	}
	k, store, err := p.openData(ctx, s.data, *newDatabase, log)
	if err != nil {
		return err
	}
	err = p.serveStore(ctx, s, k, store, log)
	return errors.Join(err, store.Close())
}

// openData takes the data directory, finishes a restore that was interrupted there, and
// opens keys and database.
func (p program) openData(ctx context.Context, data string, newDatabase bool, log *slog.Logger) (k keys, store *sqlite.Store, err error) {
	d, err := p.lockData(data)
	if err != nil {
		return k, nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.release())
		}
	}()
	if d.aside != "" {
		log.Warn("finished a restore that was interrupted", slog.String("former_files", d.aside))
	}
	if err := p.checkDatabase(data, newDatabase); err != nil {
		return k, nil, err
	}
	if k, err = p.keys(data); err != nil {
		return k, nil, err
	}
	for _, file := range k.made {
		log.Warn("made a key: keep a copy in a safe place, without it the secrets are lost", slog.String("file", file))
	}
	store, err = sqlite.Open(ctx, sqlite.Config{
		Path: filepath.Join(data, databaseFile), Now: p.now, Logger: log, Lock: d.lock,
	})
	if err != nil {
		return k, nil, err // Open has released the lock
	}
	if err = p.unlockStore(ctx, store, k.ring); err == nil {
		k.shared, err = p.settleSecret(ctx, data, store)
	}
	if err != nil {
		return k, nil, errors.Join(err, store.Close())
	}
	return k, store, nil
}

// unlockStore checks that the keys are those of the database, and opens with them the key
// of its audit log.
func (p program) unlockStore(ctx context.Context, store *sqlite.Store, ring *vault.KeyRing) error {
	if err := checkKeys(ctx, store, ring); err != nil {
		return err
	}
	return store.OpenAuditKey(ctx, ring, p.random)
}

// serveStore serves until ctx ends, then lets running requests finish.
func (p program) serveStore(ctx context.Context, s settings, k keys, store *sqlite.Store, log *slog.Logger) (err error) {
	verify(ctx, store, log)
	if n, err := store.CountUsers(ctx); err != nil {
		return err
	} else if n > 1 && slices.Contains(s.auth, leger.SignInSharedSecret) {
		log.Warn("more than one user signs in with the shared secret: each of them could sign in as any other", slog.Int("users", n))
	}
	v := p.newVault(k.ring, store)
	var shared atomic.Pointer[token.Secret]
	shared.Store(&k.shared)
	door := p.doorman(s)
	self, err := settleName(ctx, &s, door.node)
	if err != nil {
		return err
	}
	handler, err := p.handler(s, &shared, v, store, door, log)
	if err != nil {
		return err
	}
	stopControl := p.control(ctx, s.data, v, store, &shared, log)
	defer func() { err = errors.Join(err, stopControl()) }()
	lim := defaultLimits()
	listeners, err := p.listen(ctx, s, self, newGate(lim, p.now, log))
	if err != nil {
		return err
	}
	warnOfPlainHTTP(log, s, self)
	warnOfTrust(log, s)
	certs := &certificates{node: door.node, name: self.Name, now: p.now, log: log}
	srv := lim.server(door.at(handler), log)
	srv.ConnContext = withArrival
	srv.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: certs.get}
	for _, l := range listeners {
		log.Info("listening", slog.String("address", l.Addr().String()), slog.String("public_url", s.publicURL),
			slog.String("data", s.data), slog.String("version", version))
	}
	if p.listening != nil {
		p.listening(listeners[0].Addr().String())
	}
	failed := serveAll(srv, listeners)
	go p.upkeep(ctx, store, log)
	select {
	case err := <-failed:
		return leger.Wrap(leger.CodeInternal, err, "serve")
	case <-ctx.Done():
	}
	log.Info("stopping")
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), lim.shutdown)
	defer cancel()
	if err := srv.Shutdown(grace); err != nil {
		return leger.Wrap(leger.CodeInternal, errors.Join(err, srv.Close()), "stop: some requests did not finish in time")
	}
	return nil
}

// control takes what other commands of leger-server ask of this one. A server that cannot
// be asked serves all the same: those commands then say that it must be stopped first.
func (p program) control(
	ctx context.Context, data string, v *vault.Vault, store *sqlite.Store, shared *atomic.Pointer[token.Secret], log *slog.Logger,
) (stop func() error) {
	r := p.newRotation(data, store, v)
	r.useSecret = func(s token.Secret) { shared.Store(&s) }
	if mark, err := r.mark(); err != nil || mark.From != "" {
		log.Warn("a rekey was interrupted: run leger-server rekey to finish it", slog.Any("error", err))
	}
	stop, err := serveControl(ctx, r, log)
	if err != nil {
		log.Warn("leger-server rekey cannot reach this server", slog.Any("error", err))
		return func() error { return nil }
	}
	return stop
}

// doorman asks this machine's tailscaled.
func (p program) doorman(s settings) doorman {
	node := tailnet.New(tailnet.Config{Socket: s.tailscale, Now: p.now})
	return doorman{node: node, peers: tailnet.NewDirectory(node.WhoIs, p.now), trustLoopback: s.trustLoopback}
}

// settleName asks Tailscale how this machine is called, where it serves the tailnet.
func settleName(ctx context.Context, s *settings, node *tailnet.Node) (self tailnet.Self, err error) {
	on := slices.IndexFunc(s.listen, func(a address) bool { return a.front == frontTailnet })
	if s.publicURL != "" && on < 0 {
		return self, nil
	}
	if self, err = node.Self(ctx); err != nil || s.publicURL != "" {
		return self, err
	}
	scheme, port := "https", ""
	if on >= 0 {
		port = ":" + s.listen[on].where
		if !self.Certified() {
			scheme = "http"
		}
	}
	s.publicURL, err = token.Origin(scheme + "://" + self.Name + port)
	return self, err
}

func (p program) handler(
	s settings, shared *atomic.Pointer[token.Secret], v *vault.Vault, store *sqlite.Store, door doorman, log *slog.Logger,
) (http.Handler, error) {
	pages, err := web.Handler(strings.HasPrefix(s.publicURL, "https://"))
	if err != nil {
		return nil, leger.Wrap(leger.CodeInternal, err, "read the web pages")
	}
	var requests httpapi.Limiter = httpapi.Unlimited{}
	if s.rateLimit > 0 {
		requests = httpapi.NewTokenBuckets(p.now, s.rateLimit, int(max(1, 4*s.rateLimit)))
	}
	return httpapi.New(httpapi.Config{
		Vault: v, Stores: store, Auth: s.auth, SharedSecret: func() token.Secret { return *shared.Load() }, WhoIs: door.whoIs, NeedsGrant: s.needsGrant,
		PublicURL: s.publicURL, Version: version, OpenAPI: api.OpenAPI,
		Web: pages, Requests: requests, Refusals: httpapi.NewTokenBuckets(p.now, refusalsPerSecond, 10*refusalsPerSecond),
		Now: p.now, Random: p.random, Log: log,
		Backup: func() (leger.BackupState, error) { return p.backupState(s.data, v) },
	})
}

// checkKeys refuses to serve secrets that the given keys do not open: every sync
// would fail, and new secrets would go under another key than the operator meant.
func checkKeys(ctx context.Context, store *sqlite.Store, ring *vault.KeyRing) error {
	ids, err := store.KeyIDs(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if !ring.Has(id) {
			return leger.Invalid("ENCRYPTION_KEY", "the database holds secrets sealed with the key %s, and ENCRYPTION_KEY is the key %s", id, ring.CurrentID()).
				WithHint("set ENCRYPTION_KEY to the key the secrets were sealed with, or name that key in ENCRYPTION_KEY_PREVIOUS")
		}
	}
	return nil
}

func warnOfPlainHTTP(log *slog.Logger, s settings, self tailnet.Self) {
	for _, a := range s.listen {
		if a.front == frontTailnet && !self.Certified() {
			log.Warn("the tailnet gives this machine no certificate, so no browser can sign in: " +
				"switch HTTPS on at https://login.tailscale.com/admin/dns, then start leger-server again")
		}
		host, _, err := net.SplitHostPort(a.where)
		addr, perr := netip.ParseAddr(host)
		local := err == nil && (host == "localhost" || (perr == nil && addr.IsLoopback()))
		if a.front == frontTCP && !local && strings.HasPrefix(s.publicURL, "http://") && !strings.Contains(s.publicURL, ".ts.net") {
			log.Warn("the server takes connections from other machines over plain http: put TLS in front of it and set --public-url https://…")
		}
	}
}

// upkeep links the audit log every minute, prunes every hour and looks for damage every
// day. It does neither of these two at once: a start with a wrong clock must not forget
// anything.
func (p program) upkeep(ctx context.Context, store *sqlite.Store, log *slog.Logger) {
	minutely, hourly, daily := p.every(linkEvery), p.every(pruneEvery), p.every(verifyEvery)
	told := link(ctx, store, "", log)
	for {
		select {
		case <-ctx.Done():
			return
		case <-minutely:
			told = link(ctx, store, told, log)
		case <-hourly:
			prune(ctx, store, p.now(), log)
		case <-daily:
			verify(ctx, store, log)
			if err := store.CheckAudit(ctx); err != nil && ctx.Err() == nil {
				log.Error("check the audit log", slog.Any("error", err))
			}
		}
	}
}

// link links what was added to the audit log. What stands in the way is logged when it is
// not what was told the last time.
func link(ctx context.Context, store *sqlite.Store, told string, log *slog.Logger) string {
	_, err := store.LinkAudit(ctx)
	if err == nil || ctx.Err() != nil {
		return ""
	}
	if err.Error() != told {
		log.Error("link the audit log", slog.Any("error", err))
	}
	return err.Error()
}

// prune forgets what is past its time.
func prune(ctx context.Context, store *sqlite.Store, now time.Time, log *slog.Logger) {
	upTo, err := store.Prune(ctx, now)
	switch {
	case err != nil && ctx.Err() == nil:
		log.Error("prune", slog.Any("error", err))
	case err == nil && upTo.Before(now):
		log.Warn("the clock is far ahead of the last pruning: only what was past its time a day after that was pruned",
			slog.Time("clock", now), slog.Time("up_to", upTo))
	}
}

// verify looks for damage, which /ready tells of from then on. The server goes on:
// requests that would meet the damage are refused one by one, and whoever has no
// backup can still read the rest.
func verify(ctx context.Context, store *sqlite.Store, log *slog.Logger) {
	if err := store.Verify(ctx); err != nil && ctx.Err() == nil {
		log.Error("the database is damaged: stop the server and put back the newest backup with leger-server restore",
			slog.Any("error", err))
	}
}
