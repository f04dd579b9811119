package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/client"
	"leger.run/leger/internal/run"
)

const (
	// watchEvery is how often the server is asked for changes. The question is answered
	// with "not modified" most of the time.
	watchEvery = 5 * time.Second
	// watchGrace is how long a command may take to end before it is killed.
	watchGrace = 10 * time.Second
)

// exitStatus is the exit code of the command that was run: leger ends with it, and says
// nothing.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("the command ended with %d", int(s)) }

// watched is a command that is started again when a secret that it was given changes.
type watched struct {
	app     *app
	want    chosen
	program string
	command []string

	running *run.Foreground
	env     []string                    // what it was started with
	seen    map[leger.SecretName]string // value ids of what the command was given
	away    bool                        // the last check could not be made, and that was said
}

// runWatched runs the command until it ends by itself, and ends with its code.
func (a *app) runWatched(ctx context.Context, want chosen, program string, command []string) error {
	w := &watched{app: a, want: want, program: program, command: command}
	_, c, err := a.signedIn()
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
	defer signal.Stop(signals)
	// Ctrl-C is for the command: leger ends when that does.
	ctx = context.WithoutCancel(ctx)
	if w.seen, err = w.look(ctx, c); err != nil && !noAnswer(err) {
		return err
	}
	if err := w.start(ctx); err != nil {
		return err
	}
	return w.follow(ctx, c, signals)
}

func (w *watched) start(ctx context.Context) error {
	env, err := w.app.commandEnvironment(ctx, w.want)
	if err != nil {
		return err
	}
	w.env = env
	w.running, err = run.StartForeground(w.program, w.command[0], w.command[1:], env)
	return err
}

func (w *watched) follow(ctx context.Context, c *client.Client, signals <-chan os.Signal) error {
	for {
		select {
		case <-w.running.Ended():
			if code := w.running.Code(); code != 0 {
				return exitStatus(code)
			}
			return nil
		case s := <-signals:
			w.pass(s)
		case <-w.app.env.After(watchEvery):
			if err := w.check(ctx, c, signals); err != nil {
				return err
			}
		}
	}
}

// pass hands a signal on. At a terminal the command got that of a key, too.
func (w *watched) pass(s os.Signal) {
	byKey := s == syscall.SIGINT || s == syscall.SIGQUIT
	if !byKey || !w.app.env.Terminal.In() {
		w.running.Signal(s)
	}
}

// check starts the command again if something changed that it was given. While the new
// values cannot be had from the server the command goes on, and each check tries again:
// this machine's copies are the former ones.
func (w *watched) check(ctx context.Context, c *client.Client, signals <-chan os.Signal) error {
	now, err := w.look(ctx, c)
	changed, env := "", []string(nil)
	if err == nil {
		if changed = w.changed(now); changed == "" {
			w.away = false
			return nil
		}
		env, err = w.fresh(ctx, c)
	}
	if err != nil {
		if !w.away {
			w.app.warn("%s goes on with the secrets that it has: %v", w.command[0], err)
		}
		w.away = true
		return nil
	}
	w.away, w.seen = false, now
	if slices.Equal(env, w.env) { // it began while nobody could say what it had
		return nil
	}
	return w.restart(env, changed, signals)
}

// changed names the secrets that are not as the command was given them.
func (w *watched) changed(now map[leger.SecretName]string) string {
	var names []string
	for name, id := range now {
		if w.seen[name] != id {
			names = append(names, name.String())
		}
	}
	for name := range w.seen {
		if now[name] == "" {
			names = append(names, name.String())
		}
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ", ")
}

// fresh is the command's environment with the server's values.
func (w *watched) fresh(ctx context.Context, c *client.Client) ([]string, error) {
	values, err := serverValues(ctx, c, w.want)
	if err != nil {
		return nil, err
	}
	defer values.wipe()
	return w.app.environmentOf(w.want, values)
}

// restart ends the command and starts it with the new environment, unless somebody asks it
// to end meanwhile.
func (w *watched) restart(env []string, changed string, signals <-chan os.Signal) error {
	w.app.say("%s changed: starting %s again", changed, w.command[0])
	w.running.Signal(syscall.SIGTERM)
	grace, over := w.app.env.After(watchGrace), false
	for ended := false; !ended; {
		select {
		case <-w.running.Ended():
			ended = true
		case s := <-signals:
			w.pass(s)
			over = over || s != syscall.SIGUSR1 && s != syscall.SIGUSR2
		case <-grace:
			w.app.warn("%s did not end within %v: it is killed", w.command[0], watchGrace)
			w.running.Signal(syscall.SIGKILL)
		}
	}
	if over {
		return nil // who follows it sees that it has ended
	}
	w.env = env
	var err error
	w.running, err = run.StartForeground(w.program, w.command[0], w.command[1:], env)
	return err
}

// look gives what tells the values of the choice from others.
func (w *watched) look(ctx context.Context, c *client.Client) (map[leger.SecretName]string, error) {
	list, err := c.Secrets(ctx)
	if err != nil {
		return nil, err
	}
	ids := map[leger.SecretName]string{}
	names := make([]leger.SecretName, len(list))
	for i, s := range list {
		names[i] = s.Name
	}
	variables, _, err := w.want.variables(names)
	if err != nil {
		return nil, err
	}
	for _, v := range variables {
		if i := slices.Index(names, v.secret); i >= 0 {
			ids[v.secret] = fmt.Sprint(list[i].Version, " ", list[i].ValueID)
		}
	}
	return ids, nil
}
