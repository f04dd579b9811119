package deploy_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"leger.run/leger"
	"leger.run/leger/internal/deploy"
)

const (
	webV1   = "[Container]\nImage=example.com/web:1\nVolume=data.volume:/data\nSecret=key\n[Install]\nWantedBy=default.target\n"
	webV2   = "[Container]\nImage=example.com/web:2\nVolume=data.volume:/data\nSecret=key\n[Install]\nWantedBy=default.target\n"
	dbV1    = "[Container]\nImage=example.com/db:1\n[Install]\nWantedBy=default.target\n"
	volume  = "[Volume]\n"
	volume2 = "[Volume]\nLabel=a=b\n"
)

func v1(t testing.TB) deploy.Request {
	t.Helper()
	return request(t, "App", "c1", "web.container", webV1, "data.volume", volume, "db.container", dbV1)
}

// factsOf are those of a machine on which a request was installed and runs.
func factsOf(t *testing.T, req deploy.Request) deploy.Facts {
	t.Helper()
	m := newMachine("key")
	out, err := install(t.Context(), m.engine(t.TempDir()), req)
	if err != nil {
		t.Fatal(err)
	}
	facts := deploy.Facts{
		Current: &out.Generation, Number: 2, Installer: "podman", Disk: map[string]map[string]string{"podman": {}}, Text: map[string]map[string]leger.File{"podman": {}},
		States: map[string]leger.UnitState{}, Ours: map[string]bool{},
	}
	for _, f := range out.Generation.Files {
		facts.Disk["podman"][f.Path] = f.SHA256
		facts.Text["podman"][f.Path] = leger.File{Data: req.Set.Files[f.Path]}
	}
	for name, s := range m.units {
		facts.States[name], facts.Ours[name] = *s, true
	}
	return facts
}

// TestPlans holds plans against testdata/plans. UPDATE_GOLDEN=1 writes them anew.
func TestPlans(t *testing.T) {
	t.Parallel()
	none := deploy.Facts{Number: 1, Installer: "podman"}
	for name, make := range map[string]func() (deploy.Request, deploy.Facts){
		"first": func() (deploy.Request, deploy.Facts) { return v1(t), none },
		"same":  func() (deploy.Request, deploy.Facts) { return v1(t), factsOf(t, v1(t)) },
		"same-files-other-commit": func() (deploy.Request, deploy.Facts) {
			return request(t, "App", "c2", "web.container", webV1, "data.volume", volume, "db.container", dbV1), factsOf(t, v1(t))
		},
		// Only what changed stops and starts; what uses it too.
		"one-changed": func() (deploy.Request, deploy.Facts) {
			return request(t, "App", "c2", "web.container", webV2, "data.volume", volume, "db.container", dbV1), factsOf(t, v1(t))
		},
		"volume-changed": func() (deploy.Request, deploy.Facts) {
			return request(t, "App", "c2", "web.container", webV1, "data.volume", volume2, "db.container", dbV1), factsOf(t, v1(t))
		},
		"one-dropped-one-added": func() (deploy.Request, deploy.Facts) {
			return request(t, "App", "c2", "web.container", webV1, "data.volume", volume, "new.container", dbV1), factsOf(t, v1(t))
		},
		"to-subdirectories": func() (deploy.Request, deploy.Facts) {
			facts := factsOf(t, v1(t))
			facts.Installer = "directory"
			return request(t, "App", "c2", "web.container", webV1, "data.volume", volume, "sub/db.container", dbV1), facts
		},
		"drifted": func() (deploy.Request, deploy.Facts) {
			facts := factsOf(t, v1(t))
			facts.Disk["podman"]["db.container"] = "edited"
			delete(facts.Disk["podman"], "data.volume")
			return v1(t), facts
		},
		"one-down": func() (deploy.Request, deploy.Facts) {
			facts := factsOf(t, v1(t))
			facts.States["db.service"] = leger.UnitState{Name: "db.service", LoadState: "loaded", ActiveState: "failed"}
			return v1(t), facts
		},
		"interrupted": func() (deploy.Request, deploy.Facts) {
			facts := factsOf(t, v1(t))
			facts.Pending, facts.Current = []deploy.Generation{*facts.Current}, nil
			facts.States["web.service"] = leger.UnitState{Name: "web.service", LoadState: "loaded", ActiveState: "inactive"}
			return v1(t), facts
		},
		"refused": func() (deploy.Request, deploy.Facts) {
			req := request(t, "App", "c1", "web.container", webV1, "db.container", dbV1)
			return req, deploy.Facts{
				Number: 1, Installer: "podman", Checked: deploy.Checked{Problems: req.Set.Problems}, MissingSecrets: []string{"key"},
				Owners: map[string]string{"web.service": "Other"},
				States: map[string]leger.UnitState{"db.service": {Name: "db.service", LoadState: "loaded", Source: "/home/u/.config/systemd/user/db.service"}},
				Disk:   map[string]map[string]string{"podman": {"db.container": "foreign"}},
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req, facts := make()
			got, err := json.MarshalIndent(deploy.NewPlan(req, facts), "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, '\n')
			golden := filepath.Join("testdata", "plans", name+".json")
			if os.Getenv("UPDATE_GOLDEN") != "" {
				if err := os.WriteFile(golden, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
