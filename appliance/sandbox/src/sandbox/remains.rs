//! What is on the host because of a sandbox: scratch directory, control group, link.
//!
//! Invariants: the scratch directory is claimed first and removed last, and locked in between; a
//! failed removal leaves what a sweep finds.

use crate::{Error, Spec, cgroup::Group, network::Link, remove::remove_tree, spec::Root};
use std::{
    fs::{self, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::PathBuf,
};

/// What is on the host because of a sandbox; removed when dropped.
#[derive(Debug)]
pub(super) struct Remains {
    pub(super) scratch: PathBuf,
    /// Held for as long as the sandbox may live, so that a sweep leaves it alone.
    _lock: File,
    /// Held alike, so that layers that are in use are not removed.
    _layers: Vec<File>,
    pub(super) group: Option<Group>,
    /// A companion's group is its sandbox's, which removes it.
    pub(super) shares_group: bool,
    pub(super) link: Option<Link>,
    pub(super) removed: bool,
}

impl Remains {
    /// Makes the scratch directory and marks it as alive.
    pub(super) fn claim(spec: &Spec) -> Result<Self, Error> {
        let scratch = &spec.scratch;
        fs::DirBuilder::new()
            .mode(0o700)
            .create(scratch)
            .map_err(Error::path("make the scratch directory", scratch))?;
        let lock = File::open(scratch).map_err(Error::path("open", scratch))?;
        lock.try_lock().map_err(|error| Error::path("lock", scratch)(io::Error::from(error)))?;
        let layers = hold_layers(&spec.root);
        let layers = layers.inspect_err(|_| {
            let _made_just_now = fs::remove_dir(scratch);
        })?;
        Ok(Self {
            scratch: scratch.clone(),
            _lock: lock,
            _layers: layers,
            group: None,
            shares_group: false,
            link: None,
            removed: false,
        })
    }

    pub(super) fn remove(&mut self) -> Result<(), Error> {
        self.removed = true;
        let link = self.link.take().map_or(Ok(()), |link| link.remove());
        let group = self.group.as_ref().filter(|_| !self.shares_group);
        let group = group.map_or(Ok(()), Group::remove);
        // Whatever still lives in the group is found again through the scratch directory.
        let scratch = group.and_then(|()| {
            remove_tree(&self.scratch).map_err(Error::path("remove", &self.scratch))
        });
        link.and(scratch)
    }
}

fn hold_layers(root: &Root) -> Result<Vec<File>, Error> {
    let Root::Layers { lowers } = root else { return Ok(Vec::new()) };
    let hold = |layer: &PathBuf| {
        let folder = File::open(layer)?;
        folder.lock_shared()?;
        Ok(folder)
    };
    lowers
        .iter()
        .map(|layer| hold(layer).map_err(Error::path::<io::Error>("use the layer", layer)))
        .collect()
}

impl Drop for Remains {
    fn drop(&mut self) {
        if !self.removed {
            let _swept_at_the_next_start = self.remove();
        }
    }
}
