package differ

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// secretNames are few, so that the same secret is written often.
func secretNames() []string {
	return []string{"openai_api_key", "ANTHROPIC-KEY", "a", "0", "_", "db_password", strings.Repeat("n", 128)}
}

// secretName is a name as it stands in a path, sometimes not one that is allowed.
// None holds a segment of dots: every client that follows the URL standard resolves
// it before it sends, and so does the Workers runtime.
func (g *generator) secretName() string {
	if g.chance(85) {
		return pick(g, secretNames()...)
	}
	return pick(g, "-x", "a.b", "a%20b", "a%2Fb", "%C3%BC", "a:b", strings.Repeat("n", 129), "%00", "a%0Ab", "%3Cnull%3E", "a+b", "%F0%9F%94%91", "a%25b", "...", "a*b", "%61")
}

// value is a JSON string.
func (g *generator) value() string {
	return pick(g, `"sk-1"`, `"sk-1"`, `"sk-2"`, `"sk-3"`, `"v`+strconv.Itoa(g.rand.IntN(50))+`"`, `"line\nline\r\n"`, `"<null>"`, `"null"`, `"ü 🔑 \ud83d\udd11"`,
		`"\u0000\u001f"`, `"<script>&amp;"`, `" "`, `""`, `"«»"`, `"`+strings.Repeat("x", 65536)+`"`, `"`+strings.Repeat("x", 65537)+`"`,
		`"`+strings.Repeat("ü", 32768)+`"`, `"\u2028\u2029\ufeff"`, `"{\"a\":1}"`)
}

func (g *generator) listSecrets() Request {
	query := pick(g, "", "", "?include_values=true", "?include_values=true", "?include_values=true", "?include_values=false", "?include_values=1", "?include_values=",
		"?include_values=TRUE", "?include_values=true&include_values=x", "?other=1")
	return g.ifNoneMatch(g.get("/api/secrets"+query, g.someone()))
}

func (g *generator) showSecret() Request { return g.get("/api/secrets/"+g.secretName(), g.someone()) }

func (g *generator) writeSecret() Request {
	return g.ifMatch(g.post("/api/secrets/"+g.secretName(), `{"value":`+g.value()+`}`, g.someone()))
}

func (g *generator) deleteSecret() Request {
	return g.ifMatch(Request{Method: "DELETE", Path: "/api/secrets/" + g.secretName(), Who: g.someone()})
}

func (g *generator) secretVersions() Request {
	return g.get("/api/secrets/"+g.secretName()+"/versions", g.someone())
}

func (g *generator) restoreSecret() Request {
	version := pick(g, "1", "1", "2", "3", "4", "0", "-1", "1.0", "1e0", "9007199254740993", "99999999999999999999", `"1"`)
	return g.ifMatch(g.post("/api/secrets/"+g.secretName()+"/restore", `{"version":`+version+`}`, g.someone()))
}

func (g *generator) batch() Request {
	var items []string
	for range g.rand.IntN(6) {
		name := pick(g, secretNames()...)
		if g.chance(10) {
			name = pick(g, "", "-x", "a b", strings.Repeat("ü", 70))
		}
		items = append(items, fmt.Sprintf(`{"name":%q,"value":%s}`, name, g.value()))
	}
	if g.chance(3) {
		items = nil
		for i := range pick(g, 1001, 300) {
			items = append(items, fmt.Sprintf(`{"name":"many_%d","value":"x"}`, i))
		}
	}
	body := `{"secrets":[` + strings.Join(items, ",") + `]` + pick(g, "", "", `,"dry_run":true`, `,"dry_run":false`) + `}`
	return g.post("/api/secrets:batch", body, g.someone())
}

func releaseNames() []string { return []string{"web", "Web", "db.v1", "a-b_c", "x", "WEB"} }

func (g *generator) releaseID() string {
	if g.chance(90) {
		return ref(kindRelease, g.rand.IntN(20))
	}
	return pick(g, "1", "00000000-0000-4000-8000-00000000000", "00000000-0000-4000-8000-00000000000A", "%20", "{id}")
}

func (g *generator) gitURL() string {
	return pick(g, "https://github.com/alice/quadlets", "https://github.com/alice/quadlets.git", "ssh://git@example.com/x", "git@example.com:x/y",
		"http://127.0.0.1:3000/x", "http://box.example.ts.net/x", "http://example.com/x", "https://u:p@example.com/x", "file:///etc", "-x", "",
		"https://example.com/x?token=1", "https://example.com/"+strings.Repeat("x", 2048), "https://exämple.com/ü", "https://example.com/%0a", "ext::sh -c x")
}

func (g *generator) releaseFields(required bool) string {
	var fields []string
	add := func(chance int, name, value string) {
		if g.chance(chance) {
			fields = append(fields, fmt.Sprintf("%q:%s", name, value))
		}
	}
	always := 40
	if required {
		always = 97
	}
	name := pick(g, releaseNames()...)
	if g.chance(10) {
		name = pick(g, "", ".x", "a b", "ü", strings.Repeat("n", 64), strings.Repeat("n", 63))
	}
	add(always, "name", strconv.Quote(name))
	add(always, "git_url", strconv.Quote(g.gitURL()))
	add(40, "git_branch", pick(g, `"main"`, `"v1.2"`, `"feature/x"`, `""`, `"-x"`, `"a..b"`, `"a b"`, `"ü"`, `"@{1}"`, `"x.lock"`))
	add(40, "git_path", pick(g, `""`, `"."`, `"sub"`, `"sub/dir"`, `"sub/"`, `"../x"`, `"/etc"`, `".git"`, `"a//b"`, `"a\\b"`, `"ü"`))
	add(40, "description", pick(g, `""`, `"text"`, `"ü 🔑\nnext"`, `"\u0007"`, `"`+strings.Repeat("ü", 500)+`"`, `"`+strings.Repeat("x", 501)+`"`, `"\u202e"`))
	return "{" + strings.Join(fields, ",") + "}"
}

func (g *generator) listReleases() Request {
	path := "/api/releases"
	if g.chance(30) {
		path += "?name=" + url.QueryEscape(pick(g, append(releaseNames(), "", "none", "a b", "ü")...))
	}
	return g.ifNoneMatch(g.get(g.pageOf(path), g.someone()))
}

func (g *generator) showRelease() Request {
	return g.get("/api/releases/"+g.releaseID(), g.someone())
}

func (g *generator) createRelease() Request {
	return g.post("/api/releases", g.releaseFields(true), g.someone())
}

func (g *generator) updateRelease() Request {
	return g.ifMatch(g.send("PUT", "/api/releases/"+g.releaseID(), g.releaseFields(false), g.someone()))
}

func (g *generator) deleteRelease() Request {
	return g.ifMatch(Request{Method: "DELETE", Path: "/api/releases/" + g.releaseID(), Who: g.someone()})
}

func (g *generator) releaseVersions() Request {
	return g.get("/api/releases/"+g.releaseID()+"/versions", g.someone())
}

func (g *generator) deviceID() string {
	if g.chance(90) {
		return pick(g, device, device, "nOther", "local-0123456789abcdef")
	}
	return pick(g, "%20", strings.Repeat("d", 65), "%C3%BC", "a%2Fb", "%0a", "...")
}

func (g *generator) reportHost() Request {
	when := func() string {
		return pick(g, `"2026-03-01T10:20:30Z"`, `"2026-03-01T10:20:30.123456789Z"`, `"2026-03-01T12:20:30+02:00"`, `""`, `"2999-01-01T00:00:00Z"`, `"yesterday"`, `"0001-01-01T00:00:00Z"`)
	}
	var fields []string
	fields = append(fields, `"name":`+pick(g, `"box"`, `"box"`, `"Büro"`, `"other"`, `""`, `"`+strings.Repeat("h", 254)+`"`))
	if g.chance(60) {
		fields = append(fields, `"cli_version":"0.1.0","podman_version":`+pick(g, `"5.8.6"`, `""`, `"`+strings.Repeat("9", 65)+`"`))
	}
	if g.chance(60) {
		var secrets []string
		for _, name := range secretNames()[:g.rand.IntN(4)] {
			at := ""
			if g.chance(50) {
				at = `,"synced_at":` + when()
			}
			secrets = append(secrets, fmt.Sprintf(`{"name":%q,"version":%s%s}`, name, pick(g, "1", "2", "3", "0", "9007199254740993"), at))
		}
		if g.chance(10) {
			secrets = append(secrets, `{"name":"a","version":1}`)
		}
		fields = append(fields, `"secrets":[`+strings.Join(secrets, ",")+`]`)
	}
	if g.chance(50) {
		units := pick(g, "", `,"units":[]`, `,"units":[{"name":"web.service","state":"active"},{"name":"db.service","state":"stopped"}]`, `,"units":[{"name":"","state":"active"}]`)
		fields = append(fields, fmt.Sprintf(`"deployments":[{"release":%q,"version":%s,"commit":%q,"state":%q,"updated_at":%s%s}]`,
			pick(g, "web", "Web", "db.v1", "a b"), pick(g, "0", "1", "7"), pick(g, "", strings.Repeat("0a", 20), strings.Repeat("0b", 32), "xyz"),
			pick(g, "active", "failed", "stopped", "unknown", "asleep"), when(), units))
	}
	return g.send("PUT", "/api/hosts/"+g.deviceID(), "{"+strings.Join(fields, ",")+"}", g.someone())
}

func (g *generator) listHosts() Request {
	lists := pick(g, "", "", "?include_secrets=true", "?include_deployments=true",
		"?include_secrets=true&include_deployments=true", "?include_secrets=1")
	return g.ifNoneMatch(g.get(g.pageOf("/api/hosts"+lists), g.someone()))
}

func (g *generator) readHost() Request {
	return g.ifNoneMatch(g.get("/api/hosts/"+g.deviceID(), g.someone()))
}

func (g *generator) forgetHost() Request {
	return Request{Method: "DELETE", Path: "/api/hosts/" + g.deviceID(), Who: g.someone()}
}
