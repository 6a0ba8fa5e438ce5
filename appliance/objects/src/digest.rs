//! Checksums of bytes as they pass: MD5 for the ETag, BLAKE3 for the store, and those of S3.
//!
//! Units: values are raw bytes, big-endian for the CRCs, as S3 encodes them in base64.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use crc_fast::CrcAlgorithm;
use md5::Md5;
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// A checksum algorithm of S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Algorithm {
    /// CRC-32.
    Crc32,
    /// CRC-32C.
    Crc32c,
    /// CRC-64/NVME.
    Crc64nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 5] =
        [Self::Crc32, Self::Crc32c, Self::Crc64nvme, Self::Sha1, Self::Sha256];

    /// Its name in S3.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// The header or trailer that carries its value.
    #[must_use]
    pub const fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// Length of a value in bytes.
    #[must_use]
    pub const fn length(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// By its S3 name, in any case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name().eq_ignore_ascii_case(name))
    }

    const fn crc(self) -> Option<CrcAlgorithm> {
        match self {
            Self::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            Self::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
            Self::Crc64nvme => Some(CrcAlgorithm::Crc64Nvme),
            Self::Sha1 | Self::Sha256 => None,
        }
    }

    /// The checksum of `first` and `second` one after the other, `second` being `size` bytes long;
    /// `None` where that cannot be told from the checksums alone.
    #[must_use]
    pub fn combined(self, first: &[u8], second: &[u8], size: u64) -> Option<Vec<u8>> {
        let crc = self.crc()?;
        let joined = crc_fast::checksum_combine(crc, number(first), number(second), size);
        Some(joined.to_be_bytes()[8 - self.length()..].to_vec())
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// A checksum in the making.
pub(crate) enum Running {
    Crc(Algorithm, crc_fast::Digest),
    Sha1(Sha1),
    Sha256(Sha256),
}

impl Running {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        match (algorithm.crc(), algorithm) {
            (Some(crc), _) => Self::Crc(algorithm, crc_fast::Digest::new(crc)),
            (None, Algorithm::Sha1) => Self::Sha1(Sha1::new()),
            (None, _) => Self::Sha256(Sha256::new()),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc(_, digest) => digest.update(bytes),
            Self::Sha1(digest) => digest.update(bytes),
            Self::Sha256(digest) => digest.update(bytes),
        }
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        match self {
            Self::Crc(algorithm, digest) => {
                digest.finalize().to_be_bytes()[8 - algorithm.length()..].to_vec()
            }
            Self::Sha1(digest) => digest.finalize().to_vec(),
            Self::Sha256(digest) => digest.finalize().to_vec(),
        }
    }
}

/// The checksum of bytes at hand.
#[must_use]
pub fn checksum(algorithm: Algorithm, bytes: &[u8]) -> Vec<u8> {
    let mut running = Running::new(algorithm);
    running.update(bytes);
    running.finish()
}

/// All sums of one stream, fed once.
pub(crate) struct Sums {
    pub(crate) size: u64,
    md5: Option<Md5>,
    sums: Vec<(Algorithm, Running)>,
}

/// What [`Sums`] found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Summed {
    pub(crate) size: u64,
    /// Zeros when it was not wanted.
    pub(crate) md5: [u8; 16],
    pub(crate) sums: Vec<(Algorithm, Vec<u8>)>,
}

impl Sums {
    pub(crate) fn new(wanted: &[Algorithm]) -> Self {
        let sums = wanted.iter().map(|one| (*one, Running::new(*one))).collect();
        Self { size: 0, md5: Some(Md5::new()), sums }
    }

    /// Where the MD5 is found elsewhere.
    pub(crate) fn without_md5(wanted: &[Algorithm]) -> Self {
        Self { md5: None, ..Self::new(wanted) }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
        for (_, running) in &mut self.sums {
            running.update(bytes);
        }
    }

    pub(crate) fn finish(self) -> Summed {
        Summed {
            size: self.size,
            md5: self.md5.map(|md5| md5.finalize().into()).unwrap_or_default(),
            sums: self.sums.into_iter().map(|(which, sum)| (which, sum.finish())).collect(),
        }
    }
}

impl Summed {
    /// The value of one of the sums that were asked for.
    pub(crate) fn get(&self, algorithm: Algorithm) -> Option<&[u8]> {
        self.sums.iter().find(|(which, _)| *which == algorithm).map(|(_, value)| value.as_slice())
    }
}

/// MD5 of bytes at hand.
pub(crate) fn md5(bytes: &[u8]) -> [u8; 16] {
    Md5::digest(bytes).into()
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = vec![0; 2 * bytes.len()];
    for (pair, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    }
    String::from_utf8(text).expect("digits are text")
}

/// The bytes of a hexadecimal text; `None` when it is not one.
#[must_use]
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()).collect()
}

/// Base64 with padding.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// The bytes of a base64 text; `None` when it is not one.
#[must_use]
pub fn unbase64(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(algorithm: Algorithm, expected: &str) {
        assert_eq!(hex(&checksum(algorithm, b"123456789")), expected, "{}", algorithm.name());
    }

    #[test]
    fn values_are_those_of_the_published_catalogues() {
        check(Algorithm::Crc32, "cbf43926");
        check(Algorithm::Crc32c, "e3069283");
        check(Algorithm::Crc64nvme, "ae8b14860a799888");
        check(Algorithm::Sha1, "f7c3bc1d808e04732adf679965ccc34ca7ae3441");
    }

    #[test]
    fn cyclic_sums_of_parts_combine_to_that_of_the_whole() {
        for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64nvme] {
            let (first, second) = (checksum(algorithm, b"1234"), checksum(algorithm, b"56789"));
            let joined = algorithm.combined(&first, &second, 5);
            assert_eq!(joined, Some(checksum(algorithm, b"123456789")));
        }
        assert_eq!(Algorithm::Sha1.combined(&[], &[], 0), None);
    }

    #[test]
    fn hexadecimal_is_read_back_and_refused_when_broken() {
        assert_eq!(unhex(&hex(&[0, 127, 255])), Some(vec![0, 127, 255]));
        assert_eq!(unhex("abc"), None);
        assert_eq!(unhex("zz"), None);
    }
}
