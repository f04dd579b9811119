package cli

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"leger.run/leger"
	"leger.run/leger/internal/client"
	"leger.run/leger/internal/environ"
	"leger.run/leger/internal/safefile"
	"leger.run/leger/internal/secretsync"
	"leger.run/leger/internal/terminal"
	"leger.run/leger/internal/wire"
)

const (
	// reportEvery is how long a machine on which nothing changes says nothing: a sync
	// in between is one request to the server.
	reportEvery = 10 * time.Minute
	// reportPatience is how long a report may take. By then the command has done its
	// work, and the next one reports again.
	reportPatience = 5 * time.Second
)

// reportSecrets tells the server what this machine holds after a sync, if that
// changed or was told last a while ago. A failure is warned of and given back: it
// is never the command's.
func (a *app) reportSecrets(ctx context.Context, f authFile, c *client.Client, r secretsync.Report) error {
	now, memory, err := a.newRecord(f, "report.json")
	if err != nil {
		return a.notReported(ctx, err)
	}
	held := r.Held()
	now.Held = heldDigest(held)
	if r.Plan.Empty() && !now.due(memory) {
		return nil
	}
	report := wire.HostReport{Secrets: []wire.HostSecretReport{}}
	for _, name := range sortedNames(held) {
		report.Secrets = append(report.Secrets, wire.HostSecretReport{Name: name.String(), Version: held[name]})
	}
	if err := a.sendReport(ctx, c, now.DeviceID, report); err != nil {
		return a.notReported(ctx, err)
	}
	if err := now.keep(memory); err != nil {
		a.detail("that this machine was reported cannot be remembered: %v", err)
	}
	return nil
}

// notReported warns of a report that failed, unless the user stopped the command,
// and gives the error back.
func (a *app) notReported(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		a.warn("the server was not told how this machine is: %v", err)
	}
	return err
}

// sendReport adds the machine's name and versions.
func (a *app) sendReport(ctx context.Context, c *client.Client, device string, report wire.HostReport) error {
	ctx, cancel := context.WithTimeout(ctx, reportPatience)
	defer cancel()
	report.Name, report.CLIVersion = a.hostName(device), fitting(a.env.Version)
	// Without legerd its versions are not known, and stay as they were reported.
	if legerd, err := a.legerd(); err == nil {
		if status, err := legerd.Status(ctx); err == nil {
			report.LegerdVersion, report.PodmanVersion = fitting(status.Version), fitting(status.Podman.Version)
		}
	}
	_, err := c.ReportHost(ctx, device, report)
	return err
}

// fitting cuts a version to what a report takes.
func fitting(version string) string {
	return strings.ToValidUTF8(version[:min(len(version), leger.MaxClientVersion)], "")
}

// hostName is what the machine calls itself; where that cannot be shown, its id.
func (a *app) hostName(device string) string {
	name, err := a.env.Hostname()
	if err != nil || name == "" || name != terminal.Line(name, leger.MaxHostName) {
		return device
	}
	return name
}

// machineIDPattern is machine-id(5): while a machine starts for the first time
// the file says "uninitialized".
var machineIDPattern = regexp.MustCompile(`^[0-9a-f]{32}$`)

// deviceID is Tailscale's id of this machine, or one of its own where the sign-in
// names none. machine-id(5) asks that the machine's id be given to nobody, so
// this is a keyed hash of it; where there is none, of the name.
func (a *app) deviceID(f authFile) (string, error) {
	if f.DeviceID != "" {
		return leger.ParseDeviceID(f.DeviceID)
	}
	id, err := environ.ReadFile(a.env.MachineID)
	if err != nil || !machineIDPattern.MatchString(id) {
		if id, err = a.env.Hostname(); err != nil || id == "" {
			return "", leger.Wrap(leger.CodeMissingPart, err, "this machine has neither an id in %s nor a name", a.env.MachineID).
				WithHint("systemd-machine-id-setup")
		}
	}
	mac := hmac.New(sha256.New, []byte(id))
	_, _ = mac.Write([]byte("leger.run device id"))
	return "local-" + hex.EncodeToString(mac.Sum(nil)[:16]), nil
}

// reportRecord is report.json: what was last reported, without a secret's name.
type reportRecord struct {
	Server   string       `json:"server"`
	User     leger.UserID `json:"user_uuid"`
	DeviceID string       `json:"device_id"`
	At       time.Time    `json:"at"`
	Held     string       `json:"held"` // digest of names and versions, or of what runs
	Failed   bool         `json:"failed,omitempty"`
}

// newRecord begins the record of a report from this machine; path is where the
// last one of its kind is kept.
func (a *app) newRecord(f authFile, file string) (now reportRecord, path string, err error) {
	device, err := a.deviceID(f)
	if err != nil {
		return now, "", err
	}
	dir, err := a.env.stateDir()
	if err != nil {
		return now, "", err
	}
	now = reportRecord{Server: f.Server, User: f.UserUUID, DeviceID: device, At: a.env.Now().UTC()}
	return now, filepath.Join(dir, file), nil
}

// due reports whether now is not what the file says, or the file is old. One that
// cannot be read costs a report.
func (now reportRecord) due(path string) bool {
	last, ok := readRecord(path)
	age := now.At.Sub(last.At)
	last.At = now.At
	return !ok || last != now || age < 0 || age >= reportEvery
}

// failedLately reports whether the last report, to the same server, failed just
// now.
func (now reportRecord) failedLately(path string) bool {
	last, ok := readRecord(path)
	age := now.At.Sub(last.At)
	return ok && last.Failed && last.Server == now.Server && age >= 0 && age < retryReportAfter
}

func readRecord(path string) (last reportRecord, ok bool) {
	b, err := os.ReadFile(path) //nolint:gosec // the user's own file
	return last, err == nil && json.Unmarshal(b, &last) == nil
}

func (now reportRecord) keep(path string) error {
	b, err := json.Marshal(now)
	if err != nil {
		return err
	}
	return safefile.Write(path, b, 0o600)
}

func heldDigest(held map[leger.SecretName]leger.Version) string {
	h := sha256.New()
	for _, name := range sortedNames(held) {
		_, _ = fmt.Fprintf(h, "%s %d\n", name, held[name])
	}
	return hex.EncodeToString(h.Sum(nil))
}

func sortedNames(held map[leger.SecretName]leger.Version) []leger.SecretName {
	return slices.SortedFunc(maps.Keys(held), func(x, y leger.SecretName) int { return strings.Compare(x.String(), y.String()) })
}
