//! The rules of one job's link, as a table of the kernel's packet filter.
//!
//! Why a table for each job: it is made and removed whole, in one message each, and jobs cannot
//! disturb one another's. An "accept" here does not lift a "drop" of the operator's own tables.
//! Source: nftables(8) for the meaning, `linux/netfilter/nf_tables.h` for the form.

use super::{
    PREFIX,
    cidr::Cidr,
    netlink::{ACK, Batch, CREATE, Socket},
};
use crate::spec::Bridge;
use std::{io, net::Ipv4Addr};

const SUBSYSTEM: u16 = 10 << 8;
const TABLE_NEW: u16 = SUBSYSTEM;
const TABLE_REMOVE: u16 = SUBSYSTEM | 2;
const CHAIN_NEW: u16 = SUBSYSTEM | 3;
const RULE_NEW: u16 = SUBSYSTEM | 6;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const APPEND: u16 = 0x800;

/// IPv4 and IPv6 in one table.
const FAMILY_INET: u8 = 1;
const PROTOCOL_IPV4: u8 = 2;
const PROTOCOL_TCP: u8 = 6;

const HOOK_INPUT: u32 = 1;
const HOOK_FORWARD: u32 = 2;
const HOOK_POSTROUTING: u32 = 4;
const PRIORITY_FILTER: u32 = 0;
const PRIORITY_SOURCE_NAT: u32 = 100;

const TABLE_NAME: u16 = 1;
const CHAIN_TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_TYPE: u16 = 7;
const HOOK_NUMBER: u16 = 1;
const HOOK_PRIORITY: u16 = 2;
const RULE_TABLE: u16 = 1;
const RULE_CHAIN: u16 = 2;
const RULE_EXPRESSIONS: u16 = 4;
const ELEMENT: u16 = 1;
const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;
const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;

const META_IIFNAME: u32 = 6;
const META_OIFNAME: u32 = 7;
const META_NFPROTO: u32 = 15;
const META_L4PROTO: u32 = 16;
const BASE_NETWORK: u32 = 1;
const BASE_TRANSPORT: u32 = 2;
const REGISTER: u32 = 1;
const EQUAL: u32 = 0;
const UNEQUAL: u32 = 1;

/// Where addresses and ports are in their headers.
const IPV4_SOURCE: u32 = 12;
const IPV4_DESTINATION: u32 = 16;
const TCP_DESTINATION: u32 = 2;

/// Answers to what the job began, and errors that belong to it. In the machine's byte order.
const STATE_ANSWERS: u32 = 0b110;

/// Cloud metadata services and other link-local addresses: never a job's business.
const LINK_LOCAL: Cidr = Cidr { address: 0xa9fe_0000, mask: 0xffff_0000 };

/// One condition of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Match<'a> {
    /// Came in through the interface.
    From(&'a str),
    /// Goes out through the interface.
    To(&'a str),
    /// Goes out through an interface whose name begins so.
    ToPrefix(&'a str),
    Ipv4,
    SourceIsNot(Ipv4Addr),
    SourceIs(Ipv4Addr),
    Destination(Cidr),
    TcpPort(u16),
    Answers,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Drop,
    Accept,
    Masquerade,
}

type Rule<'a> = (&'static str, Vec<Match<'a>>, Verdict);

/// What may pass; the first rule of a chain that matches decides.
fn rules<'a>(interface: &'a str, bridge: &Bridge, allow: &[Cidr]) -> Vec<Rule<'a>> {
    use Match::{Answers, Destination, From, Ipv4, SourceIs, SourceIsNot, TcpPort, To, ToPrefix};
    use Verdict::{Accept, Drop, Masquerade};
    let from = From(interface);
    let gateway = Destination(Cidr { address: bridge.gateway.into(), mask: u32::MAX });
    let mut rules: Vec<Rule<'a>> = vec![("input", vec![from, SourceIsNot(bridge.address)], Drop)];
    rules.extend(
        bridge
            .services
            .iter()
            .map(|port| ("input", vec![from, Ipv4, gateway, TcpPort(*port)], Accept)),
    );
    rules.push(("input", vec![from], Drop));
    rules.push(("forward", vec![from, SourceIsNot(bridge.address)], Drop));
    rules.push(("forward", vec![from, ToPrefix(PREFIX)], Drop));
    rules.push(("forward", vec![from, Ipv4, Destination(LINK_LOCAL)], Drop));
    rules.extend(
        allow.iter().map(|network| ("forward", vec![from, Ipv4, Destination(*network)], Accept)),
    );
    rules.push(("forward", vec![from], Drop));
    rules.push(("forward", vec![To(interface), Answers], Accept));
    rules.push(("forward", vec![To(interface)], Drop));
    if !allow.is_empty() {
        rules.push(("postrouting", vec![Ipv4, SourceIs(bridge.address)], Masquerade));
    }
    rules
}

/// Makes the table of a job.
pub(super) fn table_make(name: &str, bridge: &Bridge, allow: &[Cidr]) -> io::Result<()> {
    let mut batch = Batch::default();
    begin(&mut batch);
    batch.message(TABLE_NEW, ACK | CREATE, &HEAD).text(TABLE_NAME, name);
    chain(&mut batch, name, ("input", "filter"), HOOK_INPUT, PRIORITY_FILTER);
    chain(&mut batch, name, ("forward", "filter"), HOOK_FORWARD, PRIORITY_FILTER);
    if !allow.is_empty() {
        chain(&mut batch, name, ("postrouting", "nat"), HOOK_POSTROUTING, PRIORITY_SOURCE_NAT);
    }
    for (chain, matches, verdict) in rules(name, bridge, allow) {
        batch
            .message(RULE_NEW, ACK | CREATE | APPEND, &HEAD)
            .text(RULE_TABLE, name)
            .text(RULE_CHAIN, chain);
        batch.nested(RULE_EXPRESSIONS, |list| {
            matches.into_iter().for_each(|condition| condition_add(list, condition));
            verdict_add(list, verdict);
        });
    }
    end(&mut batch);
    Socket::open(Some(rustix::net::netlink::NETFILTER))?.send(batch)
}

/// Removes the table of a job; one that is not there is no error.
pub(super) fn table_remove(name: &str) -> io::Result<()> {
    let mut batch = Batch::default();
    begin(&mut batch);
    batch.message(TABLE_REMOVE, ACK, &HEAD).text(TABLE_NAME, name);
    end(&mut batch);
    match Socket::open(Some(rustix::net::netlink::NETFILTER))?.send(batch) {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        result => result,
    }
}

fn begin(batch: &mut Batch) {
    batch.message(BATCH_BEGIN, 0, &BATCH_HEAD);
}

fn end(batch: &mut Batch) {
    batch.message(BATCH_END, 0, &BATCH_HEAD);
}

/// `nfgenmsg` of a message: family, version, unused.
const HEAD: [u8; 4] = [FAMILY_INET, 0, 0, 0];

/// The same of a batch's ends, which name the subsystem.
const BATCH_HEAD: [u8; 4] = [0, 0, 0, 10];

fn chain(batch: &mut Batch, table: &str, (name, kind): (&str, &str), hook: u32, priority: u32) {
    batch.message(CHAIN_NEW, ACK | CREATE, &HEAD).text(CHAIN_TABLE, table).text(CHAIN_NAME, name);
    batch.nested(CHAIN_HOOK, |place| {
        place.number_be(HOOK_NUMBER, hook).number_be(HOOK_PRIORITY, priority);
    });
    batch.text(CHAIN_TYPE, kind);
}

fn expression(list: &mut Batch, name: &str, fill: impl FnOnce(&mut Batch)) {
    list.nested(ELEMENT, |element| {
        element.text(EXPRESSION_NAME, name).nested(EXPRESSION_DATA, fill);
    });
}

fn condition_add(list: &mut Batch, condition: Match<'_>) {
    match condition {
        Match::From(name) => meta(list, META_IIFNAME, EQUAL, &interface(name)),
        Match::To(name) => meta(list, META_OIFNAME, EQUAL, &interface(name)),
        Match::ToPrefix(prefix) => meta(list, META_OIFNAME, EQUAL, prefix.as_bytes()),
        Match::Ipv4 => meta(list, META_NFPROTO, EQUAL, &[PROTOCOL_IPV4]),
        Match::SourceIsNot(address) => {
            payload(list, BASE_NETWORK, IPV4_SOURCE, 4);
            compare(list, UNEQUAL, &address.octets());
        }
        Match::SourceIs(address) => {
            payload(list, BASE_NETWORK, IPV4_SOURCE, 4);
            compare(list, EQUAL, &address.octets());
        }
        Match::Destination(network) => {
            payload(list, BASE_NETWORK, IPV4_DESTINATION, 4);
            mask(list, &network.mask.to_be_bytes());
            compare(list, EQUAL, &network.address.to_be_bytes());
        }
        Match::TcpPort(port) => {
            meta(list, META_L4PROTO, EQUAL, &[PROTOCOL_TCP]);
            payload(list, BASE_TRANSPORT, TCP_DESTINATION, 2);
            compare(list, EQUAL, &port.to_be_bytes());
        }
        Match::Answers => {
            expression(list, "ct", |data| {
                data.number_be(1, REGISTER).number_be(2, 0);
            });
            mask(list, &STATE_ANSWERS.to_ne_bytes());
            compare(list, UNEQUAL, &[0; 4]);
        }
    }
}

fn verdict_add(list: &mut Batch, verdict: Verdict) {
    let code = match verdict {
        Verdict::Drop => 0,
        Verdict::Accept => 1,
        Verdict::Masquerade => return expression(list, "masq", |_| {}),
    };
    expression(list, "immediate", |data| {
        data.number_be(1, 0).nested(2, |value| {
            value.nested(DATA_VERDICT, |verdict| {
                verdict.number_be(VERDICT_CODE, code);
            });
        });
    });
}

/// Names are compared with their padding, so that none matches as the beginning of another.
fn interface(name: &str) -> [u8; 16] {
    let mut padded = [0; 16];
    padded[..name.len()].copy_from_slice(name.as_bytes());
    padded
}

fn meta(list: &mut Batch, key: u32, operator: u32, value: &[u8]) {
    expression(list, "meta", |data| {
        data.number_be(1, REGISTER).number_be(2, key);
    });
    compare(list, operator, value);
}

fn payload(list: &mut Batch, base: u32, offset: u32, length: u32) {
    expression(list, "payload", |data| {
        data.number_be(1, REGISTER).number_be(2, base).number_be(3, offset).number_be(4, length);
    });
}

fn mask(list: &mut Batch, mask: &[u8; 4]) {
    expression(list, "bitwise", |data| {
        data.number_be(1, REGISTER).number_be(2, REGISTER).number_be(3, 4);
        data.nested(4, |value| {
            value.attribute(DATA_VALUE, mask);
        });
        data.nested(5, |value| {
            value.attribute(DATA_VALUE, &[0; 4]);
        });
    });
}

fn compare(list: &mut Batch, operator: u32, value: &[u8]) {
    expression(list, "cmp", |data| {
        data.number_be(1, REGISTER).number_be(2, operator).nested(3, |data| {
            data.attribute(DATA_VALUE, value);
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bridge(allow: &[&str]) -> Bridge {
        Bridge {
            gateway: Ipv4Addr::new(10, 231, 0, 1),
            address: Ipv4Addr::new(10, 231, 1, 5),
            services: vec![8443],
            allow: allow.iter().map(|text| (*text).to_owned()).collect(),
            name_servers: Vec::new(),
            gateway_names: Vec::new(),
        }
    }

    #[test]
    fn every_chain_ends_in_a_drop_for_this_job() {
        for allow in [vec![], vec![Cidr { address: 0, mask: 0 }]] {
            let bridge = bridge(&[]);
            let rules = rules("apl-1", &bridge, &allow);
            for (chain, last) in [("input", Match::From("apl-1")), ("forward", Match::To("apl-1"))]
            {
                let rule = rules.iter().rfind(|rule| rule.0 == chain).expect("a rule");
                assert_eq!(
                    (rule.1.as_slice(), rule.2),
                    ([last].as_slice(), Verdict::Drop),
                    "{chain}"
                );
            }
        }
    }

    #[test]
    fn other_jobs_and_metadata_are_closed_before_anything_is_open() {
        let everywhere = [Cidr { address: 0, mask: 0 }];
        let bridge = bridge(&[]);
        let rules = rules("apl-1", &bridge, &everywhere);
        let at = |wanted: Match<'_>| {
            rules.iter().position(|rule| rule.0 == "forward" && rule.1.contains(&wanted))
        };
        let open = at(Match::Destination(everywhere[0])).expect("the allowed network");
        assert!(at(Match::ToPrefix(PREFIX)).is_some_and(|at| at < open));
        assert!(at(Match::Destination(LINK_LOCAL)).is_some_and(|at| at < open));
    }
}
