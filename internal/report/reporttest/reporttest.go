// Package reporttest reads what a machine reports, for tests of what is reported and of
// the commands that report it.
package reporttest

import (
	"fmt"
	"strings"

	"leger.run/leger/internal/wire"
)

// Findings gives a list of findings as one reads them: "unit_down: web.service is down".
func Findings(all []wire.HostFinding) []string {
	out := []string{}
	for _, f := range all {
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s: %s %s", f.Kind, f.Subject, f.Text)))
	}
	return out
}
