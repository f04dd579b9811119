package quadlet

import (
	"slices"
	"strings"
)

// serviceKeys are those of [Service] that are known to be harmless with any value:
// they say when the service starts and stops, how much it may use, or take
// something away from it. Every other one is shown with its value, and asks.
func serviceKeys() []string {
	return strings.Fields(`
		CollectMode CPUAccounting CPUQuota CPUQuotaPeriodSec CPUSchedulingPolicy CPUSchedulingPriority CPUWeight
		CoredumpFilter DefaultMemoryLow DefaultMemoryMin Delegate ExitType FinalKillSignal GuessMainPID IOAccounting
		IODeviceLatencyTargetSec IOSchedulingClass IOSchedulingPriority IOWeight IPAccounting KillMode KillSignal LimitAS
		LimitCORE LimitCPU LimitDATA LimitFSIZE LimitLOCKS LimitMEMLOCK LimitMSGQUEUE LimitNICE LimitNOFILE LimitNPROC LimitRSS
		LimitRTPRIO LimitRTTIME LimitSIGPENDING LimitSTACK LockPersonality LogLevelMax LogRateLimitBurst
		LogRateLimitIntervalSec MemoryAccounting MemoryDenyWriteExecute MemoryHigh MemoryLow MemoryMax MemoryMin
		MemoryPressureWatch MemorySwapMax Nice NoNewPrivileges NotifyAccess OOMPolicy OOMScoreAdjust PrivateDevices
		PrivateTmp ProtectClock ProtectControlGroups ProtectHome ProtectHostname ProtectKernelLogs ProtectKernelModules
		ProtectKernelTunables ProtectProc ProtectSystem ReloadSignal RemainAfterExit Restart RestartForceExitStatus
		RestartKillSignal RestartMaxDelaySec RestartMode RestartPreventExitStatus RestartSec RestartSteps
		RestrictAddressFamilies RestrictNamespaces RestrictRealtime RestrictSUIDSGID RuntimeMaxSec
		RuntimeRandomizedExtraSec SendSIGHUP SendSIGKILL Slice StartLimitBurst StartLimitInterval StartLimitIntervalSec
		StartupCPUWeight SuccessExitStatus SyslogFacility SyslogIdentifier SyslogLevel SyslogLevelPrefix SystemCallArchitectures
		SystemCallFilter TasksAccounting TasksMax TimeoutAbortSec TimeoutSec TimeoutStartFailureMode TimeoutStartSec
		TimeoutStopFailureMode TimeoutStopSec Type UMask WatchdogSec WatchdogSignal`)
}

// unitKeys are the harmless ones of [Unit]. Those that tie the unit to others are
// judged by what they name.
func unitKeys() []string {
	return strings.Fields(`
		After AllowIsolate AssertPathExists Before CollectMode DefaultDependencies Description Documentation
		IgnoreOnIsolate JobRunningTimeoutSec JobTimeoutSec OnFailureJobMode OnSuccessJobMode RefuseManualStart
		RefuseManualStop RequiresMountsFor StartLimitBurst StartLimitInterval StartLimitIntervalSec StopWhenUnneeded
		WantsMountsFor`)
}

// milestones are the units that quadlets are tied to and that do nothing
// themselves.
func milestones() []string {
	return strings.Fields(`
		basic.target default.target graphical.target graphical-session.target local-fs.target multi-user.target
		network-online.target network.target nss-lookup.target nss-user-lookup.target paths.target
		podman-user-wait-network-online.service podman.socket remote-fs.target sockets.target sysinit.target time-set.target
		time-sync.target timers.target`)
}

// service judges an assignment in [Service].
func (j *judge) service(a Assignment) {
	value := unquote(a.Value)
	f := finding{effect: asks, kind: RiskService, text: "is a setting of the service that is not known to be harmless"}
	switch {
	case strings.HasPrefix(a.Key, "Exec"):
		f = finding{effect: endangers, kind: RiskCommand, text: "runs a command on this machine, outside the container"}
	case slices.Contains(serviceKeys(), a.Key):
		return
	case (a.Key == "StandardOutput" || a.Key == "StandardError") && slices.Contains([]string{"journal", "null", "inherit"}, value):
		return
	case a.Key == "StandardOutput" || a.Key == "StandardError" || a.Key == "StandardInput":
		f.kind, f.text = RiskFile, "connects it to a file of this machine"
	case a.Key == "Environment" || a.Key == "PassEnvironment":
		f = finding{effect: endangers, kind: RiskCommand, text: "sets the environment of Podman on this machine: a variable can make it run another program"}
	case a.Key == "EnvironmentFile":
		f = finding{effect: endangers, kind: RiskFile, text: "sets the environment of Podman on this machine from a file"}
	case a.Key == "LoadCredential" || a.Key == "LoadCredentialEncrypted" || a.Key == "ImportCredential" || a.Key == "OpenFile":
		f = finding{effect: endangers, kind: RiskFile, text: "reads files of this machine"}
	case a.Key == "RootDirectory" || a.Key == "RootImage" || a.Key == "BindPaths" || a.Key == "BindReadOnlyPaths" ||
		a.Key == "ExecSearchPath" || a.Key == "WorkingDirectory" || a.Key == "MountImages" || a.Key == "ExtensionDirectories":
		f.effect, f.text = endangers, "changes what Podman finds on this machine"
	case strings.HasSuffix(a.Key, "Directory") || a.Key == "PIDFile":
		f.kind, f.text = RiskFile, "makes or removes files of this machine"
	}
	j.note(a, f)
}

// unitKey judges an assignment in [Unit].
func (j *judge) unitKey(a Assignment) {
	switch {
	case slices.Contains(unitKeys(), a.Key), strings.HasPrefix(a.Key, "Condition"), strings.HasPrefix(a.Key, "Assert"):
		return
	case !slices.Contains(dependencyKeys(), a.Key):
		j.note(a, finding{effect: asks, kind: RiskService, text: "is a setting of the unit that is not known to be harmless"})
		return
	}
	words, _ := splitList(a.Value)
	for _, word := range words {
		if !j.ours(word) {
			j.note(Assignment{Key: a.Key, Value: word, File: a.File, Line: a.Line},
				finding{effect: asks, kind: RiskService, text: "starts or stops a unit that is not the release's"})
		}
	}
}

// ours reports whether a unit is one of the release, or a milestone.
func (j *judge) ours(name string) bool {
	if _, ok := j.l.byBase[name]; ok || slices.Contains(milestones(), name) {
		return true
	}
	name, _ = resolve(name, j.u.Service)
	for _, n := range j.l.named {
		base, suffix, isTemplate := strings.Cut(n.service, "@.")
		if n.service == name || isTemplate && strings.HasPrefix(name, base+"@") && strings.HasSuffix(name, "."+suffix) {
			return true
		}
	}
	return false
}

// install judges an assignment in [Install]. Podman's generator makes the links
// itself, an alias also outside its directory.
func (j *judge) install(a Assignment) {
	if a.Key == "DefaultInstance" {
		return
	}
	words, _ := splitList(a.Value)
	for _, word := range words {
		f := finding{effect: asks, kind: RiskService}
		switch {
		case a.Key == "Alias" && strings.Contains(word, "/"):
			f.effect, f.text = endangers, "makes a link outside the directory of the generated units"
		case a.Key == "Alias":
			f.effect, f.text = endangers, "gives the unit another name: it replaces a unit of the system that is called so"
		case (a.Key == "WantedBy" || a.Key == "RequiredBy" || a.Key == "UpheldBy") && j.ours(word):
			continue
		case a.Key == "WantedBy":
			f.effect, f.text = informs, "is started with a unit that is not the release's"
		case a.Key == "RequiredBy", a.Key == "UpheldBy":
			f.text = "lets a unit that is not the release's depend on it"
		default:
			f.text = "is not known to be harmless"
		}
		j.note(Assignment{Key: a.Key, Value: word, File: a.File, Line: a.Line}, f)
	}
}
