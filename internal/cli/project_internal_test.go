package cli

import "testing"

// FuzzProject: whatever a project file holds, it is refused, or names secrets and variables
// that can be taken at their word.
func FuzzProject(f *testing.F) {
	for _, text := range []string{
		"secrets = [\"openai_key\"]\nprefix = [\"STRIPE_\"]\n[env]\nPGPASSWORD = \"db_password\"\n",
		"secrets = [\"a b\"]", "prefix = [\"\"]", "[env]\n\"X=Y\" = \"a\"", "[env]\nX = 1", "secrets = \"a\"", "x", "", "[env",
		"secrets = [\"a\", \"A\"]",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := parseProject("/home/alice/app/.leger.toml", text)
		if err != nil {
			return
		}
		want, err := p.read()
		if err != nil || p.all() || len(want.named)+len(want.prefix) == 0 {
			t.Fatalf("%q: %+v, %v", text, p, err)
		}
		for _, v := range want.named {
			if !isVariable(v.name) {
				t.Errorf("%q: the variable %q", text, v.name)
			}
		}
	})
}
