//! Packet sizes: of every interface against the paths beyond it and the networks of jobs.

use super::{Facts, Finding, Fix, Severity, bad, sysctl, unknown, well};

/// What a job's own interface carries: the kernel's size for a pair of virtual ones.
const JOBS: u32 = 1500;

/// Every interface and path that carries less than what leads into it; one line when all is well.
pub(super) fn mtus(facts: &Facts) -> Vec<Finding> {
    let mut found: Vec<Finding> =
        facts.mtus.iter().filter_map(|(name, mtu)| interface(name, *mtu)).collect();
    found.extend(facts.ways.iter().filter(|way| way.packet > 0 && way.packet < way.link.1).map(
        |way| {
            let (name, mtu) = &way.link;
            bad(
                Severity::Advice,
                "mtu",
                format!(
                    "the path to {} carries {} bytes, {name} sends up to {mtu}",
                    way.peer, way.packet
                ),
                "where a router on the way does not say so, large pushes hang",
                format!("ip link set {name} mtu {}", way.packet),
            )
        },
    ));
    if found.is_empty() {
        let (links, ways) = (facts.mtus.len(), facts.ways.len());
        found.push(well(
            "mtu",
            format!(
                "{links} interfaces carry what jobs' networks do ({JOBS} bytes), and {ways} paths what their interfaces do"
            ),
        ));
    }
    found
}

fn interface(name: &str, mtu: u32) -> Option<Finding> {
    let fits = name == "lo" || mtu == 0 || mtu >= JOBS;
    (!fits).then(|| {
        bad(
            Severity::Advice,
            "mtu",
            format!("{name} carries {mtu} bytes, and jobs' networks {JOBS}"),
            "what jobs send through it is cut or refused, and vanishes where ICMP is blocked",
            format!(
                "nothing, if the link needs it (VPN, mobile); else `ip link set {name} mtu {JOBS}`"
            ),
        )
    })
}

pub(super) fn probing(facts: &Facts) -> Finding {
    match sysctl(facts, "net/ipv4/tcp_mtu_probing") {
        Some(0) => Finding {
            fix: Some(Fix::Sysctl { name: "net/ipv4/tcp_mtu_probing", value: 1 }),
            ..bad(
                Severity::Advice,
                "mtu-probing",
                "TCP does not look for the path's packet size by itself".into(),
                "behind a router that hides it, pushes hang for ever",
                "echo 'net.ipv4.tcp_mtu_probing = 1' >> /etc/sysctl.d/90-appliance.conf && sysctl --system",
            )
        },
        Some(_) => well("mtu-probing", "TCP finds the path's packet size by itself".into()),
        None => unknown("mtu-probing", "net.ipv4.tcp_mtu_probing"),
    }
}
