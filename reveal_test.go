package leger_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
)

// revealers lists the functions that open a Plaintext, with the reason of each. A
// new one is added here by whoever can say why no other way does.
func revealers() map[string]string {
	return map[string]string{
		"internal/vault.KeyRing.reseal":             "encrypts it under another key",
		"internal/vault.KeyRing.seal":               "encrypts it",
		"internal/vault.Vault.holds":                "compares it with the one that is stored, in constant time",
		"internal/token.Sign":                       "the shared secret is the key of the signature",
		"internal/token.verify":                     "the shared secret is the key of the signature",
		"internal/httpapi.API.openedSecrets":        "the answer that gives all values to the CLI",
		"internal/httpapi.API.secret":               "the answer that gives one value to the CLI",
		"internal/client.Client.SetScopedSecret":    "the request that stores it",
		"internal/localvault.Client.CreateVersion":  "the request that hands it to legerd",
		"internal/localvault.Client.Replace":        "the request that hands it to legerd",
		"internal/localvault.Store.Digest":          "makes a keyed digest of it",
		"internal/localvault.Store.Replace":         "seals it into the store",
		"internal/podman.rest.create":               "the request that hands it to Podman",
		"internal/podman.program.create":            "podman's standard input",
		"internal/gitrepo.session.credentials":      "the pipe from which git's credential helper reads it",
		"internal/backup.Keys.encode":               "the keys in an encrypted backup",
		"internal/backup.PassphraseRecipient":       "encrypts a backup with it",
		"internal/backup.Unlock.identities":         "age's secret key opens a backup",
		"internal/backup.passphraseIdentity.Unwrap": "opens a backup with it",
		"cmd/leger-server.program.ringFor":          "the keys of a backup open its records",
		"cmd/leger-server.rotation.writeKeys":       "the file of the former keys",
		"cmd/leger-server.sheetKeys":                "the keys on a recovery sheet",
		"cmd/leger-server.keyFiles":                 "the key files from a recovery sheet",
		"cmd/leger-server.keyFile.check":            "compares it with the key that is there",
		"cmd/leger-server.keyFile.write":            "the key files from a recovery sheet",
		"internal/keysheet.Write":                   "the keys on a recovery sheet",
		"cmd/leger-server.program.stage":            "the key files of a restored data directory",
		"internal/secretsync.Syncer.holds":          "compares the server's value with the machine's",
		"internal/signin.PrivateKey.private":        "the machine's key signs its tokens",
		"internal/signin.PrivateKey.MarshalText":    "auth.json, 0600, holds the machine's key",
		"internal/cli.environment":                  "the environment of the command that it is given to",
		"..Ticket.Reveal":                           "gives it to whom it is for",
		"..Ticket.Hash":                             "the server keeps the hash",
		"internal/httpapi.API.giveCode":             "the answer to the machine that asks",
		"internal/httpapi.API.invite":               "the answer to who invites",
		"internal/httpapi.API.inviteOwner":          "the answer to the operator who invites",
		"internal/httpapi.API.makeLink":             "the answer to the browser that hands its sign-in on",
	}
}

// TestWhoReveals finds every mention of Reveal in the module's programs and
// compares their functions with the list.
func TestWhoReveals(t *testing.T) {
	t.Parallel()
	found := map[string]bool{}
	err := fs.WalkDir(os.DirFS("."), ".", func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return skipDir(file)
		case path.Ext(file) != ".go" || strings.HasSuffix(file, "_test.go"):
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range parsed.Decls {
			ast.Inspect(decl, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "Reveal" {
					found[path.Dir(file)+"."+nameOf(decl)] = true
				}
				return true
			})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	allowed := revealers()
	for _, f := range slices.Sorted(maps.Keys(found)) {
		if allowed[f] == "" {
			t.Errorf("%s calls Plaintext.Reveal: find another way, or list it with its reason", f)
		}
	}
	for _, f := range slices.Sorted(maps.Keys(allowed)) {
		if !found[f] {
			t.Errorf("%s is listed and does not call Plaintext.Reveal", f)
		}
	}
}

// skipDir leaves out what is no code of this module.
func skipDir(dir string) error {
	base := path.Base(dir)
	if dir == "." {
		return nil
	}
	if _, err := os.Stat(path.Join(dir, "go.mod")); err == nil || base == "testdata" || base == "node_modules" || strings.HasPrefix(base, ".") {
		return fs.SkipDir
	}
	return nil
}

// nameOf gives "Function" or "Receiver.Method" of a declaration.
func nameOf(decl ast.Decl) string {
	f, ok := decl.(*ast.FuncDecl)
	if !ok {
		return "(a variable)"
	}
	if f.Recv == nil {
		return f.Name.Name
	}
	recv := f.Recv.List[0].Type
	if star, ok := recv.(*ast.StarExpr); ok {
		recv = star.X
	}
	if id, ok := recv.(*ast.Ident); ok {
		return id.Name + "." + f.Name.Name
	}
	return f.Name.Name
}
