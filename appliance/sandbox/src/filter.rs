//! The system-call filter of every program in a job.
//!
//! Why a deny list: jobs are arbitrary toolchains, and an allow list breaks the next one; what is
//! listed is what reaches kernel parts that namespaces do not separate, or that only system
//! management needs. Capabilities and namespaces still guard everything else.
//! Invariants: programs of another architecture's calling convention are killed (32-bit) or told
//! that the call does not exist (x32), so that a listed call has one number only.
//! `clone3` passes flags in memory that a filter cannot read: it "does not exist", and C libraries
//! fall back to `clone`, whose flags are checked.

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, sock_filter,
};
use std::{collections::BTreeMap, sync::OnceLock};

/// Refused with EPERM whatever their arguments.
const DENIED: &[i64] = &[
    // The shape of the file tree.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_mount_setattr,
    SYS_OPEN_TREE_ATTR,
    // Other namespaces, and files by handle past any root.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_open_by_handle_at,
    // The machine.
    libc::SYS_reboot,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    libc::SYS_fanotify_init,
    libc::SYS_lookup_dcookie,
    libc::SYS_nfsservctl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    // Large kernel programs with a history of holes.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_memfd_secret,
    // Keys are not separated by namespaces in all kernels.
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
];

/// "Does not exist": callers have a fallback.
const ABSENT: &[i64] = &[
    libc::SYS_clone3,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];

/// Newer than the C library's list; the same number on all architectures.
const SYS_OPEN_TREE_ATTR: i64 = 467;

const NEW_NAMESPACES: i32 = libc::CLONE_NEWNS
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP;

/// Socket families that reach past the network namespace, or into rarely read kernel code.
const DENIED_FAMILIES: &[i32] = &[
    libc::AF_VSOCK,
    libc::AF_ALG,
    libc::AF_KEY,
    libc::AF_RDS,
    libc::AF_TIPC,
    libc::AF_BLUETOOTH,
    libc::AF_CAN,
    libc::AF_NFC,
    libc::AF_X25,
    libc::AF_AX25,
    libc::AF_IB,
    libc::AF_XDP,
];

/// Terminal requests that put words into somebody else's input.
const DENIED_REQUESTS: &[u64] = &[libc::TIOCSTI, libc::TIOCLINUX];

/// The filter, compiled once in a process; its forks have it, too.
pub(crate) fn program() -> Result<&'static [sock_filter], seccompiler::BackendError> {
    static PROGRAM: OnceLock<BpfProgram> = OnceLock::new();
    match PROGRAM.get() {
        Some(program) => Ok(program),
        None => compile().map(|compiled| PROGRAM.get_or_init(|| compiled).as_slice()),
    }
}

/// What a call is answered, unless rules say for which arguments only.
type Refusal = (i32, Vec<SeccompRule>);

/// Fails only if this file is wrong, which its tests would tell.
fn compile() -> Result<BpfProgram, seccompiler::BackendError> {
    let listed: Vec<_> = refusals()?.into_iter().collect();
    let parts = listed.chunks(PART).map(|part| Ok((part[0].0, part_compile(part)?)));
    Ok(dispatched(&parts.collect::<Result<Vec<_>, seccompiler::BackendError>>()?))
}

/// Every listed call, by its number.
fn refusals() -> Result<BTreeMap<i64, Refusal>, seccompiler::BackendError> {
    let always = |calls: &[i64], errno| {
        calls.iter().map(move |call| (*call, (errno, Vec::new()))).collect::<Vec<_>>()
    };
    let mut refusals = BTreeMap::from_iter(always(DENIED, libc::EPERM));
    refusals.extend(always(ABSENT, libc::ENOSYS));
    // An unset bit is compared with zero, so one rule for each bit.
    let bits = (0..32).map(|bit| 1 << bit).filter(|bit| NEW_NAMESPACES & bit != 0).map(i64::from);
    let namespaces = bits
        .map(|bit| rule(0, SeccompCmpOp::MaskedEq(bit.cast_unsigned()), bit.cast_unsigned()))
        .collect::<Result<_, _>>()?;
    let families = DENIED_FAMILIES
        .iter()
        .map(|family| rule(0, SeccompCmpOp::Eq, u64::from(family.cast_unsigned())));
    let families: Vec<_> = families.collect::<Result<_, _>>()?;
    let requests = DENIED_REQUESTS.iter().map(|request| rule(1, SeccompCmpOp::Eq, *request));
    refusals.extend([
        (libc::SYS_clone, (libc::EPERM, namespaces)),
        (libc::SYS_socketpair, (libc::EPERM, families.clone())),
        (libc::SYS_socket, (libc::EPERM, families)),
        (libc::SYS_ioctl, (libc::EPERM, requests.collect::<Result<_, _>>()?)),
    ]);
    Ok(refusals)
}

/// The filter of some calls.
fn part_compile(part: &[(i64, Refusal)]) -> Result<BpfProgram, seccompiler::BackendError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let filter = |errno| {
        let rules = part.iter().filter(|(_, refusal)| refusal.0 == errno);
        let rules = rules.map(|(call, (_, rules))| (*call, rules.clone())).collect();
        let refuse =
            SeccompAction::Errno(u32::try_from(errno).expect("error numbers are positive"));
        SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch).and_then(BpfProgram::try_from)
    };
    Ok(joined(filter(libc::ENOSYS)?, filter(libc::EPERM)?))
}

fn rule(
    argument: u8,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(vec![SeccompCondition::new(
        argument,
        SeccompCmpArgLen::Dword,
        operator,
        value,
    )?])
}

const LOAD_NUMBER: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS, at offset 0 of seccomp_data
const JUMP_AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
const RETURN: u16 = 0x06; // BPF_RET | BPF_K
const X32_BIT: u32 = 0x4000_0000;
const SECCOMP_ALLOW: u32 = 0x7fff_0000;
const SECCOMP_ERRNO: u32 = 0x0005_0000;

/// Listed calls that are looked for one after another. When a filter is set the kernel runs it for
/// each call that there is, and remembers those that it always allows.
const PART: usize = 8;

/// The parts of the filter as one program, which goes to that of a call's number; no x32 call gets
/// that far. Each part is of the numbers from its first to the next one's. Jumps are relative, so
/// that programs can be put one after another.
fn dispatched(parts: &[(i64, BpfProgram)]) -> BpfProgram {
    let absent = SECCOMP_ERRNO | u32::try_from(libc::ENOSYS).expect("error numbers are positive");
    let mut program = vec![
        sock_filter { code: LOAD_NUMBER, jt: 0, jf: 0, k: 0 },
        sock_filter { code: JUMP_AT_LEAST, jt: 0, jf: 1, k: X32_BIT },
        sock_filter { code: RETURN, jt: 0, jf: 0, k: absent },
    ];
    // From the last part to the second; what is below that falls through to the first.
    let mut behind: usize = parts.iter().map(|(_, part)| part.len()).sum();
    for (at, (first, part)) in parts.iter().enumerate().skip(1).rev() {
        behind -= part.len();
        let first = u32::try_from(*first).expect("call numbers are small");
        program.push(sock_filter { code: JUMP_AT_LEAST, jt: 0, jf: 1, k: first });
        program.push(jump(2 * (at - 1) + behind));
    }
    program.extend(parts.iter().flat_map(|(_, part)| part.iter().cloned()));
    program
}

/// Two filters as one: what the first allows goes on to the second.
fn joined(first: BpfProgram, second: BpfProgram) -> BpfProgram {
    // seccompiler's programs return from many places; "allow" becomes a jump behind the last.
    let length = first.len();
    let mut program: Vec<_> = first
        .into_iter()
        .enumerate()
        .map(|(at, instruction)| {
            if instruction.code == RETURN && instruction.k == SECCOMP_ALLOW {
                jump(length - at - 1)
            } else {
                instruction
            }
        })
        .collect();
    program.extend(second);
    program
}

/// Past so many instructions.
fn jump(past: usize) -> sock_filter {
    let past = u32::try_from(past).expect("a filter has at most 4096 instructions");
    sock_filter { code: JUMP, jt: 0, jf: 0, k: past }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(call: i64, arguments: [u64; 2]) -> u32 {
        run(call, arguments).0
    }

    /// Runs the program as the kernel would, on a call and its first two arguments; the verdict and
    /// the instructions that it took.
    fn run(call: i64, arguments: [u64; 2]) -> (u32, usize) {
        let mut data = [0_u32; 16];
        data[0] = u32::try_from(call).expect("call numbers are small");
        data[1] = if cfg!(target_arch = "x86_64") { 0xc000_003e } else { 0xc000_00b7 };
        for (at, argument) in arguments.into_iter().enumerate() {
            data[4 + 2 * at] = (argument & 0xffff_ffff) as u32;
            data[5 + 2 * at] = (argument >> 32) as u32;
        }
        let program = program().expect("the filter compiles");
        let (mut at, mut accumulator) = (0, 0_u32);
        for steps in 1.. {
            let sock_filter { code, jt, jf, k } = program[at].clone();
            at += 1;
            let jump = |holds: bool| usize::from(if holds { jt } else { jf });
            match code {
                0x20 => accumulator = data[k as usize / 4],
                0x54 => accumulator &= k,
                0x15 => at += jump(accumulator == k),
                0x25 => at += jump(accumulator > k),
                0x35 => at += jump(accumulator >= k),
                0x05 => at += k as usize,
                0x06 => return (k, steps),
                other => panic!("an instruction that the test does not know: {other:#x}"),
            }
        }
        unreachable!("a program without a loop ends")
    }

    fn check(call: i64, arguments: [u64; 2], expected: u32) {
        assert_eq!(verdict(call, arguments), expected, "call {call} {arguments:x?}");
    }

    const ALLOW: u32 = SECCOMP_ALLOW;
    const EPERM: u32 = SECCOMP_ERRNO | 1;
    const ENOSYS: u32 = SECCOMP_ERRNO | 38;

    #[test]
    fn listed_calls_are_refused_and_others_are_not() {
        for call in DENIED {
            check(*call, [0, 0], EPERM);
        }
        for call in ABSENT {
            check(*call, [0, 0], ENOSYS);
        }
        for call in
            [libc::SYS_read, libc::SYS_execve, libc::SYS_ptrace, libc::SYS_chroot, libc::SYS_statx]
        {
            check(call, [0, 0], ALLOW);
        }
    }

    #[test]
    fn arguments_decide_where_a_call_is_needed_too() {
        check(libc::SYS_clone, [0x11, 0], ALLOW);
        check(libc::SYS_clone, [0x1000_0011, 0], EPERM);
        check(libc::SYS_clone, [0x0002_0000, 0], EPERM);
        check(libc::SYS_socket, [2, 1], ALLOW);
        check(libc::SYS_socket, [40, 1], EPERM);
        check(libc::SYS_socket, [38, 1], EPERM);
        check(libc::SYS_ioctl, [0, 0x5412], EPERM);
        check(libc::SYS_ioctl, [0, 0xffff_ffff_0000_5412], EPERM);
        check(libc::SYS_ioctl, [0, 0x5401], ALLOW);
    }

    #[test]
    fn the_kernel_learns_what_is_always_allowed_in_few_steps() {
        let most = (0..470).map(|call| run(call, [0, 0]).1).max();
        assert!(most.is_some_and(|most| most <= 100), "{most:?}");
    }

    #[test]
    fn the_x32_door_is_closed() {
        check(0x4000_0000 + libc::SYS_read, [0, 0], ENOSYS);
        check(0x4000_0000 + libc::SYS_mount, [0, 0], ENOSYS);
    }
}
