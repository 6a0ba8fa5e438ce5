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

/// Fails only if this file is wrong, which its tests would tell.
fn compile() -> Result<BpfProgram, seccompiler::BackendError> {
    let mut denied: BTreeMap<i64, Vec<SeccompRule>> =
        DENIED.iter().map(|call| (*call, Vec::new())).collect();
    // An unset bit is compared with zero, so one rule for each bit.
    let bits = (0..32).map(|bit| 1 << bit).filter(|bit| NEW_NAMESPACES & bit != 0).map(i64::from);
    denied.insert(
        libc::SYS_clone,
        bits.map(|bit| rule(0, SeccompCmpOp::MaskedEq(bit.cast_unsigned()), bit.cast_unsigned()))
            .collect::<Result<_, _>>()?,
    );
    let families = DENIED_FAMILIES
        .iter()
        .map(|family| rule(0, SeccompCmpOp::Eq, u64::from(family.cast_unsigned())));
    let families: Vec<_> = families.collect::<Result<_, _>>()?;
    denied.insert(libc::SYS_socketpair, families.clone());
    denied.insert(libc::SYS_socket, families);
    let requests = DENIED_REQUESTS.iter().map(|request| rule(1, SeccompCmpOp::Eq, *request));
    denied.insert(libc::SYS_ioctl, requests.collect::<Result<_, _>>()?);
    let absent = ABSENT.iter().map(|call| (*call, Vec::new())).collect();
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let filter = |rules, errno| {
        let refuse =
            SeccompAction::Errno(u32::try_from(errno).expect("error numbers are positive"));
        SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch).and_then(BpfProgram::try_from)
    };
    Ok(joined(filter(absent, libc::ENOSYS)?, filter(denied, libc::EPERM)?))
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
const RETURN: u16 = 0x06; // BPF_RET | BPF_K
const X32_BIT: u32 = 0x4000_0000;
const SECCOMP_ALLOW: u32 = 0x7fff_0000;
const SECCOMP_ERRNO: u32 = 0x0005_0000;

/// Two filters as one program: what the first allows goes on to the second, and no x32 call gets
/// that far. Jumps are relative, so that programs can be put one after another.
fn joined(first: BpfProgram, second: BpfProgram) -> BpfProgram {
    let absent = SECCOMP_ERRNO | u32::try_from(libc::ENOSYS).expect("error numbers are positive");
    let mut program = vec![
        sock_filter { code: LOAD_NUMBER, jt: 0, jf: 0, k: 0 },
        sock_filter { code: JUMP_AT_LEAST, jt: 0, jf: 1, k: X32_BIT },
        sock_filter { code: RETURN, jt: 0, jf: 0, k: absent },
    ];
    // seccompiler's programs return from many places; "allow" becomes a jump behind the last.
    let length = first.len();
    program.extend(first.into_iter().enumerate().map(|(at, instruction)| {
        if instruction.code == RETURN && instruction.k == SECCOMP_ALLOW {
            let rest =
                u32::try_from(length - at - 1).expect("a filter has at most 4096 instructions");
            sock_filter { code: 0x05, jt: 0, jf: 0, k: rest }
        } else {
            instruction
        }
    }));
    program.extend(second);
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the program as the kernel would, on a call and its first two arguments.
    fn verdict(call: i64, arguments: [u64; 2]) -> u32 {
        let mut data = [0_u32; 16];
        data[0] = u32::try_from(call).expect("call numbers are small");
        data[1] = if cfg!(target_arch = "x86_64") { 0xc000_003e } else { 0xc000_00b7 };
        for (at, argument) in arguments.into_iter().enumerate() {
            data[4 + 2 * at] = (argument & 0xffff_ffff) as u32;
            data[5 + 2 * at] = (argument >> 32) as u32;
        }
        let program = program().expect("the filter compiles");
        let (mut at, mut accumulator) = (0, 0_u32);
        loop {
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
                0x06 => return k,
                other => panic!("an instruction that the test does not know: {other:#x}"),
            }
        }
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
    fn the_x32_door_is_closed() {
        check(0x4000_0000 + libc::SYS_read, [0, 0], ENOSYS);
        check(0x4000_0000 + libc::SYS_mount, [0, 0], ENOSYS);
    }
}
