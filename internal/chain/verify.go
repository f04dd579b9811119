package chain

import (
	"cmp"
	"fmt"
	"slices"
)

// Kind says what is wrong with an event.
type Kind string

// The kinds of faults.
const (
	Changed  Kind = "changed"
	Missing  Kind = "missing"
	Inserted Kind = "inserted"
)

// Fault is something that does not fit.
type Fault struct {
	Kind   Kind
	User   string // "" also where it cannot be told
	ID     int64  // in the log, of the event or of the one after a gap; 0: not of one event
	Number int64  // in the chain; 0: it has none
	At     string // of the event, or of the last one before a gap
	Text   string // what was found, in words
}

// Tally counts an account's events.
type Tally struct {
	User   string
	Events int64 // all
	Linked int64 // with a number that fits
	Found  int64 // of those, from before the chains began
	Fresh  int64 // stamped and not linked yet
	Faults int64
	Start  int64  // number of the newest event that was pruned
	Last   int64  // number of the newest event, linked or not
	Seal   string // its link, as it is or will be
}

// Report is what a check of the whole log found.
type Report struct {
	Begun  string  // when the chains began; "": they have yet to
	Pruned int64   // events up to this id were pruned
	Total  Tally   // of all accounts
	Users  []Tally // in order of user
	Faults []Fault // the first maxFaults, in the order of the log; none: everything fits
}

const maxFaults = 100

// Place is where an event is in its chain.
type Place struct {
	Number int64  // 0: in none
	Prev   string // the seal of the event before it
	Seal   string
}

// chainState is how far a chain was followed.
type chainState struct {
	next int64 // the number that comes next
	prev string
	at   string // of the event before
	head *Head
	sum  Tally
}

// Verifier checks a log that is given to it row by row.
type Verifier struct {
	key    *Key
	log    Log
	chains map[string]*chainState
	last   int64  // the id before
	at     string // of the event before
	report Report
	gaps   []Fault // where ids are missing, which tell of no user
}

// Verify begins to check a log. The rows come in order of id.
func (k *Key) Verify(log Log, heads []Head) *Verifier {
	v := &Verifier{key: k, log: log, chains: map[string]*chainState{}, last: max(log.Found, log.Pruned)}
	v.report.Begun, v.report.Pruned = log.Begun, log.Pruned
	if log.Begun != "" && !k.LogFits(&log) {
		v.fault(nil, Fault{Kind: Changed, Text: "the record that says how far the log is linked and pruned was changed"})
	}
	for i := range heads {
		h := &heads[i]
		s := v.chain(h.User)
		s.head, s.next, s.prev = h, h.Start+1, h.StartSeal
		if !k.HeadFits(h) {
			v.fault(s, Fault{
				Kind: Changed, User: h.User, Number: h.Last,
				Text: "the record that says where this account's chain begins and ends was changed",
			})
		}
	}
	if int64(len(heads)) != log.Heads && log.Begun != "" {
		v.fault(nil, Fault{Kind: Missing, Text: fmt.Sprintf("there are %d chains, and there should be %d", len(heads), log.Heads)})
	}
	return v
}

func (v *Verifier) chain(user string) *chainState {
	s := v.chains[user]
	if s == nil {
		s = &chainState{next: 1, sum: Tally{User: user}}
		v.chains[user] = s
	}
	return s
}

func (v *Verifier) fault(s *chainState, f Fault) {
	if s != nil {
		s.sum.Faults++
	}
	v.report.Total.Faults++
	if len(v.report.Faults) < maxFaults {
		v.report.Faults = append(v.report.Faults, f)
	}
}

// Row checks the next row, and gives its place: the one that it will have, if it is not
// linked yet.
func (v *Verifier) Row(r *Row) Place {
	v.gap(r.ID)
	s := v.chain(r.User)
	s.sum.Events++
	var p Place
	switch {
	case r.Number != 0:
		p = v.linked(s, r)
	case r.ID <= v.log.Sealed:
		v.fault(s, Fault{
			Kind: Inserted, User: r.User, ID: r.ID, At: r.At,
			Text: "the server did not write this event, or it was changed before it was linked",
		})
	case r.ID > v.log.Found && v.log.Begun != "" && !equal(r.Seal, v.key.Stamp(&r.Event)):
		v.fault(s, Fault{
			Kind: Inserted, User: r.User, ID: r.ID, At: r.At,
			Text: "the server did not write this event, or it was changed since",
		})
	default:
		s.sum.Fresh++
		p = Place{Number: s.next, Prev: s.prev, Seal: v.key.Link(s.prev, r.ID, s.next, &r.Event)}
		s.next, s.prev = s.next+1, p.Seal
	}
	v.last, v.at, s.at = max(v.last, r.ID), r.At, r.At
	return p
}

// gap notes ids that are missing before this one. Those of events that were there before
// the chains began need not be without gaps.
func (v *Verifier) gap(id int64) {
	if id <= v.log.Found || id <= v.last+1 {
		return
	}
	text := fmt.Sprintf("event %d of the log is missing; whose it was cannot be told", v.last+1)
	if id > v.last+2 {
		text = fmt.Sprintf("events %d to %d of the log are missing; whose they were cannot be told", v.last+1, id-1)
	}
	v.gaps = append(v.gaps, Fault{Kind: Missing, ID: id, At: v.at, Text: text})
}

// linked checks an event that has a number.
func (v *Verifier) linked(s *chainState, r *Row) Place {
	f := Fault{User: r.User, ID: r.ID, Number: r.Number, At: r.At}
	p := Place{Number: r.Number, Prev: s.prev, Seal: r.Seal}
	switch {
	case s.head == nil:
		f.Kind = Inserted
		f.Text = "this account has no chain: the server did not write this event, or the chain's record was deleted"
		v.fault(s, f)
		return p
	case r.ID > v.log.Sealed, r.Number < s.next, r.Number > s.head.Last:
		f.Kind, f.Text = Inserted, "the server did not link an event of this number here"
		v.fault(s, f)
		return p // the chain goes on behind it
	case r.Number > s.next:
		f.Kind, f.At, f.Text = Missing, s.at, missing(s.next, r.Number-1)
		f.Number = s.next
		v.fault(s, f)
	case !equal(r.Seal, v.key.Link(s.prev, r.ID, r.Number, &r.Event)):
		f.Kind, f.Text = Changed, "this event, its place or its hash was changed"
		v.fault(s, f)
	default:
		s.sum.Linked++
		if r.ID <= v.log.Found {
			s.sum.Found++
		}
	}
	s.next, s.prev = r.Number+1, r.Seal
	return p
}

func missing(from, to int64) string {
	if from == to {
		return fmt.Sprintf("event %d of this account's chain is missing", from)
	}
	return fmt.Sprintf("events %d to %d of this account's chain are missing", from, to)
}

// End checks where the chains end, and gives what was found.
func (v *Verifier) End() Report {
	users := make([]*chainState, 0, len(v.chains))
	for _, s := range v.chains {
		users = append(users, s)
	}
	slices.SortFunc(users, func(a, b *chainState) int { return cmp.Compare(a.sum.User, b.sum.User) })
	for _, s := range users {
		v.end(s)
		s.sum.Last, s.sum.Seal = s.next-1, s.prev
		if s.head != nil {
			s.sum.Start = s.head.Start
		}
		v.report.Total.add(s.sum)
		v.report.Users = append(v.report.Users, s.sum)
	}
	v.gap(v.log.Sealed + 1) // the newest of them, where nothing came after
	// A gap in a chain says more than the gap in the log that it made.
	if !slices.ContainsFunc(v.report.Faults, func(f Fault) bool { return f.Kind == Missing }) {
		for _, f := range v.gaps {
			v.fault(nil, f)
		}
	}
	return v.report
}

// add counts another's events; faults are counted as they are found.
func (t *Tally) add(of Tally) {
	t.Events, t.Linked, t.Found, t.Fresh = t.Events+of.Events, t.Linked+of.Linked, t.Found+of.Found, t.Fresh+of.Fresh
}

// end holds a chain's end against its head.
func (v *Verifier) end(s *chainState) {
	if s.head == nil {
		return
	}
	last, user := s.next-1-s.sum.Fresh, s.sum.User
	switch {
	case last < s.head.Last:
		v.fault(s, Fault{
			Kind: Missing, User: user, Number: last + 1, At: s.at,
			Text: missing(last+1, s.head.Last) + ", the newest",
		})
	case s.sum.Fresh == 0 && !equal(s.prev, s.head.LastSeal):
		v.fault(s, Fault{Kind: Changed, User: user, Number: last, At: s.at, Text: "the chain does not end with this event"})
	}
}
