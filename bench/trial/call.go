package trial

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/token"
)

// Email is who a benchmark is to Leger.
const Email = "bench@localhost"

// Bearer gives the Authorization header of Email at a server, signed with the installation's
// shared secret as `leger auth login --local-identity` does it.
func Bearer(shared, server string) (string, error) {
	s, err := token.ParseSecret([]byte(shared))
	if err != nil {
		return "", err
	}
	claims, err := token.New(time.Now(), rand.Reader, leger.LocalIdentity(Email), token.IssuerCLI, server, false, "bench")
	if err != nil {
		return "", err
	}
	text, err := token.Sign(s, claims)
	return "Bearer " + text, err
}

// NewClient gives the HTTP client that all contenders of a benchmark are called
// with. It keeps the connections of 64 clients and asks for no compression.
func NewClient(timeout time.Duration) *http.Client {
	return &http.Client{
		Timeout:   timeout,
		Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
	}
}

// Call makes one request with in as its JSON body, unless in is nil, and decodes the
// answer into out, unless out is nil. An answer other than 2xx is an error.
func Call(ctx context.Context, c *http.Client, method, url, authorization string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Authorization", authorization)
	res, err := c.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %s", method, url, res.Status, bytes.TrimSpace(text))
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}
