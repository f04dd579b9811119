package quadlet

import (
	"path"
	"slices"
	"strings"
)

// keyRule says what keys of Podman's sections mean for consent. The rules together
// name every key of Podman 5.8 once (TestEachKeyHasOneRule); docs/deployments.md is
// made from them.
type keyRule struct {
	keys string // "AddCapability …"; "Build.Secret" for that section, which goes before a bare one
	kind RiskKind
	// worst is the effect of a value that is not an exception.
	worst effect
	// text is what it does, after "Key=Value ".
	text string
	// except is which values have a lesser effect, for the documentation; "" for none.
	except string
	// look judges a value that may be an exception; nil: there are none.
	look func(j *judge, value string) (effect, string)
}

// keyRules is the table. A key that is not in it is one that Podman does not know,
// which is a problem of its own.
func keyRules() []keyRule {
	return slices.Concat(askingRules(), sourceRules(), informingRules(), harmlessRules())
}

func askingRules() []keyRule {
	return []keyRule{
		{
			keys: "PodmanArgs GlobalArgs", kind: RiskArguments, worst: asks, text: "hands arguments to Podman",
			look: (*judge).arguments,
		},
		{keys: "ContainersConfModule", kind: RiskArguments, worst: endangers, text: "changes Podman's settings, which can name programs to run"},
		{
			keys: "AddCapability", kind: RiskPrivilege, worst: asks, text: "gives more than the usual privileges",
			except: "one that Podman grants anyway: nothing", look: (*judge).capability,
		},
		{keys: "AddDevice", kind: RiskPrivilege, worst: asks, text: "gives access to a device of this machine"},
		{keys: "Unmask", kind: RiskPrivilege, worst: asks, text: "uncovers paths of the kernel that containers usually do not see"},
		{
			keys: "Container.GroupAdd Build.GroupAdd", kind: RiskPrivilege, worst: asks,
			text: "keeps your own groups, with the files and devices that they may use", except: "another than keep-groups: nothing",
			look: func(_ *judge, value string) (effect, string) { return unless(value != "keep-groups"), "" },
		},
		{
			keys: "Annotation", kind: RiskPrivilege, worst: asks, text: "may tell the container runtime, or a hook of this machine, to do something",
			except: "org.opencontainers.image.…: nothing",
			look: func(_ *judge, value string) (effect, string) {
				return unless(strings.HasPrefix(value, "org.opencontainers.image.")), ""
			},
		},
		{
			keys: "EnvironmentHost", kind: RiskNamespace, worst: asks, text: "hands over the environment of your session",
			except: "false: nothing", look: whenTrue,
		},
		{
			keys: "Container.Environment Build.Environment", kind: RiskNamespace, worst: asks, text: "takes variables from the environment of your session",
			except: "NAME=VALUE: nothing", look: func(_ *judge, value string) (effect, string) { return unless(strings.Contains(value, "=")), "" },
		},
		{
			keys: "Network", kind: RiskNamespace, worst: endangers, text: "shares this machine's network",
			except: "a network, none or a private one: nothing", look: func(_ *judge, value string) (effect, string) { return sharedNamespace(value) },
		},
		{
			keys: "UserNS", kind: RiskNamespace, worst: asks, text: "joins the users of another process",
			except: "auto, keep-id, nomap or host: nothing", look: func(_ *judge, value string) (effect, string) {
				mode, _, _ := strings.Cut(value, ":")
				return unless(slices.Contains([]string{"auto", "keep-id", "nomap", "host"}, mode)), ""
			},
		},
		{keys: "SecurityLabelDisable", kind: RiskProtection, worst: asks, text: "switches SELinux separation off", except: "false: nothing", look: whenTrue},
		{keys: "SecurityLabelNested", kind: RiskProtection, worst: asks, text: "lets it change SELinux labels", except: "false: nothing", look: whenTrue},
		{keys: "SecurityLabelType", kind: RiskProtection, worst: asks, text: "runs it under another SELinux type"},
		{
			keys: "SeccompProfile AppArmor", kind: RiskProtection, worst: asks, text: "replaces a profile that keeps it away from this machine",
			look: func(_ *judge, value string) (effect, string) {
				if value == "unconfined" {
					return asks, "lets it do anything that the profile would stop"
				}
				return asks, ""
			},
		},
		{
			keys: "TLSVerify", kind: RiskProtection, worst: asks, text: "takes images from a registry that cannot prove who it is",
			except: "true: nothing", look: func(_ *judge, value string) (effect, string) { return unless(isTrue(value)), "" },
		},
		{
			keys: "Volume.Driver", kind: RiskMount, worst: asks, text: "hands the volume to a plugin",
			except: "local or image: nothing", look: func(_ *judge, value string) (effect, string) { return unless(value == "local" || value == "image"), "" },
		},
		{
			keys: "Network.Driver", kind: RiskNamespace, worst: asks, text: "joins the network of this machine's interface",
			except: "bridge: nothing", look: func(_ *judge, value string) (effect, string) { return unless(value == "bridge"), "" },
		},
		{
			keys: "Network.Options", kind: RiskNamespace, worst: asks, text: "is a setting of the network's driver", except: "mtu, isolate, metric, no_default_route: nothing",
			look: func(_ *judge, value string) (effect, string) {
				name, _, _ := strings.Cut(value, "=")
				return unless(slices.Contains([]string{"mtu", "isolate", "metric", "no_default_route"}, name)), ""
			},
		},
		{keys: "KubeDownForce", kind: RiskOpaque, worst: asks, text: "removes its volumes, with what is in them, when it stops", except: "false: nothing", look: whenTrue},
		{
			keys: "Build.ImageTag", kind: RiskImage, worst: asks, text: "puts what it builds in the place of that image",
			except: "localhost/…, or a name without a registry: nothing", look: func(_ *judge, value string) (effect, string) {
				registry := ParseImage(value).Registry
				return unless(registry == "" || registry == "localhost"), ""
			},
		},
	}
}

// sourceRules are about keys that name a file, or something else, of the machine.
func sourceRules() []keyRule {
	reads := "reads a file of this machine"
	return []keyRule{
		{
			keys: "Container.EnvironmentFile", kind: RiskFile, worst: asks, text: reads + " into its environment", except: "a file of the release: nothing",
			look: func(j *judge, value string) (effect, string) { return unless(j.ownFile(value)), "" },
		},
		{keys: "Rootfs", kind: RiskMount, worst: endangers, text: "runs a directory of this machine as the container"},
		{keys: "Volume.Device", kind: RiskMount, worst: endangers, text: "makes a volume of a part of this machine", except: "tmpfs: nothing", look: (*judge).device},
		{keys: "Image Artifact", kind: RiskFile, worst: asks, text: reads + " as an image", except: "the name of an image: it informs unless it has a digest", look: (*judge).image},
		{
			keys: "HealthLogDestination", kind: RiskFile, worst: asks, text: "writes files of this machine", except: "local or events_logger: nothing",
			look: func(_ *judge, value string) (effect, string) {
				return unless(value == "local" || value == "events_logger"), ""
			},
		},
		{
			keys: "LogOpt", kind: RiskFile, worst: asks, text: "may write a file of this machine", except: "max-size, max-file, tag, labels, env: nothing",
			look: func(_ *judge, value string) (effect, string) {
				name, _, _ := strings.Cut(value, "=")
				return unless(slices.Contains([]string{"max-size", "max-file", "tag", "labels", "env"}, name)), ""
			},
		},
		{
			keys: "Timezone", kind: RiskFile, worst: asks, text: reads, except: "local, or the name of a time zone: nothing",
			look: func(_ *judge, value string) (effect, string) {
				return unless(!strings.ContainsAny(value, ".%$") && !path.IsAbs(value)), ""
			},
		},
		{keys: "AuthFile", kind: RiskFile, worst: asks, text: "sends the passwords in a file of this machine to the registry"},
		{keys: "CertDir DecryptionKey", kind: RiskFile, worst: asks, text: reads},
		{keys: "Build.Secret", kind: RiskFile, worst: asks, text: reads + " into the build"},
		{
			keys: "IgnoreFile", kind: RiskFile, worst: asks, text: reads, except: "a file of the release: it counts as part of the build",
			look: func(j *judge, value string) (effect, string) { return unless(j.ownFile(value)), "" },
		},
		{
			keys: "Build.File Build.SetWorkingDirectory Yaml ConfigMap", kind: RiskOpaque, worst: endangers,
			text: "takes what is built or run from a place that is not in the release", except: "a file of the release: it asks, with its content",
			look: (*judge).brings,
		},
		{keys: "Kube.SetWorkingDirectory Volume Mount", kind: RiskMount, worst: harmless, text: "mounts something", except: "see below"},
	}
}

func informingRules() []keyRule {
	return []keyRule{
		{
			keys: "AutoUpdate", kind: RiskImage, worst: informs, text: "lets Podman replace the image by itself when the registry has another one",
			except: "local: nothing", look: func(_ *judge, value string) (effect, string) {
				return lesser(informs, value != "local" && value != "name/local"), ""
			},
		},
		{
			keys: "Container.Label Pod.Label", kind: RiskImage, worst: informs, text: "lets Podman replace the image by itself",
			except: "another than io.containers.autoupdate: nothing", look: func(_ *judge, value string) (effect, string) {
				return lesser(informs, strings.HasPrefix(value, "io.containers.autoupdate")), ""
			},
		},
		{keys: "Sysctl", kind: RiskPrivilege, worst: informs, text: "sets a value of the kernel for the container"},
		{keys: "SecurityLabelLevel SecurityLabelFileType", kind: RiskProtection, worst: informs, text: "chooses its SELinux label"},
		{
			keys: "CgroupsMode", kind: RiskProtection, worst: informs, text: "lets limits of memory and processor not hold",
			except: "enabled or split: nothing", look: func(_ *judge, value string) (effect, string) {
				return lesser(informs, value != "enabled" && value != "split"), ""
			},
		},
		{keys: "InterfaceName", kind: RiskNamespace, worst: informs, text: "names the interface on this machine"},
		{keys: "Creds", kind: RiskFile, worst: informs, text: "has a password in the release's files"},
	}
}

// harmlessRules are keys that concern what is in the container alone, or that only
// take something away. What package deploy asks about (ports, secrets, volumes,
// networks of others, and where images come from) is among them: it is compared
// between generations.
func harmlessRules() []keyRule {
	return []keyRule{{
		worst: harmless, keys: `
		AddHost AllTags Arch BuildArg ContainerName Copy DefaultDependencies DisableDNS DNS DNSOption DNSSearch DropCapability
		Entrypoint Exec ExitCodePropagation ExitPolicy ExposeHostPort ForceRM Gateway GIDMap Group HealthCmd HealthInterval
		HealthMaxLogCount HealthMaxLogSize HealthOnFailure HealthRetries HealthStartPeriod HealthStartupCmd HealthStartupInterval
		HealthStartupRetries HealthStartupSuccess HealthStartupTimeout HealthTimeout HostName HttpProxy ImageTag Internal IP IP6
		IPAMDriver IPRange IPv6 Label LogDriver Mask Memory NetworkAlias NetworkDeleteOnStop NetworkName NoNewPrivileges Notify
		Options OS PidsLimit Pod PodName Policy PublishPort Pull Quiet ReadOnly ReadOnlyTmpfs ReloadCmd ReloadSignal RemapGid
		RemapUid RemapUidSize RemapUsers Retry RetryDelay RunInit Secret ServiceName ShmSize StartWithPod StopSignal StopTimeout
		SubGIDMap SubUIDMap Subnet Target Tmpfs Type UIDMap Ulimit User Variant VolatileTmp VolumeName WorkingDir`,
	}}
}

func unless(ok bool) effect { return lesser(asks, !ok) }

func lesser(worst effect, applies bool) effect {
	if applies {
		return worst
	}
	return harmless
}

func whenTrue(_ *judge, value string) (effect, string) { return unless(!isTrue(value)), "" }

// ruleFor finds the rule of a key.
func (l *loader) ruleFor(section, key string) (keyRule, bool) {
	if l.rulesByKey == nil {
		l.rulesByKey = map[string]keyRule{}
		for _, rule := range keyRules() {
			for name := range strings.FieldsSeq(rule.keys) {
				l.rulesByKey[name] = rule
			}
		}
	}
	for _, name := range []string{section + "." + key, key} {
		if rule, ok := l.rulesByKey[name]; ok {
			return rule, true
		}
	}
	return keyRule{}, false
}

// key judges an assignment in the section of the quadlet's kind.
func (j *judge) key(a Assignment) {
	rule, ok := j.l.ruleFor(j.at, a.Key)
	words := []string{unquote(a.Value)}
	switch split := splitting(j.at, a.Key); {
	case a.Key == "PodmanArgs" || a.Key == "GlobalArgs":
		// They are one command line, in which one may be the value of another.
		all, known := j.args[a.Key]
		if !known {
			all = j.doc.all(j.at, a.Key)
			if j.args == nil {
				j.args = map[string][]Assignment{}
			}
			j.args[a.Key] = all
		}
		if len(all) == 0 || all[0] != a {
			return
		}
		values := make([]string, 0, len(all))
		for _, next := range all {
			values = append(values, next.Value)
		}
		a.Value = strings.Join(values, " ")
		words[0] = a.Value
	case split != nil:
		words, _ = split(a.Value) // checkSplit reports what cannot be split
	}
	j.escapes(a)
	if !ok {
		j.note(a, finding{effect: asks, kind: RiskService, text: "is not a key that this check knows"})
		return
	}
	for _, word := range words {
		f := finding{effect: rule.worst, kind: rule.kind, text: rule.text}
		if rule.look != nil {
			var text string
			if f.effect, text = rule.look(j, word); text != "" {
				f.text = text
			}
		}
		if j.at == "Volume" && a.Key == "Device" {
			kind, _ := j.doc.last(j.at, "Type")
			options, _ := j.doc.last(j.at, "Options")
			f.with = kind.Value + "," + options.Value
		}
		shown := Assignment{Key: a.Key, Value: word, File: a.File, Line: a.Line}
		if a.Key == "Creds" {
			f.effect = harmless
			j.add(a, finding{effect: informs, kind: rule.kind}, "Creds= "+rule.text, j.keyOf(f, a.Key, hash(word)))
		}
		j.note(shown, f)
	}
}

func unquote(value string) string {
	if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
		return value[1 : len(value)-1]
	}
	return value
}

// escapes notes words with which a value leaves its place on Podman's command
// line. systemd ends a command at a word ";" and runs the next one on the machine
// (seen on systemd 262 with Exec=true ; /bin/sh -c …, and Type=oneshot), and it
// makes several arguments of a word that is a variable and nothing else.
func (j *judge) escapes(a Assignment) {
	words, _ := splitArgs(a.Value)
	if splitting(j.at, a.Key) == nil {
		words = []string{a.Value}
	}
	inside := a.Key == "Exec" || a.Key == "ReloadCmd" || a.Key == "Entrypoint"
	for _, word := range words {
		switch {
		case word == ";":
			j.note(a, finding{effect: endangers, kind: RiskCommand, text: `ends Podman's command with ";": what follows runs on this machine`})
			return
		case len(word) > 1 && word[0] == '$' && word[1] != '$' && word[1] != '{' && !inside:
			j.note(a, finding{effect: endangers, kind: RiskArguments, text: "hands Podman whatever arguments are in that variable"})
			return
		}
	}
}

// ownFile reports whether a value names a file of the release, relative to the
// quadlet.
func (j *judge) ownFile(value string) bool {
	_, ok := j.l.files[path.Join(path.Dir(j.u.File), value)]
	return ok && !strings.ContainsAny(value, "%$") && !path.IsAbs(value)
}

// capability: those that Podman grants without being asked (containers.conf(5),
// default_capabilities).
func (j *judge) capability(value string) (effect, string) {
	name := strings.TrimPrefix(strings.ToUpper(value), "CAP_")
	granted := []string{
		"CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
	}
	switch {
	case slices.Contains(granted, name):
		return harmless, ""
	case name == "ALL", name == "SYS_ADMIN", name == "SYS_MODULE", name == "SYS_PTRACE", name == "SYS_RAWIO", name == "DAC_READ_SEARCH":
		return endangers, "gives privileges with which it may leave the container"
	default:
		return asks, ""
	}
}

// device judges the Device= of a volume together with its Type= and Options=.
func (j *judge) device(value string) (effect, string) {
	kind, _ := j.doc.last("Volume", "Type")
	if value == "tmpfs" && (kind.Value == "tmpfs" || kind.Value == "") {
		return harmless, ""
	}
	options, _ := j.doc.last("Volume", "Options")
	text := "makes a volume of a part of this machine"
	if kind.Value != "" {
		text += ", Type=" + kind.Value
	}
	if options.Value != "" {
		text += ", Options=" + options.Value
	}
	clean, unknown := hostPath(value, j.u.Service, false)
	if unknown != "" {
		return endangers, text + ": nobody knows what " + unknown + " will be"
	}
	what, e := placeOf(clean, slices.Contains(strings.Split(options.Value, ","), "ro"))
	return max(e, asks), text + ": " + readable(clean) + ", " + what
}

// image judges where an image comes from: a registry, or a file of the machine.
func (j *judge) image(value string) (effect, string) {
	for _, transport := range []string{"dir:", "oci:", "docker-archive:", "oci-archive:", "containers-storage:", "docker-daemon:", "ostree:", "sif:"} {
		if strings.HasPrefix(value, transport) {
			return asks, ""
		}
	}
	if strings.Contains(value, "$") || strings.HasPrefix(value, "/") || strings.HasPrefix(value, ".") {
		return endangers, "is an image, or an argument for Podman, that cannot be told"
	}
	return harmless, ""
}

// brings judges a file or directory that decides what is built or run.
func (j *judge) brings(value string) (effect, string) {
	switch {
	case j.at == "Build" && slices.Contains([]string{"unit", "file"}, strings.ToLower(value)):
		return harmless, ""
	case !strings.ContainsAny(value[:1], "/~") && !strings.ContainsAny(value, "%$") && !strings.Contains(value, "://") && !isURL(value):
		return harmless, "" // the whole of it is in the digest
	case j.at == "Build":
		return asks, ""
	default:
		return endangers, ""
	}
}
