package main

import (
	"context"
	"net/http"
	"strconv"

	"leger.run/leger/bench/trial"
)

// pocketBase is PocketBase as a child process, called as its JavaScript client would.
type pocketBase struct {
	program, data             string
	http                      *http.Client
	url, token, owner, pragma string
	ids                       map[string]string // by name: reading by id is its fastest way
	*process
}

func (p *pocketBase) name() string  { return "PocketBase" }
func (p *pocketBase) calls(int) int { return 1 }

func (p *pocketBase) survives() string {
	return "power loss: " + p.pragma + " as SQLite itself answers (released with NORMAL, which power loss undoes)"
}

func (p *pocketBase) start(ctx context.Context) error {
	proc, out, err := launch(ctx, p.data, nil, p.program, "-data", p.data)
	if err != nil {
		return err
	}
	p.process = proc
	said, err := answer(out, p.data)
	if err != nil {
		return err
	}
	p.url, p.token, p.owner, p.pragma = said["url"]+"/api/collections/secrets/records", said["token"], said["owner"], said["pragmas"]
	if p.ids == nil {
		p.ids = map[string]string{}
	}
	return nil
}

func (p *pocketBase) seed(ctx context.Context, secrets []trial.Secret) error {
	for _, s := range secrets {
		if err := p.create(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

type pocketRecord struct{ ID, Name, Value string }

func (p *pocketBase) list(ctx context.Context) (map[string]string, error) {
	var out struct{ Items []pocketRecord }
	// skipTotal spares it a second query.
	url := p.url + "?skipTotal=1&sort=name&perPage=" + strconv.Itoa(trial.SecretCount)
	if err := trial.Call(ctx, p.http, http.MethodGet, url, p.token, nil, &out); err != nil {
		return nil, err
	}
	got := make(map[string]string, len(out.Items))
	for _, r := range out.Items {
		got[r.Name] = r.Value
	}
	return got, nil
}

func (p *pocketBase) read(ctx context.Context, name string) (string, error) {
	var out pocketRecord
	err := trial.Call(ctx, p.http, http.MethodGet, p.url+"/"+p.ids[name], p.token, nil, &out)
	return out.Value, err
}

func (p *pocketBase) create(ctx context.Context, s trial.Secret) error {
	var out pocketRecord
	in := map[string]string{"owner": p.owner, "name": s.Name, "value": s.Value}
	err := trial.Call(ctx, p.http, http.MethodPost, p.url, p.token, in, &out)
	p.ids[s.Name] = out.ID
	return err
}

func (p *pocketBase) remove(ctx context.Context, name string) error {
	id := p.ids[name]
	delete(p.ids, name)
	return trial.Call(ctx, p.http, http.MethodDelete, p.url+"/"+id, p.token, nil, nil)
}
