//go:build js && wasm

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"syscall/js"

	"leger.run/leger"
	"leger.run/leger/internal/cloudflare"
)

// host is the shim, seen from Go. JavaScript runs one thing at a time, and so do
// goroutines here, so nothing is locked.
type host struct {
	js    js.Value
	bytes js.Value // Uint8Array
	// What goroutines wait for, by the number that the shim gave the operation.
	waiting map[int]chan result
	next    int
}

// result is how an operation of the platform ended.
type result struct {
	answer []byte
	err    error
}

// callKey finds the number of the request that a context belongs to: its own loop
// in the shim runs what it asks for, because workerd kills a request whose promise
// another one resolves.
type callKey struct{}

func newHost(v js.Value) *host {
	return &host{js: v, bytes: js.Global().Get("Uint8Array"), waiting: map[int]chan result{}}
}

// Write hands a line of the log to the shim.
func (h *host) Write(line []byte) (int, error) {
	h.js.Call("log", string(line[:max(0, len(line)-1)])) // the shim ends the line
	return len(line), nil
}

// Do implements cloudflare.Bindings.
func (h *host) Do(ctx context.Context, op cloudflare.Operation) ([]byte, error) {
	call, ok := ctx.Value(callKey{}).(int)
	if !ok {
		return nil, errors.New("the operation belongs to no request")
	}
	text, err := json.Marshal(op)
	if err != nil {
		return nil, fmt.Errorf("encode the operation: %w", err)
	}
	h.next++
	id, done := h.next, make(chan result, 1)
	h.waiting[id] = done
	h.js.Call("post", call, id, string(text))
	r := <-done
	return r.answer, r.err
}

// settled is called by the shim: (operation, error text or null, cells or null).
func (h *host) settled(_ js.Value, args []js.Value) any {
	id := args[0].Int()
	done, ok := h.waiting[id]
	if !ok {
		return nil
	}
	delete(h.waiting, id)
	var r result
	if args[1].Type() == js.TypeString {
		r.err = errors.New(args[1].String())
	} else {
		r.answer = copyIn(args[2])
	}
	done <- r
	return nil
}

// copyIn copies a Uint8Array, or gives nil for anything else.
func copyIn(v js.Value) []byte {
	if v.Type() != js.TypeObject {
		return nil
	}
	b := make([]byte, v.Length())
	js.CopyBytesToGo(b, v)
	return b
}

// serve hands the shim what it calls: for a request (call, its head as JSON, its
// body or null), for the schedule (call), for the end of an operation.
func (h *host) serve(handler http.Handler, prune func(context.Context) error, log *slog.Logger) {
	handle := js.FuncOf(func(_ js.Value, args []js.Value) any {
		call, head, body := args[0].Int(), args[1].String(), copyIn(args[2])
		go h.request(handler, log, call, head, body)
		return nil
	})
	scheduled := js.FuncOf(func(_ js.Value, args []js.Value) any {
		call := args[0].Int()
		go h.schedule(prune, log, call)
		return nil
	})
	h.js.Call("started", handle, scheduled, js.FuncOf(h.settled))
}

// request serves one request and gives its answer to the shim. Whatever happens,
// the shim gets one: its loop waits for it.
func (h *host) request(handler http.Handler, log *slog.Logger, call int, head string, body []byte) {
	w := &answer{header: http.Header{}}
	defer func() {
		if p := recover(); p != nil {
			// httpapi logged the cause; half an answer must not look like a whole one.
			w = broken()
		}
		h.respond(call, w)
	}()
	r, err := newRequest(context.WithValue(context.Background(), callKey{}, call), head, body)
	if err != nil {
		log.Error("the shim handed over what is no request", slog.Any("error", err))
		w = broken()
		return
	}
	handler.ServeHTTP(w, r.WithContext(readAhead(r.Context(), r)))
}

// schedule does what is due, and gives the shim an answer that nobody sees: 200,
// or 500, which marks the run as failed in Cloudflare's dashboard.
func (h *host) schedule(prune func(context.Context) error, log *slog.Logger, call int) {
	w := &answer{header: http.Header{}, status: http.StatusOK}
	defer func() {
		if p := recover(); p != nil {
			log.Error("panic", slog.String("type", fmt.Sprintf("%T", p)), slog.String("stack", string(debug.Stack())))
			w.status = http.StatusInternalServerError
		}
		h.respond(call, w)
	}()
	if err := prune(context.WithValue(context.Background(), callKey{}, call)); err != nil {
		log.Error("prune", slog.Any("error", err), slog.String("code", string(leger.CodeOf(err))))
		w.status = http.StatusInternalServerError
	}
}

func (h *host) respond(call int, w *answer) {
	body := js.Null()
	if len(w.body) > 0 {
		body = h.bytes.New(len(w.body))
		js.CopyBytesToJS(body, w.body)
	}
	h.js.Call("respond", call, w.code(), w.headerJSON(), body)
}
