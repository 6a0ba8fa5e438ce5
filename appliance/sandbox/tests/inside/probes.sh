#!/bin/bash
# Probes of a job's isolation, run inside the job; bash and perl are all they need.
#
# Each function `probe_…` tries one thing that a job must not be able to do, and succeeds when it
# was refused, bounded or is nowhere to be seen. The result is TAP: `ok NAME` or `not ok NAME`,
# and the exit code is 1 when any failed.
#
# What the caller may prepare outside and name here:
#   PROBE_ABSENT        paths of the host that must not exist inside, separated by blanks
#   PROBE_UNREADABLE    paths that may exist but must not be readable
#   PROBE_SOCKET        name of an abstract socket that somebody listens on outside
#   PROBE_PORT          TCP port that somebody listens on at the host's 127.0.0.1
#   PROBE_ANY_PORT      TCP port that somebody listens on at all of the host's addresses
#   PROBE_NEIGHBOUR     last number of the address of another job, 10.231.1.N
#   PROBE_SHM           name of a file in the host's /dev/shm
#   PROBE_PROCESS       an argument by which a process outside can be told
#   PROBE_VARIABLE      name of an environment variable of the supervisor
#   PROBE_PIDS, PROBE_MEMORY_MIB   the limits in force; without them those probes are left out
# shellcheck disable=SC2329 # the functions are called by their names
set -u

refused() { ! "$@" >/dev/null 2>&1; }

# Runs a system call and succeeds when its error is one of those named first: call EPERM,ENOSYS bpf 0 0 0
call() {
    perl -e '
        my ($wanted, $name, @arguments) = @ARGV;
        my $arm = (`uname -m` =~ /aarch64/) ? 1 : 0;
        my %numbers = (
            clone => [56, 220], clone3 => [435, 435], ptrace => [101, 117], setns => [308, 268],
            unshare => [272, 97], bpf => [321, 280], perf_event_open => [298, 241],
            userfaultfd => [323, 282], io_uring_setup => [425, 425], keyctl => [250, 219],
            add_key => [248, 217], request_key => [249, 218], open_by_handle_at => [304, 265],
            kexec_load => [246, 104], reboot => [169, 142], init_module => [175, 105],
            delete_module => [176, 106], settimeofday => [164, 170], clock_settime => [227, 112],
            swapon => [167, 224], swapoff => [168, 225], acct => [163, 89], syslog => [103, 116],
            sethostname => [170, 161], pivot_root => [155, 41], mount => [165, 40],
            umount2 => [166, 39], fsopen => [430, 430], open_tree => [428, 428],
            move_mount => [429, 429], mount_setattr => [442, 442], fanotify_init => [300, 262],
            process_vm_readv => [310, 270], iopl => [172, -1], ioperm => [173, -1],
            socket => [41, 198], quotactl => [179, 60], memfd_secret => [447, 447],
            pidfd_open => [434, 434], pidfd_getfd => [438, 438], ioctl => [16, 29], vhangup => [153, 58],
        );
        my %errors = (EPERM => 1, ENOENT => 2, ESRCH => 3, EBADF => 9, EACCES => 13, ENOSYS => 38, EAFNOSUPPORT => 97);
        my $number = $numbers{$name}[$arm];
        exit 0 if $number < 0;
        my @raw = map { /^-?\d+$/ ? $_ + 0 : "$_\0" } @arguments;
        my $result = syscall($number, @raw);
        my $error = $! + 0;
        exit 0 if $result == -1 && grep { $errors{$_} == $error } split /,/, $wanted;
        print "$name gave $result, error $error\n";
        exit 1;
    ' "$@"
}

# --- who the job is -----------------------------------------------------------------------------
probe_root_is_not_the_hosts_root() { ! awk '$1 == 0 && $2 == 0 { found = 1 } END { exit !found }' /proc/self/uid_map; }
probe_dangerous_capabilities_are_out_of_reach() {
    local bounding; bounding=$(awk '/^CapBnd/ { print $2 }' /proc/self/status)
    local bit
    # dac_read_search net_admin sys_module sys_rawio sys_ptrace sys_admin sys_boot sys_nice
    # sys_resource sys_time mknod mac_override syslog bpf perfmon
    for bit in 2 12 16 17 19 21 22 23 24 25 27 32 34 38 39; do
        (( (16#$bounding >> bit) & 1 )) && { echo "capability $bit"; return 1; }
    done
    return 0
}
probe_a_system_call_filter_is_on() { grep -q '^Seccomp:[[:space:]]*2' /proc/self/status; }
probe_set_user_id_programs_gain_nothing() {
    cp "$(command -v id)" /tmp/probe-id && chmod 4755 /tmp/probe-id || return 1
    [ "$(perl -e '$) = "1000 1000"; $( = 1000; $> = 1000; $< = 1000; ($<, $>) = (1000, 1000); exec "/tmp/probe-id", "-u"')" = 1000 ] \
        || ! grep -q '^NoNewPrivs:[[:space:]]*1' /proc/self/status
}
probe_only_three_descriptors_are_open() {
    # 3 is the folder that is being listed.
    [ "$(perl -e 'opendir my $d, "/proc/self/fd"; my @n = sort grep { /\d/ && $_ != fileno($d) } readdir $d; print "@n"')" = "0 1 2" ]
}
probe_the_supervisors_environment_is_not_inherited() { [ -z "${PROBE_VARIABLE:-}" ] || ! env | grep -q "^$PROBE_VARIABLE="; }

# --- the file tree ------------------------------------------------------------------------------
probe_mount_tmpfs() { refused mount -t tmpfs none /mnt; }
probe_mount_bind() { refused mount --bind / /mnt; }
probe_mount_proc() { refused mount -t proc proc /mnt; }
probe_mount_cgroup() { refused mount -t cgroup -o memory none /mnt && refused mount -t cgroup2 none /mnt; }
probe_mount_raw_call() { call EPERM mount none /mnt tmpfs 0 0; }
probe_mount_new_calls() { call EPERM fsopen tmpfs 0 && call EPERM open_tree -100 / 1 && call EPERM move_mount -1 0 -1 0 0; }
probe_remount_writable() { refused mount -o remount,rw /sys && refused mount -o remount,rw /proc/sys; }
probe_umount_mask() { refused umount /proc/keys && refused umount -l /proc/sys && refused umount -l /sys; }
probe_umount_raw_call() { call EPERM umount2 /proc 2; }
probe_pivot_root() { call EPERM pivot_root / /; }
probe_mount_setattr() { call EPERM mount_setattr -100 /proc/sys 0 0 0; }
probe_file_handles() { call EPERM open_by_handle_at -100 0 0; }
probe_chroot_does_not_lead_out() {
    perl -e '
        mkdir "/tmp/probe-c"; chdir "/"; chroot "/tmp/probe-c" or exit 0;
        chdir ".." for 1 .. 64; chroot ".";
        exit(grep({ -e $_ } split / /, $ENV{PROBE_ABSENT} // "") ? 1 : 0)'
}
probe_host_paths_are_absent() {
    local path
    for path in ${PROBE_ABSENT:-}; do [ -e "$path" ] && { echo "$path"; return 1; }; done
    return 0
}
probe_host_files_are_unreadable() {
    local path
    for path in ${PROBE_UNREADABLE:-}; do [ -e "$path" ] && head -c 1 "$path" >/dev/null 2>&1 && { echo "$path"; return 1; }; done
    return 0
}
probe_own_folders_are_empty_of_others() {
    local found; found=$(find /tmp /var/tmp /run -mindepth 1 -name '*appliance*' ! -path '/run/appliance*' 2>/dev/null)
    [ -z "$found" ] || { echo "$found"; false; }
}

# --- devices ------------------------------------------------------------------------------------
probe_make_block_device() { refused mknod /tmp/probe-disk b 8 0; }
probe_make_memory_device() { refused mknod /tmp/probe-mem c 1 1; }
probe_device_nodes_are_the_harmless_few() {
    local odd; odd=$(find /dev \( -type b -o -type c \) ! -path '/dev/pts/*' 2>/dev/null | grep -Ev '^/dev/(null|zero|full|random|urandom|tty|console)$')
    [ -z "$odd" ] || { echo "$odd"; false; }
}
probe_no_device_of_the_root_tree_opens() {
    local node
    while IFS= read -r node; do
        { : <"$node"; } 2>/dev/null && { echo "$node"; return 1; }
    done < <(find / -xdev -maxdepth 3 \( -type b -o -type c \) 2>/dev/null | head -n 50)
    return 0
}
probe_terminal_input_cannot_be_faked() {
    perl -e 'my $c = "x"; open my $t, "+<", "/dev/ptmx" or exit 0; my $r = ioctl($t, 0x5412, $c); exit(defined $r ? 1 : ($! == 1 ? 0 : 1))'
}

# --- the kernel's own files ---------------------------------------------------------------------
probe_sysrq() { refused bash -c 'echo h >/proc/sysrq-trigger'; }
probe_core_pattern() { refused bash -c 'echo "|/tmp/x" >/proc/sys/kernel/core_pattern'; }
probe_a_crash_is_handed_to_no_program() {
    # At a limit of one byte the kernel starts no program of the host's for a core; at none it does.
    local soft hard; read -r soft hard < <(awk '/^Max core file size/ { print $5, $6 }' /proc/self/limits)
    [ "$soft" = 1 ] && { [ "$hard" = 1 ] || [ "$(head -c 1 /proc/sys/kernel/core_pattern)" != '|' ]; }
}
probe_drop_caches() { refused bash -c 'echo 1 >/proc/sys/vm/drop_caches'; }
probe_modprobe_path() { refused bash -c 'echo /tmp/x >/proc/sys/kernel/modprobe'; }
probe_kcore() { [ ! -s /proc/kcore ] || refused head -c 1 /proc/kcore; }
probe_kernel_log() { refused dmesg && call EPERM syslog 3 0 0 && ! timeout 1 head -c 1 /proc/kmsg 2>/dev/null | grep -q .; }
probe_keys_are_hidden() { [ -z "$(cat /proc/keys 2>/dev/null)" ]; }
probe_sys_is_read_only() { refused touch /sys/probe && refused bash -c 'echo 1 >/sys/kernel/profiling' && refused bash -c 'echo x >/sys/kernel/uevent_helper'; }
probe_power_states() { refused bash -c 'echo mem >/sys/power/state'; }
probe_kernel_debug_folders() { [ -z "$(ls -A /sys/kernel/debug /sys/kernel/tracing 2>/dev/null | grep -v ':$' | tr -d '\n')" ]; }
probe_control_groups_cannot_be_written() {
    local found; found=$(find /sys/fs/cgroup -maxdepth 3 -type f -writable 2>/dev/null | head -n 3)
    [ -z "$found" ] || refused bash -c "echo 1 >$(echo "$found" | head -n 1)"
    refused mkdir /sys/fs/cgroup/probe && refused mkdir /sys/fs/cgroup/memory/probe && refused touch /sys/fs/cgroup/x
    refused bash -c 'for f in /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max; do [ ! -e $f ] || { echo 1 >$f && exit 0; }; done; exit 1'
}

# --- other processes ----------------------------------------------------------------------------
probe_host_processes_are_invisible() {
    [ -z "${PROBE_PROCESS:-}" ] && return 0
    # By the environment: an argument would be found in the searcher itself.
    perl -e '
        for (glob "/proc/[0-9]*/cmdline") {
            open my $file, "<", $_ or next; local $/; my $line = <$file> // "";
            if (grep { $_ eq $ENV{PROBE_PROCESS} } split /\0/, $line) { print "$_\n"; exit 1 }
        }'
}
probe_init_cannot_be_traced() { call EPERM ptrace 16 1 0 0; }
probe_init_memory_cannot_be_read() { refused head -c 1 /proc/1/mem && call EPERM process_vm_readv 1 0 0 0 0 0 || call EPERM,ESRCH process_vm_readv 1 /tmp 1 /tmp 1 0; }
probe_init_environment_cannot_be_read() { refused cat /proc/1/environ; }
probe_init_program_and_root_cannot_be_reached() { refused readlink /proc/1/exe && refused ls /proc/1/root/ && refused ls /proc/1/fd/ && refused ls /proc/1/cwd/; }
probe_init_survives_kill() { kill -9 1 2>/dev/null; kill -TERM 1 2>/dev/null; [ -d /proc/1 ]; }
probe_init_gives_no_descriptors() {
    perl -e 'my $arm = `uname -m` =~ /aarch64/; my $p = syscall(434, 1, 0); exit 0 if $p < 0; exit(syscall(438, $p, 3, 0) < 0 ? 0 : 1)'
}
probe_init_cannot_be_limited() {
    refused prlimit --pid 1 --nofile=3:3 && refused prlimit --pid 1 --as=4096:4096
}
probe_nsenter() { refused nsenter -t 1 -m -u -i -n -p true; }
probe_setns() { call EPERM setns 0 0; }
probe_unshare_user() { refused unshare -U true; }
probe_unshare_mount() { refused unshare -m true && call EPERM unshare 131072; }
probe_clone_user_namespace() { call EPERM clone 268435473 0 0 0 0; }
probe_clone3_falls_back() { call ENOSYS clone3 0 0; }
probe_real_time_scheduling() { refused chrt -f 1 true; }
probe_oom_score_cannot_be_lowered() { refused bash -c 'echo -1000 >/proc/self/oom_score_adj'; }

# --- talking to others --------------------------------------------------------------------------
probe_abstract_sockets() {
    [ -z "${PROBE_SOCKET:-}" ] && return 0
    perl -MSocket -e 'socket(my $s, AF_UNIX, SOCK_STREAM, 0); exit(connect($s, pack_sockaddr_un("\0$ARGV[0]")) ? 1 : 0)' "$PROBE_SOCKET"
}
probe_host_loopback() {
    [ -z "${PROBE_PORT:-}" ] && return 0
    refused timeout 2 bash -c "exec 3<>/dev/tcp/127.0.0.1/$PROBE_PORT"
}
probe_metadata_service() { refused timeout 2 bash -c 'exec 3<>/dev/tcp/169.254.169.254/80'; }
# A refusal that is not told would be waited for, and fails the probe as well.
unreachable() {
    local begun=$SECONDS
    refused timeout 10 bash -c "exec 3<>/dev/tcp/$1/$2" && [ $((SECONDS - begun)) -lt 8 ]
}
probe_ports_of_the_gateway_that_are_no_service() { unreachable 10.231.0.1 "${PROBE_ANY_PORT:-22}" && unreachable 10.231.0.1 22; }
probe_loopback_of_the_host_by_way_of_the_gateway() {
    perl -MSocket -e '
        socket(my $s, AF_INET, SOCK_DGRAM, 0); setsockopt($s, SOL_SOCKET, 5, 1);
        exit(send($s, "x", 0, pack_sockaddr_in(9, inet_aton("127.0.0.5"))) ? 0 : 0)'
    unreachable 127.0.0.5 "${PROBE_ANY_PORT:-22}"
}
probe_other_jobs() { unreachable "10.231.1.${PROBE_NEIGHBOUR:-2}" 4000 && unreachable "10.231.1.${PROBE_NEIGHBOUR:-2}" "${PROBE_ANY_PORT:-22}"; }
probe_link_local_networks() { unreachable 169.254.169.254 80 && unreachable 169.254.1.1 80; }
probe_networks_that_are_not_allowed() { unreachable 192.0.2.1 80 && unreachable 8.8.8.8 53; }
probe_sender_addresses_cannot_be_forged() {
    # Raw sockets need CAP_NET_RAW; a bound foreign address needs one more.
    perl -MSocket -e 'socket(my $s, AF_INET, SOCK_STREAM, 0); exit(bind($s, pack_sockaddr_in(0, inet_aton("10.231.1.77"))) ? 1 : 0)'
}
probe_ip_version_6_leads_nowhere() {
    [ "$(awk '$6 != "lo"' /proc/net/if_inet6 2>/dev/null | grep -vc ' fe80\|^fe80')" = 0 ] || [ ! -e /proc/net/if_inet6 ]
}
probe_packet_filter_cannot_be_changed() {
    perl -MSocket -e 'socket(my $s, 16, 3, 12) or exit 0; exit(send($s, pack("LSSLL SCCn", 20, 0xa00 | 2, 5, 1, 0), 0) ? 0 : 0)'
    refused nft list tables || [ -z "$(nft list tables 2>/dev/null)" ]
}
probe_own_loopback_works() {
    perl -MIO::Socket::INET -e '
        my $l = IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1") or exit 1;
        exit(IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => $l->sockport) ? 0 : 1)'
}
probe_every_user_may_listen_on_every_port() {
    perl -MIO::Socket::INET -e '
        $) = "1000 1000"; $( = 1000; ($<, $>) = (1000, 1000);
        exit(IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1:80") && $> == 1000 ? 0 : 1)'
}
probe_shared_memory_files() { [ -z "${PROBE_SHM:-}" ] || [ ! -e "/dev/shm/$PROBE_SHM" ]; }
probe_system_v_segments() { [ "$(awk 'NR > 1' /proc/sysvipc/shm | wc -l)" = 0 ]; }
probe_virtual_machine_sockets() { call EPERM,EAFNOSUPPORT socket 40 1 0; }
probe_kernel_crypto_sockets() { call EPERM,EAFNOSUPPORT socket 38 5 0; }
probe_network_cannot_be_configured() { ! command -v ip >/dev/null || refused ip link add probe type dummy && refused ip link set lo mtu 1000; }

# --- large kernel interfaces --------------------------------------------------------------------
probe_bpf() { call EPERM bpf 0 0 0; }
probe_perf_events() { call EPERM perf_event_open 0 0 -1 -1 0; }
probe_userfaultfd() { call EPERM userfaultfd 0; }
probe_io_uring() { call ENOSYS io_uring_setup 8 0; }
probe_keyrings() { call EPERM keyctl 0 -3 0 && call EPERM add_key user a b 1 -3 && call EPERM request_key user a 0 -3; }
probe_fanotify() { call EPERM fanotify_init 0 0; }
probe_secret_memory() { call EPERM,ENOSYS memfd_secret 0; }

# --- the machine --------------------------------------------------------------------------------
probe_reboot() { call EPERM reboot 0 0 0 0; }
probe_kexec() { call EPERM kexec_load 0 0 0 0; }
probe_modules() { call EPERM init_module 0 0 0 && call EPERM delete_module x 0; }
probe_clock() { refused date -s '2001-01-01' && call EPERM settimeofday 0 0 && call EPERM clock_settime 0 0; }
probe_swap() { call EPERM swapon /tmp/x 0 && call EPERM swapoff /tmp/x; }
probe_accounting() { call EPERM acct /tmp/x; }
probe_host_name() { refused hostname probe && call EPERM sethostname probe 5; }
probe_port_access() { call EPERM iopl 3 && call EPERM ioperm 0 1 1; }
probe_quota() { call EPERM quotactl 0 0 0 0; }

# --- bounds; last, because they are rough -------------------------------------------------------
probe_fork_bomb_is_bounded() {
    [ -z "${PROBE_PIDS:-}" ] && return 0
    # Counts how many of far too many children could be made; all of them end with their parent.
    local made; made=$(perl -e '
        my $made = 0;
        for (1 .. $ARGV[0] * 3) { my $p = fork; last unless defined $p; if ($p == 0) { sleep 60; exit } push @c, $p; $made++ }
        kill 9, @c; waitpid $_, 0 for @c; print $made' "$PROBE_PIDS")
    [ "$made" -lt "$PROBE_PIDS" ] || { echo "made $made"; false; }
}
probe_memory_is_bounded() {
    [ -z "${PROBE_MEMORY_MIB:-}" ] && return 0
    refused perl -e 'my @x; push @x, "x" x (1 << 20) for 1 .. $ARGV[0] * 2; exit 0' "$PROBE_MEMORY_MIB"
}
probe_the_memory_limit_is_seen() {
    [ -z "${PROBE_MEMORY_MIB:-}" ] && return 0
    local told; told=$(cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max)
    [ "$told" = $((PROBE_MEMORY_MIB << 20)) ] || { echo "$told"; false; }
}
probe_shared_memory_is_bounded() {
    [ -z "${PROBE_MEMORY_MIB:-}" ] && return 0
    local held=0
    head -c "${PROBE_MEMORY_MIB}M" /dev/zero 2>/dev/null >/dev/shm/probe-fill && held=1
    rm -f /dev/shm/probe-fill
    return "$held"
}

failed=0
for probe in $(compgen -A function probe_); do
    if said=$("$probe" 2>&1); then
        echo "ok ${probe#probe_}"
    else
        echo "not ok ${probe#probe_}${said:+ # ${said//$'\n'/; }}"
        failed=1
    fi
done
exit "$failed"
