//go:build js && wasm && !workertest

package main

import (
	"net/http"

	"leger.run/leger/internal/cloudflare"
)

func testRoutes(_ *host, server *cloudflare.Server) http.Handler { return server }
