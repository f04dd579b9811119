// Command headers writes what makes Cloudflare send the pages with the headers that
// leger-server sends: the _headers file of the static assets, and the same as JSON
// for the answers of the shim itself.
// (https://developers.cloudflare.com/workers/static-assets/headers/)
//
// usage: headers ASSETS_DIR JSON_FILE
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"leger.run/leger/web"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "headers:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: headers ASSETS_DIR JSON_FILE")
	}
	text, err := json.Marshal(web.PageHeaders())
	if err != nil {
		return err
	}
	//nolint:gosec // the public headers of public pages
	if err := os.WriteFile(args[1], text, 0o644); err != nil {
		return err
	}
	//nolint:gosec // as above
	return os.WriteFile(filepath.Join(args[0], "_headers"), []byte(web.CloudflareHeaders()), 0o644)
}
