package ledger

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/chain"
)

const (
	// linkBatch is how many events are linked, or pruned, in one transaction: other
	// writes wait for it, a few milliseconds.
	linkBatch = 500

	// linkAttempts bounds how often somebody else may be first.
	linkAttempts = 5

	// chainWait is how long after its key was made the schedule of a Worker begins the
	// chains: until then isolates of the version before, which stamp nothing, may write.
	chainWait = 10 * time.Minute
)

// OpenAuditKey opens the key that stamps and links events, makes it if there is none, and
// seals it anew if another key than the current one seals it. From here on events are
// stamped. ErrInternal if there are chains and no key.
func (s *Store) OpenAuditKey(ctx context.Context, keys leger.AuditKeys, random io.Reader) error {
	sealed, err := s.sealedAuditKey(ctx)
	if errors.Is(err, leger.ErrNotFound) {
		sealed, err = s.makeAuditKey(ctx, keys, random)
	}
	if err != nil {
		return err
	}
	key, raw, err := openAuditKey(keys, sealed)
	if err != nil {
		return err
	}
	if sealed.KeyID != keys.CurrentID() {
		anew, err := keys.SealAuditKey(random, raw)
		if err != nil {
			return err
		}
		// Whoever else does so at this moment writes as good a one.
		update := statement(updateAuditKey, anew.KeyID, encoded(anew.Nonce), encoded(anew.Ciphertext),
			sealed.KeyID, encoded(sealed.Nonce))
		if err := s.write(ctx, SurvivesPowerLoss, update); err != nil {
			return err
		}
	}
	s.auditKey.Store(key)
	return nil
}

// AuditKey opens the key without writing. ErrNotFound if there is none.
func (s *Store) AuditKey(ctx context.Context, keys leger.AuditKeys) (*chain.Key, error) {
	sealed, err := s.sealedAuditKey(ctx)
	if err != nil {
		return nil, err
	}
	key, _, err := openAuditKey(keys, sealed)
	return key, err
}

func openAuditKey(keys leger.AuditKeys, sealed leger.SealedKey) (*chain.Key, []byte, error) {
	raw, err := keys.OpenAuditKey(sealed)
	if err != nil {
		return nil, nil, err
	}
	key, err := chain.NewKey(raw)
	if err != nil {
		return nil, nil, leger.Wrap(leger.CodeInternal, err, "open the audit log's key")
	}
	return key, raw, nil
}

// sealedAuditKey gives the key as it is stored. ErrNotFound if there is none, and nothing
// was linked.
func (s *Store) sealedAuditKey(ctx context.Context) (k leger.SealedKey, err error) {
	err = s.read(ctx, selectAuditKey, nil, func(r *Row) {
		k = leger.SealedKey{KeyID: r.Text(), Nonce: r.bytes(), Ciphertext: r.bytes()}
	})
	if err != nil || k.KeyID != "" {
		return k, err
	}
	linked := int64(0)
	if err := s.read(ctx, selectLinked, nil, func(r *Row) { linked = r.Integer() }); err != nil {
		return k, err
	}
	if linked != 0 {
		return k, leger.Errorf(leger.CodeInternal, "the audit log was linked with a key that is gone: somebody deleted it").
			WithHint("%s; or begin anew: leger-server audit restart", s.engine.HowToRestore())
	}
	return k, leger.Errorf(leger.CodeNotFound, "the audit log has no key yet").WithHint("start leger-server once: it makes one")
}

func (s *Store) makeAuditKey(ctx context.Context, keys leger.AuditKeys, random io.Reader) (leger.SealedKey, error) {
	raw := make([]byte, chain.KeySize)
	if _, err := io.ReadFull(random, raw); err != nil {
		return leger.SealedKey{}, leger.Wrap(leger.CodeInternal, err, "read random bytes")
	}
	k, err := keys.SealAuditKey(random, raw)
	if err != nil {
		return k, err
	}
	insert := statement(insertAuditKey, k.KeyID, encoded(k.Nonce), encoded(k.Ciphertext), Timestamp(s.now()))
	if err := s.write(ctx, SurvivesPowerLoss, insert); err != nil {
		return k, err
	}
	return s.sealedAuditKey(ctx) // another's, who was first
}

// stamp is the seal of an event that is written now, at this time as text.
func (s *Store) stamp(at string, e leger.AuditEvent) string {
	key := s.auditKey.Load()
	if key == nil {
		return ""
	}
	return key.Stamp(&chain.Event{
		At: at, User: e.User.String(), Action: string(e.Action), Subject: e.Subject,
		Version: strconv.FormatInt(int64(e.Version), 10), Count: strconv.Itoa(e.Count), Credential: string(e.Credential),
		DeviceID: e.DeviceID, RemoteAddr: e.RemoteAddr, RequestID: e.RequestID, Detail: e.Detail,
	})
}

// LinkAudit links the events that were written since, begins the chains if they have not
// begun, and gives how many events it linked. Without OpenAuditKey it does nothing.
// ErrConflict when the log does not fit its chains: nothing hides that then.
func (s *Store) LinkAudit(ctx context.Context) (linked int, err error) {
	key := s.auditKey.Load()
	if key == nil {
		return 0, nil
	}
	for overtaken := 0; ; {
		n, more, err := s.linkSome(ctx, key)
		linked += n
		undecided, ok := errors.AsType[*UndecidedError](err)
		switch {
		case ok && overtaken < linkAttempts:
			overtaken++
		case ok: // somebody else links them, or D1 is away
			return linked, undecided.Err
		case err != nil || !more:
			return linked, err
		}
	}
}

// linkSome links the next events, and tells whether there may be more.
func (s *Store) linkSome(ctx context.Context, key *chain.Key) (linked int, more bool, err error) {
	_, log, err := s.auditChain(ctx)
	if err != nil {
		return 0, false, err
	}
	if log.Begun == "" {
		return 0, true, s.beginChains(ctx, key)
	}
	if !key.LogFits(&log) {
		return 0, false, brokenChain()
	}
	rows, err := s.auditRows(ctx, selectUnlinked, log.Sealed, int64(linkBatch))
	if err != nil || len(rows) == 0 {
		return 0, false, err
	}
	heads, err := s.auditHeads(ctx, key, rows)
	if err != nil {
		return 0, false, err
	}
	before := log
	done := key.Extend(&log, heads, rows)
	places := make([][3]any, len(done))
	for i, r := range done {
		places[i] = [3]any{r.ID, r.Number, r.Seal}
	}
	list, err := listJSON(places)
	if err != nil {
		return 0, false, err
	}
	err = s.saveChain(ctx, key, before, log, heads, statement(linkEvents, list))
	if err != nil {
		return 0, false, err
	}
	return len(done), len(rows) == linkBatch, nil
}

// beginChains begins them with the events that are there, whoever wrote them.
func (s *Store) beginChains(ctx context.Context, key *chain.Key) error {
	log := chain.Log{Begun: Timestamp(s.now())}
	linked := false
	err := s.read(ctx, selectEventRange, nil, func(r *Row) {
		log.Pruned, log.Found, linked = r.Integer()-1, r.Integer(), r.Integer() != 0
	})
	switch {
	case err != nil:
		return err
	case linked:
		return brokenChain()
	}
	log.Sealed = log.Pruned
	return s.saveChain(ctx, key, chain.Log{}, log, nil)
}

// saveChain writes the chain, unless it is another than before by now, the heads, and
// what is done with events. Heads that are nil are removed.
func (s *Store) saveChain(
	ctx context.Context, key *chain.Key, before, log chain.Log, heads chain.Heads, events ...Statement,
) error {
	key.SignLog(&log)
	list := []Statement{deciding(updateChain, before.MAC, log.Begun, log.Found, log.Pruned, log.Sealed, log.Heads, log.MAC)}
	list = append(list, events...)
	var kept [][6]any
	var gone []string
	for _, user := range slices.Sorted(maps.Keys(heads)) {
		h := heads[user]
		if h == nil {
			gone = append(gone, user)
			continue
		}
		key.SignHead(h)
		kept = append(kept, [6]any{h.User, h.Start, h.StartSeal, h.Last, h.LastSeal, h.MAC})
	}
	for _, change := range []struct {
		text string
		list any
		some bool
	}{{putHeads, kept, len(kept) > 0}, {deleteHeads, gone, len(gone) > 0}} {
		if !change.some {
			continue
		}
		text, err := listJSON(change.list)
		if err != nil {
			return err
		}
		list = append(list, statement(change.text, text))
	}
	_, err := s.engine.Write(ctx, SurvivesPowerLoss, list)
	return err
}

// auditChain reads the chain's row, and when its key was made. ErrNotFound without one.
func (s *Store) auditChain(ctx context.Context) (made time.Time, log chain.Log, err error) {
	found := false
	err = s.read(ctx, selectChain, nil, func(r *Row) {
		found, made = true, r.Time()
		log = logOf(r)
	})
	if err == nil && !found {
		err = s.damaged("the key of its audit log is gone")
	}
	return made, log, err
}

func (s *Store) auditRows(ctx context.Context, text string, args ...driver.Value) (rows []chain.Row, err error) {
	err = s.read(ctx, text, args, func(r *Row) { rows = append(rows, rowOf(r)) })
	return rows, err
}

// rowOf reads rowColumns.
func rowOf(r *Row) chain.Row {
	return chain.Row{ID: r.Integer(), Number: r.Integer(), Event: chain.Event{
		At: r.Text(), User: r.Text(), Action: r.Text(), Subject: r.Text(), Version: r.Text(), Count: r.Text(),
		Credential: r.Text(), DeviceID: r.Text(), RemoteAddr: r.Text(), RequestID: r.Text(), Detail: r.Text(),
	}, Seal: r.Text()}
}

// logOf reads chainColumns.
func logOf(r *Row) chain.Log {
	return chain.Log{
		Begun: r.Text(), Found: r.Integer(), Pruned: r.Integer(), Sealed: r.Integer(), Heads: r.Integer(), MAC: r.Text(),
	}
}

// headOf reads headColumns.
func headOf(r *Row) chain.Head {
	return chain.Head{
		User: r.Text(), Start: r.Integer(), StartSeal: r.Text(), Last: r.Integer(), LastSeal: r.Text(), MAC: r.Text(),
	}
}

// auditHeads gives the heads of the accounts that these events are of. ErrConflict if one
// of them was changed, or is missing.
func (s *Store) auditHeads(ctx context.Context, key *chain.Key, rows []chain.Row) (chain.Heads, error) {
	users := map[string]bool{}
	for i := range rows {
		users[rows[i].User] = true
	}
	asked, err := listJSON(slices.Sorted(maps.Keys(users)))
	if err != nil {
		return nil, err
	}
	heads, broken := chain.Heads{}, false
	err = s.read(ctx, selectHeads, []driver.Value{asked}, func(r *Row) {
		r.Skip(1)
		linked := r.Integer() != 0
		if r.null() {
			broken = broken || linked
			return
		}
		h := headOf(r)
		broken = broken || !key.HeadFits(&h)
		heads[h.User] = &h
	})
	if err == nil && broken {
		err = brokenChain()
	}
	return heads, err
}

func brokenChain() error {
	return leger.Errorf(leger.CodeConflict, "the audit log does not fit its chains: somebody changed it").
		WithHint("run leger-server audit verify, which says what was changed")
}

// pruneAudit forgets events from before kept, but for those that a wrong clock dated
// after future, as far as they fit their chains: what does not is kept, to be found.
func (s *Store) pruneAudit(ctx context.Context, now, kept, future time.Time) error {
	key := s.auditKey.Load()
	if key == nil {
		return nil
	}
	made, log, err := s.auditChain(ctx)
	if err != nil || (log.Begun == "" && now.Before(made.Add(chainWait))) {
		return err
	}
	if _, err := s.LinkAudit(ctx); err != nil {
		return err
	}
	for {
		rows, err := s.auditRows(ctx, selectOldEvents, Timestamp(kept), Timestamp(future), int64(linkBatch))
		if err != nil || len(rows) == 0 {
			return err
		}
		if err := s.pruneRows(ctx, key, rows); err != nil {
			return explain(ctx, err, func(context.Context) error { return nil })
		}
		if len(rows) < linkBatch {
			return nil
		}
	}
}

// pruneRows forgets these events, the oldest.
func (s *Store) pruneRows(ctx context.Context, key *chain.Key, rows []chain.Row) error {
	_, log, err := s.auditChain(ctx)
	if err != nil {
		return err
	}
	if !key.LogFits(&log) {
		return brokenChain()
	}
	heads, err := s.auditHeads(ctx, key, rows)
	if err != nil {
		return err
	}
	before := log
	fit := key.Shorten(&log, heads, rows)
	if fit > 0 {
		if err := s.dropHeads(ctx, &log, heads); err != nil {
			return err
		}
		if err := s.saveChain(ctx, key, before, log, heads, statement(deleteOldEvents, log.Pruned)); err != nil {
			return err
		}
	}
	if fit < len(rows) {
		return brokenChain()
	}
	return nil
}

// dropHeads removes the heads of chains of which nothing is left, if their accounts are
// gone, too: an account that comes back begins a new chain.
func (s *Store) dropHeads(ctx context.Context, log *chain.Log, heads chain.Heads) error {
	var over []string
	for user, h := range heads {
		if user != "" && h.Start == h.Last {
			over = append(over, user)
		}
	}
	if len(over) == 0 {
		return nil
	}
	asked, err := listJSON(over)
	if err != nil {
		return err
	}
	return s.read(ctx, selectGone, []driver.Value{asked}, func(r *Row) {
		heads[r.Text()] = nil
		log.Heads--
	})
}

// CheckAudit is VerifyAudit with the key of OpenAuditKey. ErrConflict when the log does not
// fit its chains.
func (s *Store) CheckAudit(ctx context.Context) error {
	key := s.auditKey.Load()
	if key == nil {
		return nil
	}
	report, err := s.VerifyAudit(ctx, key, nil)
	if err == nil && len(report.Faults) > 0 {
		err = brokenChain()
	}
	return err
}

// ForgetAuditChains forgets the chains and their key, and keeps the events: OpenAuditKey
// and LinkAudit begin anew.
func (s *Store) ForgetAuditChains(ctx context.Context) error {
	s.auditKey.Store(nil)
	return s.write(ctx, SurvivesPowerLoss, statement(forgetChain), statement(forgetHeads), statement(forgetLinks))
}

// UserEmails gives the e-mail of every account by its id.
func (s *Store) UserEmails(ctx context.Context) (map[string]string, error) {
	emails := map[string]string{}
	err := s.read(ctx, selectUserEmails, nil, func(r *Row) { emails[r.Text()] = r.Text() })
	return emails, err
}

// VerifyAudit checks the whole log, as it is at one moment, and calls each, unless it is
// nil, for every event with its place.
func (s *Store) VerifyAudit(ctx context.Context, key *chain.Key, each func(chain.Row, chain.Place)) (chain.Report, error) {
	var log chain.Log
	var heads []chain.Head
	var v *chain.Verifier
	err := s.read(ctx, selectWholeLog, nil, func(r *Row) {
		switch r.Integer() {
		case 0:
			log = logOf(r)
		case 1:
			heads = append(heads, headOf(r))
		default:
			if v == nil {
				v = key.Verify(log, heads)
			}
			row := rowOf(r)
			place := v.Row(&row)
			if each != nil {
				each(row, place)
			}
		}
	})
	if err != nil {
		return chain.Report{}, err
	}
	if v == nil {
		v = key.Verify(log, heads)
	}
	return v.End(), nil
}
