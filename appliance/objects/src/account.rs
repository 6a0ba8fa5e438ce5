//! What the room holds, what it took in since the start, and what that cost the disk.
//!
//! Why: flash wears with every byte written, so that bytes written per byte stored is watched: the
//! quotient of the growth of [`Account::written`] and of [`Account::taken`].
//! Units: bytes. A number that cannot be read is left out.

use crate::{error::Error, objects::Objects, quota::BucketInfo};
use std::sync::atomic::Ordering;
use store::objects::NoticeTarget;

/// The account.
#[derive(Debug, Clone)]
pub struct Account {
    /// Bytes of objects and parts taken in since the start, equal ones counted each time.
    pub taken: u64,
    /// Bytes that this process sent to disks since its start, its database's among them.
    pub written: Option<u64>,
    /// Bytes that the disk still takes before writes are refused, whatever buckets' own quotas say;
    /// `None` for a remote place.
    pub room: Option<u64>,
    /// Blobs that are kept from readers.
    pub rotten: u64,
    /// Blobs that the peer healed since the start.
    pub healed: u64,
    /// All buckets.
    pub buckets: Vec<BucketInfo>,
    /// How telling of notices goes.
    pub notices: Vec<NoticeTarget>,
    /// Lines of access logs that found no room or no way since the start.
    pub log_lines_lost: u64,
}

/// `write_bytes` of `/proc/self/io` (proc(5)).
fn written(io: &str) -> Option<u64> {
    io.lines().find_map(|line| line.strip_prefix("write_bytes:")?.trim().parse().ok())
}

impl Objects {
    /// The account as it is now.
    ///
    /// # Errors
    /// [`Error::Index`].
    pub async fn account(&self) -> Result<Account, Error> {
        let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
        Ok(Account {
            taken: self.inner.vault.taken.load(Ordering::Relaxed),
            written: written(&io),
            room: self.inner.vault.left(),
            rotten: self.rotten().await?.len() as u64,
            healed: self.inner.healed.load(Ordering::Relaxed),
            buckets: self.bucket_infos().await?,
            notices: self.notice_targets(None).await?,
            log_lines_lost: self.inner.access_logs.lost(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_written_are_those_that_were_sent_to_the_disk() {
        assert_eq!(written("wchar: 9\nread_bytes: 1\nwrite_bytes: 4096\n"), Some(4096));
        assert_eq!(written("wchar: 9\n"), None);
    }
}
