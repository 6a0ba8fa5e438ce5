//! Checks an exported image as it is written: each blob has the digest that it is named by.
//!
//! Why: an archive that was damaged at the other side, or on its way, is found out when it is imported,
//! at a place where nobody can get it again.
//! Invariant: everything is passed on as it came, until a blob turns out to be damaged.
//! Memory: one header of the archive.

use super::blob_digest;
use crate::digest::hex;
use sha2::{Digest, Sha256};
use std::io::{self, Write};

/// A tar is made of blocks of so many bytes.
const BLOCK: usize = 512;

/// Passes an exported image on.
#[derive(Debug)]
pub struct Checked<W> {
    reference: String,
    to: W,
    /// What has come of the next header.
    header: Vec<u8>,
    /// The digest that the passing file is named by, and the hash of what came of it.
    blob: Option<(String, Sha256)>,
    /// Bytes of the file that are still to come.
    left: u64,
    /// Those behind it, up to the end of its last block.
    padding: u64,
    ended: bool,
}

impl<W: Write> Checked<W> {
    /// Writes the image of that name to `to`.
    pub fn new(reference: &str, to: W) -> Self {
        let (reference, header) = (reference.to_owned(), Vec::with_capacity(BLOCK));
        Self { reference, to, header, blob: None, left: 0, padding: 0, ended: false }
    }

    /// Where it broke off, for the error of whoever reads.
    pub fn broke_off(&self) -> String {
        let at = match &self.blob {
            Some((digest, _)) => format!(" at blob {digest}"),
            None => String::new(),
        };
        format!(
            "image `{}` broke off{at}: its bytes may be damaged in the registry, whose log tells",
            self.reference
        )
    }

    /// Gives back the place that was written to, if the image came whole.
    ///
    /// # Errors
    /// The archive has no end.
    pub fn finish(mut self) -> io::Result<W> {
        if !self.ended {
            return Err(io::Error::other(self.broke_off()));
        }
        self.to.flush()?;
        Ok(self.to)
    }

    /// Looks at what comes next; returns how many bytes that were.
    fn take(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let most = |wanted: u64| bytes.len().min(usize::try_from(wanted).unwrap_or(usize::MAX));
        if self.left > 0 {
            let taken = most(self.left);
            self.left -= taken as u64;
            if let Some((_, hasher)) = &mut self.blob {
                hasher.update(&bytes[..taken]);
            }
            return if self.left == 0 { self.compare().map(|()| taken) } else { Ok(taken) };
        }
        if self.padding > 0 {
            let taken = most(self.padding);
            self.padding -= taken as u64;
            return Ok(taken);
        }
        let taken = most((BLOCK - self.header.len()) as u64);
        self.header.extend_from_slice(&bytes[..taken]);
        if self.header.len() == BLOCK {
            self.begin()?;
        }
        Ok(taken)
    }

    /// A file begins, or the end of the archive.
    fn begin(&mut self) -> io::Result<()> {
        let block = std::mem::take(&mut self.header);
        if block.iter().all(|byte| *byte == 0) {
            self.ended = true;
            return Ok(());
        }
        let header = tar::Header::from_byte_slice(&block);
        self.left = header.entry_size()?;
        self.padding = self.left.next_multiple_of(BLOCK as u64) - self.left;
        let name = header.path()?;
        self.blob = blob_digest(&name.to_string_lossy()).map(|digest| (digest, Sha256::new()));
        if self.left == 0 { self.compare() } else { Ok(()) }
    }

    /// A file has ended.
    fn compare(&mut self) -> io::Result<()> {
        let Some((digest, hasher)) = self.blob.take() else { return Ok(()) };
        if digest == format!("sha256:{}", hex(&hasher.finalize())) {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!(
                "blob {digest} of image `{}` is damaged: import the image again",
                self.reference
            ),
        ))
    }
}

impl<W: Write> Write for Checked<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.take(bytes)?;
        self.to.write_all(&bytes[..taken])?;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(name: &str, bytes: &[u8]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, bytes) in [("index.json", b"{}".as_slice()), (name, bytes)] {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            tar.append_data(&mut header, name, bytes).unwrap();
        }
        tar.into_inner().unwrap()
    }

    /// Writes in pieces of `step` bytes; the whole, or the error.
    fn pass(archive: &[u8], step: usize) -> Result<Vec<u8>, String> {
        let mut to = Checked::new("a/b:1", Vec::new());
        let written = archive.chunks(step).try_for_each(|piece| to.write_all(piece));
        written.and_then(|()| to.finish()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_blob_that_is_not_what_its_name_says_is_named() {
        let bytes = vec![7; 1300];
        let digest = hex(&Sha256::digest(&bytes));
        let good = archive(&format!("blobs/sha256/{digest}"), &bytes);
        for step in [1, 500, 512, 100_000] {
            assert!(pass(&good, step).is_ok_and(|passed| passed == good), "{step}");
            let mut bad = good.clone();
            bad[3 * BLOCK + 1299] = 8;
            let told = pass(&bad, step).unwrap_err();
            assert!(told.contains(&digest) && told.contains("a/b:1"), "{told}");
            let told = pass(&good[..3 * BLOCK], step).unwrap_err();
            assert!(told.contains("broke off at blob") && told.contains(&digest), "{told}");
        }
        assert!(pass(&archive("blobs/sha256/x", b"no digest"), 9).is_ok());
    }
}
