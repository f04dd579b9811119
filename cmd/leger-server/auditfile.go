package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"

	"leger.run/leger"
	"leger.run/leger/internal/chain"
)

// exportLine is one event in an export. The names of the fields are documented in
// docs/audit.md, with how hash is made of them.
type exportLine struct {
	ID         int64       `json:"id"`
	Number     int64       `json:"number"`
	At         string      `json:"at"`
	User       string      `json:"user"`
	Action     string      `json:"action"`
	Subject    string      `json:"subject"`
	Version    json.Number `json:"version"`
	Count      json.Number `json:"count"`
	Credential string      `json:"credential"`
	DeviceID   string      `json:"device_id"`
	RemoteAddr string      `json:"remote_addr"`
	RequestID  string      `json:"request_id"`
	Detail     string      `json:"detail"`
	Prev       string      `json:"prev"`
	Hash       string      `json:"hash"`
}

func lineOf(r chain.Row, p chain.Place) exportLine {
	return exportLine{
		ID: r.ID, Number: p.Number, At: r.At, User: r.User, Action: r.Action, Subject: r.Subject,
		Version: number(r.Version), Count: number(r.Count), Credential: r.Credential, DeviceID: r.DeviceID,
		RemoteAddr: r.RemoteAddr, RequestID: r.RequestID, Detail: r.Detail, Prev: p.Prev, Hash: p.Seal,
	}
}

// number is 0 for what is no number: somebody changed it, and the hash does not fit.
func number(text string) json.Number {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return json.Number(strconv.FormatInt(n, 10))
	}
	return "0"
}

func (l *exportLine) event() *chain.Event {
	return &chain.Event{
		At: l.At, User: l.User, Action: l.Action, Subject: l.Subject, Version: l.Version.String(), Count: l.Count.String(),
		Credential: l.Credential, DeviceID: l.DeviceID, RemoteAddr: l.RemoteAddr, RequestID: l.RequestID, Detail: l.Detail,
	}
}

// formerExport is an earlier export to hold the log against: of each account the newest
// event. All before it are bound by its hash.
type formerExport struct {
	file   string
	newest map[string]*formerEvent
}

type formerEvent struct {
	exportLine
	now string // the hash of the event of this number in the log, "" if there is none
}

// readExport reads an export and checks every line of it.
func readExport(file string, key *chain.Key) (f formerExport, err error) {
	from, err := os.Open(file) //nolint:gosec // G304: the operator names the file
	if err != nil {
		return f, leger.WrapFile(leger.CodeInvalid, err, "open the export %s", file)
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	f = formerExport{file: file, newest: map[string]*formerEvent{}}
	dec := json.NewDecoder(bufio.NewReader(from))
	dec.UseNumber()
	for line := 1; ; line++ {
		var l exportLine
		switch err := dec.Decode(&l); {
		case errors.Is(err, io.EOF):
			return f, nil
		case err != nil:
			return f, leger.Invalid("against", "line %d of %s is no event as leger-server audit export writes it", line, file)
		case l.Number == 0: // it was in no chain when it was exported
			continue
		case l.Hash != key.Link(l.Prev, l.ID, l.Number, l.event()):
			return f, leger.Invalid("against", "line %d of %s was changed, or is of another server: its hash is not that of the event",
				line, file).WithHint("take another export")
		}
		if n := f.newest[l.User]; n == nil || n.Number < l.Number {
			f.newest[l.User] = &formerEvent{exportLine: l}
		}
	}
}

// see is called for every event of the log.
func (f formerExport) see(r chain.Row, p chain.Place) {
	if n := f.newest[r.User]; n != nil && n.Number == p.Number {
		n.now = p.Seal
	}
}

// faults gives what the export holds and the log does not.
func (f formerExport) faults(r chain.Report) (list []chain.Fault) {
	for user, n := range f.newest {
		fault := chain.Fault{User: user, Number: n.Number}
		switch {
		case n.now == n.Hash, n.now == "" && n.ID <= r.Pruned:
			continue
		case n.now == "":
			fault.Kind = chain.Missing
			fault.Text = fmt.Sprintf("%s holds this event, of %s, and the log does not: it was put back to an earlier state, "+
				"as a restore does", f.file, n.At)
		default:
			fault.Kind = chain.Changed
			fault.Text = fmt.Sprintf("%s holds another event of this number, of %s: the log was put back to an earlier state, "+
				"as a restore does, and went on from there", f.file, n.At)
		}
		list = append(list, fault)
	}
	slices.SortFunc(list, func(a, b chain.Fault) int {
		return cmp.Or(cmp.Compare(a.User, b.User), cmp.Compare(a.Number, b.Number))
	})
	return list
}
