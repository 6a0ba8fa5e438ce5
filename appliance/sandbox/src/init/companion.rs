//! From the supervisor into the namespaces of a living sandbox: the birth of a companion's init.
//!
//! Why two steps: a process cannot move itself into another process namespace, and one that is
//! made outside the job's user namespace could not mount its `/proc`. So a first clone enters the
//! job's user and network namespaces, makes init there as its own sibling, and ends.
//! Invariants: init is a child of the supervisor, as every init, and dies with it.

use super::{Born, Failure, at, live};
use crate::{
    sys,
    wire::{self, Reply},
};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::{
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
};

/// The whole life of the process in between. It says over `told` [`Reply::Born`], or what failed;
/// `socket` is for the init.
pub(crate) fn step_over(
    told: &UnixStream,
    socket: &UnixStream,
    joins: &[OwnedFd],
    user: BorrowedFd<'_>,
    network: BorrowedFd<'_>,
) -> ! {
    let stepped = match enter(joins, user, network) {
        Ok(sys::Fork::Child) => live(socket, &[], Born::Beside),
        Ok(sys::Fork::Parent { pid, pidfd }) => {
            wire::send(told, &Reply::Born { pid }, &[pidfd.as_fd()])
        }
        Err(failure) => wire::send(told, &failure.reply(), &[]),
    };
    sys::exit_now(i32::from(stepped.is_err()))
}

fn enter(
    joins: &[OwnedFd],
    user: BorrowedFd<'_>,
    network: BorrowedFd<'_>,
) -> Result<sys::Fork, Failure> {
    for group in joins {
        rustix::io::write(group, b"0").map_err(at("join the control group"))?;
    }
    move_into_link_name_space(user, Some(LinkNameSpaceType::User))
        .map_err(at("enter the job's ids"))?;
    move_into_link_name_space(network, Some(LinkNameSpaceType::Network))
        .map_err(at("enter the job's network"))?;
    let cloned: io::Result<sys::Fork> =
        sys::clone_process(libc::CLONE_PARENT | libc::CLONE_NEWPID, None);
    cloned.map_err(at("clone a companion's init"))
}
