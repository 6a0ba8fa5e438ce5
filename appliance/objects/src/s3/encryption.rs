//! Server-side encryption: which key seals an upload, and which opens an object.
//!
//! SSE-S3 uses the room's own key, SSE-KMS a key derived from it by name (there is no key service
//! here), SSE-C a key that the client brings with every request. A client's key is never stored:
//! only its MD5 is, as S3 does, and a blob's own key wrapped by it.
//! Source: "Protecting data with server-side encryption" of the S3 user guide.

use super::{
    call::Call,
    error::{Code, S3Error},
    route::set,
};
use crate::{bucket::Bucket, details::Encryption, digest, objects::Objects, seal::Key};
use axum::response::Response;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

const SSE: &str = "x-amz-server-side-encryption";
const SSE_KEY_ID: &str = "x-amz-server-side-encryption-aws-kms-key-id";

/// The headers of a client's key: algorithm, key, and the key's MD5.
type Names = [&'static str; 3];

/// For the object itself.
pub(super) const OWN: Names = [
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-server-side-encryption-customer-key",
    "x-amz-server-side-encryption-customer-key-md5",
];

/// For the source of a copy.
pub(super) const SOURCE: Names = [
    "x-amz-copy-source-server-side-encryption-customer-algorithm",
    "x-amz-copy-source-server-side-encryption-customer-key",
    "x-amz-copy-source-server-side-encryption-customer-key-md5",
];

/// How an upload is sealed.
#[derive(Clone, Default)]
pub(super) struct Sealing {
    pub(super) encryption: Option<Encryption>,
    /// Wraps the key of each blob; `None` leaves the bytes plain.
    pub(super) wrap: Option<Key>,
}

impl Sealing {
    pub(super) fn new(objects: &Objects, encryption: Option<Encryption>, own: Option<Key>) -> Self {
        let wrap = own.or_else(|| objects.wrapping_key(encryption.as_ref()));
        Self { encryption, wrap }
    }
}

fn invalid(what: &str) -> S3Error {
    Code::InvalidArgument.says(what)
}

/// The key that a client brings, and its MD5 in base64.
fn customer(call: &Call, names: Names) -> Result<Option<(Key, String)>, S3Error> {
    let [algorithm, key, sum] = names.map(|name| call.header(name));
    if algorithm.is_none() && key.is_none() && sum.is_none() {
        return Ok(None);
    }
    if algorithm != Some("AES256") {
        return Err(Code::InvalidEncryptionAlgorithmError.into());
    }
    let key = key.ok_or_else(|| {
        invalid("Requests specifying Server Side Encryption with Customer provided keys must provide an appropriate secret key.")
    })?;
    let sum = sum.ok_or_else(|| {
        invalid("Requests specifying Server Side Encryption with Customer provided keys must provide the client calculated MD5 of the secret key.")
    })?;
    let bytes = Zeroizing::new(digest::unbase64(key.trim()).unwrap_or_default());
    let fixed: [u8; 32] = bytes
        .as_slice()
        .try_into()
        .map_err(|_| invalid("The secret key was invalid for the specified algorithm."))?;
    let own = digest::base64(&digest::md5(&fixed));
    if !bool::from(own.as_bytes().ct_eq(sum.trim().as_bytes())) {
        return Err(invalid(
            "The calculated MD5 hash of the key did not match the hash that was provided.",
        ));
    }
    Ok(Some((Key::new(fixed), own)))
}

/// Encryption by the algorithm's name in S3 and the name of a key.
pub(super) fn named(algorithm: &str, key: Option<&str>) -> Result<Encryption, S3Error> {
    match (algorithm, key.map(str::trim).filter(|key| !key.is_empty())) {
        ("AES256", None) => Ok(Encryption::Site),
        ("AES256", Some(_)) => Err(invalid(
            "Server Side Encryption with AES256 cannot name a key: leave out the KMS key id.",
        )),
        ("aws:kms" | "aws:kms:dsse", Some(key)) => Ok(Encryption::Named(key.to_owned())),
        ("aws:kms" | "aws:kms:dsse", None) => Err(invalid(
            "Server Side Encryption with aws:kms must name a key: this server has no default one.",
        )),
        _ => Err(invalid("The encryption method specified is not supported")),
    }
}

/// How a new object is to be sealed: by its request, else by its bucket.
pub(super) fn of_upload(call: &Call, bucket: &Bucket) -> Result<Sealing, S3Error> {
    let own = customer(call, OWN)?;
    let encryption = match (call.header(SSE), call.header(SSE_KEY_ID), &own) {
        (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => {
            return Err(invalid(
                "Server Side Encryption with Customer provided key is incompatible with the encryption method specified",
            ));
        }
        (Some(name), key, None) => Some(named(name, key)?),
        (None, Some(_), None) => {
            return Err(invalid("A KMS key id was given without the encryption method aws:kms"));
        }
        (None, None, Some((_, sum))) => Some(Encryption::Customer(sum.clone())),
        (None, None, None) => bucket.settings.encryption.clone(),
    };
    Ok(Sealing::new(&call.objects, encryption, own.map(|(key, _)| key)))
}

/// The key of an object or upload that is encrypted as `encryption`, checked against the request.
pub(super) fn key_for(
    call: &Call,
    names: Names,
    encryption: Option<&Encryption>,
) -> Result<Option<Key>, S3Error> {
    let own = customer(call, names)?;
    match (encryption, own) {
        (Some(Encryption::Customer(_)), None) => Err(Code::InvalidRequest.says(
            "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object.",
        )),
        (Some(Encryption::Customer(sum)), Some((key, given))) => {
            if bool::from(sum.as_bytes().ct_eq(given.as_bytes())) {
                return Ok(Some(key));
            }
            Err(Code::InvalidRequest.says("The provided encryption parameters did not match the ones used originally."))
        }
        (_, Some(_)) => Err(Code::InvalidRequest.says(
            "The encryption parameters are not applicable to this object.",
        )),
        (encryption, None) => Ok(call.objects.wrapping_key(encryption)),
    }
}

/// A reader names no encryption but a key of its own.
pub(super) fn refuse_on_read(call: &Call) -> Result<(), S3Error> {
    if call.header(SSE).is_some() || call.header(SSE_KEY_ID).is_some() {
        return Err(invalid(
            "x-amz-server-side-encryption header is not supported for this operation.",
        ));
    }
    Ok(())
}

/// Tells how an object is encrypted.
pub(super) fn headers(response: &mut Response, encryption: Option<&Encryption>) {
    match encryption {
        None => {}
        Some(Encryption::Site) => set(response, SSE, "AES256"),
        Some(Encryption::Named(key)) => {
            set(response, SSE, "aws:kms");
            set(response, SSE_KEY_ID, key);
        }
        Some(Encryption::Customer(sum)) => {
            set(response, OWN[0], "AES256");
            set(response, OWN[2], sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(algorithm: &str, key: Option<&str>, expected: Option<&Encryption>) {
        assert_eq!(named(algorithm, key).ok().as_ref(), expected, "{algorithm} {key:?}");
    }

    #[test]
    fn algorithms_go_with_and_without_a_key_name() {
        check("AES256", None, Some(&Encryption::Site));
        check("AES256", Some("k"), None);
        check("aws:kms", Some("k"), Some(&Encryption::Named("k".into())));
        check("aws:kms", None, None);
        check("aes:kms", Some("k"), None);
    }
}
