// Package chain makes an audit log one that can be checked: it says what is hashed, and
// finds what does not fit.
//
// Each account's events are a chain. An event is stamped when it is written: a keyed hash
// of what it says, so that nobody without the key can make or change one. Soon afterwards
// it is linked: it gets its number in the chain, and its stamp gives way to a keyed hash
// of number, place in the log, content and the hash of the event before it. A Head says,
// keyed too, where a chain begins and ends, and the Log which of all events are linked.
//
// It is pure: it reads no database and no clock. What an event says are texts as the
// table holds them, so that nothing is lost in reading them. docs/adr/0015 says why.
package chain

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
)

// KeySize is the size of a key in bytes.
const KeySize = 32

// The labels that keep hashes of different things apart, and versions of their form.
const (
	labelStamp = "leger:audit-stamp:v1"
	labelLink  = "leger:audit-link:v1"
	labelHead  = "leger:audit-head:v1"
	labelLog   = "leger:audit-log:v1"
)

// Key makes and checks hashes. Safe for concurrent use; prints nothing of itself.
type Key struct{ raw [KeySize]byte }

// NewKey makes a key of KeySize random bytes.
func NewKey(raw []byte) (*Key, error) {
	if len(raw) != KeySize {
		return nil, fmt.Errorf("a key of the audit log has %d bytes, not %d", KeySize, len(raw))
	}
	return &Key{raw: [KeySize]byte(raw)}, nil
}

func (*Key) String() string { return "audit key" }

// GoString is String.
func (*Key) GoString() string { return "audit key" }

// Event is what an event says, each column as text. Numbers are decimal.
type Event struct {
	At, User, Action, Subject, Version, Count, Credential, DeviceID, RemoteAddr, RequestID, Detail string
}

// Row is an event where it stands in the log.
type Row struct {
	ID     int64 // its place in the log of all accounts, from 1 without gaps
	Number int64 // its place in its account's chain, from 1 without gaps; 0: not linked yet
	Event
	Seal string // its stamp, or its link once it has a number
}

// Head says where an account's chain begins and ends. Events up to Start were pruned.
type Head struct {
	User      string
	Start     int64
	StartSeal string // the link of event Start, "" if Start is 0
	Last      int64
	LastSeal  string
	MAC       string
}

// Log says how far the log of all accounts is linked and pruned.
type Log struct {
	Begun  string // when, a time as text; "": the chains have yet to begin
	Found  int64  // events up to this id were there before, and are linked as they were found
	Pruned int64  // events up to this id were pruned
	Sealed int64  // events up to this id are linked
	Heads  int64  // how many chains there are
	MAC    string
}

// hash is base64url of HMAC-SHA256 over label and fields, each after its length in bytes
// as 64 bits, the highest first. A label always has the same number of fields, so no two
// lists of them give the same text.
func (k *Key) hash(label string, fields ...string) string {
	h := hmac.New(sha256.New, k.raw[:])
	text := make([]byte, 0, 512)
	text = appendField(text, label)
	for _, f := range fields {
		text = appendField(text, f)
	}
	_, _ = h.Write(text) // a hash takes everything
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

func appendField(to []byte, f string) []byte {
	return append(binary.BigEndian.AppendUint64(to, uint64(len(f))), f...)
}

func (e *Event) fields() []string {
	return []string{
		e.At, e.User, e.Action, e.Subject, e.Version, e.Count, e.Credential, e.DeviceID, e.RemoteAddr, e.RequestID, e.Detail,
	}
}

// Stamp is the seal of an event that is not linked yet.
func (k *Key) Stamp(e *Event) string { return k.hash(labelStamp, e.fields()...) }

// Link is the seal of an event with this place in the log and in its chain, in which the
// event before it has the seal prev, "" before the first.
func (k *Key) Link(prev string, id, number int64, e *Event) string {
	return k.hash(labelLink, append([]string{decimal(id), decimal(number), prev}, e.fields()...)...)
}

// SignHead fills in a head's MAC.
func (k *Key) SignHead(h *Head) { h.MAC = k.headMAC(h) }

// HeadFits reports whether the head is one that was signed.
func (k *Key) HeadFits(h *Head) bool { return equal(h.MAC, k.headMAC(h)) }

func (k *Key) headMAC(h *Head) string {
	return k.hash(labelHead, h.User, decimal(h.Start), h.StartSeal, decimal(h.Last), h.LastSeal)
}

// SignLog fills in the log's MAC.
func (k *Key) SignLog(l *Log) { l.MAC = k.logMAC(l) }

// LogFits reports whether the log's record is one that was signed.
func (k *Key) LogFits(l *Log) bool { return equal(l.MAC, k.logMAC(l)) }

func (k *Key) logMAC(l *Log) string {
	return k.hash(labelLog, l.Begun, decimal(l.Found), decimal(l.Pruned), decimal(l.Sealed), decimal(l.Heads))
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

// Heads are the heads of chains by their user.
type Heads map[string]*Head

// Extend links rows, the next of the log in order of id, and moves the heads and the log
// on behind them; it signs neither. Rows without a true stamp are passed over: they are
// not of the server's making. It gives those that are linked now.
func (k *Key) Extend(log *Log, heads Heads, rows []Row) (linked []Row) {
	for _, r := range rows {
		log.Sealed = max(log.Sealed, r.ID)
		if r.Number != 0 || (r.ID > log.Found && !equal(r.Seal, k.Stamp(&r.Event))) {
			continue
		}
		h := heads[r.User]
		if h == nil {
			h = &Head{User: r.User}
			heads[r.User] = h
			log.Heads++
		}
		r.Number = h.Last + 1
		r.Seal = k.Link(h.LastSeal, r.ID, r.Number, &r.Event)
		h.Last, h.LastSeal = r.Number, r.Seal
		linked = append(linked, r)
	}
	return linked
}

// Shorten moves the starts of heads, and the log's, behind rows, the oldest of the log in
// order of id, as far as they fit their chains, and gives how many that are.
func (k *Key) Shorten(log *Log, heads Heads, rows []Row) int {
	for i, r := range rows {
		if r.Number == 0 && r.ID <= log.Sealed {
			log.Pruned = r.ID // it was passed over, and is in no chain
			continue
		}
		h := heads[r.User]
		if h == nil || r.Number != h.Start+1 || r.ID > log.Sealed ||
			!equal(r.Seal, k.Link(h.StartSeal, r.ID, r.Number, &r.Event)) {
			return i
		}
		h.Start, h.StartSeal = r.Number, r.Seal
		log.Pruned = r.ID
	}
	return len(rows)
}
