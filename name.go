package leger

// Limits of names and values (design: "Names and limits").
const (
	MaxSecretName      = 128       // bytes
	MaxSecretValue     = 64 << 10  // bytes
	MaxSecretsPerUser  = 1000      // live secrets
	MaxReleasesPerUser = 500       //
	MaxReleaseName     = 63        // bytes
	MaxGitURL          = 2048      // bytes
	MaxGitRef          = 255       // bytes: a path component on common file systems
	MaxGitPath         = 512       // bytes
	MaxDescription     = 500       // characters
	MaxDisplayName     = 32        // characters
	MaxBody            = 512 << 10 // bytes of a request body
	KeptSecretVersions = 20        // newest versions whose values stay
	DefaultGitRef      = "main"
	DefaultPageSize    = 100
	MaxPageSize        = 500
	AuditRetentionDays = 400
	MaxEmail           = 320 // bytes, RFC 3696 erratum 1690
	MaxTailnet         = 253 // bytes, a DNS name
	MaxDeviceID        = 64  // bytes
	MaxClientVersion   = 64  // bytes
	MaxHostsPerUser    = 100 //
	MaxMachinesPerUser = 100 // keys: of machines and Unix users
	MaxMachineGroups   = 20  // of one machine
	MaxUnixUser        = 64  // bytes; useradd(8) takes 32
	MaxHostName        = 253 // bytes, a DNS name
	MaxHostDeployments = 200 // of one machine
	MaxDeploymentUnits = 200 // of one deployment
	MaxUnitName        = 255 // bytes; systemd's UNIT_NAME_MAX counts the end
	// MaxHostPageItems bounds the secrets and deployments in a page of machines: at
	// their longest they are below 1 MB, and one machine with all that it may have fits.
	MaxHostPageItems = 4000
	// A machine with as much as it may have would not fit into MaxBody; one that is
	// merely in great trouble does.
	MaxDeploymentFindings = 50  // of one deployment
	MaxFindingSubject     = 255 // bytes, as a unit's name or a path component
	MaxFindingText        = 300 // bytes
	maxTailscaleIDBytes   = 21  // "u" and a decimal uint64
)

// SecretName names a secret of one user. Every SecretName is also a valid name
// of a Podman secret. Comparable; the zero value is no name.
type SecretName struct{ s string }

// ParseSecretName checks s against [A-Za-z0-9_][A-Za-z0-9_-]{0,127} and fails
// with ErrInvalid, field "name".
func ParseSecretName(s string) (SecretName, error) {
	if !isSecretName(s) {
		return SecretName{}, Invalid("name",
			"%s is not a secret name: it takes 1 to %d letters, digits, '_' or '-', and does not start with '-'",
			quoteInput(s), MaxSecretName)
	}
	return SecretName{s}, nil
}

// isSecretName is a loop because stores parse every name they read: a regular
// expression took a tenth of the time of reading 100 secrets.
func isSecretName(s string) bool {
	if s == "" || len(s) > MaxSecretName || s[0] == '-' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

func (n SecretName) String() string { return n.s }

// MarshalText gives the name itself.
func (n SecretName) MarshalText() ([]byte, error) { return []byte(n.s), nil }

// UnmarshalText parses as ParseSecretName does.
func (n *SecretName) UnmarshalText(b []byte) (err error) {
	*n, err = ParseSecretName(string(b))
	return err
}

// ReleaseName names a release of one user. Names that differ only in case are
// one name (Key). Comparable; the zero value is no name.
type ReleaseName struct{ s string }

// ParseReleaseName checks s against [A-Za-z0-9][A-Za-z0-9._-]{0,62} and fails
// with ErrInvalid, field "name".
func ParseReleaseName(s string) (ReleaseName, error) {
	if !isReleaseName(s) {
		return ReleaseName{}, Invalid("name",
			"%s is not a release name: it takes 1 to %d letters, digits, '.', '_' or '-', and starts with a letter or digit",
			quoteInput(s), MaxReleaseName)
	}
	return ReleaseName{s}, nil
}

func (n ReleaseName) String() string { return n.s }

// MarshalText gives the name itself.
func (n ReleaseName) MarshalText() ([]byte, error) { return []byte(n.s), nil }

// UnmarshalText parses as ParseReleaseName does.
func (n *ReleaseName) UnmarshalText(b []byte) (err error) {
	*n, err = ParseReleaseName(string(b))
	return err
}
