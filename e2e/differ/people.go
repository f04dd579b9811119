package differ

import (
	"fmt"
	"strings"
)

func (g *generator) audit() Request { return g.get(g.pageOf("/api/audit"), g.someone()) }

func (g *generator) user() Request {
	if g.chance(40) {
		return g.get("/api/user", g.someone())
	}
	name := pick(g, `"Alice"`, `"  Alice  "`, `"Älice 🔑"`, `""`, `" "`, `"`+strings.Repeat("ü", 32)+`"`, `"`+strings.Repeat("x", 33)+`"`, `"a\u0000"`, `"\u202eA"`)
	return g.send("PATCH", "/api/user", `{"display_name":`+name+`}`, g.someone())
}

func (g *generator) sessions() Request { return g.get("/api/sessions", g.someone()) }

func (g *generator) endSession() Request {
	id := ref(kindSession, g.rand.IntN(50))
	if g.chance(30) {
		id = pick(g, "1", "00000000-0000-4000-8000-000000000000", "%00")
	}
	return Request{Method: "DELETE", Path: "/api/sessions/" + id, Who: g.someone()}
}

func (g *generator) signIn() Request {
	body := pick(g, "", `{}`, `{"session":true}`, `{"session":false}`, `{"session":1}`)
	who := Credential{User: pick(g, alice, bob), Kind: Link, Number: g.next()}
	if g.chance(50) {
		who = pick(g, Credential{User: alice, Kind: Token}, Credential{User: bob, Kind: Plain}, Credential{User: alice, Kind: Link, Number: 1000},
			Credential{User: alice, Kind: Cookie}, Credential{User: "guest@example.com", Kind: Token}, Credential{User: bob, Kind: Token, Device: device})
	}
	if body == "" {
		return Request{Method: "POST", Path: "/api/auth/validate", Who: who}
	}
	return g.post("/api/auth/validate", body, who)
}

// refused comes with a credential that is not good, or none.
func (g *generator) refused() Request {
	r := g.anything()
	r.Who = g.nobody()
	if strings.HasPrefix(r.Path, "/api/auth/validate") && r.Who.Kind == Link {
		r.Who.Kind = Expired // the one good use of a link
	}
	if r.Path == "/api/auth/validate" && r.Who.Kind == Stranger {
		r.Who.Kind = WrongSecret // a stranger's first sign-in makes an account
	}
	return r
}

func (g *generator) anything() Request {
	return pick(g, (*generator).listSecrets, (*generator).writeSecret, (*generator).batch, (*generator).createRelease, (*generator).reportHost,
		(*generator).audit, (*generator).user, (*generator).sessions, (*generator).signIn, (*generator).showSecret, (*generator).deleteSecret)(g)
}

// wrongRoute stays below /api: everything else is the web app's.
func (g *generator) wrongRoute() Request {
	path := pick(g, "/api", "/api/", "/api/nothing", "/api/secrets/", "/api/secrets/a/", "/api/secrets/a/nothing", "/api/secrets:nothing", "/api//secrets",
		"/api/releases/", "/api/hosts/a/b", "/api/Secrets", "/api/auth", "/api/user/", "/api/secrets%2Fa", "/api/secrets?", "/api/openapi.yml")
	r := g.get(path, g.someone())
	r.Method = pick(g, "GET", "GET", "POST", "DELETE", "HEAD")
	return r
}

// wrongMethod asks a route with any method that HTTP servers know.
func (g *generator) wrongMethod() Request {
	path := pick(g, "/health", "/ready", "/api/openapi.yaml", "/api/auth/methods", "/api/auth/validate", "/api/auth/token", "/api/user", "/api/sessions", "/api/sessions/x", "/api/audit",
		"/api/secrets", "/api/secrets:batch", "/api/secrets/a", "/api/secrets/a/versions", "/api/secrets/a/restore", "/api/releases",
		"/api/releases/x", "/api/releases/x/versions", "/api/hosts", "/api/hosts/x")
	method := pick(g, "OPTIONS", "PUT", "PATCH", "POST", "DELETE", "PROPFIND", "GET")
	if method == "DELETE" && (path == "/api/auth/token" || path == "/api/sessions") {
		method = "PUT" // the right method would end the token that everything else uses
	}
	return Request{Method: method, Path: path, Who: pick(g, g.someone(), Credential{})}
}

// otherSite is what a browser sends from some page.
func (g *generator) otherSite() Request {
	r := g.anything()
	if g.chance(70) {
		r.Who = Credential{User: alice, Kind: Cookie, Number: g.rand.IntN(1000)}
	}
	add := func(name, value string) { r.Headers = append(r.Headers, [2]string{name, value}) }
	switch g.rand.IntN(6) {
	case 0:
		add("Sec-Fetch-Site", "cross-site")
	case 1:
		add("Sec-Fetch-Site", pick(g, "same-site", "none", "same-origin"))
	case 2:
		add("Origin", pick(g, "https://evil.example", "null"))
	case 3:
		add("Origin", ref(kindOrigin, 0))
	case 4:
		add("Sec-Fetch-Site", "same-origin")
		add("Origin", ref(kindOrigin, 0))
	default:
		add("Sec-Fetch-Site", "cross-site")
		add("Origin", ref(kindOrigin, 0))
	}
	return r
}

// open needs no credential.
func (g *generator) open() Request {
	return g.get(pick(g, "/health", "/ready", "/api/openapi.yaml", "/health?x=1"), Credential{})
}

func (g *generator) tooLarge() Request {
	const limit = 512 << 10
	path := pick(g, "/api/secrets/a", "/api/secrets:batch", "/api/releases", "/api/user")
	method := "POST"
	if path == "/api/user" {
		method = "PATCH"
	}
	size := pick(g, limit-1, limit, limit+1, limit+100_000)
	r := g.send(method, path, "{}", g.someone())
	r.Body = `{"value":"` + strings.Repeat("x", size-len(`{"value":""}`)) + `"}`
	return r
}

// revokeToken uses a token, ends it, and uses it again.
func (g *generator) revokeToken() []Request {
	who := Credential{User: alice, Kind: Fresh, Number: g.next()}
	return []Request{
		g.get("/api/user", who),
		{Method: "DELETE", Path: "/api/auth/token", Who: who},
		g.get("/api/user", who),
		{Method: "DELETE", Path: "/api/auth/token", Who: pick(g, who, Credential{User: bob, Kind: Plain}, Credential{User: bob, Kind: Cookie})},
	}
}

// deleteUser makes an account, fills it and deletes it; the token from before makes no
// other one.
func (g *generator) deleteUser() []Request {
	email := fmt.Sprintf("erin%d@example.com", g.next())
	who := Credential{User: email, Kind: Token}
	write := g.post("/api/secrets/a", `{"value":"x"}`, who)
	return []Request{
		g.post("/api/auth/validate", `{}`, who), write, g.send("PUT", "/api/hosts/box", `{"name":"box","secrets":[]}`, who),
		g.send("DELETE", "/api/user", `{"email":"somebody@example.com"}`, who),
		g.send("DELETE", "/api/user", `{"email":"`+strings.ToUpper(email)+`"}`, who),
		g.get("/api/secrets", who), g.get("/api/user", Credential{User: email, Kind: Cookie}),
		{Method: "POST", Path: "/api/auth/validate", Who: who},
		g.get("/api/secrets", who), write, g.get("/api/audit", who),
	}
}

// signOutEverywhere ends a token and the sessions of somebody made for it. A token
// of the same second falls too, so nobody signs in again here.
func (g *generator) signOutEverywhere() []Request {
	who := Credential{User: fmt.Sprintf("dave%d@example.com", g.next()), Kind: Token}
	browser := Credential{User: who.User, Kind: Cookie}
	out := []Request{g.post("/api/auth/validate", `{}`, who), {Method: "POST", Path: "/api/auth/validate", Who: who}, g.get("/api/sessions", browser)}
	if g.chance(50) {
		return append(out, Request{Method: "DELETE", Path: "/api/sessions", Who: browser}, g.get("/api/user", who), g.get("/api/user", browser),
			g.get("/api/user", Credential{User: who.User, Kind: Cookie, Number: 1}))
	}
	return append(out, Request{Method: "DELETE", Path: "/api/sessions", Who: who}, g.get("/api/user", who), g.get("/api/user", browser))
}

// pages walks a list a page at a time.
func (g *generator) pages() []Request {
	path, who := pick(g, "/api/audit", "/api/releases"), Credential{User: pick(g, alice, bob), Kind: Token}
	out := []Request{{Method: "GET", Path: path + "?limit=2", Who: who}}
	for range 2 {
		// 999,999 is the newest only by luck; any page will do.
		out = append(out, Request{Method: "GET", Path: path + "?limit=2&cursor=" + ref(kindCursor, g.rand.IntN(1_000_000)), Who: who})
	}
	return out
}
