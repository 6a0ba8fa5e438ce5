//! What the doctor makes of smartctl's answers, in the forms in which NVMe, SATA and eMMC give them.

use super::{Severity::*, *};
use crate::smart::{parse, reason};

/// A drive's log page; what a row leaves out is as on a healthy one.
fn nvme(critical: u64, used: u64, spare: u64, media_errors: u64) -> String {
    format!(
        r#"{{"json_format_version":[1,0],
        "smartctl":{{"version":[7,3],"exit_status":{},"argv":["smartctl","--json=c"]}},
        "device":{{"name":"/dev/nvme0n1","type":"nvme","protocol":"NVMe"}},
        "smart_status":{{"passed":{},"nvme":{{"value":{critical}}}}},
        "nvme_smart_health_information_log":{{"critical_warning":{critical},"temperature":41,
        "available_spare":{spare},"available_spare_threshold":10,"percentage_used":{used},
        "data_units_read":18023541,"data_units_written":401123456,"power_on_hours":26011,
        "unsafe_shutdowns":44,"media_errors":{media_errors},"num_err_log_entries":19,
        "warning_temp_time":0,"critical_comp_time":0}},"temperature":{{"current":41}}}}"#,
        if critical == 0 { 0 } else { 8 },
        critical == 0
    )
}

/// A disk's attributes: name, value from 100 or 253 down, raw count.
fn sata(passed: bool, attributes: &[(&str, u64, u64)]) -> String {
    let row = |(name, value, raw): &(&str, u64, u64)| {
        format!(
            r#"{{"id":1,"name":"{name}","value":{value},"worst":{value},"thresh":0,"when_failed":"",
            "flags":{{"value":50,"string":"-O--CK "}},"raw":{{"value":{raw},"string":"{raw}"}}}}"#
        )
    };
    let table: Vec<String> = attributes.iter().map(row).collect();
    format!(
        r#"{{"json_format_version":[1,0],"smartctl":{{"version":[7,3],"exit_status":0}},
        "device":{{"name":"/dev/sda","type":"sat","protocol":"ATA"}},
        "smart_status":{{"passed":{passed}}},
        "ata_smart_attributes":{{"revision":16,"table":[{}]}}}}"#,
        table.join(",")
    )
}

const EMMC: &str = r#"{"json_format_version":[1,0],"smartctl":{"version":[7,3],"exit_status":1,
    "messages":[{"string":"/dev/mmcblk0: Unable to detect device type","severity":"error"}]}}"#;

fn heard(text: &str) -> Result<Health, Untold> {
    parse(text).ok_or_else(|| Untold::NoAnswer(reason(text).unwrap_or_default()))
}

/// The worst finding over one disk, and that it says all of `words` and none of `never`.
#[track_caller]
fn check_disk(
    device: &str,
    controller: Option<&str>,
    health: Result<Health, Untold>,
    (name, severity): (&str, Severity),
    words: &[&str],
    never: &[&str],
) {
    let mut facts = healthy();
    facts.disks = vec![DiskFacts {
        mount: "/".into(),
        device: Some(device.into()),
        controller: controller.map(str::to_owned),
        health,
    }];
    let found = check(&facts);
    let worst = found.iter().find(|one| one.check == name).expect("it is checked");
    assert_eq!(worst.severity, severity, "{worst:?}");
    assert!(found[0].severity <= severity.max(Advice), "{:?}", found[0]);
    let told = format!("{} · {} · {}", worst.what, worst.why, worst.remedy);
    for word in words {
        assert!(told.contains(word), "{word:?} is not in: {told}");
    }
    for word in never {
        assert!(!told.contains(word), "{word:?} is in: {told}");
    }
}

#[test]
fn a_drive_is_told_by_what_ails_it_and_not_by_sectors() {
    let drive = |log: &str, name, severity, words: &[&str]| {
        let health = heard(log);
        let never = ["sector", "appliance backup"];
        check_disk("/dev/nvme0n1", Some("live"), health, (name, severity), words, &never);
    };
    let sick = "disk-health";
    drive(&nvme(0, 12, 100, 0), sick, Ok, &["the disk says that it is well"]);
    // Heat alone has sensors of its own.
    drive(&nvme(2, 12, 100, 0), sick, Ok, &[]);
    drive(
        &nvme(1, 12, 4, 0),
        sick,
        Critical,
        &["reserve of blocks is at 4 %, its own bound is 10 %"],
    );
    drive(
        &nvme(4, 12, 100, 7),
        sick,
        Critical,
        &[
            "/dev/nvme0n1 below /: its own errors have made it unreliable, 7 media errors",
            "copy the data directory away",
            "`smartctl -x /dev/nvme0n1`",
        ],
    );
    drive(
        &nvme(8, 12, 100, 0),
        sick,
        Critical,
        &["takes no more writes", "never becomes writable"],
    );
    drive(&nvme(16, 12, 100, 0), sick, Critical, &["next power cut", "battery until"]);
    drive(&nvme(32, 12, 100, 0), sick, Warning, &["persistent memory"]);
    drive(
        &nvme(9, 12, 4, 0),
        sick,
        Critical,
        &["takes no more writes, its reserve", "never becomes"],
    );
    drive(&nvme(0, 12, 100, 7), sick, Warning, &["7 media errors", "what stood there is lost"]);
    drive(
        &nvme(0, 103, 100, 0),
        "flash-wear",
        Critical,
        &["/dev/nvme0n1 below /: 103 % of the life"],
    );
    drive(&nvme(0, 85, 100, 0), "flash-wear", Warning, &["85 %"]);
}

#[test]
fn a_controller_that_is_gone_is_told_though_the_disk_says_nothing() {
    let gone = || {
        heard(
            r#"{"smartctl":{"exit_status":2,"messages":[{"string":
        "Smartctl open device: /dev/nvme0n1 failed: No such device","severity":"error"}]}}"#,
        )
    };
    let dead = ["given its controller up (\"dead\")", "switch the machine off and on", "dmesg"];
    let never = ["sector", "smartmontools"];
    check_disk("/dev/nvme0n1", Some("dead"), gone(), ("disk-health", Critical), &dead, &never);
    let resets = ["does not answer now (\"resetting\")", "nvme_core.default_ps_max_latency_us=0"];
    check_disk(
        "/dev/nvme0n1",
        Some("resetting"),
        gone(),
        ("disk-health", Warning),
        &resets,
        &never,
    );
    let said = ["smartctl: Smartctl open device: /dev/nvme0n1 failed: No such device"];
    check_disk("/dev/nvme0n1", Some("live"), gone(), ("disk-health", Advice), &said, &never);
}

#[test]
fn a_disk_with_sectors_is_told_by_them() {
    let disk = |text: &str, name, severity, words: &[&str]| {
        check_disk("/dev/sda", None, heard(text), (name, severity), words, &["media errors"]);
    };
    let pending = [("Reallocated_Sector_Ct", 100, 8), ("Current_Pending_Sector", 100, 3)];
    disk(&sata(true, &[("Power_On_Hours", 90, 9000)]), "disk-health", Ok, &[]);
    disk(&sata(true, &pending), "disk-health", Warning, &["3 sectors that it cannot read"]);
    disk(
        &sata(false, &pending),
        "disk-health",
        Critical,
        &[
            "it says that it fails, 3 sectors that it cannot read",
            "may end at any hour",
            "`smartctl -x /dev/sda`",
        ],
    );
    disk(&sata(true, &[("Wear_Leveling_Count", 9, 2900)]), "flash-wear", Warning, &["91 %"]);
}

#[test]
fn flash_on_the_board_tells_by_files_and_smartctl_has_no_word_for_it() {
    let never = ["sector", "media errors"];
    let emmc = |health, about, words: &[&str]| {
        check_disk("/dev/mmcblk0", None, health, about, words, &never);
    };
    let told = ["Unable to detect device type", "nothing, if the disk is virtual or a card"];
    emmc(heard(EMMC), ("disk-health", Advice), &told);
    let spare = Health { warnings: vec![base::reading::DiskWarning::Spare], ..Health::default() };
    emmc(
        Result::Ok(spare),
        ("disk-health", Critical),
        &["its reserve of blocks is nearly used up"],
    );
    let worn = Health { used: Some(110.0), ..Health::default() };
    emmc(Result::Ok(worn), ("flash-wear", Critical), &["/dev/mmcblk0 below /: 110 % of the life"]);
}

#[test]
fn two_file_systems_on_one_disk_are_one_patient() {
    let mut facts = healthy();
    facts.disks[0].health = heard(&nvme(8, 12, 100, 0));
    facts.disks.push(DiskFacts { mount: "/var".into(), ..facts.disks[0].clone() });
    let found = check(&facts);
    assert_eq!(found.iter().filter(|one| one.check == "disk-health").count(), 1);
}
