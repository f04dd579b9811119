// Githttp serves a directory of bare git repositories over HTTP on loopback,
// read-only, as a forge would: git's own http-backend behind net/http/cgi.
//
//	githttp -root DIR [-listen ADDR] [-auth PREFIX=USER:PASSWORD]...
//
// Each -auth puts the repositories below a path prefix behind basic
// authentication; the longest matching prefix counts. When it listens it prints
// one line, "READY http://ADDR". Pushing is refused: tests push through the
// file system.
package main

import (
	"context"
	"crypto/subtle"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	if err := run(os.Args[1:]); err != nil {
		log.Fatalln("githttp:", err)
	}
}

// credential opens the repositories below one path prefix.
type credential struct {
	prefix, user, password string
}

// credentials collects the -auth flags.
type credentials []credential

// String satisfies flag.Value; it shows no password.
func (c *credentials) String() string {
	return fmt.Sprintf("%d prefixes", len(*c))
}

// Set parses one PREFIX=USER:PASSWORD.
func (c *credentials) Set(text string) error {
	prefix, login, found := strings.Cut(text, "=")
	user, password, both := strings.Cut(login, ":")
	if !found || !both || !strings.HasPrefix(prefix, "/") || user == "" {
		return errors.New("want /PREFIX=USER:PASSWORD")
	}
	*c = append(*c, credential{prefix: path.Clean(prefix), user: user, password: password})
	return nil
}

// match returns the credential that guards a request path, if there is one.
func (c credentials) match(requestPath string) (guard credential, found bool) {
	for _, candidate := range c {
		below := requestPath == candidate.prefix ||
			strings.HasPrefix(requestPath, strings.TrimSuffix(candidate.prefix, "/")+"/")
		if below && len(candidate.prefix) > len(guard.prefix) {
			guard, found = candidate, true
		}
	}
	return guard, found
}

func run(args []string) error {
	var guards credentials
	flags := flag.NewFlagSet("githttp", flag.ContinueOnError)
	root := flags.String("root", "", "directory of bare repositories")
	listen := flags.String("listen", "127.0.0.1:0", "loopback address to listen on")
	flags.Var(&guards, "auth", "`/PREFIX=USER:PASSWORD` that repositories below the prefix ask for; may be repeated")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *root == "" {
		return errors.New("-root is missing: the directory of bare repositories")
	}
	directory, err := filepath.Abs(*root)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	backend, err := backendPath(ctx)
	if err != nil {
		return err
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", *listen)
	if err != nil {
		return err
	}
	if !listener.Addr().(*net.TCPAddr).IP.IsLoopback() {
		return fmt.Errorf("%s is not a loopback address", *listen)
	}

	server := &http.Server{
		Handler:           guarded(guards, gitHandler(backend, directory)),
		ReadHeaderTimeout: 5 * time.Second,
	}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	fmt.Fprintf(os.Stdout, "READY http://%s\n", listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// backendPath asks git where its http-backend is: it is not in PATH.
func backendPath(ctx context.Context) (string, error) {
	output, err := exec.CommandContext(ctx, "git", "--exec-path").Output()
	if err != nil {
		return "", fmt.Errorf("git --exec-path: %w (install git)", err)
	}
	backend := filepath.Join(strings.TrimSpace(string(output)), "git-http-backend")
	if _, err := os.Stat(backend); err != nil {
		return "", fmt.Errorf("%w (install the package of git that has it)", err)
	}
	return backend, nil
}

// gitHandler runs http-backend once per request.
func gitHandler(backend, root string) http.Handler {
	return &cgi.Handler{
		Path: backend,
		Dir:  root,
		Env: []string{
			"GIT_PROJECT_ROOT=" + root,
			"GIT_HTTP_EXPORT_ALL=1",
			// The server may not own the repositories, and reads nobody's
			// configuration but this.
			"GIT_CONFIG_NOSYSTEM=1",
			"GIT_CONFIG_GLOBAL=/dev/null",
			"GIT_CONFIG_COUNT=2",
			"GIT_CONFIG_KEY_0=safe.directory",
			"GIT_CONFIG_VALUE_0=*",
			"GIT_CONFIG_KEY_1=http.receivepack",
			"GIT_CONFIG_VALUE_1=false",
		},
	}
}

// guarded asks for the credential of the longest matching prefix, and logs each
// request so that the journal shows what git asked for.
func guarded(guards credentials, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		log.Printf("%s %s", r.Method, r.URL)
		// The backend sees the path as it came; the check must not be talked
		// round by another spelling of it.
		if r.URL.Path != path.Clean(r.URL.Path) {
			http.NotFound(w, r)
			return
		}
		if guard, found := guards.match(r.URL.Path); found {
			user, password, _ := r.BasicAuth()
			userRight := subtle.ConstantTimeCompare([]byte(user), []byte(guard.user))
			passwordRight := subtle.ConstantTimeCompare([]byte(password), []byte(guard.password))
			if userRight&passwordRight != 1 {
				w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
				http.Error(w, "authentication required", http.StatusUnauthorized)
				return
			}
			r.Header.Del("Authorization")
		}
		next.ServeHTTP(w, r)
	})
}
