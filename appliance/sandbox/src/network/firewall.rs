//! The rules of one job's link, as a table of the kernel's packet filter.
//!
//! Why a table for each job: it is made and removed whole, and jobs cannot disturb one another's. An "accept" here does not lift a "drop" of the operator's own tables.
//! Source: nftables(8) for the meaning, `linux/netfilter/nf_tables.h` for the form.

use super::{
    PREFIX,
    cidr::Destination,
    netlink::{ACK, Batch, CREATE, DUMP, Socket},
    rules::{
        CONNECTIONS_BURST, CONNECTIONS_MAX, CONNECTIONS_RATE, Match, PROTOCOL_TCP, Rule, Verdict,
        guard_rules, rules,
    },
};
use crate::spec::Bridge;
use std::{io, net::Ipv4Addr};

const SUBSYSTEM: u16 = 10 << 8;
const TABLE_NEW: u16 = SUBSYSTEM;
const TABLE_GET: u16 = SUBSYSTEM | 1;
const TABLE_REMOVE: u16 = SUBSYSTEM | 2;
const CHAIN_NEW: u16 = SUBSYSTEM | 3;
const RULE_NEW: u16 = SUBSYSTEM | 6;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const APPEND: u16 = 0x800;

/// IPv4 and IPv6 in one table.
const FAMILY_INET: u8 = 1;
const PROTOCOL_IPV4: u8 = 2;

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

/// Where addresses and ports are in their headers; TCP and UDP have ports at one place.
const IPV4_SOURCE: u32 = 12;
const IPV4_DESTINATION: u32 = 16;
const PORT_DESTINATION: u32 = 2;

/// Where the flags of TCP are in its header, and those of a request for a connection (RFC 9293, 3.1).
const TCP_FLAGS: u32 = 13;
const TCP_SYN: u8 = 0x02;
const TCP_ACK: u8 = 0x10;

/// An answer of either family of addresses that says "administratively prohibited".
const REJECT_KIND: u32 = 2;
const REJECT_PROHIBITED: u8 = 3;

/// Answers to what the job began, and errors that belong to it. In the machine's byte order.
const STATE_ANSWERS: u32 = 0b110;
/// What belongs to no connection yet. In the machine's byte order.
const STATE_NEW: u32 = 0b1000;

/// Of a count or a rate: matches what is beyond it.
const BEYOND: u32 = 1;

/// The table of [`guard_make`]. Not of a job, so its name begins otherwise.
const GUARD: &str = "appliance-guard";

/// Makes the table of a job; without bounds on its connections where the kernel has none.
pub(super) fn table_make(
    name: &str,
    bridge: &Bridge,
    address: Ipv4Addr,
    allow: &[Destination],
) -> io::Result<()> {
    let mut chains = vec![
        (("input", "filter"), HOOK_INPUT, PRIORITY_FILTER),
        (("forward", "filter"), HOOK_FORWARD, PRIORITY_FILTER),
    ];
    if !allow.is_empty() {
        chains.push((("postrouting", "nat"), HOOK_POSTROUTING, PRIORITY_SOURCE_NAT));
    }
    let rules = rules(name, bridge, address, allow);
    match table_send(name, &chains, rules.clone()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let is_everywhere =
                |rule: &Rule<'_>| rule.1.iter().all(|condition| condition.is_everywhere());
            table_send(name, &chains, rules.into_iter().filter(is_everywhere).collect())
        }
        sent => sent,
    }
}

/// Makes, once, the table by which a host that forwards for jobs forwards for nobody else.
pub(super) fn guard_make() -> io::Result<()> {
    match tables_remove(&[GUARD.to_owned()]) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        removed => removed?,
    }
    table_send(GUARD, &[(("forward", "filter"), HOOK_FORWARD, PRIORITY_FILTER)], guard_rules())
}

type Chain<'a> = ((&'a str, &'a str), u32, u32);

fn table_send(name: &str, chains: &[Chain<'_>], rules: Vec<Rule<'_>>) -> io::Result<()> {
    let mut batch = Batch::default();
    begin(&mut batch);
    batch.message(TABLE_NEW, ACK | CREATE, &HEAD).text(TABLE_NAME, name);
    for (title, hook, priority) in chains {
        chain(&mut batch, name, *title, *hook, *priority);
    }
    for (chain, matches, verdict) in rules {
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

/// The names of all tables of jobs.
pub(super) fn tables() -> io::Result<Vec<String>> {
    let mut batch = Batch::default();
    batch.message(TABLE_GET, DUMP, &HEAD);
    let answers = Socket::open(Some(rustix::net::netlink::NETFILTER))?.dump(batch)?;
    let names = answers.iter().filter_map(|body| {
        let name = super::netlink::attribute_text(body.get(HEAD.len()..)?, TABLE_NAME)?;
        name.starts_with(PREFIX).then_some(name)
    });
    Ok(names.collect())
}

/// Removes tables, all or none: one that is not there is an error.
pub(super) fn tables_remove(names: &[String]) -> io::Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let mut batch = Batch::default();
    begin(&mut batch);
    for name in names {
        batch.message(TABLE_REMOVE, ACK, &HEAD).text(TABLE_NAME, name);
    }
    end(&mut batch);
    Socket::open(Some(rustix::net::netlink::NETFILTER))?.send(batch)
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
        Match::FromNot(name) => meta(list, META_IIFNAME, UNEQUAL, &interface(name)),
        Match::FromPrefix(prefix) => meta(list, META_IIFNAME, EQUAL, prefix.as_bytes()),
        Match::FromNotPrefix(prefix) => meta(list, META_IIFNAME, UNEQUAL, prefix.as_bytes()),
        Match::To(name) => meta(list, META_OIFNAME, EQUAL, &interface(name)),
        Match::ToPrefix(prefix) => meta(list, META_OIFNAME, EQUAL, prefix.as_bytes()),
        Match::Ipv4 => meta(list, META_NFPROTO, EQUAL, &[PROTOCOL_IPV4]),
        Match::NotIpv4 => meta(list, META_NFPROTO, UNEQUAL, &[PROTOCOL_IPV4]),
        Match::SourceIsNot(address) => {
            payload(list, BASE_NETWORK, IPV4_SOURCE, 4);
            compare(list, UNEQUAL, &address.octets());
        }
        Match::SourceIs(address) => {
            payload(list, BASE_NETWORK, IPV4_SOURCE, 4);
            compare(list, EQUAL, &address.octets());
        }
        Match::ToNetwork(network) => {
            payload(list, BASE_NETWORK, IPV4_DESTINATION, 4);
            masked(list, network.mask.to_be_bytes());
            compare(list, EQUAL, &network.address.to_be_bytes());
        }
        Match::Port(protocol, port) => {
            meta(list, META_L4PROTO, EQUAL, &[protocol]);
            payload(list, BASE_TRANSPORT, PORT_DESTINATION, 2);
            compare(list, EQUAL, &port.to_be_bytes());
        }
        Match::Answers => state(list, STATE_ANSWERS),
        Match::Begins => state(list, STATE_NEW),
        Match::BeginsTcp => {
            meta(list, META_L4PROTO, EQUAL, &[PROTOCOL_TCP]);
            payload(list, BASE_TRANSPORT, TCP_FLAGS, 1);
            masked(list, [TCP_SYN | TCP_ACK]);
            compare(list, EQUAL, &[TCP_SYN]);
        }
        Match::TooMany => expression(list, "connlimit", |data| {
            data.number_be(1, CONNECTIONS_MAX).number_be(2, BEYOND);
        }),
        Match::TooFast => expression(list, "limit", |data| {
            // In each second, counting packets.
            data.attribute(1, &CONNECTIONS_RATE.to_be_bytes()).attribute(2, &1_u64.to_be_bytes());
            data.number_be(3, CONNECTIONS_BURST).number_be(4, 0).number_be(5, BEYOND);
        }),
    }
}

/// The packet's connection is in one of these states.
fn state(list: &mut Batch, states: u32) {
    expression(list, "ct", |data| {
        data.number_be(1, REGISTER).number_be(2, 0);
    });
    masked(list, states.to_ne_bytes());
    compare(list, UNEQUAL, &[0; 4]);
}

fn verdict_add(list: &mut Batch, verdict: Verdict) {
    let code = match verdict {
        Verdict::Drop => 0,
        Verdict::Accept => 1,
        Verdict::Masquerade => return expression(list, "masq", |_| {}),
        Verdict::Reject => {
            return expression(list, "reject", |data| {
                data.number_be(1, REJECT_KIND).attribute(2, &[REJECT_PROHIBITED]);
            });
        }
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

/// Keeps of what was loaded, which is as long, the bits of `mask`.
fn masked<const BYTES: usize>(list: &mut Batch, mask: [u8; BYTES]) {
    let length = u32::try_from(BYTES).expect("a register is short");
    expression(list, "bitwise", |data| {
        data.number_be(1, REGISTER).number_be(2, REGISTER).number_be(3, length);
        data.nested(4, |value| {
            value.attribute(DATA_VALUE, &mask);
        });
        data.nested(5, |value| {
            value.attribute(DATA_VALUE, &[0; BYTES]);
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
