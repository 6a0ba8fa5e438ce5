//! What may pass the link of one job, as data.
//!
//! Invariants: every chain ends in a refusal for what comes from the job or goes to it; other jobs,
//! link-local and metadata addresses are closed before anything is open. A host that follows
//! connections remembers each, the ended ones for minutes, and lets nobody connect once it remembers too
//! many (`nf_conntrack_max`): no job has more than its share. The rules of a job for which nothing is
//! open do not have the host follow any: for one connection that it follows, the kernel looks through
//! the whole table each time a link goes down.

use super::{PREFIX, cidr::Destination};
use crate::spec::Bridge;
use std::net::Ipv4Addr;

/// The protocols that have ports.
pub(super) const PROTOCOL_TCP: u8 = 6;
const PROTOCOL_UDP: u8 = 17;

/// Cloud metadata services and other link-local addresses: never a job's business.
const LINK_LOCAL: Cidr = Cidr { address: 0xa9fe_0000, mask: 0xffff_0000 };

/// Connections of one job that have not ended, through the host and to it each.
pub(super) const CONNECTIONS_MAX: u32 = 4096;

/// How many it may begin in a second, and beyond that once: those that have ended are remembered as well.
pub(super) const CONNECTIONS_RATE: u64 = 200;
pub(super) const CONNECTIONS_BURST: u32 = 4096;

/// Addresses as the kernel compares them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cidr {
    pub(super) address: u32,
    pub(super) mask: u32,
}

impl From<Destination> for Cidr {
    fn from(destination: Destination) -> Self {
        Self { address: destination.network().0.into(), mask: destination.mask() }
    }
}

/// One condition of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Match<'a> {
    /// Came in through the interface.
    From(&'a str),
    FromNot(&'a str),
    /// Came in through an interface whose name begins so.
    FromPrefix(&'a str),
    FromNotPrefix(&'a str),
    /// Goes out through the interface.
    To(&'a str),
    /// Goes out through an interface whose name begins so.
    ToPrefix(&'a str),
    Ipv4,
    NotIpv4,
    SourceIsNot(Ipv4Addr),
    SourceIs(Ipv4Addr),
    ToNetwork(Cidr),
    /// To a port, by a protocol that has ports.
    Port(u8, u16),
    Answers,
    /// Belongs to no connection that is followed.
    Begins,
    /// Asks for a TCP connection.
    BeginsTcp,
    /// There are more than [`CONNECTIONS_MAX`].
    TooMany,
    /// They come faster than [`CONNECTIONS_RATE`].
    TooFast,
}

impl Match<'_> {
    /// Whether every kernel that filters packets has it: the others are in modules of their own.
    pub(super) fn is_everywhere(self) -> bool {
        !matches!(self, Self::TooMany | Self::TooFast)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Drop,
    /// As a drop, but told: what must not be reached fails at once and not after minutes.
    Reject,
    Accept,
    Masquerade,
}

/// Chain, conditions, what becomes of what meets them all.
pub(super) type Rule<'a> = (&'static str, Vec<Match<'a>>, Verdict);

/// What may pass; the first rule of a chain that matches decides.
pub(super) fn rules<'a>(
    interface: &'a str,
    bridge: &Bridge,
    address: Ipv4Addr,
    allow: &[Destination],
) -> Vec<Rule<'a>> {
    let mut rules = input_rules(interface, bridge, address, allow);
    rules.extend(forward_rules(interface, address, allow));
    if !allow.is_empty() {
        let matches = vec![Match::Ipv4, Match::SourceIs(address)];
        rules.push(("postrouting", matches, Verdict::Masquerade));
    }
    rules
}

/// What reaches this host: from the job the services; the gateway's address from nobody else but
/// this host, though a neighbour on the host's own network could send for it.
fn input_rules<'a>(
    interface: &'a str,
    bridge: &Bridge,
    address: Ipv4Addr,
    allow: &[Destination],
) -> Vec<Rule<'a>> {
    use Match::{From, FromNot, FromNotPrefix, Ipv4, NotIpv4, Port, SourceIsNot, ToNetwork};
    use Verdict::{Accept, Drop, Reject};
    let from = From(interface);
    let gateway = ToNetwork(Cidr { address: bridge.gateway.into(), mask: u32::MAX });
    let outsider = vec![FromNot("lo"), FromNotPrefix(PREFIX), Ipv4, gateway];
    let mut rules: Vec<Rule<'a>> = vec![
        ("input", outsider, Drop),
        // Without an answer, which might show an address of this host.
        ("input", vec![from, NotIpv4], Drop),
        ("input", vec![from, SourceIsNot(address)], Drop),
    ];
    if allow.is_empty() {
        // Something else may have the host follow connections, and the services bound those at once.
        rules.push(("input", vec![from, Match::BeginsTcp, Match::TooFast], Reject));
    } else {
        rules.extend(bounds("input", from));
    }
    rules.extend(
        bridge
            .services
            .iter()
            .map(|port| ("input", vec![from, Ipv4, gateway, Port(PROTOCOL_TCP, *port)], Accept)),
    );
    rules.push(("input", vec![from], Reject));
    rules
}

/// No job fills the host's memory of connections.
fn bounds<'a>(chain: &'static str, from: Match<'a>) -> [Rule<'a>; 2] {
    [Match::TooMany, Match::TooFast]
        .map(|bound| (chain, vec![from, Match::Begins, bound], Verdict::Reject))
}

/// What goes through this host. Where nothing is open, nothing of it is an answer.
fn forward_rules<'a>(
    interface: &'a str,
    address: Ipv4Addr,
    allow: &[Destination],
) -> Vec<Rule<'a>> {
    use Match::{Answers, From, Ipv4, NotIpv4, Port, SourceIsNot, To, ToNetwork, ToPrefix};
    use Verdict::{Accept, Drop, Reject};
    let from = From(interface);
    let mut rules: Vec<Rule<'a>> = vec![
        ("forward", vec![from, NotIpv4], Drop),
        ("forward", vec![from, SourceIsNot(address)], Drop),
    ];
    if !allow.is_empty() {
        rules.push(("forward", vec![from, ToPrefix(PREFIX)], Reject));
        rules.push(("forward", vec![from, Ipv4, ToNetwork(LINK_LOCAL)], Reject));
        rules.extend(bounds("forward", from));
    }
    for open in allow {
        let reached = vec![from, Ipv4, ToNetwork((*open).into())];
        match open.port() {
            None => rules.push(("forward", reached, Accept)),
            Some(port) => rules.extend([PROTOCOL_TCP, PROTOCOL_UDP].map(|protocol| {
                ("forward", [reached.clone(), vec![Port(protocol, port)]].concat(), Accept)
            })),
        }
    }
    rules.push(("forward", vec![from], Reject));
    if !allow.is_empty() {
        rules.push(("forward", vec![To(interface), Answers], Accept));
    }
    rules.push(("forward", vec![To(interface)], Drop));
    rules
}

/// What passes a host that forwards for jobs alone.
pub(super) fn guard_rules() -> Vec<Rule<'static>> {
    vec![
        ("forward", vec![Match::FromPrefix(PREFIX)], Verdict::Accept),
        ("forward", vec![Match::ToPrefix(PREFIX)], Verdict::Accept),
        ("forward", Vec::new(), Verdict::Drop),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 231, 1, 5);
    const EVERYWHERE: Match<'_> = Match::ToNetwork(Cidr { address: 0, mask: 0 });

    fn allow(text: &str) -> Vec<Destination> {
        vec![text.parse().expect("a destination")]
    }

    fn rules_of(allow: &[Destination]) -> Vec<Rule<'static>> {
        let bridge = Bridge {
            gateway: Ipv4Addr::new(10, 231, 0, 1),
            addresses: vec![ADDRESS],
            services: vec![8443],
            allow: Vec::new(),
            name_servers: Vec::new(),
            gateway_names: Vec::new(),
        };
        rules("apl-1", &bridge, ADDRESS, allow)
    }

    #[test]
    fn every_chain_ends_in_a_refusal_for_this_job() {
        for allow in [vec![], allow("0.0.0.0/0")] {
            let rules = rules_of(&allow);
            let ends = [
                ("input", Match::From("apl-1"), Verdict::Reject),
                ("forward", Match::To("apl-1"), Verdict::Drop),
            ];
            for (chain, last, verdict) in ends {
                let rule = rules.iter().rfind(|rule| rule.0 == chain).expect("a rule");
                assert_eq!((rule.1.as_slice(), rule.2), ([last].as_slice(), verdict), "{chain}");
            }
        }
    }

    #[test]
    fn ipv6_is_dropped_before_anything_is_answered() {
        let rules = rules_of(&allow("0.0.0.0/0"));
        for chain in ["input", "forward"] {
            let of_job =
                |rule: &&Rule<'_>| rule.0 == chain && rule.1.contains(&Match::From("apl-1"));
            let first = rules.iter().find(of_job).expect("a rule");
            let ipv6 = vec![Match::From("apl-1"), Match::NotIpv4];
            assert_eq!((&first.1, first.2), (&ipv6, Verdict::Drop), "{chain}");
        }
    }

    #[test]
    fn connections_are_followed_only_where_something_is_open() {
        let followed = |allow: &[Destination]| {
            let follows = |condition: &Match<'_>| {
                matches!(condition, Match::Answers | Match::Begins | Match::TooMany)
            };
            rules_of(allow).iter().any(|rule| rule.1.iter().any(follows))
        };
        assert!(!followed(&[]));
        assert!(followed(&allow("10.1.0.0/16")));
    }

    #[test]
    fn other_jobs_and_metadata_are_closed_before_anything_is_open() {
        let rules = rules_of(&allow("0.0.0.0/0"));
        let at = |wanted: Match<'_>| {
            rules.iter().position(|rule| rule.0 == "forward" && rule.1.contains(&wanted))
        };
        let open = at(EVERYWHERE).expect("the allowed network");
        assert!(at(Match::ToPrefix(PREFIX)).is_some_and(|at| at < open));
        assert!(at(Match::ToNetwork(LINK_LOCAL)).is_some_and(|at| at < open));
    }

    #[test]
    fn connections_are_bounded_before_anything_is_open() {
        let both = [Match::TooMany, Match::TooFast];
        let open = allow("0.0.0.0/0");
        let cases: [(&[Destination], &str, &[Match<'_>]); 3] =
            [(&open, "input", &both), (&open, "forward", &both), (&[], "input", &both[1..])];
        for (allow, chain, bounds) in cases {
            let rules = rules_of(allow);
            let open = rules.iter().position(|rule| rule.0 == chain && rule.2 == Verdict::Accept);
            let at =
                |wanted| rules.iter().position(|rule| rule.0 == chain && rule.1.contains(wanted));
            assert!(
                bounds.iter().map(at).all(|at| at.is_some() && at < open),
                "{chain}: {rules:?}"
            );
        }
    }

    #[test]
    fn a_port_is_open_to_both_protocols_and_nothing_else_of_its_network_is() {
        let rules = rules_of(&allow("0.0.0.0/0:53"));
        let open: Vec<_> = rules
            .iter()
            .filter(|rule| rule.1.contains(&EVERYWHERE))
            .map(|rule| rule.1.last().copied())
            .collect();
        assert_eq!(open, [Some(Match::Port(6, 53)), Some(Match::Port(17, 53))]);
    }
}
