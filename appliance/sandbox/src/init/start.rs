//! Starts a program inside: from a fork of init to the exec.
//!
//! Invariants: the program gets exactly its three descriptors, its environment, its ids and no
//! capability that its ids do not carry; it leads a session of its own. The filter is init's own.
//! On failure: the child tells its step and the kernel's answer over a pipe that an exec closes.

use super::{Failure, at, privilege};
use crate::{sandbox::readable, sys, wire::Start};
use rustix::{
    fs::{AtFlags, CWD, Gid, Mode, Uid},
    process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid},
};
use std::{
    ffi::CString,
    io::{self, PipeReader, Read, Write},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::fs::OpenOptionsExt,
    },
    path::{Component, Path, PathBuf},
    time::{Duration, Instant},
};

/// Steps of a start, in order; numbered for the pipe.
const STAGES: [&str; 7] =
    ["session", "terminal", "ids", "working directory", "privileges", "descriptors", "exec"];

type Step = (u8, io::Error);

/// Between two looks whether a program that begins was stopped.
const LOOK: Duration = Duration::from_millis(50);

/// Looks at which it was stopped; then it is given up.
const STOPPED_MAX: u32 = 20;

/// Forks and waits until the exec has happened or failed. What takes too long is killed.
pub(super) fn start(start: &Start, stdio: &[OwnedFd; 3]) -> Result<(u32, OwnedFd), Failure> {
    let (mut told, tell) = io::pipe().map_err(at("pipe"))?;
    let forked = sys::fork().map_err(at("fork (the limit of processes?)"))?;
    let sys::Fork::Parent { pid, pidfd } = forked else {
        drop(told);
        let (stage, error) = become_program(start, stdio, tell.as_raw_fd());
        let errno = error.raw_os_error().unwrap_or(libc::EIO).to_le_bytes();
        let mut tell = tell;
        let _nobody_else_to_tell = tell.write_all(&[&[stage], errno.as_slice()].concat());
        sys::exit_now(127)
    };
    drop(tell);
    if !is_under_way(&told, &pidfd, start.patience).map_err(at("pipe"))? {
        let _may_have_ended = pidfd_send_signal(&pidfd, Signal::KILL);
        return Err(at("start")(io::Error::from_raw_os_error(libc::ETIMEDOUT)));
    }
    let mut failure = Vec::new();
    told.read_to_end(&mut failure).map_err(at("pipe"))?;
    match failure.as_slice() {
        [] => Ok((pid.cast_unsigned(), pidfd)),
        [stage, errno @ ..] => {
            let errno = errno.try_into().map_or(libc::EIO, i32::from_le_bytes);
            let stage = STAGES.get(usize::from(*stage)).copied().unwrap_or("start");
            Err(at(stage)(io::Error::from_raw_os_error(errno)))
        }
    }
}

/// Waits until the exec has happened or failed; `false` when it takes too long. A program that was stopped
/// goes on, and one that is stopped again and again is not waited for as a slow disk is.
fn is_under_way(
    told: &PipeReader,
    child: &OwnedFd,
    patience: Duration,
) -> rustix::io::Result<bool> {
    let (end, mut stopped) = (Instant::now() + patience, 0);
    while stopped < STOPPED_MAX {
        let look = Instant::now() + LOOK;
        if readable(told.as_fd(), Some(look.min(end)))? {
            return Ok(true);
        }
        if look >= end {
            break;
        }
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        if matches!(waitid(WaitId::PidFd(child.as_fd()), options), Ok(Some(_))) {
            stopped += 1;
            let _may_have_ended = pidfd_send_signal(child, Signal::CONT);
        }
    }
    Ok(false)
}

/// In the child: everything up to the exec. Returns only what failed.
fn become_program(start: &Start, stdio: &[OwnedFd; 3], tell: i32) -> Step {
    match prepare(start, stdio, tell) {
        Ok(()) => (6, exec(start)),
        Err(step) => step,
    }
}

fn prepare(start: &Start, stdio: &[OwnedFd; 3], tell: i32) -> Result<(), Step> {
    sys::signals_reset().map_err(|error| (0, error))?;
    rustix::process::setsid().map_err(|error| (0, error.into()))?;
    if start.terminal {
        sys::terminal_adopt(stdio[0].as_fd()).map_err(|error| (1, error))?;
    }
    rustix::process::umask(Mode::from_raw_mode(0o022));
    if start.create_cwd {
        directory_make(Path::new(&start.cwd), start).map_err(|error| (3, error))?;
    }
    ids_take(start).map_err(|error| (2, error))?;
    rustix::process::chdir(start.cwd.as_str()).map_err(|error| (3, error.into()))?;
    if let Some(file) = &start.create_file {
        // Without it the program still runs; the job may have put anything in its way.
        let _may_be_missing = file_make(Path::new(file));
    }
    if start.uid == 0 {
        privilege::bound_root().map_err(|error| (4, error))?;
    }
    stdio_place(stdio).map_err(|error| (5, error))?;
    let kept = u32::try_from(tell).expect("descriptors are not negative");
    sys::close_from(3, Some(kept), false).map_err(|error| (5, error))
}

fn ids_take(start: &Start) -> io::Result<()> {
    let groups: Vec<Gid> = start.groups.iter().map(|group| Gid::from_raw(*group)).collect();
    rustix::thread::set_thread_groups(&groups)?;
    let (gid, uid) = (Gid::from_raw(start.gid), Uid::from_raw(start.uid));
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    Ok(rustix::thread::set_thread_res_uid(uid, uid, uid)?)
}

/// Received descriptors are above 2, because init keeps 0, 1 and 2 occupied.
fn stdio_place(stdio: &[OwnedFd; 3]) -> io::Result<()> {
    (0..)
        .zip(stdio)
        .try_for_each(|(number, descriptor)| sys::descriptor_place(descriptor.as_fd(), number))
}

/// Makes what is missing of `path`; what it makes belongs to the program's user.
fn directory_make(path: &Path, start: &Start) -> io::Result<()> {
    let mut made = PathBuf::new();
    for part in path.components() {
        made.push(part);
        if matches!(part, Component::RootDir) || made.is_dir() {
            continue;
        }
        std::fs::create_dir(&made)?;
        let owner = (Some(Uid::from_raw(start.uid)), Some(Gid::from_raw(start.gid)));
        rustix::fs::chownat(CWD, &made, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(())
}

/// Opened for writing, a file that is there already would be copied to disk first.
fn file_make(path: &Path) -> io::Result<()> {
    if path.is_file() {
        return Ok(());
    }
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true).custom_flags(libc::O_NONBLOCK);
    options.open(path).map(drop)
}

fn exec(start: &Start) -> io::Error {
    let Ok((mut arguments, environment)) = texts(start) else {
        return io::Error::from_raw_os_error(libc::EINVAL);
    };
    let mut failure = io::Error::from_raw_os_error(libc::ENOENT);
    for (name, program) in candidates(start) {
        let (Ok(name), Ok(program)) = (CString::new(name), CString::new(program)) else { continue };
        // Some programs are what they are called by, above all those of BusyBox.
        arguments[0] = name;
        let error = sys::execve(&program, &arguments, &environment);
        // As execvp: go on where nothing was found, remember what was found but refused.
        if !matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) {
            failure = error;
            if failure.raw_os_error() != Some(libc::EACCES) {
                break;
            }
        }
    }
    failure
}

/// Arguments, the first of which is the program's name, and environment.
fn texts(start: &Start) -> Result<(Vec<CString>, Vec<CString>), std::ffi::NulError> {
    let arguments =
        std::iter::once(&start.program).chain(&start.args).map(|text| CString::new(text.as_str()));
    let environment = start.env.iter().map(|(name, value)| CString::new(format!("{name}={value}")));
    Ok((arguments.collect::<Result<_, _>>()?, environment.collect::<Result<_, _>>()?))
}

/// Where a program without a slash is looked for when the environment names no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What is tried in turn: the name it is called by, and where it is.
fn candidates(start: &Start) -> Vec<(&str, String)> {
    let named = std::iter::once(&start.program).chain(&start.otherwise).map(String::as_str);
    named
        .flat_map(|name| candidates_of(start, name).into_iter().map(move |path| (name, path)))
        .collect()
}

fn candidates_of(start: &Start, program: &str) -> Vec<String> {
    if program.contains('/') {
        return vec![program.to_owned()];
    }
    let path =
        start.env.iter().rfind(|(name, _)| name == "PATH").map_or(DEFAULT_PATH, |(_, value)| value);
    path.split(':')
        .map(|folder| format!("{}/{}", if folder.is_empty() { "." } else { folder }, program))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(program: &str, path: Option<&str>) -> Start {
        Start {
            program: program.into(),
            otherwise: None,
            args: Vec::new(),
            env: path.map(|path| ("PATH".to_owned(), path.to_owned())).into_iter().collect(),
            cwd: "/".into(),
            create_cwd: false,
            create_file: None,
            uid: 0,
            gid: 0,
            groups: Vec::new(),
            terminal: false,
            patience: Duration::ZERO,
        }
    }

    fn check(program: &str, path: Option<&str>, expected: &[&str]) {
        let start = start(program, path);
        let found = candidates(&start);
        let expected: Vec<_> = expected.iter().map(|path| (program, (*path).to_owned())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn programs_are_looked_for_as_a_shell_does() {
        check("/bin/sh", Some("/x"), &["/bin/sh"]);
        check("./run", Some("/x"), &["./run"]);
        check("sh", Some("/a:/b"), &["/a/sh", "/b/sh"]);
        check("sh", Some(":/b"), &["./sh", "/b/sh"]);
        assert_eq!(candidates(&start("sh", None)).len(), 6);
        let other = Start { otherwise: Some("/bin/sh".into()), ..start("/bin/bash", None) };
        let each = ["/bin/bash", "/bin/sh"].map(|path| (path, path.to_owned()));
        assert_eq!(candidates(&other), each, "the second is called by its own name");
    }
}
