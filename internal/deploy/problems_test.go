package deploy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"leger.run/leger"
	"leger.run/leger/internal/deploy"
)

// validate and plan joined the two checks by different rules: what Podman accepted
// in one file was a problem for the one and not for the other.
func TestProblems(t *testing.T) {
	t.Parallel()
	sure := leger.Problem{File: "a.container", Line: 3, Message: "sure"}
	doubt := leger.Problem{File: "a.container", Line: 4, Message: "doubt", Unsure: true}
	other := leger.Problem{File: "b.container", Line: 4, Message: "doubt", Unsure: true}
	theirs := leger.Problem{File: "a.container", Message: "theirs"}
	theirsOfC := leger.Problem{File: "c.container", Message: "theirs"}
	all := leger.Problem{Message: "one cannot be read"}
	for what, tc := range map[string]struct{ ours, found, want []leger.Problem }{
		"both are silent":                        {nil, nil, nil},
		"Podman accepts what we doubt":           {[]leger.Problem{doubt, other}, nil, []leger.Problem{}},
		"Podman complains of one of two":         {[]leger.Problem{doubt, other}, []leger.Problem{theirs}, []leger.Problem{doubt}},
		"Podman did not look at all of them":     {[]leger.Problem{doubt, other}, []leger.Problem{all}, []leger.Problem{doubt, other, all}},
		"what is wrong keeps it from the others": {[]leger.Problem{sure, other}, []leger.Problem{theirs}, []leger.Problem{sure, other}},
		"Podman alone finds something":           {[]leger.Problem{sure}, []leger.Problem{theirsOfC}, []leger.Problem{sure, theirsOfC}},
	} {
		if diff := cmp.Diff(tc.want, deploy.Problems(tc.ours, tc.found)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", what, diff)
		}
	}
}
