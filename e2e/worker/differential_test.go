//go:build e2e

package worker_test

import (
	"crypto/rand"
	"flag"
	"testing"
	"time"

	"leger.run/leger/e2e/differ"
)

// Another seed gives other requests: go test -tags e2e ./e2e/worker -args -seed 2.
var seed = flag.Uint64("seed", 20251016, "of the differential test's requests")

const requests = 2000

// TestSameAnswers sends the same 2,000 requests, good and hostile, to leger-server
// and to the Worker: a client must not be able to tell which it speaks to.
func TestSameAnswers(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	sameAnswers(t, k, startNative(t, k), startWorker(t, k, nil).URL, "worker")
}

// TestSameAnswersOfTwoNatives shows that what the test above finds are differences:
// between two servers of the same kind it finds none.
func TestSameAnswersOfTwoNatives(t *testing.T) {
	t.Parallel()
	k := newKeys(t)
	result := sameAnswers(t, k, startNative(t, k), startNative(t, k), "another native")
	// It would also find none if every request were refused.
	for _, status := range []int{200, 304, 400, 401, 403, 404, 405, 409, 413, 415} {
		if result.Statuses[status] < 5 {
			t.Errorf("only %d answers had status %d", result.Statuses[status], status)
		}
	}
	if result.Statuses[200] < requests/4 {
		t.Errorf("only %d answers were good", result.Statuses[200])
	}
	for _, status := range []int{429, 500, 503} {
		if n := result.Statuses[status]; n > 0 {
			t.Errorf("%d answers had status %d", n, status)
		}
	}
}

func sameAnswers(t *testing.T, k keys, reference, other, name string) differ.Result {
	t.Helper()
	c := differ.Config{
		Servers: [2]string{reference, other}, Names: [2]string{"native", name},
		Shared: k.secret(t), Now: time.Now, Random: rand.Reader, Client: differ.NewClient(),
	}
	if err := differ.Ready(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	result, err := differ.Run(t.Context(), c, differ.Generate(*seed, requests))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range result.Differences {
		t.Error(d)
	}
	t.Logf("%d requests in %s; statuses %v, codes %v", requests, time.Since(began).Round(time.Millisecond), result.Statuses, result.Codes)
	return result
}
