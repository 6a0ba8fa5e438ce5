//! Images of the local store, as a runner unpacks them.

use super::Presigned;
use serde::{Deserialize, Serialize};

/// An image of the local store, ready to be unpacked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSource {
    /// `sha256:…` of its manifest.
    pub digest: String,
    /// The OCI image configuration, as JSON text.
    pub config: String,
    /// Bottom layer first.
    pub layers: Vec<LayerSource>,
}

/// One layer of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerSource {
    /// `sha256:…` of the compressed bytes.
    pub digest: String,
    /// OCI media type.
    pub media_type: String,
    /// Compressed size.
    pub size: u64,
    /// Where to get it.
    pub from: Presigned,
}
