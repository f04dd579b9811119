package differ

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// People of the generated requests. Alice and Bob stay; each of the others is used
// for one thing that ends the account or all its tokens, and then comes back.
const (
	alice = "alice@example.com"
	bob   = "bob@example.com"
)

// device is the machine that Alice's and Bob's other tokens are made for.
const device = "nDevice11CNTRL"

// Generate gives n requests, the same for the same seed: first everybody signs in,
// last everything that is there is read, between them anything goes.
func Generate(seed uint64, n int) []Request {
	g := &generator{rand: rand.New(rand.NewPCG(seed, seed))} // the same for the same seed is the point
	var out []Request
	for _, who := range []string{alice, bob} {
		out = append(out, Request{Method: "POST", Path: "/api/auth/validate", Who: Credential{User: who, Kind: Token}})
		for i := range 2 {
			out = append(out, g.post("/api/auth/validate", `{"session":true}`, Credential{User: who, Kind: Link, Number: 1000 + i}))
		}
	}
	last := sweep()
	kinds := makers()
	total := 0
	for _, k := range kinds {
		total += k.weight
	}
	for len(out)+len(last) < n {
		pick := g.rand.IntN(total)
		for _, k := range kinds {
			if pick -= k.weight; pick < 0 {
				out = append(out, k.make(g)...)
				break
			}
		}
	}
	out = append(out[:max(0, min(len(out), n-len(last)))], last...)
	for i := range out {
		address(&out[i], i)
	}
	return out
}

// maker makes one request, or a few that belong together.
type maker struct {
	weight int
	make   func(*generator) []Request
}

func makers() []maker {
	one := func(weight int, f func(*generator) Request) maker {
		return maker{weight, func(g *generator) []Request { return []Request{f(g)} }}
	}
	return []maker{
		one(6, (*generator).listSecrets), one(8, (*generator).showSecret), one(22, (*generator).writeSecret),
		one(6, (*generator).deleteSecret), one(4, (*generator).secretVersions), one(6, (*generator).restoreSecret),
		one(7, (*generator).batch),
		one(6, (*generator).listReleases), one(5, (*generator).showRelease), one(9, (*generator).createRelease),
		one(8, (*generator).updateRelease), one(2, (*generator).deleteRelease), one(3, (*generator).releaseVersions),
		one(8, (*generator).reportHost), one(4, (*generator).listHosts), one(4, (*generator).readHost), one(2, (*generator).forgetHost),
		one(4, (*generator).audit), one(4, (*generator).user), one(3, (*generator).sessions), one(2, (*generator).endSession),
		one(4, (*generator).signIn), one(8, (*generator).refused), one(5, (*generator).wrongRoute), one(5, (*generator).wrongMethod),
		one(4, (*generator).otherSite), one(2, (*generator).open), one(1, (*generator).tooLarge),
		{2, (*generator).revokeToken},
		{1, (*generator).deleteUser},
		{1, (*generator).signOutEverywhere},
		{2, (*generator).pages},
	}
}

type generator struct {
	rand *rand.Rand
	used int // how many one-time people, tokens and links there were
}

func (g *generator) next() int { g.used++; return g.used }

func pick[T any](g *generator, from ...T) T { return from[g.rand.IntN(len(from))] }

// chance is true n times of 100.
func (g *generator) chance(n int) bool { return g.rand.IntN(100) < n }

// someone is mostly Alice with her token.
func (g *generator) someone() Credential {
	who := pick(g, alice, alice, alice, bob)
	switch roll := g.rand.IntN(100); {
	case roll < 66:
		return Credential{User: who, Kind: Token}
	case roll < 82:
		return Credential{User: who, Kind: Cookie, Number: g.rand.IntN(1000)}
	case roll < 90:
		return Credential{User: who, Kind: Plain}
	default:
		return Credential{User: who, Kind: Token, Device: device}
	}
}

// nobody is refused.
func (g *generator) nobody() Credential {
	kind := pick(g, None, Expired, Future, TooLong, WrongSecret, WrongParty, NoAlgorithm, Garbage, Scheme, Stranger, Link)
	c := Credential{User: alice, Kind: kind, Number: g.rand.IntN(6)}
	if kind == Stranger {
		c.User = "stranger@example.com"
	}
	return c
}

// address says where a request comes from, as the proxy before a native server and
// as Cloudflare tells it. Each comes from somewhere else, so that nobody who is
// refused is slowed down: that would hang on the time.
func address(r *Request, i int) {
	from := fmt.Sprintf("2001:db8:0:%x::1", i+1)
	if i%2 == 0 {
		from = fmt.Sprintf("198.18.%d.%d", i/200, 1+i%200)
	}
	r.Headers = append(slices.Clone(r.Headers),
		[2]string{"X-Forwarded-For", from}, [2]string{"CF-Connecting-IP", from}, [2]string{"User-Agent", "differ/1"})
}

func (g *generator) get(path string, who Credential) Request {
	return Request{Method: pick(g, "GET", "GET", "GET", "GET", "GET", "GET", "GET", "GET", "HEAD"), Path: path, Who: who}
}

func (g *generator) post(path, body string, who Credential) Request {
	return g.send("POST", path, body, who)
}

// send has a body, now and then not quite the one given or not declared as it is.
func (g *generator) send(method, path, body string, who Credential) Request {
	r := Request{Method: method, Path: path, Who: who, Body: body, HasBody: true}
	if g.chance(20) {
		r.Body = g.spoil(body)
	}
	kind := "application/json"
	if g.chance(10) {
		kind = pick(g, "", "text/plain", "application/json; charset=utf-8", "application/json;charset=UTF-8", "application/json; charset=latin1",
			"application/JSON", "application/json;;", "multipart/form-data", "application/x-www-form-urlencoded", "*/*")
	}
	if kind != "" {
		r.Headers = append(r.Headers, [2]string{"Content-Type", kind})
	}
	return r
}

// spoil makes a body that may not be what the route takes.
func (g *generator) spoil(body string) string {
	cut := g.rand.IntN(len(body) + 1)
	return pick(g, "", " ", "null", "[]", `"text"`, "7", "{}", "{", `{"":1}`, "\ufeff"+body, body+body, body+" x", body[:cut],
		strings.Replace(body, "{", `{"unknown":1,`, 1), strings.Replace(body, `"`, `"X`, 1), strings.Replace(body, ":", ":null,", 1),
		strings.ReplaceAll(body, `":"`, `":["`), strings.Replace(body, `":"`, `":"\ud800`, 1), strings.Replace(body, `":"`, `":"`+"\xff", 1),
		strings.Replace(body, `":"`, `":"\u0000`, 1), strings.Replace(body, ":", ":1e3,", 1), strings.ToUpper(body), "\n\t "+body+"\r\n",
		strings.Repeat("[", 2000), strings.Repeat(`{"a":`, 2000), strings.Replace(body, "}", ","+strings.TrimPrefix(body, "{"), 1))
}

// ifMatch sometimes makes a write conditional.
func (g *generator) ifMatch(r Request) Request {
	if g.chance(30) {
		value := pick(g, "*", `"1"`, `"1"`, `"2"`, `"2"`, `"3"`, `"4"`, `"5"`, `"0"`, `"-1"`, "1", `"x"`, `W/"1"`, `"1", "2"`, `""`, " * ", `"01"`,
			`"99999999999999999999"`, `"9007199254740993"`)
		r.Headers = append(r.Headers, [2]string{"If-Match", value})
	}
	return r
}

// ifNoneMatch sometimes asks whether a list has changed.
func (g *generator) ifNoneMatch(r Request) Request {
	if g.chance(40) {
		etag := ref(kindETag, g.rand.IntN(1000))
		latest := etag
		if !reference.MatchString(r.Path) {
			latest = ref(latestETag(r.Path, r.Who), 0)
		}
		value := pick(g, latest, latest, latest, latest, "W/"+latest, `"x", `+latest, etag, "W/"+etag, `"x", `+etag, "*", `"x"`, "", "x,,")
		r.Headers = append(r.Headers, [2]string{"If-None-Match", value})
	}
	return r
}

// pageOf sometimes asks for a page.
func (g *generator) pageOf(path string) string {
	if !g.chance(60) {
		return path
	}
	query := pick(g, "limit=1", "limit=2", "limit=3", "limit=500", "limit=501", "limit=0", "limit=-1", "limit=x", "limit=1e2", "limit=", "limit=+5",
		"limit=1&limit=x", "limit=99999999999999999999", "cursor=", "cursor=%00", "cursor=!!", "cursor=bm90aGluZw", "cursor=OTk5OTk5OTk5OTk5OTk5OTk5OTk",
		"cursor=LTE", "limit=2&cursor="+ref(kindCursor, g.rand.IntN(1000)), "cursor="+ref(kindCursor, g.rand.IntN(1000)), "x=%zz", "a;b=c", "limit=2;cursor=x",
		"cursor="+strings.Repeat("QUFB", 60),
		"action=secret.read", "action=none", "subject=a&limit=2", "device_id=n", "since=2026-01-01T00:00:00Z", "until=2026-01-01T00:00:00%2B02:00", "until=x")
	separator := "?"
	if strings.Contains(path, "?") {
		separator = "&"
	}
	return path + separator + query
}

// sweep reads everything, so that a difference that no answer showed shows now.
func sweep() []Request {
	var out []Request
	for _, who := range []string{alice, bob} {
		as := Credential{User: who, Kind: Token}
		get := func(path string) { out = append(out, Request{Method: "GET", Path: path, Who: as}) }
		get("/api/user")
		get("/api/secrets")
		get("/api/secrets?include_values=true")
		for _, name := range secretNames() {
			get("/api/secrets/" + name)
			get("/api/secrets/" + name + "/versions")
		}
		get("/api/releases?limit=500")
		for i := range 6 {
			get("/api/releases/" + ref(kindRelease, i) + "/versions")
		}
		get("/api/hosts")
		get("/api/sessions")
		get("/api/audit?limit=500")
	}
	return out
}
