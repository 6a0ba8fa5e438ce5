//! Isolates one job from the machine: namespaces, control groups, overlay, system-call filter.
//!
//! Why: jobs run code that nobody here has read, as root of their own small world, beside the
//! keys of the site. A ready-made runtime was measured slower (9 ms and 22 ms a start against
//! 5.5 ms) and refuses hosts whose controllers are split between cgroup v1 and v2.
//! The way: a single-threaded supervisor calls [`Sandbox::create`], which clones an init process
//! into fresh namespaces and control groups; [`Sandbox::spawn`] asks that init to start a
//! program; [`Sandbox::next_event`] tells of ends; [`Sandbox::destroy`] removes everything.
//! Invariants: the caller has one thread (a clone copies a locked allocator otherwise); nothing
//! of a sandbox outlives its supervisor but directories, which [`sweep`] removes; no mount of a
//! job is visible on the host; nothing inside holds a descriptor that it was not given.
//! Units: sizes [`base::units::Bytes`], CPU in thousandths of a core, times `Duration`.
//! On failure: [`Error`] names what was tried and where; a failed `create` leaves nothing behind.

pub mod cgroup;
pub mod clock;
pub mod error;
pub mod exec;
mod filter;
pub mod host;
mod host_root;
pub mod image;
mod init;
pub mod launcher;
mod layer;
pub mod memory;
mod network;
mod remove;
mod root_tree;
mod sandbox;
pub mod spec;
#[expect(unsafe_code, reason = "the one place that talks to the kernel without a library between")]
mod sys;
mod wire;

pub use error::Error;
pub use exec::{Child, Event, Exec, Status, Usage, User};
pub use launcher::Launcher;
pub use network::{Destination, NoDestination, forwarding_enable, sweep_links};
pub use remove::remove_tree;
pub use sandbox::{ANSWER_MAX, DiskLook, DiskUsage, Sandbox, sweep};
pub use spec::{
    Bind, Bridge, Companion, HostRoot, IdRange, Limits, Network, Places, Root, Spec, Storage,
};

use std::time::Duration;

/// Waits a moment within a loop that has a condition and a deadline.
fn pause(span: Duration) {
    let nothing: &mut [rustix::event::PollFd<'_>] = &mut [];
    let timeout = rustix::event::Timespec { tv_sec: 0, tv_nsec: i64::from(span.subsec_nanos()) };
    let _interrupted = rustix::event::poll(nothing, Some(&timeout));
}
