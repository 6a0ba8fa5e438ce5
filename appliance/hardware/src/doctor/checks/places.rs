//! Ports, secrets and names of this appliance.

use super::{Facts, Finding, Fix, Severity, bad, well};

pub(super) fn ports(facts: &Facts) -> Vec<Finding> {
    if facts.taken.is_empty() {
        let what = match facts.is_running {
            true => "the appliance runs and has its ports",
            false => "every port can be taken",
        };
        return vec![well("ports", what.into())];
    }
    let taken = facts.taken.iter().map(|(address, why)| {
        let remedy = format!(
            "find the other program with `ss -ltnp 'sport = :{}'`, or set another port",
            address.port()
        );
        bad(
            Severity::Critical,
            "ports",
            format!("{address} cannot be taken: {why}"),
            "the appliance cannot serve there",
            remedy,
        )
    });
    taken.collect()
}

pub(super) fn secrets(facts: &Facts) -> Vec<Finding> {
    if facts.open_secrets.is_empty() {
        let what = match facts.looked_at.0 {
            0 => "there are no secrets yet".to_owned(),
            count => format!("{count} secrets can be read by their owner alone"),
        };
        return vec![well("file-modes", what)];
    }
    let open = facts.open_secrets.iter().map(|(path, mode)| Finding {
        fix: Some(Fix::Mode { path: path.clone(), mode: 0o400 }),
        ..bad(
            Severity::Critical,
            "file-modes",
            format!("{} can be read by others (mode {mode:04o})", path.display()),
            "it opens every secret of the site",
            format!("chmod 0400 {}", path.display()),
        )
    });
    open.collect()
}

pub(super) fn names(facts: &Facts) -> Vec<Finding> {
    if facts.unknown_names.is_empty() {
        let what = match facts.looked_at.1 {
            0 => "this appliance is known by addresses alone".to_owned(),
            count => format!("{count} names of this appliance are found"),
        };
        return vec![well("dns", what)];
    }
    let unknown = facts.unknown_names.iter().map(|name| {
        bad(
            Severity::Warning,
            "dns",
            format!("the name `{name}` is not found from this machine"),
            "clients and jobs that use it fail",
            format!("add `{name}` to the site's DNS or to /etc/hosts"),
        )
    });
    unknown.collect()
}
