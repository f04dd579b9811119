//go:build js && wasm && !workertest

package main

import "net/http"

func testRoutes(_ *host, s *server) http.Handler { return s }
