//! Values at rest, sealed under the site key.
//!
//! Why: a stolen disk or backup without its key file gives no secrets away.
//! Form: version byte 1, 24 bytes of random nonce, XChaCha20-Poly1305 ciphertext with tag. The
//! place of the value (`project_env:<id>:NAME`) is authenticated with it, so that a sealed value
//! moved to another row does not open.

use crate::error::Error;
use base::secret::Secret;
use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead, KeyInit, Payload},
};
use std::fmt;
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const NONCE: usize = 24;

/// The key that seals secrets at rest: 32 random bytes, made at the first start.
#[derive(Clone)]
pub struct SiteKey(Zeroizing<[u8; 32]>);

impl fmt::Debug for SiteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SiteKey(…)")
    }
}

impl SiteKey {
    /// Takes the bytes of the key file.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.0).into())
    }

    /// Seals `plain` for the row named `place`.
    pub(crate) fn seal(&self, place: &str, plain: &[u8]) -> Result<Vec<u8>, Error> {
        let nonce: [u8; NONCE] = random()?;
        let payload = Payload { msg: plain, aad: place.as_bytes() };
        let sealed = self
            .cipher()
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| Error::Sealed { what: place.to_owned() })?;
        Ok([&[VERSION], &nonce[..], &sealed].concat())
    }

    /// Opens what [`SiteKey::seal`] made for the same place.
    pub(crate) fn open(&self, place: &str, stored: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let failed = || Error::Sealed { what: place.to_owned() };
        let rest = stored.strip_prefix(&[VERSION]).ok_or_else(failed)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE>().ok_or_else(failed)?;
        let payload = Payload { msg: sealed, aad: place.as_bytes() };
        let plain = self.cipher().decrypt(&XNonce::from(*nonce), payload).map_err(|_| failed())?;
        Ok(Zeroizing::new(plain))
    }

    /// As [`SiteKey::seal`], as hexadecimal digits: for what people and programs carry.
    pub(crate) fn seal_hex(&self, place: &str, plain: &[u8]) -> Result<Secret, Error> {
        let sealed = self.seal(place, plain)?;
        Ok(Secret::new(sealed.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
    }

    /// Opens what [`SiteKey::seal_hex`] made for the same place; `None` for everything else.
    pub(crate) fn open_hex(&self, place: &str, text: &str) -> Option<Zeroizing<Vec<u8>>> {
        let digits = text.as_bytes().chunks_exact(2);
        if !digits.remainder().is_empty() {
            return None;
        }
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let sealed: Vec<u8> = digits.map(byte).collect::<Option<_>>()?;
        self.open(place, &sealed).ok()
    }

    /// Opens a sealed text.
    pub(crate) fn open_text(&self, place: &str, stored: &[u8]) -> Result<Secret, Error> {
        let plain = self.open(place, stored)?;
        let text = std::str::from_utf8(&plain).map_err(|_| Error::Sealed { what: place.into() })?;
        Ok(Secret::new(text))
    }
}

/// Random bytes from the kernel.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Error::Form {
        what: "randomness from the kernel",
        source: std::sync::Arc::new(std::io::Error::from(error)),
    })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(place: &str, alter: impl Fn(&mut Vec<u8>), opens: bool) {
        let key = SiteKey::new([7; 32]);
        let mut stored = key.seal("project_env:1:TOKEN", b"hunter2").unwrap();
        alter(&mut stored);
        let opened = key.open_text(place, &stored);
        assert_eq!(opened.ok().map(|text| text.expose() == "hunter2"), opens.then_some(true));
    }

    #[test]
    fn opens_only_at_its_own_place_and_unaltered() {
        check("project_env:1:TOKEN", |_| (), true);
        check("project_env:2:TOKEN", |_| (), false);
        check("project_env:1:TOKEN", |bytes| bytes[30] ^= 1, false);
        check("project_env:1:TOKEN", |bytes| bytes.truncate(10), false);
        check("project_env:1:TOKEN", |bytes| bytes[0] = 2, false);
        check("project_env:1:TOKEN", Vec::clear, false);
    }

    #[test]
    fn the_key_cannot_be_printed() {
        assert_eq!(format!("{:?}", SiteKey::new([7; 32])), "SiteKey(…)");
    }
}
