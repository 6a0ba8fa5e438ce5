//! What a job will need, from what it needed before.
//!
//! Why: a job that needs six gigabytes must not start into two, and its name tells: the same job
//! of the same project peaks alike. The 95th percentile: one run that leaked does not hold it for
//! ever, and one that was lucky does not fool it.

use base::units::Bytes;

/// Runs that are looked at, the newest: a month of nightly builds.
pub const PEAKS_MAX: usize = 30;

/// Fewer runs tell nothing yet.
pub const PEAKS_MIN: usize = 3;

/// The 95th percentile of the peaks of a job's last runs; `None` while too few are known.
#[must_use]
pub fn peak_p95(peaks: &[Bytes]) -> Option<Bytes> {
    if peaks.len() < PEAKS_MIN {
        return None;
    }
    let mut sorted: Vec<Bytes> = peaks.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * 95).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(peaks: &[u64], expected: Option<u64>) {
        let peaks: Vec<Bytes> = peaks.iter().map(|peak| Bytes::mib(*peak)).collect();
        assert_eq!(peak_p95(&peaks), expected.map(Bytes::mib));
    }

    #[test]
    fn the_percentile_forgives_one_leak_in_a_month() {
        check(&[], None);
        check(&[10, 20], None);
        check(&[10, 30, 20], Some(30));
        let mut month: Vec<u64> = (1..=29).collect();
        month.push(9000);
        check(&month, Some(29));
    }
}
