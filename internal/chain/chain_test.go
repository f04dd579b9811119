package chain_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"leger.run/leger/internal/chain"
)

func key(t *testing.T) *chain.Key {
	t.Helper()
	k, err := chain.NewKey(bytes.Repeat([]byte{7}, chain.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func event() chain.Event {
	return chain.Event{
		At: "2026-03-01T10:20:30.123000Z", User: "df3835af-5942-5200-b5fa-ccb569c400dd", Action: "secret.read", Subject: "key",
		Version: "2", Count: "0", Credential: "machine", DeviceID: "device", RemoteAddr: "100.64.0.1", RequestID: "r-1", Detail: "é 🦊",
	}
}

// The hashes were also computed with Python's hmac, as docs/audit.md describes them. A
// change of their form would make every log that is there one that does not fit.
func TestHashesStayWhatTheyAre(t *testing.T) {
	t.Parallel()
	k, e := key(t), event()
	stamp := k.Stamp(&e)
	link := k.Link("before", 12, 5, &e)
	head := chain.Head{User: e.User, Start: 1, StartSeal: "a", Last: 5, LastSeal: link}
	k.SignHead(&head)
	log := chain.Log{Begun: e.At, Found: 3, Pruned: 1, Sealed: 12, Heads: 2}
	k.SignLog(&log)
	for what, c := range map[string]struct{ got, want string }{
		"stamp": {stamp, "OS0H1fY0Jqj8tLj82xQhJthmscQaRqzPOwzQSN2hLBo"}, "link": {link, "YzGPuT6wyd6KZm5vDcTrOVWxndKMxypI_cNgkGB7-88"}, "head": {head.MAC, "PCWI1DFGDskv-pWBNYeELVrCAJNeWF8zCKkx0qLsRs0"}, "log": {log.MAC, "ao8iVXAnIhF9f0PQI4X63Skf0hBWtb46j47d8PTxNCQ"},
	} {
		if c.got != c.want {
			t.Errorf("%s = %s, want %s", what, c.got, c.want)
		}
	}
}

// Text moved from one field to the next is another event.
func TestFieldsAreKeptApart(t *testing.T) {
	t.Parallel()
	k := key(t)
	seen := map[string]string{}
	for _, e := range []chain.Event{
		{Action: "ab", Subject: "c"},
		{Action: "a", Subject: "bc"},
		{Action: "abc"},
		{Subject: "abc"},
		{Action: "a\x00b", Subject: "c"},
		{Version: "1", Count: "11"},
		{Version: "11", Count: "1"},
		{},
	} {
		for _, hash := range []string{k.Stamp(&e), k.Link("", 1, 1, &e), k.Link("", 11, 1, &e), k.Link("", 1, 11, &e), k.Link("1", 1, 1, &e)} {
			text := fmt.Sprintf("%+v", e)
			if other, there := seen[hash]; there {
				t.Errorf("%s and %s have the hash %s", text, other, hash)
			}
			seen[hash] = text
		}
	}
}

func TestKeyShowsNothing(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		text := fmt.Sprintf(format, key(t))
		if strings.Contains(text, "7 7") || strings.Contains(text, "0707") || strings.Contains(text, "0x7") {
			t.Errorf("%s shows %s", format, text)
		}
	}
	if _, err := chain.NewKey(make([]byte, chain.KeySize-1)); err == nil {
		t.Error("a short key is taken")
	}
}
