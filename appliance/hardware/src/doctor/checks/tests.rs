//! A healthy host, and each of its faults.

mod disk;

use super::{
    super::facts::{DiskFacts, HeatBefore, Untold, Way},
    *,
};
use crate::smart::Health;
use base::units::Bytes;
use std::time::Duration;

fn healthy() -> Facts {
    Facts {
        sysctls: vec![
            ("net/core/somaxconn", Some(4096)),
            ("net/ipv4/tcp_mtu_probing", Some(1)),
            ("user/max_user_namespaces", Some(100)),
            ("kernel/random/entropy_avail", Some(256)),
        ],
        mtus: vec![("lo".into(), 65_536), ("eth0".into(), 1500)],
        open_files: Some(65_536),
        controllers: Some(["cpu", "memory", "pids"].map(str::to_owned).to_vec()),
        has_overlay: Some(true),
        has_pressure: true,
        clock_is_kept: Some(true),
        clock: CLOCK_MIN + 1,
        space: Some((Bytes::gib(100), Bytes::gib(50))),
        inodes: Some((1000, 900)),
        fsync: Some(Duration::from_millis(2)),
        memory: Some((Bytes::gib(8), Bytes::gib(4))),
        has_watchdog: true,
        throttled: Some(0),
        heat_before: Some(HeatBefore { hottest: 79.0, minutes: 10_080, held: 1.0 }),
        ways: vec![way(1500)],
        hottest: Some((50.0, "die".into())),
        disks: vec![DiskFacts {
            mount: "/".into(),
            device: Some("/dev/mmcblk0".into()),
            controller: None,
            health: Ok(Health { used: Some(10.0), ..Health::default() }),
        }],
        ..Facts::default()
    }
}

fn way(packet: u32) -> Way {
    Way { peer: [192, 168, 2, 7].into(), packet, link: ("eth0".into(), 1500) }
}

fn check_one(change: impl FnOnce(&mut Facts), name: &str, severity: Severity) {
    let mut facts = healthy();
    change(&mut facts);
    let worst = check(&facts).remove(0);
    assert_eq!((worst.check, worst.severity), (name, severity), "{worst:?}");
    assert!(severity == Severity::Ok || !worst.remedy.is_empty());
}

#[test]
fn a_healthy_host_has_nothing_to_mend() {
    assert!(check(&healthy()).iter().all(|finding| finding.severity == Severity::Ok));
}

#[test]
fn each_fault_is_found_with_its_severity_and_remedy() {
    use Severity::{Advice, Critical, Warning};
    check_one(|f| f.hottest = Some((82.0, "die".into())), "temperature", Warning);
    check_one(|f| f.hottest = Some((95.0, "die".into())), "temperature", Critical);
    check_one(|f| f.throttled = Some(3), "throttle", Warning);
    check_one(|f| f.sysctls[0].1 = Some(128), "somaxconn", Warning);
    check_one(|f| f.sysctls[1].1 = Some(0), "mtu-probing", Advice);
    check_one(|f| f.sysctls[2].1 = Some(0), "user-namespaces", Critical);
    check_one(|f| f.sysctls[3].1 = Some(50), "entropy", Warning);
    check_one(|f| f.mtus[1].1 = 1400, "mtu", Advice);
    check_one(|f| f.ways[0].packet = 1300, "mtu", Advice);
    let before = |hottest, held| Some(HeatBefore { hottest, minutes: 10_080, held });
    check_one(|f| f.heat_before = before(91.0, 1.0), "temperature-history", Warning);
    check_one(|f| f.heat_before = before(79.0, 40.0), "temperature-history", Advice);
    check_one(|f| f.open_files = Some(1024), "open-files", Warning);
    check_one(|f| f.controllers = Some(vec!["cpu".into()]), "cgroups", Critical);
    check_one(|f| f.controllers = None, "cgroups", Advice);
    check_one(|f| f.has_overlay = Some(false), "overlayfs", Critical);
    check_one(|f| f.has_overlay = None, "overlayfs", Advice);
    check_one(|f| f.sysctls[2].1 = None, "user-namespaces", Critical);
    check_one(|f| f.has_pressure = false, "psi", Advice);
    check_one(|f| f.clock = 0, "clock", Critical);
    check_one(|f| f.clock_is_kept = Some(false), "clock", Warning);
    check_one(|f| f.space = Some((Bytes::gib(100), Bytes::mib(1))), "disk-space", Critical);
    check_one(|f| f.is_read_only = true, "disk-space", Critical);
    check_one(|f| f.inodes = Some((1000, 3)), "inodes", Warning);
    check_one(|f| f.fsync = Some(Duration::from_millis(40)), "fsync", Warning);
    check_one(|f| f.disks[0].health = Err(Untold::NotAsked), "disk-health", Advice);
    check_one(|f| f.memory = Some((Bytes::gib(8), Bytes::mib(100))), "memory", Warning);
    check_one(|f| f.has_watchdog = false, "watchdog", Advice);
    check_one(
        |f| f.taken = vec![("127.0.0.1:8443".parse().unwrap(), "in use".into())],
        "ports",
        Critical,
    );
    check_one(|f| f.open_secrets = vec![("/x/site.key".into(), 0o644)], "file-modes", Critical);
    check_one(|f| f.unknown_names = vec!["ci.site".into()], "dns", Warning);
}

#[test]
fn a_remedy_in_a_shared_file_keeps_what_others_put_there() {
    let mut facts = healthy();
    facts.sysctls.iter_mut().for_each(|(_, value)| *value = Some(0));
    let found = check(&facts);
    let shared: Vec<_> = found.iter().filter(|one| one.remedy.contains("/etc/sysctl.d/")).collect();
    assert_eq!(shared.len(), 3);
    assert!(shared.iter().all(|one| one.remedy.contains(" >> /etc/sysctl.d/90-appliance.conf ")));
}

#[test]
fn the_past_is_told_in_a_span_that_fits() {
    let told = |minutes| {
        let mut facts = healthy();
        facts.heat_before = Some(HeatBefore { hottest: 79.0, minutes, held: 1.0 });
        let found = check(&facts);
        let found = found.into_iter().find(|one| one.check == "temperature-history");
        found.map(|one| one.what).unwrap_or_default()
    };
    assert!(told(5).starts_with("at most 79.0 °C in 5 minutes; "), "{}", told(5));
    assert!(told(180).starts_with("at most 79.0 °C in 3 hours; "), "{}", told(180));
}

#[test]
fn every_check_of_the_contract_is_told_on_a_healthy_host() {
    let mut told: Vec<&str> = check(&healthy()).iter().map(|finding| finding.check).collect();
    told.sort_unstable();
    assert_eq!(
        told,
        [
            "cgroups",
            "clock",
            "disk-health",
            "disk-space",
            "dns",
            "entropy",
            "file-modes",
            "flash-wear",
            "fsync",
            "inodes",
            "memory",
            "mtu",
            "mtu-probing",
            "open-files",
            "overlayfs",
            "ports",
            "psi",
            "somaxconn",
            "temperature",
            "temperature-history",
            "throttle",
            "user-namespaces",
            "watchdog",
        ]
    );
}
