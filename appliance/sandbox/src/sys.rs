//! Kernel calls that no safe library wraps, each in the smallest possible function.
//!
//! Why: `unsafe` is easier to judge when it stands in one file and does one thing.
//! Invariants: every function here checks the kernel's answer; none keeps a pointer.
//! On failure: `io::Error` with the kernel's number.

use std::{
    ffi::CString,
    io,
    mem::size_of,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    ptr, slice,
};

/// What a fork gives to its two sides.
pub(crate) enum Fork {
    /// In the new process.
    Child,
    /// In the caller.
    Parent {
        /// The new process.
        pid: i32,
        /// Refers to it for ever.
        pidfd: OwnedFd,
    },
}

fn check(result: i64) -> io::Result<i64> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Clones this process into new namespaces, and into `cgroup` where one is given.
///
/// The caller must have one thread, and the child must never return to its caller's caller: it
/// ends in [`exit_now`] or an exec.
pub(crate) fn clone_process(namespaces: i32, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Fork> {
    let mut pidfd: RawFd = -1;
    // SAFETY: clone_args is a struct of integers, for which all zeroes is the documented default.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = flags(namespaces | libc::CLONE_PIDFD);
    arguments.pidfd = ptr::from_mut(&mut pidfd) as u64;
    // A sibling ends with the signal that its caller would.
    if namespaces & libc::CLONE_PARENT == 0 {
        arguments.exit_signal = flags(libc::SIGCHLD);
    }
    if let Some(cgroup) = cgroup {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = flags(cgroup.as_raw_fd());
    }
    // SAFETY: without CLONE_VM the child gets a copy of all memory and goes on at this very line,
    // as fork does; `arguments` and `pidfd` live until the call returns. The caller has a single
    // thread, so that no lock is held by a thread that the copy lacks.
    let pid = check(unsafe {
        libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<libc::clone_args>())
    })?;
    forked(pid, pidfd)
}

/// Forks this process, by the call that the job's own filter lets pass: `clone3` is none.
///
/// As [`clone_process`], for a caller with one thread and a child that never returns.
pub(crate) fn fork() -> io::Result<Fork> {
    let mut pidfd: RawFd = -1;
    let flags = libc::CLONE_PIDFD | libc::SIGCHLD;
    let none = ptr::null_mut::<libc::c_void>();
    // SAFETY: as in `clone_process`; a null stack means to go on with a copy of this one, and
    // `pidfd` lives until the call returns.
    let pid = check(unsafe {
        libc::syscall(libc::SYS_clone, i64::from(flags), none, &raw mut pidfd, none, none)
    })?;
    forked(pid, pidfd)
}

fn forked(pid: i64, pidfd: RawFd) -> io::Result<Fork> {
    if pid == 0 {
        return Ok(Fork::Child);
    }
    // SAFETY: the kernel stored a fresh descriptor that nobody else owns.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Fork::Parent { pid: i32::try_from(pid).expect("a process id fits"), pidfd })
}

/// The library's own constant does not fit into its type.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

fn flags(bits: i32) -> u64 {
    u64::from(bits.cast_unsigned())
}

/// From here on, files that this thread makes belong to the host's user and group `id`. With an `id`
/// other than 0 it also has no more right to files than that user; with 0 it is as before.
pub(crate) fn file_owner_set(id: u32) {
    // SAFETY: takes a number and touches no memory. It does not fail for root, and what it returns is
    // the id before.
    unsafe { libc::setfsgid(id) };
    // SAFETY: as above.
    unsafe { libc::setfsuid(id) };
}

/// The kernel's account of its wall clock; changes nothing.
pub(crate) fn clock_account() -> io::Result<libc::timex> {
    // SAFETY: timex is a struct of integers; all zeroes asks for no change.
    let mut account: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the struct lives until the call returns, and the kernel keeps no pointer to it.
    check(i64::from(unsafe { libc::adjtimex(&raw mut account) }))?;
    Ok(account)
}

/// Ends this process at once: no destructors, no flushing of what the parent had buffered.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: _exit has no preconditions and does not return.
    unsafe { libc::_exit(code) }
}

/// Leaves namespaces behind for new ones.
pub(crate) fn unshare(namespaces: rustix::thread::UnshareFlags) -> io::Result<()> {
    assert!(!namespaces.contains(rustix::thread::UnshareFlags::FILES), "descriptors stay shared");
    // SAFETY: the only unsound flag is FILES, refused above.
    Ok(unsafe { rustix::thread::unshare_unsafe(namespaces) }?)
}

/// What is set on a mount.
#[derive(Default, Clone, Copy)]
pub(crate) struct MountChange<'a> {
    /// `MOUNT_ATTR_*` bits to set.
    pub(crate) set: u64,
    /// A user namespace whose mapping applies to file owners.
    pub(crate) id_map: Option<BorrowedFd<'a>>,
}

/// Changes a mount that `tree` refers to.
pub(crate) fn mount_setattr(tree: BorrowedFd<'_>, change: MountChange<'_>) -> io::Result<()> {
    let mut attributes =
        libc::mount_attr { attr_set: change.set, attr_clr: 0, propagation: 0, userns_fd: 0 };
    if let Some(namespace) = change.id_map {
        attributes.attr_set |= libc::MOUNT_ATTR_IDMAP;
        attributes.userns_fd = flags(namespace.as_raw_fd());
    }
    let empty = c"";
    // SAFETY: the path is a C string and the attributes are passed with their size; both live
    // until the call returns.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            empty.as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    check(result).map(drop)
}

/// Replaces this process by a program. Returns only on failure.
pub(crate) fn execve(
    program: &CString,
    arguments: &[CString],
    environment: &[CString],
) -> io::Error {
    let list = |texts: &[CString]| -> Vec<*const libc::c_char> {
        texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
    };
    let (arguments, environment) = (list(arguments), list(environment));
    // SAFETY: both lists end in null and point to C strings that outlive the call.
    unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

/// Closes every descriptor from `first` on, but `kept`; `on_exec` only marks them for closing.
///
/// Owners of closed descriptors must never be dropped afterwards: called only in processes that
/// end in an exec or [`exit_now`].
pub(crate) fn close_from(first: u32, kept: Option<u32>, on_exec: bool) -> io::Result<()> {
    let mode = if on_exec { libc::CLOSE_RANGE_CLOEXEC } else { 0 };
    let close = |from: u32, to: u32| {
        if from > to {
            return Ok(());
        }
        // SAFETY: the call takes integers only; the function's contract covers the owners.
        check(unsafe { libc::syscall(libc::SYS_close_range, from, to, mode) }).map(drop)
    };
    match kept {
        Some(kept) if kept >= first => {
            if kept > first {
                close(first, kept - 1)?;
            }
            close(kept + 1, u32::MAX)
        }
        _ => close(first, u32::MAX),
    }
}

/// Installs a system-call filter on this thread and what it starts.
pub(crate) fn seccomp_install(program: &[seccompiler::sock_filter]) -> io::Result<()> {
    let length =
        u16::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))?;
    let description = libc::sock_fprog {
        len: length,
        filter: program.as_ptr().cast::<libc::sock_filter>().cast_mut(),
    };
    // SAFETY: both sock_filter types are the kernel's own layout (u16, u8, u8, u32); the kernel
    // copies the program before it returns and does not write to it.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const description)
    };
    check(result).map(drop)
}

/// A descriptor that is readable while one of `signals` is pending; they are blocked from now on.
pub(crate) fn signal_descriptor(signals: &[i32]) -> io::Result<OwnedFd> {
    let set = signal_set(signals);
    signals_block(&set)?;
    // SAFETY: the set is initialised and outlives the call; -1 asks for a new descriptor.
    let result =
        unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    let descriptor = check(i64::from(result))?;
    // SAFETY: the kernel just made this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(descriptor).expect("a descriptor fits")) })
}

/// Gives a program the signal dispositions it expects: nothing blocked, nothing ignored.
pub(crate) fn signals_reset() -> io::Result<()> {
    for signal in 1..=64 {
        // SAFETY: restoring the default action runs no code of ours. Numbers that cannot be
        // changed (9, 19, and 32 and 33 of the C library) are refused, which is harmless.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    signals_block(&signal_set(&[]))
}

/// Lets all signals through again.
pub(crate) fn signals_unblock() -> io::Result<()> {
    signals_block(&signal_set(&[]))
}

fn signal_set(signals: &[i32]) -> libc::sigset_t {
    // SAFETY: an all-zero set is valid, and is initialised properly on the next line.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is a valid place to write.
    unsafe { libc::sigemptyset(&raw mut set) };
    for signal in signals {
        // SAFETY: the set was initialised above.
        unsafe { libc::sigaddset(&raw mut set, *signal) };
    }
    set
}

fn signals_block(set: &libc::sigset_t) -> io::Result<()> {
    // SAFETY: the set is initialised; the old one is not asked for.
    check(i64::from(unsafe { libc::sigprocmask(libc::SIG_SETMASK, set, ptr::null_mut()) }))
        .map(drop)
}

/// Makes the terminal that `descriptor` refers to the session's own.
pub(crate) fn terminal_adopt(descriptor: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: TIOCSCTTY takes an integer, no pointer.
    check(i64::from(unsafe { libc::ioctl(descriptor.as_raw_fd(), libc::TIOCSCTTY, 0) })).map(drop)
}

/// A new session keyring, so that the job does not possess the keys of whoever started us.
pub(crate) fn keyring_leave() {
    // SAFETY: a null name asks for an anonymous keyring; no memory is passed.
    let _kernels_without_keyrings = unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            libc::KEYCTL_JOIN_SESSION_KEYRING,
            ptr::null::<libc::c_char>(),
        )
    };
}

/// Replaces the arguments that others see of this process by `name`. Nothing may read this
/// process's arguments afterwards.
pub(crate) fn arguments_replace(name: &str) -> io::Result<()> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let Some((start, end)) = arguments_place(&stat) else { return Ok(()) };
    let mut text = vec![0_u8; end - start];
    let length = name.len().min(text.len().saturating_sub(1));
    text[..length].copy_from_slice(&name.as_bytes()[..length]);
    // SAFETY: the kernel says that the arguments of this process lie there, in the writable stack
    // mapping; `text` is exactly as long, and no reference to them exists (the standard library
    // copies arguments when asked).
    unsafe {
        ptr::copy_nonoverlapping(text.as_ptr(), ptr::with_exposed_provenance_mut(start), text.len())
    };
    Ok(())
}

/// Fields 48 and 49 of `/proc/<pid>/stat` (proc(5)): where the arguments begin and end.
fn arguments_place(stat: &str) -> Option<(usize, usize)> {
    let mut fields = stat.rsplit_once(") ")?.1.split_ascii_whitespace().skip(45);
    let (start, end) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    (start != 0 && start < end).then_some((start, end))
}

/// Bounds the arenas of the C library's allocator. A library that has none ignores it.
pub(crate) fn arenas_set(count: i32) {
    // SAFETY: takes integers only and may be called at any time; a refusal changes nothing.
    let _refused = unsafe { libc::mallopt(libc::M_ARENA_MAX, count) };
}

/// Gives free memory of the C library's allocator back to the kernel.
pub(crate) fn memory_trim() {
    // SAFETY: takes an integer; the allocator locks what it works on.
    let _nothing_was_free = unsafe { libc::malloc_trim(0) };
}

/// Takes the whole pages of this program's read-only segments out of the map; they come back from the
/// kernel's cache when they are touched.
pub(crate) fn program_unmap() {
    // SAFETY: `unmap_read_only` keeps to what dl_iterate_phdr(3) promises of its arguments.
    unsafe { libc::dl_iterate_phdr(Some(unmap_read_only), ptr::null_mut()) };
}

/// Called for the program itself, which is the first; ends the walk.
unsafe extern "C" fn unmap_read_only(
    object: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    _data: *mut libc::c_void,
) -> libc::c_int {
    /// The largest of any machine.
    const PAGE: u64 = 64 << 10;
    // SAFETY: valid during the call.
    let object = unsafe { &*object };
    let (base, count) = (object.dlpi_addr, usize::from(object.dlpi_phnum));
    // SAFETY: as many headers as it counts, valid during the call.
    let headers = unsafe { slice::from_raw_parts(object.dlpi_phdr, count) };
    let kept = |header: &&libc::Elf64_Phdr| header.p_type == libc::PT_LOAD;
    for header in headers.iter().filter(kept).filter(|header| header.p_flags & libc::PF_W == 0) {
        let start = (base + header.p_vaddr).next_multiple_of(PAGE);
        let end = (base + header.p_vaddr + header.p_memsz) / PAGE * PAGE;
        let length = usize::try_from(end.saturating_sub(start)).unwrap_or(0);
        let start = ptr::with_exposed_provenance_mut(usize::try_from(start).unwrap_or(0));
        // SAFETY: whole pages of a segment that is mapped from the file and never written: the next
        // touch finds the same bytes. A refusal changes nothing.
        let _refused = unsafe { libc::madvise(start, length, libc::MADV_DONTNEED) };
    }
    1
}

/// Puts a copy of `descriptor` at a fixed number, open across exec.
pub(crate) fn descriptor_place(descriptor: BorrowedFd<'_>, number: RawFd) -> io::Result<()> {
    // SAFETY: takes integers only; what stood at `number` is 0, 1 or 2, which nobody owns here.
    check(i64::from(unsafe { libc::dup2(descriptor.as_raw_fd(), number) })).map(drop)
}

/// Sends a signal to every process of this namespace but init.
pub(crate) fn signal_everyone(signal: i32) -> io::Result<()> {
    // SAFETY: takes integers only.
    match check(i64::from(unsafe { libc::kill(-1, signal) })) {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
        result => result.map(drop),
    }
}

/// Sends a signal to one process.
pub(crate) fn signal_one(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: takes integers only.
    check(i64::from(unsafe { libc::kill(pid, signal) })).map(drop)
}

/// Brings the loopback interface of this network namespace up.
pub(crate) fn loopback_up() -> io::Result<()> {
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        None,
    )?;
    // SAFETY: ifreq is a struct of integers and unions of them; all zeroes is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = libc::c_char::try_from(b'l').expect("ASCII");
    request.ifr_name[1] = libc::c_char::try_from(b'o').expect("ASCII");
    request.ifr_ifru.ifru_flags =
        libc::c_short::try_from(libc::IFF_UP | libc::IFF_RUNNING).expect("two low bits");
    // SAFETY: SIOCSIFFLAGS reads an ifreq with name and flags, which were set above.
    check(i64::from(unsafe {
        libc::ioctl(socket.as_fd().as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request)
    }))
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::arguments_place;

    #[test]
    fn the_place_of_arguments_is_read_past_any_name() {
        let fields: Vec<String> = (3..=52).map(|field| field.to_string()).collect();
        assert_eq!(arguments_place(&format!("7 (a) b) {}", fields.join(" "))), Some((48, 49)));
        assert_eq!(arguments_place("7 (a) S 1"), None);
    }
}
