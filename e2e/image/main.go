// Leger-e2e is the program in the container of the machine tests. It shows,
// over HTTP, what reached the container, and misbehaves when asked to.
//
//	leger-e2e serve [-listen ADDR] [-exit-after D] [-unhealthy] [-refuse NAME=VALUE]
//	leger-e2e get [-socket PATH] [URL]
//
// serve answers
//
//	GET /healthz     200 "ok", or 503 with -unhealthy
//	GET /env/NAME    the value of the environment variable NAME, byte for byte
//	GET /file/PATH   the contents of the file /PATH, byte for byte
//
// and 404 for a variable or file that is not there. With -exit-after it exits
// with code 1 after that time, with -refuse at once if the environment variable
// NAME is VALUE. It ends at SIGTERM with code 0.
//
// get prints what the URL, or /healthz of its own port, answers, and exits 1
// unless that is a 200. An image made FROM scratch has no other program that a
// health check could run; and the machine, which has no curl, has it in PATH.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path"
	"strings"
	"syscall"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "leger-e2e:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("usage: leger-e2e serve|get [flags]")
	}
	switch args[0] {
	case "serve":
		return serve(args[1:])
	case "get":
		return get(args[1:], os.Stdout)
	default:
		return fmt.Errorf("unknown command %q: serve or get", args[0])
	}
}

// serve runs the HTTP server until SIGTERM or until it is to fail.
func serve(args []string) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	listen := flags.String("listen", ":8080", "address to listen on")
	exitAfter := flags.Duration("exit-after", 0, "exit with code 1 after this time; 0 means never")
	unhealthy := flags.Bool("unhealthy", false, "answer health checks with 503")
	refuse := flags.String("refuse", "", "NAME=VALUE: exit with code 1 if the environment variable NAME is VALUE")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if name, value, ok := strings.Cut(*refuse, "="); ok && os.Getenv(name) == value {
		return fmt.Errorf("%s is not to my taste", name)
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	server := &http.Server{
		Addr:              *listen,
		Handler:           handler(!*unhealthy),
		ReadHeaderTimeout: 5 * time.Second,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()

	var end <-chan time.Time
	if *exitAfter > 0 {
		end = time.After(*exitAfter)
	}
	select {
	case err := <-failed:
		return err
	case <-end:
		return fmt.Errorf("exiting after %s, as asked", *exitAfter)
	case <-ctx.Done():
		return server.Close()
	}
}

// handler returns the routes of serve.
func handler(healthy bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if !healthy {
			http.Error(w, "unhealthy, as asked", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /env/{name}", func(w http.ResponseWriter, r *http.Request) {
		value, found := os.LookupEnv(r.PathValue("name"))
		if !found {
			http.NotFound(w, r)
			return
		}
		raw(w, []byte(value))
	})
	mux.HandleFunc("GET /file/{path...}", func(w http.ResponseWriter, r *http.Request) {
		// The container's whole file system may be asked for: it holds nothing
		// but this program and what the test put there.
		value, err := os.ReadFile(path.Clean("/" + r.PathValue("path")))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		raw(w, value)
	})
	return mux
}

// raw answers with exactly these bytes, whatever they look like.
func raw(w http.ResponseWriter, value []byte) {
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(value) // the client is gone when this fails
}

// get is the client's side of serve.
func get(args []string, output io.Writer) error {
	flags := flag.NewFlagSet("get", flag.ContinueOnError)
	socket := flags.String("socket", "", "Unix socket to connect to, whatever the URL's host is")
	if err := flags.Parse(args); err != nil {
		return err
	}
	url := "http://127.0.0.1:8080/healthz"
	if flags.NArg() > 0 {
		url = flags.Arg(0)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	var transport http.Transport
	if *socket != "" {
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, "unix", *socket)
		}
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(output, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return nil
}
