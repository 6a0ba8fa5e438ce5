//! What a disk says of its own health, through `smartctl`.
//!
//! Why a program: NVMe and SATA tell their health through commands to the device, which no file
//! shows. smartmontools knows thousands of devices; where it is not installed, nothing is asked.
//! Invariants: pure but for [`ask`]; a disk that sleeps is not woken; what a disk does not tell is
//! `None`. Heat is left out of the warnings, because it has sensors of its own.
//! Units: percent. Source: smartctl(8) `--json`, NVM Express Base Specification 2.0 (figure 208,
//! SMART / Health Information).
//! On failure: the reason in words; the disk is asked again at its next turn.

use crate::{Root, hooks};
use base::reading::DiskWarning;
use serde::Deserialize;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// A disk that repairs itself answers after seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
const PLACES: [&str; 4] = ["usr/sbin", "usr/bin", "usr/local/sbin", "sbin"];
/// Bits of smartctl's exit code that mean "no answer"; the others tell of the disk.
const NO_ANSWER: i32 = 0b11;
/// Bits of an NVMe drive's critical warning. Bit 1 is heat, which has sensors of its own.
const NVME_WARNINGS: [(u64, DiskWarning); 5] = [
    (1, DiskWarning::Spare),
    (1 << 2, DiskWarning::Degraded),
    (1 << 3, DiskWarning::ReadOnly),
    (1 << 4, DiskWarning::PowerCut),
    (1 << 5, DiskWarning::PersistentMemory),
];
/// Names of what counts the life that is left, from 100 down.
const LIFE_LEFT: [&str; 5] = [
    "SSD_Life_Left",
    "Wear_Leveling_Count",
    "Media_Wearout_Indicator",
    "Percent_Lifetime_Remain",
    "Percent_Life_Remaining",
];
/// Names of what counts data that could not be read.
const UNREADABLE: [&str; 3] =
    ["Reported_Uncorrect", "Offline_Uncorrectable", "Current_Pending_Sector"];

/// What a disk says of itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Health {
    /// Used share of its life, in percent; may pass 100.
    pub used: Option<f64>,
    /// Reserve blocks left, in percent.
    pub spare: Option<f64>,
    /// The reserve below which it gives warning, in percent.
    pub spare_bound: Option<f64>,
    /// Errors of the medium that were not mended: of a disk with sectors, those that it cannot read.
    pub media_errors: Option<u64>,
    /// What it warns of, the worst first.
    pub warnings: Vec<DiskWarning>,
}

/// Where smartctl is installed below `root`.
#[must_use]
pub fn smartctl(root: &Root) -> Option<PathBuf> {
    let mut places = PLACES.iter().map(|place| root.join(format!("{place}/smartctl")));
    places.find(|path| path.is_file())
}

/// Asks a disk, such as `/dev/nvme0n1`. Takes up to [`ANSWER_WITHIN`] and a little.
pub(crate) fn ask(program: &Path, disk: &Path) -> Result<Health, String> {
    let arguments = ["--json=c", "--health", "--attributes", "--nocheck=standby,0"];
    let arguments = arguments.into_iter().map(AsRef::as_ref).chain([disk.as_os_str()]);
    let (verdict, text) = hooks::ask(program, arguments, ANSWER_WITHIN);
    match verdict {
        hooks::Verdict::Done | hooks::Verdict::NotForMe => {}
        hooks::Verdict::Failed(code) if code & NO_ANSWER == 0 => {}
        _ => return Err(reason(&text).unwrap_or_else(|| format!("smartctl {verdict}"))),
    }
    parse(&text).ok_or_else(|| reason(&text).unwrap_or_else(|| "it tells no health".into()))
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    smartctl: About,
    smart_status: Option<Status>,
    #[serde(rename = "nvme_smart_health_information_log")]
    nvme: Option<Nvme>,
    #[serde(rename = "ata_smart_attributes")]
    ata: Option<Ata>,
}

#[derive(Deserialize, Default)]
struct About {
    #[serde(default)]
    messages: Vec<Message>,
}

#[derive(Deserialize)]
struct Message {
    string: String,
}

#[derive(Deserialize)]
struct Status {
    passed: bool,
}

#[derive(Deserialize)]
struct Nvme {
    #[serde(default)]
    critical_warning: u64,
    available_spare: Option<f64>,
    available_spare_threshold: Option<f64>,
    percentage_used: Option<f64>,
    media_errors: Option<u64>,
}

#[derive(Deserialize)]
struct Ata {
    #[serde(default)]
    table: Vec<Attribute>,
}

#[derive(Deserialize)]
struct Attribute {
    name: String,
    value: f64,
    raw: Raw,
}

#[derive(Deserialize)]
struct Raw {
    value: u64,
}

/// The health in smartctl's answer; `None` when the disk told nothing.
pub(crate) fn parse(text: &str) -> Option<Health> {
    let answer: Answer = serde_json::from_str(text).ok()?;
    if let Some(nvme) = answer.nvme {
        return Some(nvme.health());
    }
    let failing = answer.smart_status.as_ref().is_some_and(|status| !status.passed);
    let warnings = if failing { vec![DiskWarning::Failing] } else { Vec::new() };
    match answer.ata {
        Some(ata) => Some(ata.health(warnings)),
        None => answer.smart_status.map(|_| Health { warnings, ..Health::default() }),
    }
}

/// Why smartctl got no answer, in its own words.
pub(crate) fn reason(text: &str) -> Option<String> {
    let answer: Answer = serde_json::from_str(text).ok()?;
    answer.smartctl.messages.into_iter().next().map(|message| message.string)
}

impl Nvme {
    fn health(&self) -> Health {
        let is_set = |(bit, _): &&(u64, DiskWarning)| self.critical_warning & bit != 0;
        let set = NVME_WARNINGS.iter().filter(is_set);
        let mut warnings: Vec<DiskWarning> = set.map(|(_, warning)| *warning).collect();
        let spare = self.available_spare.zip(self.available_spare_threshold);
        if spare.is_some_and(|(left, bound)| left < bound) {
            warnings.push(DiskWarning::Spare);
        }
        warnings.sort_unstable();
        warnings.dedup();
        Health {
            used: self.percentage_used,
            spare: self.available_spare,
            spare_bound: self.available_spare_threshold,
            media_errors: self.media_errors,
            warnings,
        }
    }
}

impl Ata {
    fn health(&self, warnings: Vec<DiskWarning>) -> Health {
        let named = |names: &[&str]| -> Vec<&Attribute> {
            self.table.iter().filter(|one| names.contains(&one.name.as_str())).collect()
        };
        let used = named(&LIFE_LEFT).into_iter().map(|one| 100.0 - one.value);
        let errors = named(&UNREADABLE).into_iter().map(|one| one.raw.value);
        Health {
            used: used.reduce(f64::max).map(|used| used.clamp(0.0, 100.0)),
            media_errors: errors.max(),
            warnings,
            ..Health::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&Health>) {
        assert_eq!(parse(text).as_ref(), expected, "{text}");
    }

    fn nvme(spare: f64, warnings: &[DiskWarning]) -> Health {
        Health {
            used: Some(12.0),
            spare: Some(spare),
            spare_bound: Some(10.0),
            media_errors: Some(3),
            warnings: warnings.to_vec(),
        }
    }

    fn log(critical: u64, spare: u64) -> String {
        format!(
            r#"{{"smart_status":{{"passed":false}},"nvme_smart_health_information_log":{{
            "critical_warning":{critical},"available_spare":{spare},"available_spare_threshold":10,
            "percentage_used":12,"media_errors":3}}}}"#
        )
    }

    #[test]
    fn an_nvme_drive_tells_its_life_spare_and_errors() {
        use DiskWarning::{Degraded, PersistentMemory, PowerCut, ReadOnly, Spare};
        check(&log(0, 100), Some(&nvme(100.0, &[])));
        check(&log(2, 100), Some(&nvme(100.0, &[])));
        check(&log(4, 100), Some(&nvme(100.0, &[Degraded])));
        check(&log(1, 9), Some(&nvme(9.0, &[Spare])));
        check(&log(0, 9), Some(&nvme(9.0, &[Spare])));
        check(&log(0x38, 100), Some(&nvme(100.0, &[ReadOnly, PowerCut, PersistentMemory])));
    }

    #[test]
    fn a_sata_drive_tells_by_its_attributes() {
        let table = r#"{"smart_status":{"passed":true},"ata_smart_attributes":{"table":[
            {"id":177,"name":"Wear_Leveling_Count","value":93,"worst":93,"thresh":0,"raw":{"value":71,"string":"71"}},
            {"id":187,"name":"Reported_Uncorrect","value":100,"worst":100,"thresh":0,"raw":{"value":2,"string":"2"}}]}}"#;
        let told = Health { used: Some(7.0), media_errors: Some(2), ..Health::default() };
        check(table, Some(&told));
        let failing = Health { warnings: vec![DiskWarning::Failing], ..Health::default() };
        check(r#"{"smart_status":{"passed":false}}"#, Some(&failing));
    }

    #[test]
    fn no_answer_has_a_reason() {
        let text = r#"{"smartctl":{"exit_status":2,"messages":[
            {"string":"Smartctl open device: /dev/sdq failed: No such device","severity":"error"}]}}"#;
        check(text, None);
        assert!(reason(text).is_some_and(|why| why.ends_with("No such device")));
        check("nonsense", None);
        assert_eq!(reason(""), None);
    }
}
