//! Assembles the root file system of a job as one detached mount.
//!
//! Why detached: no mount of a job is ever visible on the host, so nothing is left to unmount
//! when a supervisor dies. The overlay is mounted by the host's root, which may mark deletions in
//! ways that a user namespace may not; its read-only layers are mapped to the job's ids, so that
//! one unpacked image serves all jobs without a copy.
//! Invariants: the calling process has a mount namespace of its own ([`private_mounts`]); its
//! working directory is the same afterwards.

mod device;

use crate::{
    Error, host_root,
    layer::{Layer, Node},
    spec::{LAYERS_MAX, Root, Spec, Storage},
    sys::{self, MountChange},
};
use rustix::{
    fs::{AtFlags, CWD, Gid, Mode, OFlags, Uid},
    mount::{
        MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount,
        mount_change, move_mount, open_tree, unmount,
    },
};
use std::{
    ffi::CString,
    fs, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

/// A folder that shows what is below it.
const PLAIN: Node = Node::Folder { mode: 0o755, opaque: false };

/// Names within the scratch directory.
const STAGE: &str = "stage";
const UPPER: &str = "upper";
const WORK: &str = "work";

/// The layer above the root's own, on a tmpfs: a job that changes nothing writes nothing to disk.
const OWN: &str = "own";

/// What becomes `/dev`, on the same tmpfs.
const DEV: &str = "dev";

static PRIVATE: AtomicBool = AtomicBool::new(false);

/// Moves this process, once, into a mount namespace of its own, which still follows the host's.
pub(crate) fn private_mounts() -> Result<(), Error> {
    if PRIVATE.load(Ordering::Relaxed) {
        return Ok(());
    }
    let hint = " (the supervisor must run as root with CAP_SYS_ADMIN)";
    let failed = |source: io::Error| Error::Kernel {
        action: "make a private mount namespace",
        hint,
        source,
    };
    sys::unshare(rustix::thread::UnshareFlags::NEWNS).map_err(failed)?;
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        .map_err(|errno| failed(errno.into()))?;
    PRIVATE.store(true, Ordering::Relaxed);
    Ok(())
}

/// Where the job's changes are kept with [`Storage::Disk`].
pub(crate) fn upper(spec: &Spec) -> PathBuf {
    spec.scratch.join(UPPER)
}

/// A file of the job's own that stands above its root: path below the root, and content.
pub(crate) type OwnFile = (&'static str, String);

/// What a job's tree is made of: the root, and what goes to `/dev` in it.
pub(crate) struct Trees {
    pub(crate) root: OwnedFd,
    pub(crate) dev: OwnedFd,
}

/// Mounts the root of `spec` with `files` in it, mapped to the ids of `user_namespace`.
pub(crate) fn assemble(
    spec: &Spec,
    files: &[OwnFile],
    user_namespace: BorrowedFd<'_>,
) -> Result<Trees, Error> {
    let stage = spec.scratch.join(STAGE);
    fs::create_dir(&stage).map_err(Error::path("make", &stage))?;
    let options = CString::new("mode=700,size=1m").expect("no zero byte");
    mount("tmpfs", &stage, "tmpfs", MountFlags::NOSUID | MountFlags::NOEXEC, options.as_c_str())
        .map_err(Error::path("mount a tmpfs on", &stage))?;
    let assembled = assemble_on(spec, files, &stage, user_namespace).and_then(|root| {
        let dev = stage.join(DEV);
        let made = layer_make(&device::layer(), &dev, spec).and_then(|()| tree_open(&dev, 0, None));
        Ok(Trees { root, dev: made.map_err(Error::path("make the job's devices in", &stage))? })
    });
    let detached = unmount(&stage, UnmountFlags::DETACH).map_err(Error::path("unmount", &stage));
    let trees = assembled?;
    detached.map(|()| trees)
}

fn assemble_on(
    spec: &Spec,
    files: &[OwnFile],
    stage: &Path,
    user_namespace: BorrowedFd<'_>,
) -> Result<OwnedFd, Error> {
    let own = layer_make(&own_layer(spec, files), &stage.join(OWN), spec);
    own.map_err(Error::path("make the job's own layer in", stage))?;
    let lowers = lowers(spec, stage, user_namespace)?;
    let writable = writable(spec, stage)?;
    let data = format!(
        "lowerdir={OWN}:{lowers},upperdir={writable}{UPPER},workdir={writable}{WORK},volatile"
    );
    let data = CString::new(data).expect("no zero byte");
    let mut flags = MountFlags::NODEV;
    flags.set(MountFlags::NOSUID, !spec.allow_privilege_gain);
    fs::create_dir(stage.join("root")).map_err(Error::path("make a folder in", stage))?;
    let overlay = || -> io::Result<OwnedFd> {
        mount("overlay", "root", "overlay", flags, data.as_c_str())?;
        Ok(open_tree(
            CWD,
            "root",
            OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC,
        )?)
    };
    // Relative names, because all of them must fit into one page.
    let hint = " (the scratch directory must be on ext4, xfs, btrfs or tmpfs, and the kernel needs overlayfs)";
    in_folder(stage, overlay).map_err(|source| Error::Kernel {
        action: "mount the overlay",
        hint,
        source,
    })
}

fn in_folder<T>(folder: &Path, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let before =
        rustix::fs::open(".", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::process::chdir(folder)?;
    let result = work();
    rustix::process::fchdir(&before)?;
    result
}

/// The value of `lowerdir`: top layer first.
fn lowers(spec: &Spec, stage: &Path, user_namespace: BorrowedFd<'_>) -> Result<String, Error> {
    let map = |number: usize, layer: &Path| {
        mapped(layer, &stage.join(number.to_string()), user_namespace)
    };
    match &spec.root {
        Root::Host(_) => Ok("/".to_owned()),
        Root::Directory { path } => map(0, path).map(|()| "0".to_owned()),
        Root::Layers { lowers } if lowers.is_empty() || lowers.len() > LAYERS_MAX => {
            Err(Error::Invalid {
                field: "root",
                value: format!("{} layers", lowers.len()),
                reason: "an image has 1 to 120 layers",
            })
        }
        Root::Layers { lowers } => {
            lowers.iter().enumerate().try_for_each(|(number, layer)| map(number, layer))?;
            let names: Vec<String> =
                (0..lowers.len()).rev().map(|number| number.to_string()).collect();
            Ok(names.join(":"))
        }
    }
}

fn layer_make(layer: &Layer, top: &Path, spec: &Spec) -> io::Result<()> {
    let here = top.parent().expect("a layer is made in the stage");
    in_folder(here, || Ok(layer.make(top, spec.ids.host_start)?))
}

/// Folders and files that a job has of its own, above what its root brings.
fn own_layer(spec: &Spec, files: &[OwnFile]) -> Layer {
    let mut layer = Layer::default();
    for name in ["dev", "etc", "proc", "sys"] {
        layer.put(Path::new(name), PLAIN);
    }
    for (path, content) in files {
        layer.put(Path::new(path), Node::File(content.clone()));
    }
    if let Root::Host(host) = &spec.root {
        host_root::add(&mut layer, &host.masks);
        host_root::places(&mut layer, &spec.places);
        bind_places(&mut layer, spec);
    }
    layer
}

/// Plans an empty file or folder where each bind goes, if its folder is in the layer already: made
/// later, through the overlay, the folder would first be copied to disk.
fn bind_places(layer: &mut Layer, spec: &Spec) {
    for bind in &spec.binds {
        let place = if bind.source.is_dir() { PLAIN } else { Node::File(String::new()) };
        layer.put_new(&bind.target, place);
    }
}

fn mapped(layer: &Path, place: &Path, user_namespace: BorrowedFd<'_>) -> Result<(), Error> {
    let tree =
        tree_open(layer, 0, Some(user_namespace)).map_err(Error::path("map the ids of", layer))?;
    fs::create_dir(place).map_err(Error::path("make", place))?;
    move_mount(&tree, "", CWD, place, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(Error::path("mount", layer))
}

/// A detached copy of the mount at `path`, changed.
pub(crate) fn tree_open(
    path: &Path,
    set: u64,
    id_map: Option<BorrowedFd<'_>>,
) -> io::Result<OwnedFd> {
    let tree =
        open_tree(CWD, path, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)?;
    if set != 0 || id_map.is_some() {
        sys::mount_setattr(tree.as_fd(), MountChange { set, id_map })?;
    }
    Ok(tree)
}

/// Makes the folders for changes; returns what precedes their names, as seen from the stage.
fn writable(spec: &Spec, stage: &Path) -> Result<&'static str, Error> {
    let (folder, prefix) = match spec.storage {
        Storage::Disk => (spec.scratch.clone(), "../"),
        Storage::Memory => (stage.join("memory"), "memory/"),
    };
    if spec.storage == Storage::Memory {
        fs::create_dir(&folder).map_err(Error::path("make", &folder))?;
        let size = spec.limits.disk.map_or(String::new(), |bytes| format!(",size={}", bytes.0));
        let options = CString::new(format!("mode=755{size}")).expect("no zero byte");
        mount("tmpfs", &folder, "tmpfs", MountFlags::NODEV, options.as_c_str())
            .map_err(Error::path("mount a tmpfs on", &folder))?;
    }
    let (uid, gid) = (Uid::from_raw(spec.ids.host_start), Gid::from_raw(spec.ids.host_start));
    for name in [UPPER, WORK] {
        let path = folder.join(name);
        fs::create_dir(&path).map_err(Error::path("make", &path))?;
        rustix::fs::chownat(CWD, &path, Some(uid), Some(gid), AtFlags::empty())
            .map_err(Error::path("change the owner of", &path))?;
    }
    Ok(prefix)
}
