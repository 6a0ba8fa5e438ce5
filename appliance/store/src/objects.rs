//! Buckets, objects, uploads, access keys and the blobs behind them.
//!
//! Why: the room that keeps bytes decides what is stored where; the rows are kept here.
//! Invariants: a blob's `refs` is the number of rows that name it, changed in the same transaction
//! as those rows; at most one version of a key is the latest; a file named by a blob is durable
//! before its row is written, and is removed after the row is gone.
//! Units: sizes in bytes, times in microseconds. `details`, `settings` and `scope` are JSON texts
//! that this room does not read.

mod access;
mod blobs;
mod buckets;
mod keeping;
mod notices;
mod uploads;
mod versions;

pub use access::{AccessKeyRow, NewAccessKey};
pub use blobs::{BlobRow, Held, NewBlob};
pub use buckets::{BucketRow, NewBucket, Usage};
pub use keeping::Quota;
pub use notices::{NOTICE_WAIT_MAX, NOTICES_MAX, NoticeRow, NoticeTarget};
pub use uploads::{NewPart, PartRow, UploadRow};
pub use versions::{Naming, NewObject, ObjectRow, PieceRow};
