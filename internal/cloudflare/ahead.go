package cloudflare

import (
	"context"
	"database/sql/driver"
	"slices"

	"leger.run/leger"
	"leger.run/leger/internal/ledger"
)

// Expected gives what a request of this user is likely to read.
type Expected func(user leger.UserID) []ledger.Statement

// ReadAhead lets the store read what a request is likely to need in the round trip
// that finds out whose token it is: each round trip to D1 costs more than the
// reading. Only a token whose signature was verified gets so far, and what was read
// is given to that request alone, once; so a wrong guess costs a read, and whoever
// asks a second time gets what is there then.
func ReadAhead(ctx context.Context, reads Expected) context.Context {
	return context.WithValue(ctx, aheadKey{}, &ahead{expected: reads})
}

// ExpectSecrets is for a request that lists the secrets.
func ExpectSecrets(user leger.UserID) []ledger.Statement {
	return []ledger.Statement{ledger.InstallationRead(), ledger.SecretsRead(user)}
}

// ExpectInstallation is for a request that only tells who is asking, and whom.
func ExpectInstallation(leger.UserID) []ledger.Statement {
	return []ledger.Statement{ledger.InstallationRead()}
}

// ExpectSecret is for a request that reads a secret.
func ExpectSecret(name leger.SecretName) Expected {
	return func(user leger.UserID) []ledger.Statement {
		return []ledger.Statement{ledger.SealedSecretRead(user, name)}
	}
}

// ExpectState is for a request that changes a secret.
func ExpectState(name leger.SecretName) Expected {
	return func(user leger.UserID) []ledger.Statement {
		states, err := ledger.SecretStatesRead(user, []leger.SecretName{name})
		if err != nil {
			return nil // whoever asks for them gets the error
		}
		return []ledger.Statement{states}
	}
}

type aheadKey struct{}

// ahead is one request's; a request runs one thing at a time.
type ahead struct {
	expected Expected
	user     leger.UserID // set once it is known
	read     []read
}

// read is a statement and the rows that it gave.
type read struct {
	statement ledger.Statement
	rows      [][]driver.Value
}

func aheadOf(ctx context.Context) *ahead {
	a, _ := ctx.Value(aheadKey{}).(*ahead)
	return a
}

// due gives what to read along with the next read: nothing before the user is
// known, and nothing twice.
func (a *ahead) due() []ledger.Statement {
	if a.user.IsZero() || a.expected == nil {
		return nil
	}
	list := a.expected(a.user)
	a.expected = nil
	return list
}

// take gives the rows of s if they were read ahead, and forgets them.
func (a *ahead) take(s ledger.Statement) ([][]driver.Value, bool) {
	for i, r := range a.read {
		if r.statement.Text == s.Text && slices.Equal(r.statement.Args, s.Args) {
			a.read = slices.Delete(a.read, i, i+1)
			return r.rows, true
		}
	}
	return nil, false
}

func replay(rows [][]driver.Value, each func(*ledger.Row)) error {
	for _, values := range rows {
		row := &ledger.Row{Values: values}
		row.Begin()
		each(row)
		if err := row.Err(); err != nil {
			return unreadable(err)
		}
	}
	return nil
}

// readAlong reads s, and in the same batch what is expected next.
func (d *d1) readAlong(ctx context.Context, s ledger.Statement, each func(*ledger.Row), a *ahead, also []ledger.Statement) error {
	s.Each = each
	list := []ledger.Statement{s}
	kept := make([]read, len(also))
	for i, expected := range also {
		kept[i].statement = expected
		expected.Each = func(r *ledger.Row) { kept[i].rows = append(kept[i].rows, slices.Clone(r.Values)) }
		list = append(list, expected)
	}
	batch := make([]query, len(list))
	place := make([]int, len(list))
	for i, one := range list {
		place[i] = i
		batch[i] = query{Text: one.Text, Args: arguments(one.Args), Rows: true}
	}
	answer, err := d.bindings.Do(ctx, Operation{Kind: opWrite, Binding: BindingDatabase, Statements: batch})
	if err != nil {
		return unavailable("the database does not answer", err)
	}
	if _, err := results(list, place, len(batch), &cells{rest: answer}); err != nil {
		return err
	}
	a.read = append(a.read, kept...)
	return nil
}
