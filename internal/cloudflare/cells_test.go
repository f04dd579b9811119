package cloudflare_test

import (
	"encoding/json"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"leger.run/leger/internal/cloudflare"
)

// FuzzCells: whatever the bytes are, reading them ends, and gives nothing that was
// not in them.
func FuzzCells(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 1, 0, 0, 0, 0, 0, 0, 240, 63, 2, 1, 0, 0, 0, 'a'})
	f.Add([]byte{2, 255, 255, 255, 255, 'a'})
	f.Add([]byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, answer []byte) {
		list, err := cloudflare.ReadCells(answer)
		size := 0
		for _, v := range list {
			if text, ok := v.(string); ok {
				size += len(text)
			}
			size++
		}
		if size > len(answer) && err == nil {
			t.Errorf("%d bytes gave %d", len(answer), size)
		}
	})
}

// What the shim writes is what Go reads.
func TestCellsOfTheShim(t *testing.T) {
	t.Parallel()
	values := []any{nil, "", "a", 0.0, 1.0, -2.5, 9007199254740991.0, "ключ 🔑\x00", strings.Repeat("é", 5000), nil}
	text, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	shim := exec.CommandContext(t.Context(), "node", "--input-type=module", "--eval", `
import { Cells } from "../../worker/src/cells.mjs";
let text = "";
for await (const part of process.stdin) text += part;
const cells = new Cells();
for (const value of JSON.parse(text)) cells.put(value);
process.stdout.write(cells.bytes());
`)
	shim.Stdin = strings.NewReader(string(text))
	answer, err := shim.Output()
	if err != nil {
		t.Fatalf("node: %v", err)
	}
	if got, err := cloudflare.ReadCells(answer); err != nil || !reflect.DeepEqual(got, values) {
		t.Errorf("%d bytes gave %d values, want %d; %v", len(answer), len(got), len(values), err)
	}
}
