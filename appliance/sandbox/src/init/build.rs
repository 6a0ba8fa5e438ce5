//! Builds what a job sees, from within its namespaces.
//!
//! Order, and why: everything that needs the host's tree is opened as a detached mount first;
//! then the root is changed; then those mounts are put in place. So a path of an untrusted image
//! (a symbolic link at `/proc`, say) is only ever resolved inside that image.
//! Invariants: all of it is done as the job's root, so that what is made belongs to the job.

use super::{Born, Failure, at, groups, privilege};
use crate::{
    network, sys,
    sys::MountChange,
    wire::{Build, Target},
};
use rustix::{
    fs::{CWD, Gid, Mode, OFlags, Uid},
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
        fsconfig_create, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree, unmount,
    },
    thread::UnshareFlags,
};
use std::{
    fs, io,
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

/// Files of `/proc` that show or steer the whole machine: an empty file stands in their place.
const HIDDEN_FILES: [&str; 8] = [
    "kcore",
    "keys",
    "key-users",
    "timer_list",
    "sysrq-trigger",
    "latency_stats",
    "sched_debug",
    "kmsg",
];

/// Folders of `/proc` and `/sys` of the same kind.
const HIDDEN_FOLDERS: [&str; 5] = [
    "/proc/acpi",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
    "/sys/kernel/security",
];

/// Folders of `/proc` that can be read only.
const READ_ONLY_FOLDERS: [&str; 5] = ["bus", "fs", "irq", "sys", "asound"];

pub(super) const QUIET: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID
    .union(MountAttrFlags::MOUNT_ATTR_NODEV)
    .union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// Enters the version 1 groups and new namespaces; nothing of the host is touched. A companion
/// was born in the network that it shares.
pub(super) fn join(joins: &[OwnedFd], born: Born) -> Result<(), Failure> {
    for group in joins {
        rustix::io::write(group, b"0").map_err(at("join the control group"))?;
    }
    // Now, so that the root of the group namespace is the job's own group.
    let mut namespaces =
        UnshareFlags::NEWCGROUP | UnshareFlags::NEWNS | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
    namespaces.set(UnshareFlags::NEWNET, born == Born::First);
    sys::unshare(namespaces).map_err(at("make namespaces"))
}

/// Builds everything. `trees` holds the root, `/dev` and then one tree for each bind.
pub(super) fn build(build: &Build, trees: Vec<OwnedFd>) -> Result<(), Failure> {
    let mut trees = trees.into_iter();
    let mut tree =
        || trees.next().ok_or_else(|| at("trees")(io::Error::from_raw_os_error(libc::EBADF)));
    let (root, dev) = (tree()?, tree()?);
    ids_take().map_err(at("become the job's root"))?;
    let detached = Detached::open(build, dev)?;
    root_enter(&root).map_err(at("change the root"))?;
    detached.place()?;
    groups::show(&build.groups);
    for (target, tree) in build.binds.iter().zip(trees) {
        bind_place(target, &tree)?;
    }
    rustix::system::sethostname(build.hostname.as_bytes()).map_err(at("set the host name"))?;
    sys::loopback_up().map_err(at("bring loopback up"))?;
    if let Some(link) = &build.link {
        network::inside_up(link).map_err(at("configure the network link"))?;
    }
    sys::keyring_leave();
    Ok(())
}

/// Mounts that need the host's tree, or a visible `/proc`, to be made.
struct Detached {
    proc: OwnedFd,
    sys: OwnedFd,
    dev: OwnedFd,
    pts: OwnedFd,
    shm: OwnedFd,
    empty_file: OwnedFd,
}

impl Detached {
    fn open(build: &Build, dev: OwnedFd) -> Result<Self, Failure> {
        let hint = "mount proc (is the host's /proc itself partly hidden, as in a container?)";
        let shm_size = build.shm_bytes.map(|bytes| bytes.to_string());
        let mut shm = vec![("mode", "1777")];
        shm.extend(shm_size.as_deref().map(|size| ("size", size)));
        let nosuid = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        Ok(Self {
            proc: filesystem("proc", &[], QUIET).map_err(at(hint))?,
            sys: filesystem("sysfs", &[], QUIET | MountAttrFlags::MOUNT_ATTR_RDONLY)
                .map_err(at("mount sysfs"))?,
            dev,
            pts: filesystem("devpts", &[("mode", "620"), ("ptmxmode", "666")], nosuid)
                .map_err(at("mount devpts"))?,
            shm: filesystem(
                "tmpfs",
                &shm,
                MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV,
            )
            .map_err(at("mount /dev/shm"))?,
            empty_file: tree("/dev/null").map_err(at("open /dev/null"))?,
        })
    }

    fn place(self) -> Result<(), Failure> {
        place(&self.proc, "/proc")?;
        network_open();
        place(&self.sys, "/sys")?;
        place(&self.dev, "/dev")?;
        place(&self.pts, "/dev/pts")?;
        place(&self.shm, "/dev/shm")?;
        hide(&self.empty_file)
    }
}

/// What runtimes of containers set in each network, and images are made for: who is not root may listen
/// on any port and ask by `ping`. It is the job's own network; before `/proc/sys` can be read only.
const NETWORK_OPEN: [(&str, &str); 2] =
    [("ip_unprivileged_port_start", "0"), ("ping_group_range", "0 65535")];

fn network_open() {
    for (name, value) in NETWORK_OPEN {
        let _kernels_without_it_go_without = fs::write(format!("/proc/sys/net/ipv4/{name}"), value);
    }
}

pub(super) fn filesystem(
    kind: &str,
    options: &[(&str, &str)],
    attributes: MountAttrFlags,
) -> io::Result<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in options {
        fsconfig_set_string(&context, *key, *value)?;
    }
    fsconfig_create(&context)?;
    Ok(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

fn tree(path: &str) -> io::Result<OwnedFd> {
    Ok(open_tree(CWD, path, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)?)
}

pub(super) fn attach(tree: &OwnedFd, path: &str) -> io::Result<()> {
    Ok(move_mount(tree, "", CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
}

fn place(tree: &OwnedFd, path: &str) -> Result<(), Failure> {
    let made = fs::create_dir_all(path);
    made.and_then(|()| attach(tree, path)).map_err(at(format!("place {path}")))
}

/// Makes the tree this process's root and lets go of the host's. `/proc` is only a place that
/// exists and can be reached on every host; it is given up with the rest.
fn root_enter(root: &OwnedFd) -> io::Result<()> {
    attach(root, "/proc")?;
    let folder = rustix::fs::open(
        "/proc",
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    rustix::process::fchdir(&folder)?;
    rustix::process::pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    Ok(rustix::process::chdir("/")?)
}

/// A group that is saved for this process and is none of the job's root's: by one id that differs the
/// kernel keeps that one from limiting this process (prlimit(2)), its descriptors or memory, say.
const APART: u32 = 1;

fn ids_take() -> io::Result<()> {
    rustix::thread::set_thread_groups(&[])?;
    // A range of one id has no other.
    rustix::thread::set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::from_raw(APART))
        .or_else(|_| rustix::thread::set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT))?;
    rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT)?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    privilege::die_with_parent()
}

fn hide(empty_file: &OwnedFd) -> Result<(), Failure> {
    let files = HIDDEN_FILES.map(|name| format!("/proc/{name}"));
    cover(empty_file, files.iter().map(String::as_str).filter(|path| Path::new(path).exists()))?;
    let folders: Vec<_> =
        HIDDEN_FOLDERS.into_iter().filter(|path| Path::new(path).is_dir()).collect();
    if !folders.is_empty() {
        let options = [("mode", "555"), ("nr_inodes", "1")];
        let attributes = QUIET | MountAttrFlags::MOUNT_ATTR_RDONLY;
        let empty =
            filesystem("tmpfs", &options, attributes).map_err(at("make an empty folder"))?;
        cover(&empty, folders.into_iter())?;
    }
    for path in READ_ONLY_FOLDERS.map(|name| format!("/proc/{name}")) {
        if Path::new(&path).is_dir() {
            read_only(&path).map_err(at(format!("protect {path}")))?;
        }
    }
    Ok(())
}

/// Puts a mount over the first path and copies of it over the others. Copied from where it was put:
/// before Linux 6.15 a mount that stands nowhere cannot be copied.
fn cover<'a>(empty: &OwnedFd, paths: impl Iterator<Item = &'a str>) -> Result<(), Failure> {
    let mut first = None;
    for path in paths {
        let put = match first {
            None => attach(empty, path),
            Some(first) => tree(first).and_then(|copy| attach(&copy, path)),
        };
        put.map_err(at(format!("hide {path}")))?;
        first.get_or_insert(path);
    }
    Ok(())
}

fn read_only(path: &str) -> io::Result<()> {
    let copy = tree(path)?;
    let change =
        MountChange { set: u64::from(MountAttrFlags::MOUNT_ATTR_RDONLY.bits()), id_map: None };
    sys::mount_setattr(copy.as_fd(), change)?;
    attach(&copy, path)
}

fn bind_place(target: &Target, tree: &OwnedFd) -> Result<(), Failure> {
    let path = Path::new(&target.path);
    let made = if target.is_dir {
        fs::create_dir_all(path)
    } else if path.is_file() {
        // Opened for writing, it would be copied to disk first.
        Ok(())
    } else {
        let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
        folder.and_then(|()| fs::OpenOptions::new().append(true).create(true).open(path).map(drop))
    };
    // An existing file that cannot be opened (a host file that is not ours) is a place as well.
    made.or_else(|error| if path.exists() { Ok(()) } else { Err(error) })
        .and_then(|()| attach(tree, &target.path))
        .map_err(at(format!("place {}", target.path)))
}

/// Occupies 0, 1 and 2, so that what was the supervisor's output is out of the job's reach.
pub(super) fn null_stdio() -> io::Result<()> {
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    (0..3).try_for_each(|number| sys::descriptor_place(null.as_fd(), number))
}
