// Package api holds the contract of Leger's HTTP API, for the server that serves
// it and the tests that hold the server to it. It has no code.
package api

import _ "embed" // for go:embed

// OpenAPI is openapi.yaml: OpenAPI 3.1, YAML in UTF-8.
//
//go:embed openapi.yaml
var OpenAPI []byte
