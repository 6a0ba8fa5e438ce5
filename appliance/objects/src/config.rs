//! What the room is told when it opens.

use crate::peer::Peer;
use object_store::ObjectStore;
use std::{path::PathBuf, sync::Arc, time::Duration};

/// Where the bytes of large objects are kept.
#[derive(Debug, Clone)]
pub enum Place {
    /// A folder of this machine, made when absent; every write is synced.
    Folder(PathBuf),
    /// Another object store (S3, GCS, Azure), which is durable by its own promise.
    Remote(Arc<dyn ObjectStore>),
}

/// Settings of the room.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the bytes of large objects are kept.
    pub place: Place,
    /// Objects of at most this many bytes are kept in the database: one commit, no file.
    pub inline_max: usize,
    /// Host names whose first label is a bucket (`<bucket>.s3.site.example`); may be empty.
    pub domains: Vec<String>,
    /// Host names of this appliance: an image named `<one of them>/ns/app` is its own `ns/app`.
    pub own_names: Vec<String>,
    /// The region that clients are told, and that signatures may name.
    pub region: String,
    /// What addresses of notices begin with; without one nothing is told to anybody.
    pub webhook_allow: Vec<String>,
    /// Certificates (PEM) by which other machines are trusted.
    pub outward_roots: PathBuf,
    /// Another S3 with the same buckets and keys, asked for bytes that are damaged here.
    pub peer: Option<Peer>,
    /// Asked with each request by a key for a while, between two commits once: does that go on which
    /// the key was made for?
    pub session_stands: Stands,
    /// How long access logs of buckets are gathered before they become an object.
    pub log_period: Duration,
    /// Writes are refused when the folder's file system has less than this many bytes left.
    pub keep_free: u64,
}

/// Looks up whether something goes on.
pub type Stands = fn(&store::Reader<'_>, &str) -> Result<bool, store::Error>;

/// Up to here one commit into the database is cheaper than a file: a file costs two more syncs
/// and an inode, the database about the same bytes twice (log and home).
pub const INLINE_MAX: usize = 16 << 10;

/// Room that stays for the database and its log when objects fill the disk.
pub const KEEP_FREE: u64 = 256 << 20;

/// Seldom enough that a busy bucket makes few objects of its log, soon enough to be looked at.
const LOG_PERIOD: Duration = Duration::from_secs(300);

/// Where Debian, and most of what is like it, keeps the certificates of public authorities.
pub const ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

impl Config {
    /// The usual settings over a folder.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self::over(Place::Folder(folder.into()))
    }

    /// The usual settings over any place.
    #[must_use]
    pub fn over(place: Place) -> Self {
        Self {
            place,
            inline_max: INLINE_MAX,
            domains: Vec::new(),
            own_names: Vec::new(),
            region: "us-east-1".into(),
            webhook_allow: Vec::new(),
            outward_roots: ROOTS.into(),
            peer: None,
            session_stands: |_, _| Ok(true),
            log_period: LOG_PERIOD,
            keep_free: KEEP_FREE,
        }
    }
}
