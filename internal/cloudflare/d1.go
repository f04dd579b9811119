package cloudflare

import (
	"context"
	"database/sql/driver"

	"leger.run/leger/internal/ledger"
)

// d1 implements ledger.Engine. D1 keeps what it answered (its writes are durable
// when they return), so every write survives power loss.
type d1 struct{ bindings Bindings }

// guard ends a batch with an error unless the statement before it wrote a row: D1
// rolls all of it back then. Its rows and text hold nothing of anybody's.
const guard = `SELECT json(CASE WHEN changes() > 0 THEN 'null' ELSE 'a condition of the write did not hold' END)`

// Read implements ledger.Engine. What the request was expected to read may have
// been read already, or is read along.
func (d *d1) Read(ctx context.Context, s ledger.Statement, each func(*ledger.Row)) error {
	if ahead := aheadOf(ctx); ahead != nil {
		if rows, ok := ahead.take(s); ok {
			return replay(rows, each)
		}
		if also := ahead.due(); len(also) > 0 {
			return d.readAlong(ctx, s, each, ahead, also)
		}
	}
	answer, err := d.bindings.Do(ctx, Operation{
		Kind: opRead, Binding: BindingDatabase, Statements: []query{{Text: s.Text, Args: arguments(s.Args), Rows: true}},
	})
	if err != nil {
		return unavailable("the database does not answer", err)
	}
	c := &cells{rest: answer}
	columns := int(c.number())
	row := &ledger.Row{Values: make([]driver.Value, columns)}
	for columns > 0 && c.more() {
		if err := readRow(c, row, each); err != nil {
			return err
		}
	}
	return unreadable(c.err)
}

func readRow(c *cells, row *ledger.Row, each func(*ledger.Row)) error {
	for i := range row.Values {
		row.Values[i] = c.value()
	}
	if c.err != nil {
		return unreadable(c.err)
	}
	row.Begin()
	each(row)
	return unreadable(row.Err())
}

func unreadable(err error) error {
	if err == nil {
		return nil
	}
	return unavailable("the database gave an answer that cannot be read", err)
}

// Write implements ledger.Engine: one batch, which D1 runs as one transaction. A
// statement that decides is followed by a guard, unless it is the first and only
// statements follow that are right whatever was decided: then no error has to be told
// from trouble.
func (d *d1) Write(ctx context.Context, _ ledger.Durability, list []ledger.Statement) ([]int64, error) {
	guarded := needsGuards(list)
	batch := make([]query, 0, 2*len(list))
	place := make([]int, len(list)) // of each statement in the batch
	for i, s := range list {
		place[i] = len(batch)
		batch = append(batch, query{Text: s.Text, Args: arguments(s.Args), Rows: s.Each != nil})
		if guarded && s.Decides {
			batch = append(batch, query{Text: guard, Args: []any{}})
		}
	}
	answer, err := d.bindings.Do(ctx, Operation{Kind: opWrite, Binding: BindingDatabase, Statements: batch})
	if err != nil {
		err = unavailable("the database does not answer", err)
		if guarded {
			return nil, &ledger.UndecidedError{Err: err}
		}
		return nil, err
	}
	return results(list, place, len(batch), &cells{rest: answer})
}

// HowToRestore implements ledger.Engine: D1 keeps its own history.
func (*d1) HowToRestore() string {
	return "go back to before the damage: wrangler d1 time-travel restore leger-db --timestamp=TIME"
}

// needsGuards: what stands before a statement that decides must be taken back, and what
// stands after one must not run, when it wrote nothing.
func needsGuards(list []ledger.Statement) bool {
	decides := false
	for i, s := range list {
		switch {
		case s.Decides && i > 0:
			return true
		case s.Decides:
			decides = true
		case decides && !s.Follows && s.Each == nil:
			return true
		}
	}
	return false
}

// results gives the rows that each statement of the list wrote, and hands on
// those that it read.
func results(list []ledger.Statement, place []int, batch int, c *cells) ([]int64, error) {
	written := make([]int64, len(list))
	next := 0
	for at := range batch {
		n, columns, rows := c.number(), int(c.number()), int(c.number())
		each := func(*ledger.Row) {}
		if next < len(list) && place[next] == at {
			written[next] = n
			if list[next].Decides && n == 0 {
				return nil, &ledger.UndecidedError{}
			}
			if list[next].Each != nil {
				each = list[next].Each
			}
			next++
		}
		if c.err != nil {
			return nil, unreadable(c.err)
		}
		row := &ledger.Row{Values: make([]driver.Value, columns)}
		for range rows {
			if err := readRow(c, row, each); err != nil {
				return nil, err
			}
		}
	}
	return written, unreadable(c.err)
}

// arguments: JSON has text, numbers and null, which is all that the ledger binds.
func arguments(args []driver.Value) []any {
	list := make([]any, len(args))
	for i, a := range args {
		list[i] = a
	}
	return list
}
