//! What the form of a project's settings sends, judged before it is kept.

use crate::error::Failure;
use base::{protocol::NetworkPolicy, trust::ProtectedRefs};
use pipeline::check_protected;
use serde::Deserialize;
use store::projects::Settings;

/// Networks that one project may be let out to.
const NETWORKS_MAX: usize = 64;

#[derive(Debug, Deserialize)]
pub(super) struct Given {
    pub(super) default_branch: Option<String>,
    #[serde(default)]
    jobs_max: String,
    autocancel: Option<String>,
    force_push: Option<String>,
    setup_workflows: Option<String>,
    pub(super) network: Option<String>,
    #[serde(default)]
    allow: String,
    pub(super) protected_branches: Option<String>,
    protected_tags: Option<String>,
    jobs_may_push: Option<String>,
}

/// The new settings, or what is wrong with them. What a member may not change stays.
pub(super) fn judged(given: Given, old: &Settings, is_admin: bool) -> Result<Settings, Failure> {
    let (default_branch, force_push) = match given.default_branch.filter(|_| is_admin) {
        Some(branch) => (branch_name(&branch)?, given.force_push.is_some()),
        None => (old.default_branch.clone(), old.force_push),
    };
    let jobs_max = match given.jobs_max.trim() {
        "" => None,
        text => Some(text.parse().ok().filter(|n| (1..=10_000).contains(n)).ok_or_else(|| {
            Failure::Invalid(
                "max concurrent jobs must be a number from 1 to 10000, or empty".into(),
            )
        })?),
    };
    let network = match given.network.filter(|_| is_admin) {
        Some(reach) => network(&reach, &given.allow)?,
        None => old.network.clone(),
    };
    let (protected, jobs_may_push) = match (given.protected_branches, given.protected_tags) {
        (Some(branches), Some(tags)) if is_admin => {
            (protected(&branches, &tags)?, given.jobs_may_push.is_some())
        }
        _ => (old.protected.clone(), old.jobs_may_push),
    };
    Ok(Settings {
        default_branch,
        network,
        autocancel: given.autocancel.is_some(),
        jobs_max,
        force_push,
        setup_workflows: given.setup_workflows.is_some(),
        protected,
        jobs_may_push,
    })
}

fn branch_name(text: &str) -> Result<String, Failure> {
    let branch = text.trim();
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !"~^:?*[\\".contains(c);
    let is_name = !branch.is_empty() && branch.len() <= 200 && !branch.starts_with('-');
    if is_name && branch.chars().all(plain) {
        return Ok(branch.to_owned());
    }
    Err(Failure::Invalid("the default branch is not a branch name".into()))
}

/// The lines of a text area that are not empty.
fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn protected(branches: &str, tags: &str) -> Result<ProtectedRefs, Failure> {
    let protected = ProtectedRefs { branches: lines(branches), tags: lines(tags) };
    check_protected(&protected).map_err(|error| Failure::Invalid(error.to_string()))?;
    Ok(protected)
}

fn network(reach: &str, allow: &str) -> Result<NetworkPolicy, Failure> {
    let networks = lines(allow);
    match reach {
        "off" => Ok(NetworkPolicy::Off),
        "site" => Ok(NetworkPolicy::Site),
        "full" => networks_check(&networks).map(|()| NetworkPolicy::Full { allow: networks }),
        _ => Err(Failure::Invalid("the network must be off, site or full".into())),
    }
}

/// Whether a project may be let out to these networks.
pub(crate) fn networks_check(networks: &[String]) -> Result<(), Failure> {
    if networks.len() > NETWORKS_MAX {
        return Err(Failure::Invalid(format!("at most {NETWORKS_MAX} networks can be allowed")));
    }
    match networks.iter().find(|network| !is_network(network)) {
        Some(bad) => Err(Failure::Invalid(format!(
            "`{bad}` is not a network such as 10.20.0.0/16 or 10.20.0.0/16:443"
        ))),
        None => Ok(()),
    }
}

/// An IPv4 address, perhaps with the length of its prefix and a port. Links carry no IPv6.
fn is_network(text: &str) -> bool {
    let (network, port) = text.split_once(':').unwrap_or((text, "1"));
    let (address, prefix) = network.split_once('/').unwrap_or((network, "32"));
    address.parse::<std::net::Ipv4Addr>().is_ok()
        && prefix.parse::<u8>().is_ok_and(|prefix| prefix <= 32)
        && port.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(reach: &str, allow: &str, accepted: bool) {
        assert_eq!(network(reach, allow).is_ok(), accepted, "{reach} {allow}");
    }

    #[test]
    fn networks_are_checked_before_they_are_kept() {
        check("off", "", true);
        check("full", "10.0.0.0/8\n\n10.1.0.0/16:443\n192.168.1.7", true);
        check("full", "fd00::/8", false);
        check("full", "10.0.0.0/8:0", false);
        check("full", "10.0.0.0/33", false);
        check("full", "example.com", false);
        check("everything", "", false);
    }
}
