package localvault

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"os"

	"github.com/tailscale/setec/db"
	"github.com/tailscale/setec/types/api"

	"leger.run/leger"
)

// maxRequest bounds a request's body, in bytes: Podman's longest secret in
// base64, with room to spare.
const maxRequest = 1 << 20

// Keeper does what Leger's own part of the API asks for. The daemon is one.
type Keeper interface {
	// Status says how the daemon is; it asks nobody else.
	Status(ctx context.Context) Status
	// Reconcile makes Podman's secrets follow the store and gives the verdict. An
	// error means that nothing could be said about any secret.
	Reconcile(ctx context.Context, order Order) (Report, error)
	// Adopt takes over the Podman secret of this name, which somebody else made.
	Adopt(ctx context.Context, name leger.SecretName) (Outcome, error)
}

// HandlerConfig says what is served.
type HandlerConfig struct {
	Store *Store
	// Keeper serves /leger/v1/. nil: only setec's API is served.
	Keeper Keeper
	// Logger gets the errors that are ours. nil: none.
	Logger *slog.Logger
}

type handler struct {
	store  *Store
	keeper Keeper
	log    *slog.Logger
}

// NewHandler serves the store as setec's server does (the same paths, bodies and
// status codes: setec's docs/api.md) and, with a Keeper, Leger's own part.
// It does not know who is calling: Server does.
func NewHandler(cfg HandlerConfig) http.Handler {
	h := &handler{cfg.Store, cfg.Keeper, cfg.Logger}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	mux := http.NewServeMux()
	mux.Handle("/api/list", setecCall(h, func(api.ListRequest) ([]*api.SecretInfo, error) { return h.store.list() }))
	mux.Handle("/api/get", setecCall(h, h.store.get))
	mux.Handle("/api/info", setecCall(h, h.store.info))
	mux.Handle("/api/put", setecCall(h, h.store.put))
	mux.Handle("/api/create-version", setecCall(h, nothing(h.store.createVersion)))
	mux.Handle("/api/activate", setecCall(h, nothing(h.store.activate)))
	mux.Handle("/api/delete-version", setecCall(h, nothing(h.store.deleteVersion)))
	mux.Handle("/api/delete", setecCall(h, nothing(h.store.delete)))
	if h.keeper != nil {
		mux.Handle("GET "+pathStatus, h.legerCall(h.status))
		mux.Handle("POST "+pathReconcile, h.legerCall(h.reconcile))
		mux.Handle("POST "+pathAdopt, h.legerCall(h.adopt))
		mux.Handle("POST "+pathReplace, h.legerCall(h.replace))
		mux.Handle("POST "+pathRekey, h.legerCall(h.rekey))
	}
	return mux
}

// nothing fits a call without an answer: setec answers it with an empty object.
func nothing[Q any](do func(Q) error) func(Q) (struct{}, error) {
	return func(q Q) (struct{}, error) { return struct{}{}, do(q) }
}

// setecCall serves one method of setec's API. The checks, their order and the
// status codes are those of setec's server, so that its clients see no
// difference.
func setecCall[Q, R any](h *handler, do func(Q) (R, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		switch {
		case r.Method != http.MethodPost:
			http.Error(w, "only POST requests allowed", http.StatusBadRequest)
			return
		case r.Header.Get("Content-Type") != "application/json":
			http.Error(w, "request body must be json", http.StatusBadRequest)
			return
		case r.Header.Get(noBrowsers) != noBrowsersValue:
			http.Error(w, "access denied", http.StatusForbidden)
			return
		}
		var q Q
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(&q); err != nil {
			code := http.StatusBadRequest
			if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
				code = http.StatusRequestEntityTooLarge
			}
			http.Error(w, "bad request", code)
			return
		}
		out, err := do(q)
		if err != nil {
			h.refuse(w, r, err)
			return
		}
		h.answer(w, r, out)
	})
}

// refuse answers an error of setec's db as setec's server does.
func (h *handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, db.ErrAccessDenied):
		http.Error(w, "access denied", http.StatusForbidden)
	case errors.Is(err, db.ErrNotFound):
		http.Error(w, "not found", http.StatusNotFound)
	case errors.Is(err, api.ErrValueNotChanged):
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotModified)
	case errors.Is(err, db.ErrInvalidVersion):
		http.Error(w, "a version is greater than 0", http.StatusBadRequest)
	case errors.Is(err, db.ErrVersionClaimed):
		http.Error(w, "version already set", http.StatusPreconditionFailed)
	default:
		h.log.ErrorContext(r.Context(), "request to the store failed", slog.String("path", r.URL.Path), slog.Any("error", err))
		code := http.StatusInternalServerError
		if leger.DiskFault(err) {
			code = http.StatusInsufficientStorage
		}
		// The caller owns the store: why the disk refused is theirs to know.
		http.Error(w, "internal error: "+err.Error(), code)
	}
}

func (h *handler) answer(w http.ResponseWriter, r *http.Request, out any) {
	body, err := json.Marshal(out)
	if err != nil {
		h.log.ErrorContext(r.Context(), "answer cannot be encoded", slog.String("path", r.URL.Path), slog.Any("error", err))
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body) // the other side may have left; there is nobody to tell
}

// legerCall serves one method of Leger's own part: JSON in, JSON out, errors with
// a code and a hint.
func (h *handler) legerCall(do func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if r.Header.Get(noBrowsers) != noBrowsersValue {
			h.problem(w, r, leger.Errorf(leger.CodeForbidden, "the header %s is missing", noBrowsers))
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
		out, err := do(r)
		if err != nil {
			h.problem(w, r, err)
			return
		}
		h.answer(w, r, out)
	})
}

func (h *handler) status(r *http.Request) (any, error) {
	return h.keeper.Status(r.Context()), nil
}

func (h *handler) reconcile(r *http.Request) (any, error) {
	var q Order
	if err := decode(r, &q); err != nil {
		return nil, err
	}
	return h.keeper.Reconcile(r.Context(), q)
}

func (h *handler) adopt(r *http.Request) (any, error) {
	var q adoptRequest
	if err := decode(r, &q); err != nil {
		return nil, err
	}
	if q.Name == (leger.SecretName{}) {
		return nil, leger.Invalid("name", "the name of the secret is missing")
	}
	return h.keeper.Adopt(r.Context(), q.Name)
}

func (h *handler) replace(r *http.Request) (any, error) {
	var q replaceRequest
	if err := decode(r, &q); err != nil {
		return nil, err
	}
	switch {
	case q.User.IsZero():
		return nil, leger.Invalid("user", "whose secret it is, is missing")
	case q.Name == (leger.SecretName{}):
		return nil, leger.Invalid("name", "the name of the secret is missing")
	case len(q.Value) == 0:
		return nil, leger.Invalid("value", "the value of the secret is missing")
	}
	value := leger.NewPlaintext(q.Value)
	defer value.Wipe()
	return struct{}{}, h.store.Replace(q.User, q.Name, q.Version, value)
}

func (h *handler) rekey(r *http.Request) (any, error) {
	var q rekeyRequest
	if err := decode(r, &q); err != nil {
		return nil, err
	}
	if q.Dir != "" && !sameFile(q.Dir, h.store.dir) {
		return nil, leger.Errorf(leger.CodeConflict, "the legerd on this socket keeps its store in %s, not in %s", h.store.dir, q.Dir).
			WithHint("name the socket of the other one with --socket, or stop this one first: systemctl --user stop legerd.socket legerd")
	}
	out, err := h.store.Rekey()
	if err == nil {
		h.log.InfoContext(r.Context(), "the key of the store was changed", slog.String("key", out.KeyFile))
	}
	return out, err
}

func sameFile(a, b string) bool {
	one, errA := os.Stat(a)
	other, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(one, other)
}

func decode(r *http.Request, into any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		if known, ok := errors.AsType[*leger.Error](err); ok {
			return known
		}
		return leger.Wrap(leger.CodeInvalid, err, "the request is not the JSON that was expected")
	}
	return nil
}

func (h *handler) problem(w http.ResponseWriter, r *http.Request, err error) {
	p := ProblemOf(err)
	code := statusOf(p.Code)
	if code == http.StatusInternalServerError {
		h.log.ErrorContext(r.Context(), "request failed", slog.String("path", r.URL.Path), slog.Any("error", err))
	}
	body, err := json.Marshal(problemBody{*p})
	if err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(body)
}

// statusOf is the HTTP status of a code, for people who look at the socket with
// curl; the client reads the code itself.
func statusOf(c leger.Code) int {
	switch c { //nolint:exhaustive // the other codes do not arise here and are 500
	case leger.CodeInvalid:
		return http.StatusBadRequest
	case leger.CodeForbidden:
		return http.StatusForbidden
	case leger.CodeNotFound:
		return http.StatusNotFound
	case leger.CodeConflict:
		return http.StatusConflict
	case leger.CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	case leger.CodeUnavailable, leger.CodeMissingPart, leger.CodeInterrupted:
		return http.StatusServiceUnavailable
	case leger.CodeDisk:
		return http.StatusInsufficientStorage
	default:
		return http.StatusInternalServerError
	}
}
