package quadlet

import (
	"fmt"
	"strings"
)

// hintFrom suggests the known word nearest to a mistyped one, "" if none is near.
func hintFrom(format, word string, known []string) string {
	best, least := "", len(word)/3+2
	for _, k := range known {
		if d := distance(strings.ToLower(word), strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return "see podman-systemd.unit(5) for what can stand here"
	}
	return fmt.Sprintf(format, best)
}

// distance counts the insertions, deletions and changes between two words
// (Levenshtein). Words longer than any key are simply far.
func distance(a, b string) int {
	const longest = 64
	if len(a) > longest || len(b) > longest {
		return longest
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := diagonal
			if a[i-1] != b[j-1] {
				change++
			}
			diagonal = row[j]
			row[j] = min(change, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
