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
	away    bool                        // the server did not answer the last time
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
			byKey := s == syscall.SIGINT || s == syscall.SIGQUIT
			if !byKey || !w.app.env.Terminal.In() { // at a terminal the command got it, too
				w.running.Signal(s)
			}
		case <-w.app.env.After(watchEvery):
			if err := w.check(ctx, c); err != nil {
				return err
			}
		}
	}
}

// check starts the command again if something changed that it was given.
func (w *watched) check(ctx context.Context, c *client.Client) error {
	now, err := w.look(ctx, c)
	if err != nil {
		if !w.away {
			w.app.warn("no word on changes of secrets: %v", err)
		}
		w.away = true
		return nil
	}
	w.away = false
	var changed []string
	for name, id := range now {
		if w.seen[name] != id {
			changed = append(changed, name.String())
		}
	}
	for name := range w.seen {
		if now[name] == "" {
			changed = append(changed, name.String())
		}
	}
	if len(changed) == 0 {
		return nil
	}
	slices.Sort(changed)
	return w.restart(ctx, now, strings.Join(slices.Compact(changed), ", "))
}

// restart ends the command and starts it with the new values. One whose secrets cannot be
// had any more goes on with those that it has.
func (w *watched) restart(ctx context.Context, now map[leger.SecretName]string, changed string) error {
	env, err := w.app.commandEnvironment(ctx, w.want)
	if err != nil {
		w.app.warn("%s changed, and %s goes on as it is: %v", changed, w.command[0], err)
		w.seen = now
		return nil
	}
	if slices.Equal(env, w.env) { // it began while nobody could say what it had
		w.seen = now
		return nil
	}
	w.app.say("%s changed: starting %s again", changed, w.command[0])
	w.running.Signal(syscall.SIGTERM)
	select {
	case <-w.running.Ended():
	case <-w.app.env.After(watchGrace):
		w.app.warn("%s did not end within %v: it is killed", w.command[0], watchGrace)
		w.running.Signal(syscall.SIGKILL)
		<-w.running.Ended()
	}
	w.seen, w.env = now, env
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
