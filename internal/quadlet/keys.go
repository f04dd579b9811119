package quadlet

import "strings"

// Kind is what a quadlet makes, and the suffix of its file.
type Kind string

// The kinds that Podman 5.8 knows.
const (
	Container Kind = "container"
	Pod       Kind = "pod"
	Volume    Kind = "volume"
	Network   Kind = "network"
	Kube      Kind = "kube"
	Image     Kind = "image"
	Build     Kind = "build"
	Artifact  Kind = "artifact"
)

// Kinds lists every Kind.
func Kinds() []Kind {
	return []Kind{Container, Pod, Volume, Network, Kube, Image, Build, Artifact}
}

// Section is the name of the section that belongs to the kind: "Container".
func (k Kind) Section() string { return strings.ToUpper(string(k[:1])) + string(k[1:]) }

// suffix is what the kind's service has after the file's name and before
// ".service" (measured on Podman 5.8.6).
func (k Kind) suffix() string {
	switch k {
	case Container, Kube:
		return ""
	case Pod, Volume, Network, Image, Build, Artifact:
		return "-" + string(k)
	default:
		return ""
	}
}

// Keys is the table of the keys that each of Podman's sections takes, as the
// generator of Podman 5.8.6 accepted them one by one; ok is false for a section
// that is not Podman's. Podman 5.6 knows the same but for the section
// [Artifact], AppArmor and HttpProxy in [Container], BuildArg and IgnoreFile in
// [Build] and StopTimeout in [Pod].
func Keys(section string) (keys []string, ok bool) {
	var table string
	switch section {
	case "Container":
		table = `
			AddCapability AddDevice AddHost Annotation AppArmor AutoUpdate CgroupsMode ContainerName
			ContainersConfModule DNS DNSOption DNSSearch DropCapability Entrypoint Environment
			EnvironmentFile EnvironmentHost Exec ExposeHostPort GIDMap GlobalArgs Group GroupAdd
			HealthCmd HealthInterval HealthLogDestination HealthMaxLogCount HealthMaxLogSize
			HealthOnFailure HealthRetries HealthStartPeriod HealthStartupCmd HealthStartupInterval
			HealthStartupRetries HealthStartupSuccess HealthStartupTimeout HealthTimeout HostName
			HttpProxy Image IP IP6 Label LogDriver LogOpt Mask Memory Mount Network NetworkAlias
			NoNewPrivileges Notify PidsLimit Pod PodmanArgs PublishPort Pull ReadOnly ReadOnlyTmpfs
			ReloadCmd ReloadSignal RemapGid RemapUid RemapUidSize RemapUsers Retry RetryDelay Rootfs
			RunInit SeccompProfile Secret SecurityLabelDisable SecurityLabelFileType SecurityLabelLevel
			SecurityLabelNested SecurityLabelType ServiceName ShmSize StartWithPod StopSignal
			StopTimeout SubGIDMap SubUIDMap Sysctl Timezone Tmpfs UIDMap Ulimit Unmask User UserNS
			VolatileTmp Volume WorkingDir`
	case "Pod":
		table = `
			AddHost ContainersConfModule DNS DNSOption DNSSearch ExitPolicy GIDMap GlobalArgs HostName
			IP IP6 Label Network NetworkAlias PodmanArgs PodName PublishPort RemapGid RemapUid
			RemapUidSize RemapUsers ServiceName ShmSize StopTimeout SubGIDMap SubUIDMap UIDMap UserNS
			Volume`
	case "Volume":
		table = `
			ContainersConfModule Copy Device Driver GlobalArgs Group Image Label Options PodmanArgs
			ServiceName Type User VolumeName`
	case "Network":
		table = `
			ContainersConfModule DisableDNS DNS Driver Gateway GlobalArgs InterfaceName Internal
			IPAMDriver IPRange IPv6 Label NetworkDeleteOnStop NetworkName Options PodmanArgs ServiceName
			Subnet`
	case "Kube":
		table = `
			AutoUpdate ConfigMap ContainersConfModule ExitCodePropagation GlobalArgs KubeDownForce
			LogDriver LogOpt Network PodmanArgs PublishPort RemapGid RemapUid RemapUidSize RemapUsers
			ServiceName SetWorkingDirectory UserNS Yaml`
	case "Image":
		table = `
			AllTags Arch AuthFile CertDir ContainersConfModule Creds DecryptionKey GlobalArgs Image
			ImageTag OS PodmanArgs Policy Retry RetryDelay ServiceName TLSVerify Variant`
	case "Build":
		table = `
			Annotation Arch AuthFile BuildArg ContainersConfModule DNS DNSOption DNSSearch Environment
			File ForceRM GlobalArgs GroupAdd IgnoreFile ImageTag Label Network PodmanArgs Pull Retry
			RetryDelay Secret ServiceName SetWorkingDirectory Target TLSVerify Variant Volume`
	case "Artifact":
		table = `
			Artifact AuthFile CertDir ContainersConfModule Creds DecryptionKey GlobalArgs PodmanArgs
			Quiet Retry RetryDelay ServiceName TLSVerify`
	case "Quadlet":
		table = `
			DefaultDependencies`
	default:
		return nil, false
	}
	return strings.Fields(table), true
}

// passedOn reports whether Podman hands a section on to systemd unread.
func passedOn(section string) bool {
	switch section {
	case "Unit", "Service", "Install":
		return true
	default:
		return strings.HasPrefix(section, "X-")
	}
}
