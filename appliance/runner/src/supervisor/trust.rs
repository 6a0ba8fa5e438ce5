//! Lays the certificates that a job trusts into the folder that it sees.
//!
//! Invariants: the root's own certificates are read as the job would find them, links resolved
//! within its root; a bundle is written once, whole, and shared by all jobs of one root.
//! On failure: the job runs without them, and is told.

use super::wire::Trust;
use crate::reach::{BUNDLES, TRUST};
use sandbox::Sandbox;
use std::{
    fs,
    io::{self, Read as _},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::Path,
};

/// Certificates of all public authorities take a quarter of a megabyte.
const BUNDLE_MAX: u64 = 4 << 20;

pub(super) fn lay(sandbox: &Sandbox, trust: &Trust, door: &Path) -> io::Result<()> {
    if !trust.bundle.exists() {
        write(sandbox, trust)?;
    }
    fs::hard_link(&trust.bundle, door.join(TRUST))
}

fn write(sandbox: &Sandbox, trust: &Trust) -> io::Result<()> {
    let mut text = fs::read(&trust.authority)?;
    if let Some(file) = BUNDLES.iter().find_map(|path| sandbox.open(Path::new(path)).ok())
        && file.metadata()?.is_file()
    {
        text.push(b'\n');
        file.take(BUNDLE_MAX).read_to_end(&mut text)?;
    }
    let folder = trust.bundle.parent().unwrap_or(Path::new("/"));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    // Another job of this root may be here as well: each writes its own, the last one stays.
    let draft = trust.bundle.with_extension(std::process::id().to_string());
    fs::write(&draft, text)?;
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o444))?;
    fs::rename(draft, &trust.bundle)
}
