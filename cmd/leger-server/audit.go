package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/chain"
	"leger.run/leger/internal/sqlite"
	"leger.run/leger/internal/terminal"
	"leger.run/leger/internal/vault"
)

// nobody is what the events of callers are shown as who proved no account.
const nobody = "nobody"

// audit runs the commands about the audit log. They read beside a running server.
func (p program) audit(ctx context.Context, args []string) error {
	command := ""
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	switch command {
	case "verify":
		return p.auditVerify(ctx, args)
	case "export":
		return p.auditExport(ctx, args)
	case "restart":
		return p.auditRestart(ctx, args)
	case "-h", "-help", "--help":
		_, err := io.WriteString(p.stdout, usage)
		return err
	}
	return leger.Invalid("command", "audit needs verify, export or restart").WithHint("leger-server --help")
}

// auditLog is the audit log of a data directory, open for reading.
type auditLog struct {
	store  *sqlite.Store
	key    *chain.Key
	emails map[string]string // of accounts, by id
}

func (p program) openAudit(ctx context.Context, data string) (a auditLog, err error) {
	if err := p.settleData(data); err != nil {
		return a, err
	}
	if _, _, err := p.existingKeys(data); err != nil {
		return a, err
	}
	a.store, err = sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(data, databaseFile), Now: p.now, ReadOnly: true, Readers: 1})
	if err != nil {
		return a, err
	}
	for attempt := range 2 { // a rekey may come between reading its keys and the log's
		_, ring, keyErr := p.existingKeys(data)
		if err = keyErr; err == nil {
			a.key, err = a.store.AuditKey(ctx, ring)
		}
		if err == nil || attempt > 0 || !errors.Is(err, leger.ErrInvalid) {
			break
		}
	}
	if err == nil {
		a.emails, err = a.store.UserEmails(ctx)
	}
	if err != nil {
		return a, errors.Join(err, a.store.Close())
	}
	return a, nil
}

// name is what an account is shown as.
func (a auditLog) name(user string) string {
	switch email := a.emails[user]; {
	case user == "":
		return nobody
	case email != "":
		return email
	}
	return "deleted account " + user
}

// verifyOptions is how leger-server audit verify was called.
type verifyOptions struct {
	data, against string
	json          bool
}

func (p program) auditVerify(ctx context.Context, args []string) (err error) {
	set := p.flags("audit verify")
	data := set.String("data", "", "")
	var o verifyOptions
	set.StringVar(&o.against, "against", "", "")
	set.BoolVar(&o.json, "json", false, "")
	if err := p.parse(set, args); err != nil {
		return err
	}
	if o.data, err = p.dataDir(*data); err != nil {
		return err
	}
	a, err := p.openAudit(ctx, o.data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.store.Close()) }()
	var former formerExport
	if o.against != "" {
		if former, err = readExport(o.against, a.key); err != nil {
			return err
		}
	}
	report, err := a.store.VerifyAudit(ctx, a.key, former.see)
	if err != nil {
		return err
	}
	report.Faults = append(report.Faults, former.faults(report)...)
	if o.json {
		err = terminal.NewWriter(p.stdout).JSON(a.verdict(report))
	} else {
		err = terminal.NewWriter(p.stdout).Print(a.describe(report))
	}
	if err == nil && len(report.Faults) > 0 {
		err = logDoesNotFit()
	}
	return err
}

// auditVerdict says in a sentence whether a database's audit log fits its chains. One that
// does not is no reason to keep its secrets from anybody.
func auditVerdict(ctx context.Context, store *sqlite.Store, ring *vault.KeyRing) (string, error) {
	key, err := store.AuditKey(ctx, ring)
	switch {
	case errors.Is(err, leger.ErrNotFound):
		return "The audit log is not linked yet.", nil
	case errors.Is(err, leger.ErrInternal):
		return "WARNING: the audit log cannot be checked: its key is damaged.", nil
	case err != nil:
		return "", err
	}
	report, err := store.VerifyAudit(ctx, key, nil)
	if err != nil {
		return "", err
	}
	if len(report.Faults) > 0 {
		return "WARNING: the audit log does not fit its chains: leger-server audit verify.", nil
	}
	return "The audit log fits its chains.", nil
}

func logDoesNotFit() error {
	return leger.Errorf(leger.CodePartial, "the audit log does not fit its chains").
		WithHint("somebody changed the database, or it is damaged: keep a copy of the data directory, find out who could write " +
			"to it, and look in older backups for the events as they were (restore into another directory, then audit export)")
}

// describe says what was found.
func (a auditLog) describe(r chain.Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s of %s.\n", count(r.Total.Events, "event"), count(int64(len(r.Users)), "account"))
	for _, u := range r.Users {
		fmt.Fprintf(&b, "  %-40s %s", a.name(u.User), count(u.Events, "event"))
		if u.Start > 0 {
			fmt.Fprintf(&b, ", numbers %d to %d", u.Start+1, u.Last)
		}
		if u.Faults > 0 {
			fmt.Fprintf(&b, ", DOES NOT FIT")
		}
		b.WriteString("\n")
	}
	if r.Begun == "" {
		b.WriteString("They are not linked yet: the server begins to when it has been started.\n")
	} else {
		fmt.Fprintf(&b, "Linked since %s.", toTheSecond(r.Begun))
		if r.Total.Found > 0 {
			fmt.Fprintf(&b, " %s there before, linked as found.", were(r.Total.Found))
		}
		if r.Total.Fresh > 0 {
			fmt.Fprintf(&b, " The newest %d are checked one by one: the server links them soon.", r.Total.Fresh)
		}
		b.WriteString("\n")
	}
	if len(r.Faults) == 0 {
		b.WriteString("Everything fits.\n")
		return b.String()
	}
	f := r.Faults[0]
	fmt.Fprintf(&b, "\nThe first that does not fit: %s\n", a.describeFault(f))
	if more := max(r.Total.Faults, int64(len(r.Faults))) - 1; more > 0 {
		fmt.Fprintf(&b, "And %d more, some of which may follow from it: --json lists them.\n", more)
	}
	return b.String()
}

// toTheSecond cuts a time, or gives what somebody put in its place.
func toTheSecond(at string) string {
	if t, err := time.Parse(time.RFC3339Nano, at); err == nil {
		return t.UTC().Format(time.RFC3339)
	}
	return leger.PrintableText(at)
}

func were(n int64) string {
	if n == 1 {
		return "1 event was"
	}
	return fmt.Sprintf("%d events were", n)
}

func (a auditLog) describeFault(f chain.Fault) string {
	var where []string
	if f.User != "" || f.Number > 0 {
		where = append(where, a.name(f.User))
	}
	if f.Number > 0 {
		where = append(where, fmt.Sprintf("number %d", f.Number))
	}
	if f.Kind != chain.Missing && f.ID > 0 {
		where = append(where, fmt.Sprintf("event %d of the log", f.ID))
	}
	if f.At != "" {
		when := toTheSecond(f.At)
		if f.Kind == chain.Missing {
			when = "after " + when
		}
		where = append(where, when)
	}
	text := f.Text + "."
	if len(where) > 0 {
		text = strings.Join(where, ", ") + ": " + text
	}
	return text + " (" + string(f.Kind) + ")"
}

// verdictJSON is what audit verify --json prints.
type verdictJSON struct {
	Fits     bool          `json:"fits"`
	BegunAt  string        `json:"begun_at,omitempty"`
	Events   int64         `json:"events"`
	Linked   int64         `json:"linked"`
	Found    int64         `json:"found"` // of the linked ones, those that were there before
	New      int64         `json:"new"`   // not linked yet
	Accounts []accountJSON `json:"accounts"`
	Faults   []faultJSON   `json:"faults"`
}

type accountJSON struct {
	User   string `json:"user"`
	Email  string `json:"email,omitempty"`
	Events int64  `json:"events"`
	First  int64  `json:"first_number"`
	Last   int64  `json:"last_number"`
	Hash   string `json:"last_hash"`
	Faults int64  `json:"faults"`
}

type faultJSON struct {
	Kind   chain.Kind `json:"kind"`
	User   string     `json:"user"`
	Email  string     `json:"email,omitempty"`
	Number int64      `json:"number,omitempty"`
	ID     int64      `json:"id,omitempty"`
	At     string     `json:"at,omitempty"`
	Text   string     `json:"text"`
}

func (a auditLog) verdict(r chain.Report) verdictJSON {
	v := verdictJSON{
		Fits: len(r.Faults) == 0, BegunAt: r.Begun, Events: r.Total.Events, Linked: r.Total.Linked, Found: r.Total.Found,
		New: r.Total.Fresh, Accounts: []accountJSON{}, Faults: []faultJSON{},
	}
	for _, u := range r.Users {
		v.Accounts = append(v.Accounts, accountJSON{
			User: u.User, Email: a.emails[u.User], Events: u.Events, First: u.Start + 1, Last: u.Last, Hash: u.Seal, Faults: u.Faults,
		})
	}
	for _, f := range r.Faults {
		v.Faults = append(v.Faults, faultJSON{
			Kind: f.Kind, User: f.User, Email: a.emails[f.User], Number: f.Number, ID: f.ID, At: f.At, Text: f.Text,
		})
	}
	return v
}

// exportOptions is how leger-server audit export was called.
type exportOptions struct {
	data, file, user string
	force            bool
	since, until     time.Time
}

func (p program) exportOptions(args []string) (o exportOptions, err error) {
	set := p.flags("audit export")
	data := set.String("data", "", "")
	set.StringVar(&o.user, "user", "", "")
	set.BoolVar(&o.force, "force", false, "")
	since, until := set.String("since", "", ""), set.String("until", "", "")
	o.file = toStdout
	if err := p.parseFlags(set, args); err != nil {
		return o, err
	}
	if set.NArg() > 0 {
		o.file = set.Arg(0)
		if err := p.parse(set, set.Args()[1:]); err != nil {
			return o, err
		}
	}
	if o.since, err = parseDay("since", *since); err != nil {
		return o, err
	}
	if o.until, err = parseDay("until", *until); err != nil {
		return o, err
	}
	if !o.since.IsZero() && !o.until.IsZero() && !o.since.Before(o.until) {
		return o, leger.Invalid("until", "--until must be after --since: events are written from since to before until")
	}
	o.data, err = p.dataDir(*data)
	return o, err
}

// parseDay reads a time, or a day, which begins at midnight UTC.
func parseDay(field, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, leger.Invalid(field, "--%s must be a time as in 2026-11-28 or 2026-11-28T14:30:00Z, not %.40q", field, text)
}

// auditExport writes the log. It writes what does not fit, too, and says so in the end.
func (p program) auditExport(ctx context.Context, args []string) (err error) {
	o, err := p.exportOptions(args)
	if err != nil {
		return err
	}
	a, err := p.openAudit(ctx, o.data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.store.Close()) }()
	chosen, err := a.chosen(o)
	if err != nil {
		return err
	}
	var report chain.Report
	written := int64(0)
	err = p.writeBackup(backupOptions{file: o.file, force: o.force}, func(to io.Writer) error {
		buffered := bufio.NewWriter(to)
		out := terminal.NewWriter(buffered)
		report, err = a.store.VerifyAudit(ctx, a.key, func(r chain.Row, place chain.Place) {
			if chosen(r) {
				written++
				_ = out.JSONLine(lineOf(r, place)) // Err tells
			}
		})
		return errors.Join(err, out.Err(), buffered.Flush())
	})
	if err != nil {
		return err
	}
	if o.file != toStdout {
		_, err = fmt.Fprintf(p.stderr, "Wrote %s to %s.\n", count(written, "event"), o.file)
	}
	if err == nil && len(report.Faults) > 0 {
		err = leger.Errorf(leger.CodePartial, "the audit log does not fit its chains; it was exported as it is").
			WithHint("leger-server audit verify says what was changed")
	}
	return err
}

// chosen tells which events to export.
func (a auditLog) chosen(o exportOptions) (func(chain.Row) bool, error) {
	user, err := a.account(o.user)
	if err != nil {
		return nil, err
	}
	return func(r chain.Row) bool {
		if o.user != "" && r.User != user {
			return false
		}
		if o.since.IsZero() && o.until.IsZero() {
			return true
		}
		at, err := time.Parse(time.RFC3339Nano, r.At)
		if err != nil {
			return true // it was changed: it belongs to no time
		}
		return !at.Before(o.since) && (o.until.IsZero() || at.Before(o.until))
	}, nil
}

// account gives the id of the account that is meant.
func (a auditLog) account(text string) (string, error) {
	if text == "" || text == nobody {
		return "", nil
	}
	if id, err := leger.ParseUserID(text); err == nil {
		return id.String(), nil // of a deleted account perhaps
	}
	var found []string
	for id, email := range a.emails {
		if strings.EqualFold(email, text) {
			found = append(found, id)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", leger.Errorf(leger.CodeNotFound, "there is no account with the e-mail %.80q", text).
			WithHint("name a deleted account by its id, which leger-server audit verify --json lists")
	}
	return "", leger.Errorf(leger.CodeNotFound, "%d accounts have the e-mail %.80q", len(found), text).
		WithHint("name one by its id: leger-server audit verify --json lists them")
}
