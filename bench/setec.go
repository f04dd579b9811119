package main

import (
	"context"
	"net/http"

	"github.com/tailscale/setec/client/setec"

	"leger.run/leger/bench/trial"
)

// setecPeer is setec's own server as a child process, with setec's own client.
type setecPeer struct {
	program, data string
	http          *http.Client
	lazyAudit     bool // weaker than setec as it is released; see name
	client        setec.Client
	*process
}

func (s *setecPeer) name() string {
	if s.lazyAudit {
		return "setec, audit log not synced"
	}
	return "setec"
}

func (s *setecPeer) calls(n int) int { return n + 1 }

func (s *setecPeer) survives() string {
	if s.lazyAudit {
		return "end of the process; power loss may undo the last writes and their audit lines"
	}
	return "end of the process; power loss may undo the last writes: the new file is synced before it is renamed, the directory is not (tailscale.com/atomicfile). Each call's audit line is synced"
}

func (s *setecPeer) start(ctx context.Context) error {
	args := []string{"-data", s.data}
	if s.lazyAudit {
		args = append(args, "-lazy-audit")
	}
	p, out, err := launch(ctx, s.data, nil, s.program, args...)
	if err != nil {
		return err
	}
	s.process = p
	said, err := answer(out, s.data)
	if err != nil {
		return err
	}
	s.client = setec.Client{Server: said["url"], DoHTTP: s.http.Do}
	return nil
}

func (s *setecPeer) seed(ctx context.Context, secrets []trial.Secret) error {
	for _, each := range secrets {
		if err := s.create(ctx, each); err != nil {
			return err
		}
	}
	return nil
}

func (s *setecPeer) list(ctx context.Context) (map[string]string, error) {
	infos, err := s.client.List(ctx)
	if err != nil {
		return nil, err
	}
	got := make(map[string]string, len(infos))
	for _, info := range infos {
		if got[info.Name], err = s.read(ctx, info.Name); err != nil {
			return nil, err
		}
	}
	return got, nil
}

func (s *setecPeer) read(ctx context.Context, name string) (string, error) {
	v, err := s.client.Get(ctx, name)
	if err != nil {
		return "", err
	}
	return string(v.Value), nil
}

func (s *setecPeer) create(ctx context.Context, each trial.Secret) error {
	_, err := s.client.Put(ctx, each.Name, []byte(each.Value))
	return err
}

func (s *setecPeer) remove(ctx context.Context, name string) error {
	return s.client.Delete(ctx, name)
}
