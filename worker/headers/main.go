// Command headers prints the _headers file of the Worker's static assets, so that
// Cloudflare sends the pages with the headers that leger-server sends.
// (https://developers.cloudflare.com/workers/static-assets/headers/)
package main

import (
	"fmt"
	"os"

	"leger.run/leger/web"
)

func main() {
	if _, err := os.Stdout.WriteString(web.CloudflareHeaders()); err != nil {
		fmt.Fprintln(os.Stderr, "headers:", err)
		os.Exit(1)
	}
}
