//! What a disk says of itself, and what follows from it.
//!
//! Why by kind: a drive that loses sectors, one whose reserve is used up and one that the kernel has
//! given up need other hands. Of several ills of one disk all are told, and the worst gives reason
//! and remedy. Source: NVM Express Base Specification 2.0, figure 208; kernel, `nvme/host`.

use super::{Facts, Finding, Severity, bad, unknown, unknown_until, well};
use crate::{
    doctor::{DiskFacts, Untold},
    smart::Health,
};
use base::reading::DiskWarning;
use std::collections::BTreeSet;

const COPY: &str = "copy the data directory away while the service is stopped";
/// Many drives sleep so deeply that they do not wake again.
const NO_SLEEP: &str = "nvme_core.default_ps_max_latency_us=0";

/// One thing that is wrong with a disk.
struct Ill {
    severity: Severity,
    what: String,
    why: &'static str,
    remedy: String,
}

/// A line for each disk that is not well; one line when all are, or when none tells.
pub(super) fn health(facts: &Facts) -> Vec<Finding> {
    let mut known = BTreeSet::new();
    // Two file systems on one disk are one patient.
    let disks = facts.disks.iter();
    let disks: Vec<&DiskFacts> =
        disks.filter(|disk| disk.device.as_ref().is_none_or(|path| known.insert(path))).collect();
    let sick: Vec<Finding> = disks.iter().filter_map(|disk| judge(disk)).collect();
    if !sick.is_empty() {
        return sick;
    }
    if disks.iter().any(|disk| disk.health.is_ok()) {
        return vec![well("disk-health", "the disk says that it is well".into())];
    }
    let answer = disks.iter().find_map(|disk| match &disk.health {
        Err(Untold::NoAnswer(why)) => Some(why),
        _ => None,
    });
    vec![match answer {
        Some(why) => unknown_until(
            "disk-health",
            &format!("what the disk says of itself (smartctl: {why})"),
            "nothing, if the disk is virtual or a card; else run the doctor as root",
        ),
        None => unknown_until(
            "disk-health",
            "what the disk says of itself",
            "install smartmontools if the disk is NVMe or SATA; run the doctor as root",
        ),
    }]
}

/// How much of its life the most worn disk has used.
pub(super) fn wear(facts: &Facts) -> Finding {
    let used = facts.disks.iter().filter_map(|disk| Some((disk, disk.health.as_ref().ok()?.used?)));
    let Some((disk, used)) = used.max_by(|a, b| a.1.total_cmp(&b.1)) else {
        return unknown("flash-wear", "the flash's age");
    };
    let what = format!("{}: {used:.0} % of the life that its maker promises is used", name(disk));
    let severity = match used {
        used if used >= 100.0 => Severity::Critical,
        used if used >= 80.0 => Severity::Warning,
        _ => return well("flash-wear", what),
    };
    bad(
        severity,
        "flash-wear",
        what,
        "beyond it flash forgets what it holds without power, and becomes read-only",
        format!("{COPY}, and replace the disk"),
    )
}

fn judge(disk: &DiskFacts) -> Option<Finding> {
    let device = disk.device.as_ref().map_or("DISK".into(), |path| path.display().to_string());
    let more = format!("`smartctl -x {device}` tells more");
    let mut ills: Vec<Ill> = disk.controller.as_deref().and_then(controller).into_iter().collect();
    if let Ok(health) = &disk.health {
        ills.extend(health.warnings.iter().map(|warning| warned(*warning, health, &more)));
        ills.extend(unreadable(disk, health, &more));
    }
    let said: Vec<&str> = ills.iter().map(|ill| ill.what.as_str()).collect();
    let what = format!("{}: {}", name(disk), said.join(", "));
    // Of equals the first: they come in the order of what is done first.
    let worst = ills.iter().rev().max_by_key(|ill| ill.severity)?;
    Some(bad(worst.severity, "disk-health", what, worst.why, worst.remedy.clone()))
}

fn name(disk: &DiskFacts) -> String {
    match &disk.device {
        Some(device) => format!("{} below {}", device.display(), disk.mount),
        None => disk.mount.clone(),
    }
}

/// A controller that does not live; nothing while it does.
fn controller(state: &str) -> Option<Ill> {
    let ill = match state {
        "live" => return None,
        "new" | "resetting" | "connecting" => Ill {
            severity: Severity::Warning,
            what: format!("its controller does not answer now (\"{state}\")"),
            why: "requests wait until it answers, and fail when it does not",
            remedy: format!(
                "ask again in a minute; `dmesg | grep nvme` tells how often it happens. If it comes back, start the kernel with {NO_SLEEP}, and see to the plug and the cooling"
            ),
        },
        _ => Ill {
            severity: Severity::Critical,
            what: format!("the kernel has given its controller up (\"{state}\")"),
            why: "nothing on it can be read or written until the machine is switched off and on",
            remedy: format!(
                "keep the output of `dmesg | grep nvme`, and switch the machine off and on. If the disk is back, {COPY}, and replace it; if it goes while nothing is done, start the kernel with {NO_SLEEP}"
            ),
        },
    };
    Some(ill)
}

fn warned(warning: DiskWarning, health: &Health, more: &str) -> Ill {
    use DiskWarning::{Degraded, Failing, PersistentMemory, PowerCut, ReadOnly, Spare};
    let what = match (warning, health.spare, health.spare_bound) {
        (Spare, Some(left), Some(bound)) => {
            format!("its reserve of blocks is at {left:.0} %, its own bound is {bound:.0} %")
        }
        _ => warning.words().to_owned(),
    };
    let (why, remedy) = match warning {
        ReadOnly => (
            "nothing can be kept any more, and it never becomes writable again",
            format!("{COPY} as long as it can be read, and replace the disk; {more}"),
        ),
        Failing => (
            "a disk that says so may end at any hour",
            format!("{COPY} today, and replace the disk; {more}"),
        ),
        Degraded => (
            "what it holds may be read wrong or not at all, and it may end at any hour",
            format!("{COPY} today, and replace the disk; {more}"),
        ),
        PowerCut => (
            "what was acknowledged may be lost at the next power cut",
            "give the machine a battery until the disk is replaced, and replace it".to_owned(),
        ),
        Spare => (
            "blocks that die are replaced from it; without it the disk takes no more writes",
            format!("{COPY}, and replace the disk; {more}"),
        ),
        PersistentMemory => (
            "the appliance does not use it, but the disk is not what it was",
            format!("replace the disk when it can be; {more}"),
        ),
    };
    let severity = match warning {
        PersistentMemory => Severity::Warning,
        _ => Severity::Critical,
    };
    Ill { severity, what, why, remedy }
}

/// NVMe counts what its own mending could not bring back, SATA the sectors that it cannot read.
fn unreadable(disk: &DiskFacts, health: &Health, more: &str) -> Option<Ill> {
    let count = health.media_errors.filter(|count| *count > 0)?;
    let is_nvme = disk.controller.is_some()
        || disk.device.as_ref().is_some_and(|path| path.to_string_lossy().contains("nvme"));
    let (what, why) = match is_nvme {
        true => (
            format!("{count} media errors: data that its own mending could not bring back"),
            "what stood there is lost, and a disk with such errors gets more of them",
        ),
        false => (
            format!("{count} sectors that it cannot read"),
            "a disk that loses sectors loses more of them, and may end at any time",
        ),
    };
    let remedy = format!("{COPY}, and replace the disk; {more}");
    Some(Ill { severity: Severity::Warning, what, why, remedy })
}
