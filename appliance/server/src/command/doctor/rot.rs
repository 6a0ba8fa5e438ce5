//! Stored bytes that are damaged, and the peer that would give them back.

use crate::{client::Client, config::Config, object_place};
use hardware::doctor::{Finding, Severity};
use http_body_util::{BodyExt, Limited};
use std::{future::Future, path::Path};

/// Metrics of many buckets stay below this.
const METRICS_MAX: usize = 8 << 20;

/// What was found of the peer: its address, and why it cannot be asked.
type Peer<'a> = Option<(&'a str, Result<(), String>)>;

pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let peer = config.objects.peer.as_deref();
    // One that cannot be used at all is told with what a start refuses.
    let usable = object_place::peer(config).ok().flatten();
    let reached = usable.map(|peer| answer(async move { anyhow::Ok(peer.reach().await) }));
    let reached = reached.map(|told| told.unwrap_or_else(|| Err("it does not answer".into())));
    let damaged = damaged(&config.data_dir);
    let mut found: Vec<Finding> = damaged.map(|count| of_bytes(count, peer)).into_iter().collect();
    found.extend(of_peer(peer.zip(reached)));
    found
}

fn answer<T>(asked: impl Future<Output = anyhow::Result<T>>) -> Option<T> {
    let asked = async { anyhow::Ok(tokio::time::timeout(super::ANSWER, asked).await??) };
    crate::block_on(asked).ok()
}

/// Blobs that the appliance keeps from readers, if it runs.
fn damaged(data_dir: &Path) -> Option<u64> {
    let client = Client::local(data_dir);
    let text = answer(async move {
        let page = Limited::new(client.stream("/metrics").await?, METRICS_MAX).collect().await;
        page.map(|page| page.to_bytes()).map_err(|error| anyhow::anyhow!(error))
    });
    count(&String::from_utf8_lossy(&text?))
}

fn count(metrics: &str) -> Option<u64> {
    let mut lines = metrics.lines();
    lines.find_map(|line| line.strip_prefix("appliance_object_rotten ")?.trim().parse().ok())
}

fn of_bytes(count: u64, peer: Option<&str>) -> Finding {
    let check = "stored-bytes";
    if count == 0 {
        return super::start::well(check, "none are known to be damaged".into());
    }
    let what = format!("{count} stored blobs are damaged and kept from readers");
    let remedy = match peer {
        None => {
            "name an S3 that has the same objects (`objects_peer`), restore them from a backup, or upload them again"
        }
        Some(_) => {
            "the log says what the peer lacks: put it there, restore it from a backup, or upload it again"
        }
    };
    let why = "downloads, jobs and images that need them fail";
    Finding { check, severity: Severity::Critical, what, why, remedy: remedy.into(), fix: None }
}

fn of_peer(peer: Peer<'_>) -> Option<Finding> {
    let check = "objects-peer";
    let (address, reached) = peer?;
    let Err(reason) = reached else {
        return Some(super::start::well(check, format!("{address} answers")));
    };
    let what = format!("{address} cannot be asked: {reason}");
    let why = "stored bytes that are damaged are not had from there";
    let remedy = "see that it runs, that the key in `objects_peer_options` may read and list there, and that its authority stands in `outward_roots`";
    Some(Finding {
        check,
        severity: Severity::Warning,
        what,
        why,
        remedy: remedy.into(),
        fix: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_bytes_are_told_with_what_helps() {
        let page = "# TYPE appliance_object_rotten gauge\nappliance_object_rotten 3\n";
        assert_eq!(count(page), Some(3));
        assert_eq!(count("appliance_object_rotten_else 3\n"), None);
        assert_eq!(of_bytes(0, None).severity, Severity::Ok);
        let told = of_bytes(3, None);
        assert_eq!(told.severity, Severity::Critical);
        assert!(told.remedy.contains("objects_peer"), "{}", told.remedy);
        let told = of_bytes(3, Some("https://hub.site"));
        assert!(told.remedy.contains("what the peer lacks"), "{}", told.remedy);
    }

    #[test]
    fn a_peer_that_cannot_be_asked_is_told() {
        assert_eq!(of_peer(None), None);
        let severity = |reached| of_peer(Some(("http://hub", reached))).unwrap().severity;
        assert_eq!(severity(Ok(())), Severity::Ok);
        assert_eq!(severity(Err("refused".into())), Severity::Warning);
    }
}
