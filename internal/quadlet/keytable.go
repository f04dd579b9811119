package quadlet

import "strings"

// keyTable gives the keys of one of Podman's sections, each after the release
// that brought it, and whether the section is Podman's. Source: the tables in the
// generator's own code (pkg/systemd/quadlet) of every release from 4.4, the first
// with quadlets, to 5.8; the generator of 5.8.6 was asked for each of them, too.
// What was to be had before 4.4 does not matter: there were no quadlets.
//
//nolint:funlen // one table
func keyTable(section string) (table string, ok bool) {
	switch section {
	case "Container":
		table = `
			4.4: AddCapability AddDevice Annotation ContainerName DropCapability Environment EnvironmentFile
			EnvironmentHost Exec ExposeHostPort Group Image Label Network NoNewPrivileges Notify PodmanArgs
			PublishPort ReadOnly RemapGid RemapUid RemapUidSize RemapUsers RunInit SeccompProfile Timezone User
			VolatileTmp Volume
			4.5: HealthCmd HealthInterval HealthOnFailure HealthRetries HealthStartPeriod HealthStartupCmd
			HealthStartupInterval HealthStartupRetries HealthStartupSuccess HealthStartupTimeout HealthTimeout
			IP IP6 LogDriver Mount Rootfs Secret SecurityLabelDisable SecurityLabelFileType SecurityLabelLevel
			SecurityLabelType Tmpfs UserNS
			4.6: AutoUpdate HostName Mask Pull SecurityLabelNested Sysctl Unmask WorkingDir
			4.7: DNS DNSOption DNSSearch PidsLimit ShmSize Ulimit
			4.8: ContainersConfModule GIDMap GlobalArgs ReadOnlyTmpfs SubGIDMap SubUIDMap UIDMap
			5.0: Entrypoint Pod StopTimeout
			5.1: GroupAdd
			5.2: LogOpt NetworkAlias StopSignal
			5.3: AddHost CgroupsMode HealthLogDestination HealthMaxLogCount HealthMaxLogSize ServiceName
			StartWithPod
			5.5: Memory ReloadCmd ReloadSignal Retry RetryDelay
			5.7: HttpProxy
			5.8: AppArmor`
	case "Pod":
		table = `
			5.0: ContainersConfModule GlobalArgs Network PodmanArgs PodName PublishPort Volume
			5.2: NetworkAlias
			5.3: AddHost DNS DNSOption DNSSearch GIDMap IP IP6 RemapGid RemapUid RemapUidSize RemapUsers
			ServiceName SubGIDMap SubUIDMap UIDMap UserNS
			5.4: ShmSize
			5.5: HostName
			5.6: ExitPolicy Label
			5.7: StopTimeout`
	case "Volume":
		table = `
			4.4: Copy Device Group Label Options Type User
			4.6: PodmanArgs
			4.7: VolumeName
			4.8: ContainersConfModule Driver GlobalArgs Image
			5.3: ServiceName`
	case "Network":
		table = `
			4.4: DisableDNS Driver Gateway Internal IPAMDriver IPRange IPv6 Label Options Subnet
			4.6: PodmanArgs
			4.7: DNS NetworkName
			4.8: ContainersConfModule GlobalArgs
			5.3: ServiceName
			5.5: NetworkDeleteOnStop
			5.6: InterfaceName`
	case "Kube":
		table = `
			4.4: ConfigMap Network PublishPort RemapGid RemapUid RemapUidSize RemapUsers Yaml
			4.5: LogDriver UserNS
			4.6: ExitCodePropagation PodmanArgs
			4.7: AutoUpdate SetWorkingDirectory
			4.8: ContainersConfModule GlobalArgs KubeDownForce
			5.2: LogOpt
			5.3: ServiceName`
	case "Image":
		table = `
			4.8: AllTags Arch AuthFile CertDir ContainersConfModule Creds DecryptionKey GlobalArgs Image
			ImageTag OS PodmanArgs TLSVerify Variant
			5.3: ServiceName
			5.5: Retry RetryDelay
			5.6: Policy`
	case "Build":
		table = `
			5.2: Annotation Arch AuthFile ContainersConfModule DNS DNSOption DNSSearch Environment File ForceRM
			GlobalArgs GroupAdd ImageTag Label Network PodmanArgs Pull Secret SetWorkingDirectory Target
			TLSVerify Variant Volume
			5.3: ServiceName
			5.5: Retry RetryDelay
			5.7: BuildArg IgnoreFile`
	case "Artifact":
		table = `
			5.7: Artifact AuthFile CertDir ContainersConfModule Creds DecryptionKey GlobalArgs PodmanArgs Quiet
			Retry RetryDelay ServiceName TLSVerify`
	case "Quadlet":
		table = `
			5.3: DefaultDependencies`
	default:
		return "", false
	}
	return table, true
}

// keysOf reads the table of a section; ok is false for one that is not Podman's.
func keysOf(section string) (since map[string]Version, ok bool) {
	table, ok := keyTable(section)
	if !ok {
		return nil, false
	}
	since = map[string]Version{}
	var v Version
	for word := range strings.FieldsSeq(table) {
		if name, isVersion := strings.CutSuffix(word, ":"); isVersion {
			// The table is ours; a version in it that cannot be read would make every
			// key of it unknown, which TestKeyTable notices.
			v, _ = ParseVersion(name)
			continue
		}
		since[word] = v
	}
	return since, true
}
