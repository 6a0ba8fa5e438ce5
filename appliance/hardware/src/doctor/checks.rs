//! The judgement over the facts of a host.
//!
//! Pure. Each bound stands beside its check with its reason. A check without its fact says
//! "unknown" as advice, never "well".

mod disk;
mod network;
mod places;
mod storage;

use super::{Facts, Finding, Fix, Severity};
use base::units::{Bytes, Span};

/// 2026-01-01: no clock of a machine that runs this version is earlier.
const CLOCK_MIN: u64 = 1_767_225_600;
/// Connections that wait to be taken; a hundred runners and browsers come back at once after a cut.
const SOMAXCONN: u64 = 1024;
/// Each connection, log and blob is a descriptor.
const OPEN_FILES: u64 = 8192;

/// Every finding, worst first.
#[must_use]
pub fn check(facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![
        heat(facts),
        heat_before(facts),
        throttle(facts),
        somaxconn(facts),
        open_files(facts),
        controllers(facts),
        overlay(facts),
        user_namespaces(facts),
        pressure(facts),
        clock(facts),
        storage::space(facts),
        storage::inodes(facts),
        storage::fsync(facts),
        disk::wear(facts),
        memory(facts),
        entropy(facts),
        watchdog(facts),
        network::probing(facts),
    ];
    findings.extend(disk::health(facts));
    findings.extend(network::mtus(facts));
    findings.extend(places::ports(facts));
    findings.extend(places::secrets(facts));
    findings.extend(places::names(facts));
    worst_first(&mut findings);
    findings
}

/// Puts findings into the order in which they are told.
pub fn worst_first(findings: &mut [Finding]) {
    findings.sort_by(|a, b| b.severity.cmp(&a.severity).then(a.check.cmp(b.check)));
}

fn well(check: &'static str, what: String) -> Finding {
    Finding { check, severity: Severity::Ok, what, why: "", remedy: String::new(), fix: None }
}

fn bad(
    severity: Severity,
    check: &'static str,
    what: String,
    why: &'static str,
    remedy: impl Into<String>,
) -> Finding {
    Finding { check, severity, what, why, remedy: remedy.into(), fix: None }
}

fn unknown(check: &'static str, what: &str) -> Finding {
    unknown_until(check, what, "nothing, if this machine has none of it")
}

fn unknown_until(check: &'static str, what: &str, remedy: &'static str) -> Finding {
    let what = format!("{what}: not known here");
    bad(Severity::Advice, check, what, "it cannot be judged", remedy)
}

fn sysctl(facts: &Facts, name: &str) -> Option<u64> {
    facts.sysctls.iter().find(|(known, _)| *known == name).and_then(|(_, value)| *value)
}

fn heat(facts: &Facts) -> Finding {
    let Some((degrees, label)) = &facts.hottest else {
        return unknown("temperature", "temperature");
    };
    let what = format!("{label} {degrees:.1} °C");
    if *degrees < 80.0 {
        return well("temperature", what);
    }
    let severity = if *degrees >= 90.0 { Severity::Critical } else { Severity::Warning };
    bad(
        severity,
        "temperature",
        what,
        "above 80 °C builds are held, and the hardware slows itself",
        "free the air's way, clean fans and filters, or lower `slots`",
    )
}

/// What the appliance itself remembers; its governor should never have come too late.
fn heat_before(facts: &Facts) -> Finding {
    let Some(before) = facts.heat_before else {
        let remedy = "start the appliance, and ask again after some minutes; nothing, if the machine has no sensors";
        return unknown_until("temperature-history", "the heat of the past days", remedy);
    };
    let span = match before.minutes {
        minutes if minutes < 120 => format!("{minutes} minutes"),
        minutes => format!("{} hours", minutes / 60),
    };
    let what = format!(
        "at most {:.1} °C in {span}; jobs were held or stood still for {:.0} % of that time",
        before.hottest, before.held
    );
    if before.hottest < 85.0 && before.held < 10.0 {
        return well("temperature-history", what);
    }
    bad(
        if before.hottest < 90.0 { Severity::Advice } else { Severity::Warning },
        "temperature-history",
        what,
        "a box that is too hot for its work slows all of it down",
        "see the page Hardware for when it was; shade or ventilate the cabinet, or send heavy jobs to another runner",
    )
}

fn throttle(facts: &Facts) -> Finding {
    match facts.throttled {
        None => unknown("throttle", "throttle counters"),
        Some(0) => {
            well("throttle", "the hardware has not slowed the processor since the start".into())
        }
        Some(times) => bad(
            Severity::Warning,
            "throttle",
            format!("the hardware slowed the processor {times} times since the start"),
            "builds slow down all at once, without a word",
            "set a lower `thermal_limit`, and cool the box better",
        ),
    }
}

fn somaxconn(facts: &Facts) -> Finding {
    let name = "net/core/somaxconn";
    match sysctl(facts, name) {
        None => unknown("somaxconn", "net.core.somaxconn"),
        Some(value) if value >= SOMAXCONN => {
            well("somaxconn", format!("net.core.somaxconn is {value}"))
        }
        Some(value) => Finding {
            fix: Some(Fix::Sysctl { name, value: SOMAXCONN }),
            ..bad(
                Severity::Warning,
                "somaxconn",
                format!("net.core.somaxconn is {value}, at least {SOMAXCONN} is right"),
                "runners that come back together after a cut are turned away",
                "echo 'net.core.somaxconn = 4096' >> /etc/sysctl.d/90-appliance.conf && sysctl --system",
            )
        },
    }
}

fn open_files(facts: &Facts) -> Finding {
    match facts.open_files {
        None => unknown("open-files", "the limit of open files"),
        Some(limit) if limit >= OPEN_FILES => {
            well("open-files", "the limit of open files is high enough".into())
        }
        Some(limit) => bad(
            Severity::Warning,
            "open-files",
            format!("{limit} files may be open at once, at least {OPEN_FILES} is right"),
            "connections and blobs fail under load",
            "LimitNOFILE=65536 in the service's unit, or `ulimit -n 65536`",
        ),
    }
}

fn controllers(facts: &Facts) -> Finding {
    let wanted = ["cpu", "memory", "pids"];
    let Some(found) = &facts.controllers else { return unknown("cgroups", "control groups") };
    let has = |name: &&str| found.iter().any(|one| one == name);
    let missing: Vec<&str> = wanted.into_iter().filter(|name| !has(name)).collect();
    if missing.is_empty() {
        return well("cgroups", "cpu, memory and pids can be limited".into());
    }
    bad(
        Severity::Critical,
        "cgroups",
        format!("the kernel cannot limit: {}", missing.join(", ")),
        "a build could starve the machine",
        "start the kernel with cgroup_enable=memory, or one that has these controllers",
    )
}

fn overlay(facts: &Facts) -> Finding {
    match facts.has_overlay {
        None => return unknown("overlayfs", "overlay file systems"),
        Some(true) => return well("overlayfs", "overlay file systems are there".into()),
        Some(false) => {}
    }
    bad(
        Severity::Critical,
        "overlayfs",
        "the kernel has no overlay file system".into(),
        "jobs get their files through it",
        "modprobe overlay && echo overlay > /etc/modules-load.d/appliance.conf",
    )
}

fn user_namespaces(facts: &Facts) -> Finding {
    match sysctl(facts, "user/max_user_namespaces") {
        Some(count) if count > 0 => well("user-namespaces", "user namespaces are there".into()),
        // A kernel without them has other settings all the same.
        None if facts.sysctls.iter().all(|(_, value)| value.is_none()) => {
            unknown("user-namespaces", "user namespaces")
        }
        _ => bad(
            Severity::Critical,
            "user-namespaces",
            "user namespaces are switched off".into(),
            "jobs run as nobody of this machine by them",
            "echo 'user.max_user_namespaces = 15000' >> /etc/sysctl.d/90-appliance.conf && sysctl --system",
        ),
    }
}

fn pressure(facts: &Facts) -> Finding {
    if facts.has_pressure {
        return well("psi", "the kernel tells pressure".into());
    }
    bad(
        Severity::Advice,
        "psi",
        "the kernel tells no pressure (PSI)".into(),
        "shortage of memory is seen late, by free memory alone",
        "start the kernel with psi=1",
    )
}

fn clock(facts: &Facts) -> Finding {
    if facts.clock < CLOCK_MIN {
        return bad(
            Severity::Critical,
            "clock",
            "the clock stands before the year 2026".into(),
            "certificates are not valid yet, and schedules wait for years",
            "set it (`timedatectl set-time …`), and replace the battery of the hardware clock",
        );
    }
    match facts.clock_is_kept {
        Some(true) => well(
            "clock",
            facts.clock_error.map_or_else(
                || "a time source keeps the clock".into(),
                |error| format!("a time source keeps the clock within {}", Span(error)),
            ),
        ),
        Some(false) => bad(
            Severity::Warning,
            "clock",
            "nobody keeps the clock".into(),
            "it drifts by seconds a day, and two sites disagree",
            "run systemd-timesyncd or chrony with the site's time source",
        ),
        None => unknown("clock", "the time daemon's own word"),
    }
}

fn memory(facts: &Facts) -> Finding {
    let Some((total, free)) = facts.memory else { return unknown("memory", "memory") };
    let what = format!("{free} of {total} can be had");
    if free < Bytes::mib(256) || free.0 < total.0 / 10 {
        return bad(
            Severity::Warning,
            "memory",
            what,
            "new jobs are held until there is more",
            "end what else runs here, or lower `slots`",
        );
    }
    well("memory", what)
}

/// Since kernel 5.18 the number is always 256; before, less than this blocks the making of keys.
fn entropy(facts: &Facts) -> Finding {
    match sysctl(facts, "kernel/random/entropy_avail") {
        None => unknown("entropy", "the kernel's randomness"),
        Some(bits) if bits >= 128 => well("entropy", "the kernel has randomness".into()),
        Some(bits) => bad(
            Severity::Warning,
            "entropy",
            format!("the kernel has {bits} bits of randomness"),
            "making keys may wait for minutes",
            "install rng-tools or jitterentropy",
        ),
    }
}

fn watchdog(facts: &Facts) -> Finding {
    if facts.has_watchdog {
        return well("watchdog", "a hardware watchdog is there".into());
    }
    bad(
        Severity::Advice,
        "watchdog",
        "there is no /dev/watchdog".into(),
        "a machine that hangs stays down until somebody comes",
        "load the board's driver (iTCO_wdt, sp5100_tco …), or `modprobe softdog`, and set `watchdog`",
    )
}

#[cfg(test)]
mod tests;
