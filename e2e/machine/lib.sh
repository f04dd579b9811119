# shellcheck shell=bash
#
# What the machine scripts share: words for errors, the cache directory, the
# cgroup2 mount, and how to tell whether a machine is alive. Sourced, never run.

# How long starting and stopping may take; both take about one.
# shellcheck disable=SC2034 # read by the scripts that source this file
readonly BOOT_SECONDS=60 STOP_SECONDS=30

# The account that the tests run as, made by build and entered by enter.
# shellcheck disable=SC2034
readonly MACHINE_USER=leger-test MACHINE_UID=1000

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

die() {
	say "$@"
	exit 1
}

# need_root stops a script that cannot work without root, and says why.
need_root() {
	[[ $EUID -eq 0 ]] || die "needs root: it makes namespaces, mounts and cgroups; run it as root (a virtual machine or CI will do)"
}

# need_program NAME PACKAGE installs the Debian package of a missing program,
# or says which one to install.
need_program() {
	command -v "$1" >/dev/null && return 0
	if [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null; then
		say "installing $2, for $1"
		DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$2" >&2 ||
			{ apt-get update >&2 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$2" >&2; } ||
			die "cannot install $2, which has $1: install it by hand"
		return 0
	fi
	die "$1 is missing: install the package $2"
}

# cache_dir prints the directory for what is built once and kept.
cache_dir() { printf '%s/leger-dev\n' "${XDG_CACHE_HOME:-$HOME/.cache}"; }

# cgroup2_mount prints where cgroup2 is mounted: /sys/fs/cgroup on most hosts,
# a directory below it where the old hierarchies are still mounted beside it.
cgroup2_mount() {
	local device dir type options
	while read -r device dir type options; do
		if [[ $type == cgroup2 && ,${options%% *}, == *,rw,* ]]; then
			printf '%s\n' "$dir"
			return 0
		fi
	done </proc/self/mounts
	: "$device"
	die "no writable cgroup2 mount on this host: mount one with 'mount -t cgroup2 none /sys/fs/cgroup/unified'"
}

# start_time PID prints when a process started, in clock ticks since boot. With
# the pid it names one process for ever; a pid alone may be used again.
start_time() {
	local stat
	stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
	# The second field is the program's name in parentheses and may have spaces.
	read -ra stat <<<"${stat##*) }"
	printf '%s\n' "${stat[19]}"
}

# machine_pid STATE_DIR prints the pid of the machine's init if it is alive.
machine_pid() {
	local pid started
	[[ -s $1/pid && -s $1/started ]] || return 1
	pid=$(<"$1/pid")
	started=$(<"$1/started")
	[[ $(start_time "$pid") == "$started" ]] || return 1
	printf '%s\n' "$pid"
}

# wait_until SECONDS CMD... runs CMD every 20 ms until it succeeds.
wait_until() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		((SECONDS < end)) || return 1
		sleep 0.02
	done
}

# is_up STATE_DIR: 0 when the machine's systemd has finished starting, well or
# not, and the test user's takes orders. The user's is "starting" for as long as
# one of the test's own units is, which is the test's to judge.
is_up() {
	local enter now
	enter=$(dirname "${BASH_SOURCE[0]}")/enter
	now=$("$enter" "$1" --root -- systemctl is-system-running 2>/dev/null) || true
	[[ $now == running || $now == degraded ]] || return 1
	now=$("$enter" "$1" -- systemctl --user is-system-running 2>/dev/null) || true
	[[ $now == running || $now == degraded || $now == starting ]]
}

# show_failed STATE_DIR names the units that failed, if any did.
show_failed() {
	local enter who failed
	enter=$(dirname "${BASH_SOURCE[0]}")/enter
	for who in --system --user; do
		if [[ $who == --system ]]; then
			failed=$("$enter" "$1" --root -- systemctl --failed --no-legend --plain)
		else
			failed=$("$enter" "$1" -- systemctl --user --failed --no-legend --plain)
		fi
		[[ -z $failed ]] || say "the machine runs, but $who units failed:" "$failed"
	done
}
