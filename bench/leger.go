package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

// email is who the benchmark is, to the server and to the leger command alike.
const email = "bench@localhost"

// sharedSecret is the installation's secret; it guards nothing but this run's data.
const sharedSecret = "a shared secret of the benchmark, 32 bytes or more"

// leger is the real leger-server as a child process.
type leger struct {
	program, data string
	http          *http.Client
	url, token    string
	*process
}

func (l *leger) name() string  { return "Leger" }
func (l *leger) calls(int) int { return 1 }
func (l *leger) survives() string {
	return "power loss: SQLite in WAL with `synchronous=FULL`, synced before the answer"
}

func (l *leger) start(ctx context.Context) error {
	secretFile := l.secretFile()
	if err := os.MkdirAll(l.data, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(secretFile, []byte(sharedSecret), 0o600); err != nil {
		return err
	}
	// What an earlier start logged must not be taken for this one's.
	if err := os.RemoveAll(l.data + ".log"); err != nil {
		return err
	}
	p, _, err := launch(ctx, l.data, []string{"JWT_SECRET_FILE=" + secretFile},
		l.program, "--listen", "127.0.0.1:0", "--data", l.data, "--rate-limit", "0")
	if err != nil {
		return err
	}
	l.process = p
	if l.url, err = listening(ctx, l.data+".log"); err != nil {
		return errors.Join(err, p.stop())
	}
	if l.token, err = signToken(time.Now()); err != nil {
		return err
	}
	no := map[string]bool{"session": false}
	return call(ctx, l.http, http.MethodPost, l.url+"/api/auth/validate", l.token, no, nil)
}

func (l *leger) secretFile() string { return filepath.Join(filepath.Dir(l.data), "jwt.secret") }

// listening waits for the log line that tells the address.
func listening(ctx context.Context, log string) (url string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		text, err := os.ReadFile(log) //nolint:gosec // the benchmark's own directory
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
		for s := bufio.NewScanner(strings.NewReader(string(text))); s.Scan(); {
			var line struct{ Msg, Address string }
			if json.Unmarshal(s.Bytes(), &line) == nil && line.Msg == "listening" {
				return "http://" + line.Address, nil
			}
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("leger-server did not say where it listens: %w\n%s", ctx.Err(), text)
		case <-tick.C:
		}
	}
}

// signToken makes the token of an identity without Tailscale, as the leger
// command does with --local-identity. It is written out here, not imported, so
// that this module shares no dependency with Leger's own and the peers are built
// with exactly the versions they were released with.
func signToken(now time.Time) (string, error) {
	sum := uuid.NewSHA1(uuid.NameSpaceDNS, []byte("local.leger.run/"+email))
	number := uint64(0)
	for _, b := range sum[:7] {
		number = number<<8 | uint64(b)
	}
	user := "u" + strconv.FormatUint(1<<62+number, 10)
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub":               uuid.NewSHA1(uuid.NewSHA1(uuid.NameSpaceDNS, []byte("leger.run")), []byte(user)).String(),
		"tailscale_user_id": user, "email": email, "tailnet": "local",
		"jti": uuid.NewString(), "iss": "leger-cli", "aud": "leger",
		"iat": now.Unix(), "exp": now.Add(24 * time.Hour).Unix(),
	}).SignedString([]byte(sharedSecret))
	return "Bearer " + text, err
}

type legerSecret struct{ Name, Value string }

func (l *leger) seed(ctx context.Context, secrets []secret) error {
	items := make([]map[string]string, len(secrets))
	for i, s := range secrets {
		items[i] = map[string]string{"name": s.name, "value": s.value}
	}
	var out struct{ Data struct{ Applied bool } }
	err := call(ctx, l.http, http.MethodPost, l.url+"/api/secrets:batch", l.token, map[string]any{"secrets": items}, &out)
	if err == nil && !out.Data.Applied {
		err = errors.New("the batch was not applied")
	}
	return err
}

func (l *leger) list(ctx context.Context) (map[string]string, error) {
	var out struct {
		Data struct{ Secrets []legerSecret }
	}
	if err := call(ctx, l.http, http.MethodGet, l.url+"/api/secrets?include_values=true", l.token, nil, &out); err != nil {
		return nil, err
	}
	got := make(map[string]string, len(out.Data.Secrets))
	for _, s := range out.Data.Secrets {
		got[s.Name] = s.Value
	}
	return got, nil
}

func (l *leger) read(ctx context.Context, name string) (string, error) {
	var out struct{ Data legerSecret }
	err := call(ctx, l.http, http.MethodGet, l.url+"/api/secrets/"+name, l.token, nil, &out)
	return out.Data.Value, err
}

func (l *leger) create(ctx context.Context, s secret) error {
	var out struct {
		Data struct {
			Version int
			Changed bool
		}
	}
	err := call(ctx, l.http, http.MethodPost, l.url+"/api/secrets/"+s.name, l.token, map[string]string{"value": s.value}, &out)
	if err == nil && (!out.Data.Changed || out.Data.Version != 1) {
		err = fmt.Errorf("%s was not created: %+v", s.name, out.Data)
	}
	return err
}

func (l *leger) remove(ctx context.Context, name string) error {
	return call(ctx, l.http, http.MethodDelete, l.url+"/api/secrets/"+name, l.token, nil, nil)
}
