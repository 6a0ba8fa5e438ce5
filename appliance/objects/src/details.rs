//! What a row tells of an object beside its size and ETag, as JSON.
//!
//! Invariants: unknown fields are kept out by being ignored, missing ones have a default, so that
//! rows of older and newer programs can be read.

use crate::{digest::Algorithm, error::Error};
use base::time::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, sync::Arc};

/// Details of one version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Details {
    /// HTTP headers that are given back as they came (`content-type`, `cache-control` …).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) headers: BTreeMap<String, String>,
    /// `x-amz-meta-…` without the prefix.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) user: BTreeMap<String, String>,
    /// Object tags in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tags: Vec<(String, String)>,
    /// The checksum that the sender gave or asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) checksum: Option<Checksum>,
    /// Who stored it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) owner: String,
    /// Who else may do what; `None` is private.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) grants: Option<Vec<Grant>>,
    /// How it is encrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) encryption: Option<Encryption>,
    /// The wrapped key of its blob, when it is encrypted and in one piece.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seal: Option<String>,
    /// Number of parts that it was uploaded in; `None` when it came whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parts: Option<u32>,
    /// The upload that made it, so that a completion whose answer was lost can be told again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) upload: Option<String>,
    /// Until when it must not be removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retention: Option<Retention>,
    /// It must not be removed at all.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) legal_hold: bool,
    /// Storage class as the client named it; `None` is STANDARD.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) class: Option<String>,
}

/// Details of one piece of a version or of one uploaded part.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct PieceDetails {
    /// The wrapped key of its blob.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seal: Option<String>,
    /// Its checksum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) checksum: Option<Checksum>,
}

/// A checksum that S3 reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checksum {
    /// How it was computed.
    pub(crate) algorithm: Algorithm,
    /// Base64; for a composite one with `-<parts>` behind.
    pub(crate) value: String,
    /// Computed over the parts' checksums instead of over all bytes.
    #[serde(default)]
    pub(crate) composite: bool,
}

/// A permission of an access control list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Grant {
    /// To whom.
    pub(crate) to: Grantee,
    /// `READ`, `WRITE`, `READ_ACP`, `WRITE_ACP` or `FULL_CONTROL`.
    pub(crate) permission: String,
}

/// Who is given a permission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Grantee {
    /// One owner of keys.
    User(String),
    /// Anybody, without a key too.
    Everyone,
    /// Anybody with a key.
    Authenticated,
    /// The group that delivers access logs; stored and shown, and nobody is in it.
    LogDelivery,
}

/// How an object is encrypted at rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Encryption {
    /// Under the room's own key (SSE-S3).
    Site,
    /// Under a named key of the room's key ring (SSE-KMS).
    Named(String),
    /// Under a key that the client brings each time (SSE-C); its MD5 in base64.
    Customer(String),
}

/// A promise not to remove a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Retention {
    /// Nobody may lift it (COMPLIANCE); otherwise who has the permission may (GOVERNANCE).
    pub(crate) compliance: bool,
    /// Its end.
    pub(crate) until: Timestamp,
}

/// Reads stored details; `what` names them in the error.
pub(crate) fn parse<T: DeserializeOwned>(what: &str, text: &str) -> Result<T, Error> {
    serde_json::from_str(text)
        .map_err(|source| Error::Details { what: what.to_owned(), source: Arc::new(source) })
}

/// Writes details for a row.
pub(crate) fn text<T: Serialize>(details: &T) -> String {
    serde_json::to_string(details).expect("details are plain data with text keys")
}
