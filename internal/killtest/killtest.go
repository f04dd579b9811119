// Package killtest says how often tests kill the program that they test: a few times
// with all other tests, and many times by make kills.
package killtest

import (
	"os"
	"strconv"
	"testing"
)

// Times is LEGER_KILLS where that is set, else usual.
func Times(t testing.TB, usual int) int {
	t.Helper()
	text := os.Getenv("LEGER_KILLS")
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("LEGER_KILLS is %q: it is a number of kills", text)
	}
	return n
}
