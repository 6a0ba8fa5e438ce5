//! Bundles: many orbs in one tar archive, plain, gzip or zstd, to be carried on a stick.
//!
//! Shape: `NAMESPACE/ORB/VERSION.yml` for each, below any number of leading folders, so that the
//! store's own folder is a bundle, too. `dev:label` and addresses are named as in the store.

use crate::{error::Error, intake::Name};
use base::limits::CONFIG_MAX;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use pipeline::OrbReference;
use std::{
    io::{self, Read, Write},
    path::Path,
};

/// A bundle unpacked; every public orb in its newest version is a tenth of this.
const UNPACKED_MAX: u64 = 512 << 20;

/// Orbs of one bundle.
const ENTRIES_MAX: usize = 20_000;

/// What an entry's path says about the orb.
pub(crate) fn name_of(path: &str) -> Option<Name> {
    let mut parts = path.strip_suffix(".yml")?.rsplit('/');
    let (version, orb) = (parts.next()?, parts.next()?);
    if orb == "addresses" {
        let address = percent_decode_str(version).decode_utf8().ok()?;
        return address.parse().ok().filter(|name| matches!(name, Name::Address(_)));
    }
    let reference: OrbReference = format!("{}/{orb}@{version}", parts.next()?).parse().ok()?;
    Some(Name::Registry(reference))
}

/// The texts of an archive by path; `None` when the bytes are no archive.
pub(crate) fn unpack(bytes: &[u8], path: &Path) -> Result<Option<Vec<(String, String)>>, Error> {
    let is_tar = |bytes: &[u8]| bytes.get(257..262) == Some(b"ustar");
    if is_tar(bytes) {
        return entries(bytes, path).map(Some);
    }
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return entries(flate2::read::MultiGzDecoder::new(bytes), path).map(Some);
    }
    if bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        let decoder = zstd::Decoder::new(bytes).map_err(Error::io("unpack", path))?;
        return entries(decoder, path).map(Some);
    }
    Ok(None)
}

fn entries(reader: impl Read, path: &Path) -> Result<Vec<(String, String)>, Error> {
    let damaged = || Error::io("unpack", path);
    let limit = |what: &str| Error::Limit { path: path.into(), what: what.into() };
    let mut archive = tar::Archive::new(reader.take(UNPACKED_MAX));
    let mut found = vec![];
    for entry in archive.entries().map_err(damaged())? {
        let entry = entry.map_err(damaged())?;
        let name = entry.path().map_err(damaged())?.to_string_lossy().into_owned();
        if !entry.header().entry_type().is_file() || name_of(&name).is_none() {
            continue;
        }
        if found.len() >= ENTRIES_MAX {
            return Err(limit("more orbs than a bundle may hold: split it"));
        }
        let mut text = String::new();
        entry.take(CONFIG_MAX as u64 + 1).read_to_string(&mut text).map_err(damaged())?;
        if text.len() > CONFIG_MAX {
            return Err(limit(&format!("{name} is larger than {} MB", CONFIG_MAX >> 20)));
        }
        found.push((name, text));
    }
    Ok(found)
}

/// Writes orbs, each a whole reference and its source, as one bundle, gzip; the same orbs give the
/// same bytes. Returns how many were written.
///
/// # Errors
/// [`Error::Name`] for a partial reference, or when `out` cannot be written.
pub fn write(orbs: &[(String, String)], out: &mut impl Write) -> Result<usize, Error> {
    let unwritable = || Error::io("write", Path::new("the bundle"));
    let packer = flate2::write::GzEncoder::new(out, flate2::Compression::default());
    let mut builder = tar::Builder::new(packer);
    for (reference, text) in orbs {
        let path = match reference.parse()? {
            Name::Registry(OrbReference { name, version }) => format!("{name}/{version}.yml"),
            Name::Address(address) => {
                format!("addresses/{}.yml", utf8_percent_encode(&address, NON_ALPHANUMERIC))
            }
        };
        append(&mut builder, &path, text).map_err(unwritable())?;
    }
    builder.into_inner().and_then(flate2::write::GzEncoder::finish).map_err(unwritable())?;
    Ok(orbs.len())
}

fn append(builder: &mut tar::Builder<impl Write>, path: &str, text: &str) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_cksum();
    builder.append_data(&mut header, path, text.as_bytes())
}
