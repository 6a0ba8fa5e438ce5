//! Encryption of objects: a random key for each blob, wrapped by the key of who may read it.
//!
//! Form: the plain bytes are cut into [`CHUNK`]s; each is sealed with ChaCha20-Poly1305 under its
//! number as nonce, so that any range can be opened without the rest. A blob's key is used for
//! that blob alone, hence no nonce ever repeats. The wrapped key is a 24-byte nonce and the
//! XChaCha20-Poly1305 ciphertext.
//! On failure: a wrong wrapping key or altered bytes are [`Error::Sealed`] or [`Error::Damaged`].

use crate::{digest, error::Error};
use chacha20poly1305::{
    ChaCha20Poly1305, Nonce, XChaCha20Poly1305, XNonce,
    aead::{Aead, AeadInOut, KeyInit},
};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Plain bytes sealed together: large enough to cost little, small enough for ranges.
pub(crate) const CHUNK: usize = 64 << 10;

/// What sealing adds to each chunk.
pub(crate) const TAG: usize = 16;

const NONCE: usize = 24;

/// A key that cannot be printed and is overwritten when dropped.
#[derive(Clone)]
pub(crate) struct Key(Zeroizing<[u8; 32]>);

impl Key {
    pub(crate) fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(crate) fn random() -> Self {
        Self::new(random())
    }

    /// The bytes; for wrapping and for keeping it sealed in the store.
    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// Another key that tells nothing about this one.
    pub(crate) fn derive(&self, name: &str) -> Self {
        self.derive_bytes(name.as_bytes())
    }

    /// The same, by a name that is no text.
    pub(crate) fn derive_bytes(&self, name: &[u8]) -> Self {
        let mut mac = Hmac::<Sha256>::new_from_slice(&*self.0).expect("HMAC takes any key length");
        mac.update(name);
        Self::new(mac.finalize().into_bytes().into())
    }

    /// Wraps a blob's key for the details of its row.
    pub(crate) fn wrap(&self, inner: &Self) -> String {
        let nonce: [u8; NONCE] = random();
        let sealed = XChaCha20Poly1305::new((&*self.0).into())
            .encrypt(&XNonce::from(nonce), &inner.0[..])
            .expect("32 bytes are within the cipher's limit");
        digest::base64(&[&nonce[..], &sealed].concat())
    }

    /// Opens what [`Key::wrap`] made.
    pub(crate) fn unwrap(&self, wrapped: &str) -> Result<Self, Error> {
        let bytes = digest::unbase64(wrapped).ok_or(Error::Sealed)?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE>().ok_or(Error::Sealed)?;
        let plain = XChaCha20Poly1305::new((&*self.0).into())
            .decrypt(&XNonce::from(*nonce), sealed)
            .map_err(|_| Error::Sealed)?;
        let bytes: [u8; 32] = plain.try_into().map_err(|_| Error::Sealed)?;
        Ok(Self::new(bytes))
    }
}

/// Random bytes of the kernel.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the kernel gives random bytes once it has booted");
    bytes
}

/// Seals or opens the chunks of one blob.
pub(crate) struct Chunks(ChaCha20Poly1305);

impl Chunks {
    pub(crate) fn new(key: &Key) -> Self {
        Self(ChaCha20Poly1305::new((&*key.0).into()))
    }

    fn nonce(number: u64) -> Nonce {
        let mut bytes = [0; 12];
        bytes[4..].copy_from_slice(&number.to_be_bytes());
        Nonce::from(bytes)
    }

    /// Seals one chunk in place.
    pub(crate) fn seal(&self, number: u64, chunk: &mut Vec<u8>) {
        self.0
            .encrypt_in_place(&Self::nonce(number), b"", chunk)
            .expect("a chunk is within the cipher's limit");
    }

    /// Opens one chunk in place.
    pub(crate) fn open(&self, number: u64, chunk: &mut Vec<u8>) -> Result<(), Error> {
        self.0
            .decrypt_in_place(&Self::nonce(number), b"", chunk)
            .map_err(|_| Error::Damaged(format!("chunk {number}")))
    }
}

/// Where plain bytes `start..end` lie among sealed ones: the sealed range, the number of its first
/// chunk, and how many plain bytes to skip in it.
pub(crate) fn sealed_range(
    start: u64,
    end: u64,
    plain_size: u64,
) -> (std::ops::Range<u64>, u64, usize) {
    let (chunk, step) = (CHUNK as u64, (CHUNK + TAG) as u64);
    let first = start / chunk;
    let last = end.div_ceil(chunk);
    let skip = usize::try_from(start % chunk).expect("less than a chunk");
    (first * step..(last * step).min(sealed_size(plain_size)), first, skip)
}

/// Size of the sealed form of that many plain bytes.
pub(crate) fn sealed_size(plain: u64) -> u64 {
    plain + plain.div_ceil(CHUNK as u64) * TAG as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_key_opens_only_under_its_wrapping_key() {
        let (outer, inner) = (Key::random(), Key::random());
        let wrapped = outer.wrap(&inner);
        assert_eq!(outer.unwrap(&wrapped).unwrap().expose(), inner.expose());
        assert!(Key::random().unwrap(&wrapped).is_err());
        assert!(outer.unwrap("short").is_err());
    }

    #[test]
    fn a_chunk_opens_only_under_its_number_and_unaltered() {
        let chunks = Chunks::new(&Key::random());
        let mut sealed = b"plain".to_vec();
        chunks.seal(3, &mut sealed);
        assert!(chunks.open(4, &mut sealed.clone()).is_err());
        chunks.open(3, &mut sealed).unwrap();
        assert_eq!(sealed, b"plain");
    }

    fn check(start: u64, end: u64, size: u64, expected: (u64, u64, u64, usize)) {
        let (range, first, skip) = sealed_range(start, end, size);
        assert_eq!((range.start, range.end, first, skip), expected);
    }

    #[test]
    fn a_plain_range_is_found_among_sealed_chunks() {
        check(0, 1, 1, (0, 17, 0, 0));
        check(0, 65536, 65537, (0, 65552, 0, 0));
        check(65535, 65537, 65537, (0, 65552 + 17, 0, 65535));
        check(65536, 65537, 65537, (65552, 65552 + 17, 1, 0));
    }
}
