// Command pocketbase is PocketBase as a peer for the benchmark: its own app and
// router, on loopback, with one collection of secrets, in a process that links
// nothing else.
//
// As released it commits with synchronous=NORMAL, which loses the last commits
// when the power fails; here it has synchronous=FULL, checked on both of its
// pools. Its request log is off, which makes it faster. It seals nothing.
//
// It prints one line of JSON with its address, a user's token and the pragmas,
// serves until its standard input ends, and is no part of Leger.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/pocketbase/dbx"
	"github.com/pocketbase/pocketbase/apis"
	"github.com/pocketbase/pocketbase/core"
	_ "github.com/pocketbase/pocketbase/migrations"
)

func main() {
	if err := run(); err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "pocketbase peer: %v\n", err)
		os.Exit(1)
	}
}

func run() error {
	data := flag.String("data", "", "PocketBase's data directory")
	flag.Parse()

	app := core.NewBaseApp(core.BaseAppConfig{DataDir: *data, DBConnect: connect})
	if err := app.Bootstrap(); err != nil {
		return err
	}
	if err := app.RunAllMigrations(); err != nil {
		return err
	}
	settings := app.Settings()
	settings.RateLimits.Enabled = false
	settings.Logs.MaxDays = 0
	if err := app.Save(settings); err != nil {
		return err
	}
	pragmas, err := pragmas(app)
	if err != nil {
		return err
	}
	owner, token, err := account(app)
	if err != nil {
		return err
	}
	if err := collection(app); err != nil {
		return err
	}
	app.OnServe().BindFunc(func(e *core.ServeEvent) error {
		e.InstallerFunc = nil
		l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // PocketBase's hook has no context
		if err != nil {
			return err
		}
		e.Listener = l
		return errors.Join(e.Next(), json.NewEncoder(os.Stdout).Encode(map[string]string{
			"url": "http://" + l.Addr().String(), "token": token, "owner": owner, "pragmas": pragmas,
		}))
	})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = app.OnTerminate().Trigger(&core.TerminateEvent{App: app}, func(e *core.TerminateEvent) error {
			return e.App.ResetBootstrapState()
		})
	}()
	return apis.Serve(app, apis.ServeConfig{HttpAddr: "127.0.0.1:0"})
}

// connect is core.DefaultDBConnect with FULL in the place of NORMAL. The pragmas
// are in the name of the database, so that every connection of a pool has them.
func connect(path string) (*dbx.DB, error) {
	return dbx.Open("sqlite", path+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)"+
		"&_pragma=journal_size_limit(200000000)&_pragma=synchronous(FULL)&_pragma=foreign_keys(ON)"+
		"&_pragma=temp_store(MEMORY)&_pragma=cache_size(-32000)")
}

// pragmas says what SQLite itself answers on a connection of each pool, and
// fails unless it is WAL and FULL (2).
func pragmas(app core.App) (string, error) {
	answer := ""
	for _, db := range []dbx.Builder{app.NonconcurrentDB(), app.ConcurrentDB()} {
		var mode string
		var level int
		if err := errors.Join(
			db.NewQuery("PRAGMA journal_mode").Row(&mode),
			db.NewQuery("PRAGMA synchronous").Row(&level),
		); err != nil {
			return "", err
		}
		if mode != "wal" || level != 2 {
			return "", fmt.Errorf("journal_mode=%s synchronous=%d: not the durability that is compared", mode, level)
		}
		answer = fmt.Sprintf("journal_mode=%s, synchronous=%d (FULL)", mode, level)
	}
	return answer, nil
}

// account makes the one user, or finds it, and gives its id and a token.
func account(app core.App) (id, token string, err error) {
	const email = "bench@example.com"
	user, err := app.FindAuthRecordByEmail("users", email)
	if err != nil {
		users, err := app.FindCollectionByNameOrId("users")
		if err != nil {
			return "", "", err
		}
		user = core.NewRecord(users)
		user.SetEmail(email)
		user.SetRandomPassword()
		if err := app.Save(user); err != nil {
			return "", "", err
		}
	}
	token, err = user.NewAuthToken()
	return user.Id, token, err
}

// collection makes the collection of secrets: each seen and changed by its owner
// only, one of a name per owner, found by that index.
func collection(app core.App) error {
	if _, err := app.FindCollectionByNameOrId("secrets"); err == nil {
		return nil
	}
	users, err := app.FindCollectionByNameOrId("users")
	if err != nil {
		return err
	}
	c := core.NewBaseCollection("secrets")
	c.Fields.Add(
		&core.RelationField{Name: "owner", CollectionId: users.Id, Required: true, MaxSelect: 1, CascadeDelete: true},
		&core.TextField{Name: "name", Required: true, Max: 128},
		&core.TextField{Name: "value", Required: true, Max: 64 << 10},
		&core.AutodateField{Name: "created", OnCreate: true},
		&core.AutodateField{Name: "updated", OnCreate: true, OnUpdate: true},
	)
	rule := "@request.auth.id != '' && owner = @request.auth.id"
	c.ListRule, c.ViewRule, c.CreateRule, c.UpdateRule, c.DeleteRule = &rule, &rule, &rule, &rule, &rule
	c.AddIndex("idx_secrets_owner_name", true, "owner, name", "")
	return app.Save(c)
}
