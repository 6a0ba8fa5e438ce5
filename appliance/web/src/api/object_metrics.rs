//! `/metrics` of the object store: what buckets hold, what that cost the disk, what was told.

use super::metrics::{Page, labels, number};
use objects::Account;

/// The rows to be added to the page.
pub(super) fn text(account: &Account) -> String {
    let mut page = Page(String::new());
    let all = |of: fn(&objects::BucketInfo) -> u64| {
        let row =
            move |info: &objects::BucketInfo| (labels(&[("bucket", &info.name)]), number(of(info)));
        account.buckets.iter().map(row).collect::<Vec<_>>()
    };
    let help = "Versions of objects.";
    page.metric(("appliance_bucket_objects", "gauge", help), all(|info| info.usage.objects));
    let help = "Their sizes, equal bytes counted each time.";
    page.metric(("appliance_bucket_bytes", "gauge", help), all(|info| info.usage.bytes));
    let bounded = |of: fn(&objects::BucketInfo) -> Option<u64>| {
        let row = move |info: &objects::BucketInfo| {
            Some((labels(&[("bucket", &info.name)]), number(of(info)?)))
        };
        account.buckets.iter().filter_map(row).collect::<Vec<_>>()
    };
    let help = "Versions that a bucket may hold, where that is bounded.";
    let objects = bounded(|info| info.quota.objects);
    page.metric(("appliance_bucket_quota_objects", "gauge", help), objects);
    let help = "Bytes that a bucket may hold, where that is bounded.";
    page.metric(("appliance_bucket_quota_bytes", "gauge", help), bounded(|info| info.quota.bytes));
    let help = "Bytes of objects taken in.";
    page.metric(
        ("appliance_object_taken_bytes_total", "counter", help),
        [("", number(account.taken))],
    );
    let help = "Bytes that the control plane sent to disks; its growth by that of the bytes taken in is the wear.";
    page.metric(
        ("appliance_disk_written_bytes_total", "counter", help),
        account.written.map(|bytes| ("", number(bytes))),
    );
    let help =
        "Bytes that the disk takes before writes are refused; a bucket may reach its quota before.";
    page.metric(
        ("appliance_object_room_bytes", "gauge", help),
        account.room.map(|bytes| ("", number(bytes))),
    );
    page.gauge(
        "appliance_object_rotten",
        "Stored blobs that are damaged and kept from readers.",
        number(account.rotten),
    );
    let help = "Damaged blobs whose bytes came back from the peer.";
    page.metric(("appliance_object_healed_total", "counter", help), [("", number(account.healed))]);
    let rows = |of: fn(&objects::NoticeTarget) -> u64| {
        let row = move |target: &objects::NoticeTarget| {
            let pairs = [("bucket", &*target.bucket), ("address", &*target.target)];
            (labels(&pairs), number(of(target)))
        };
        account.notices.iter().map(row).collect::<Vec<_>>()
    };
    let help = "Notices that wait for an address.";
    page.metric(("appliance_notices_waiting", "gauge", help), rows(|target| target.waiting));
    let help = "Notices that were told.";
    page.metric(("appliance_notices_told_total", "counter", help), rows(|target| target.told));
    let help = "Notices that were given up.";
    page.metric(("appliance_notices_lost_total", "counter", help), rows(|target| target.lost));
    let help = "Lines of access logs that found no room or could not be delivered.";
    page.metric(
        ("appliance_access_log_lines_lost_total", "counter", help),
        [("", number(account.log_lines_lost))],
    );
    page.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::time::Timestamp;
    use objects::{BucketInfo, Quota, Usage};

    fn account() -> Account {
        let bucket = |name: &str, bytes: Option<u64>| BucketInfo {
            name: name.into(),
            owner: "ann".into(),
            created: Timestamp(0),
            usage: Usage::default(),
            unfinished: Usage::default(),
            quota: Quota { bytes, objects: None },
        };
        Account {
            taken: 4096,
            written: Some(12_288),
            room: None,
            rotten: 0,
            healed: 2,
            buckets: vec![bucket("free", None), bucket("tight", Some(512))],
            notices: Vec::new(),
            log_lines_lost: 3,
        }
    }

    #[test]
    fn the_wear_can_be_told_from_two_counters() {
        let text = text(&account());
        assert!(text.contains("\nappliance_object_taken_bytes_total 4096\n"), "{text}");
        assert!(text.contains("\nappliance_disk_written_bytes_total 12288\n"), "{text}");
        assert!(text.contains("\nappliance_access_log_lines_lost_total 3\n"), "{text}");
        assert!(!text.contains("object_room"), "what is not known is left out: {text}");
    }

    #[test]
    fn a_bucket_that_is_bounded_tells_its_bound() {
        let text = text(&account());
        assert!(text.contains("\nappliance_bucket_quota_bytes{bucket=\"tight\"} 512\n"), "{text}");
        assert!(!text.contains("quota_bytes{bucket=\"free\"}"), "{text}");
        assert!(!text.contains("quota_objects"), "{text}");
    }
}
