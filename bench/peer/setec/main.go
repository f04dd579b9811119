// Command setec is the setec server as a peer for the benchmark: its own server
// and database packages, on loopback, in a process that links nothing else.
//
// What a production setec asks other services for is given to it for free: who
// calls (WhoIs answers from memory) and the key that seals its database.
//
// It prints one line of JSON with its address, serves until its standard input
// ends, and is no part of Leger.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/tailscale/setec/acl"
	"github.com/tailscale/setec/audit"
	"github.com/tailscale/setec/server"
	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
	"tailscale.com/client/tailscale/apitype"
	"tailscale.com/tailcfg"
)

func main() {
	if err := run(context.Background()); err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "setec peer: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	data := flag.String("data", "", "directory of the database, its key and the audit log")
	lazyAudit := flag.Bool("lazy-audit", false, "write the audit log without syncing it, which setec's own program does not offer")
	flag.Parse()

	key, err := openKey(filepath.Join(*data, "key.json"))
	if err != nil {
		return err
	}
	log, err := openAudit(filepath.Join(*data, "audit.log"), *lazyAudit)
	if err != nil {
		return err
	}
	who, err := everybody()
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	if _, err := server.New(ctx, server.Config{
		DBPath: filepath.Join(*data, "database"), Key: key, AuditLog: log, WhoIs: who, Mux: mux,
	}); err != nil {
		return err
	}
	return serve(ctx, mux)
}

// openAudit opens the log as setec's own program does, or as a writer that cannot
// be synced, so that setec's audit package skips the sync.
func openAudit(path string, lazy bool) (*audit.Writer, error) {
	if !lazy {
		return audit.NewFile(path)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600) //nolint:gosec // the benchmark's own directory
	if err != nil {
		return nil, err
	}
	return audit.New(struct{ io.Writer }{f}), nil
}

// everybody identifies each caller as one user who may do everything.
func everybody() (func(context.Context, string) (*apitype.WhoIsResponse, error), error) {
	rule, err := json.Marshal(acl.Rule{ //nolint:gosec // its Secret is a pattern of names
		Action: []acl.Action{acl.ActionGet, acl.ActionInfo, acl.ActionPut, acl.ActionCreateVersion, acl.ActionActivate, acl.ActionDelete},
		Secret: []acl.Secret{"*"},
	})
	if err != nil {
		return nil, err
	}
	answer := &apitype.WhoIsResponse{
		Node:        &tailcfg.Node{Name: "bench.example.ts.net"},
		UserProfile: &tailcfg.UserProfile{ID: 1, LoginName: "bench@localhost"},
		CapMap:      tailcfg.PeerCapMap{server.ACLCap: []tailcfg.RawMessage{tailcfg.RawMessage(rule)}},
	}
	return func(context.Context, string) (*apitype.WhoIsResponse, error) { return answer, nil }, nil
}

// openKey reads the key, or makes it, so that the database opens again.
func openKey(path string) (tink.AEAD, error) {
	f, err := os.Open(path) //nolint:gosec // the benchmark's own directory
	var handle *keyset.Handle
	switch {
	case err == nil:
		handle, err = insecurecleartextkeyset.Read(keyset.NewJSONReader(f))
	case errors.Is(err, os.ErrNotExist):
		if handle, err = keyset.NewHandle(aead.AES256GCMKeyTemplate()); err != nil {
			return nil, err
		}
		if f, err = os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600); err == nil { //nolint:gosec // the benchmark's own directory
			err = insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(f))
		}
	}
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	return aead.New(handle)
}

func serve(ctx context.Context, h http.Handler) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(map[string]string{"url": "http://" + l.Addr().String()}); err != nil {
		return err
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = srv.Close()
	}()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
