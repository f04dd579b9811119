package cli

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"leger.run/leger"
)

// TestVariables: which secrets become which variables.
func TestVariables(t *testing.T) {
	t.Parallel()
	all := "a db_password Key my-key openai_key openai_org path 1st ld_preload"
	for name, c := range map[string]struct {
		choice  choice
		want    string // VARIABLE=secret, in order
		leftOut string
		err     string
	}{
		"all":                     {choice{}, "A=a DB_PASSWORD=db_password KEY=Key OPENAI_KEY=openai_key OPENAI_ORG=openai_org", "my-key path 1st ld_preload", ""},
		"one":                     {choice{only: []string{"a"}}, "A=a", "", ""},
		"one, twice":              {choice{only: []string{"a", "a"}}, "A=a A=a", "", ""},
		"two, with spaces":        {choice{only: []string{"a", " Key"}}, "A=a KEY=Key", "", ""},
		"a prefix":                {choice{prefix: []string{"OPENAI_"}}, "OPENAI_KEY=openai_key OPENAI_ORG=openai_org", "", ""},
		"a prefix in small":       {choice{prefix: []string{"openai_k"}}, "OPENAI_KEY=openai_key", "", ""},
		"a prefix of nothing":     {choice{prefix: []string{"none_"}}, "", "", ""},
		"a prefix of a dash":      {choice{prefix: []string{"my"}}, "", "my-key", ""},
		"another name":            {choice{as: []string{"X=my-key"}}, "X=my-key", "", ""},
		"a name that steers":      {choice{as: []string{"PATH=path"}}, "PATH=path", "", ""},
		"two names for one":       {choice{as: []string{"X=a", "Y=a"}}, "X=a Y=a", "", ""},
		"a prefix and a name":     {choice{prefix: []string{"OPENAI_"}, as: []string{"KEY=openai_key"}}, "KEY=openai_key OPENAI_KEY=openai_key OPENAI_ORG=openai_org", "", ""},
		"a small variable":        {choice{as: []string{"http_proxy=a"}}, "http_proxy=a", "", ""},
		"one variable for two":    {choice{as: []string{"X=a", "X=Key"}}, "", "", "would both be the variable X"},
		"a name of another":       {choice{only: []string{"a"}, as: []string{"A=Key"}}, "", "", "would both be the variable A"},
		"a prefix and another":    {choice{prefix: []string{"openai"}, as: []string{"OPENAI_KEY=a"}}, "", "", "would both be the variable OPENAI_KEY"},
		"no name of a secret":     {choice{only: []string{"a b"}}, "", "", "--only takes names"},
		"an empty one":            {choice{only: []string{""}}, "", "", "--only takes names"},
		"no name of a variable":   {choice{only: []string{"my-key"}}, "", "", "no name of a variable"},
		"a digit":                 {choice{only: []string{"1st"}}, "", "", "no name of a variable"},
		"an empty prefix":         {choice{prefix: []string{""}}, "", "", "--prefix takes"},
		"no equals sign":          {choice{as: []string{"a"}}, "", "", "--env takes"},
		"no variable":             {choice{as: []string{"=a"}}, "", "", "--env takes"},
		"no secret":               {choice{as: []string{"X="}}, "", "", "--env takes"},
		"a variable with a dash":  {choice{as: []string{"X-Y=a"}}, "", "", "--env takes"},
		"a value for a secret":    {choice{as: []string{"X=s3cr3t!"}}, "", "", "--env takes"},
		"a variable with a space": {choice{as: []string{"X Y=a"}}, "", "", "--env takes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want, err := c.choice.read()
			var list []variable
			var leftOut []leger.SecretName
			if err == nil {
				list, leftOut, err = want.variables(secretNames(t, all))
			}
			if c.err != "" {
				if !errors.Is(err, leger.ErrInvalid) || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "s3cr3t") {
					t.Fatalf("got %v, want %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got, out []string
			for _, v := range list {
				got = append(got, v.name+"="+v.secret.String())
			}
			for _, n := range leftOut {
				out = append(out, n.String())
			}
			if strings.Join(got, " ") != c.want || strings.Join(out, " ") != c.leftOut {
				t.Errorf("got %q, left out %q", got, out)
			}
		})
	}
}

func secretNames(t *testing.T, text string) (list []leger.SecretName) {
	t.Helper()
	for word := range strings.FieldsSeq(text) {
		name, err := leger.ParseSecretName(word)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, name)
	}
	return list
}

// Two secrets whose names differ in case alone are one variable.
func TestVariablesOfTwoThatDifferInCase(t *testing.T) {
	t.Parallel()
	_, _, err := chosen{}.variables(secretNames(t, "key KEY"))
	if !errors.Is(err, leger.ErrInvalid) || !strings.Contains(err.Error(), "would both be the variable KEY") {
		t.Errorf("got %v", err)
	}
}

// TestEnvironment: each variable is there once, with the secret's value, byte for byte.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	names := secretNames(t, "a b")
	former := []string{"A=before", "HOME=/home/alice", "A=twice", "odd", "B=before"}
	values := plaintexts{names[0]: leger.NewPlaintext([]byte("one\n=\xff")), names[1]: leger.NewPlaintext(nil)}
	env, err := environment(former, []variable{{"A", names[0]}, {"B", names[1]}}, values)
	if want := `["HOME=/home/alice" "odd" "A=one\n=\xff" "B="]`; err != nil || fmt.Sprintf("%q", env) != want {
		t.Errorf("got %q, %v", env, err)
	}
	values[names[1]] = leger.NewPlaintext([]byte("a\x00b"))
	if _, err := environment(former, []variable{{"B", names[1]}}, values); !errors.Is(err, leger.ErrInvalid) {
		t.Errorf("a zero byte: %v", err)
	}
}
