package trial

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
)

// Secret is a name and a value made up for a benchmark.
type Secret struct{ Name, Value string }

// SecretCount is how many secrets every contender holds.
const SecretCount = 100

// Seeded gives the secrets that every contender holds before anything is timed.
func Seeded() []Secret {
	list := make([]Secret, SecretCount)
	for i := range list {
		list[i] = Secret{fmt.Sprintf("SECRET_%03d", i), Value("seed", i)}
	}
	return list
}

// Unused gives the n-th secret that is none of Seeded.
func Unused(n int) Secret { return Secret{fmt.Sprintf("NEW_%06d", n), Value("new", n)} }

// Value gives a value of 64 characters, the size of an API key: the same one for the
// same kind and number, different ones for different kinds or numbers.
func Value(kind string, i int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", kind, i))
	return base64.RawStdEncoding.EncodeToString(append(sum[:], sum[:16]...))
}
