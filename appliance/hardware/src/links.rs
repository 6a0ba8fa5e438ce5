//! Network interfaces: state, speed, errors, and how often the carrier came and went.
//!
//! Invariants: read in a thread of its own, because a driver may ask its card; counters that go
//! back (a reloaded driver) begin anew. Loopback and the job networks' ends are left out.
//! Source: kernel documentation, `ABI/testing/sysfs-class-net` and `-net-statistics`.

use crate::{
    Root,
    slow::Slow,
    track::{Miss, Raw, Track},
};
use base::reading::{Duplex, Link, LinkState, LinkTotals, Quality, Source, Traffic};
use std::{
    collections::{BTreeMap, VecDeque},
    io,
    time::{Duration, Instant},
};

const CLASS: &str = "sys/class/net";
/// A box has some cards; a host of containers has hundreds of interfaces that are not its own.
const LINKS_MAX: usize = 32;
/// What counts as coming and going.
const FLAPS_WITHIN: Duration = Duration::from_secs(600);
/// A cable that is plugged a thousand times in ten minutes is told as often as this.
const FLAPS_MAX: usize = 1000;
const IFF_UP: u32 = 1;
/// Wrong checksums are among `rx_errors`, lost carriers among `tx_errors`; missed packets are not.
const ERRORS: [&str; 3] = ["rx_errors", "tx_errors", "rx_missed_errors"];
const DROPS: [&str; 2] = ["rx_dropped", "tx_dropped"];

/// What one interface answered.
#[derive(Debug, Clone)]
struct Answer {
    name: String,
    state: Raw<LinkState>,
    speed: Option<u64>,
    duplex: Option<Duplex>,
    mtu: u32,
    packets: u64,
    totals: LinkTotals,
}

struct Known {
    state: Track<LinkState>,
    last: Answer,
    at: Duration,
    flaps: VecDeque<Duration>,
}

/// All interfaces.
pub(crate) struct Links {
    slow: Slow<Vec<Answer>>,
    known: BTreeMap<String, Known>,
}

impl Links {
    pub(crate) fn start(root: &Root) -> io::Result<Self> {
        let root = root.clone();
        let slow = Slow::start("links", move || {
            let names = root.names(CLASS);
            let own = names.iter().filter(|name| is_own(name) && is_there(&root, name));
            own.take(LINKS_MAX).map(|name| read(&root, name)).collect()
        })?;
        Ok(Self { slow, known: BTreeMap::new() })
    }

    pub(crate) fn ask(&mut self) {
        self.slow.ask();
    }

    pub(crate) fn take(&mut self, now: Duration, deadline: Instant) -> Vec<Link> {
        let Some(answers) = self.slow.take(deadline) else {
            return self
                .known
                .values_mut()
                .map(|known| known.missed(Quality::Stale, now))
                .collect();
        };
        let lost: Vec<String> = self
            .known
            .keys()
            .filter(|name| answers.iter().all(|answer| answer.name != **name))
            .cloned()
            .collect();
        let mut links: Vec<Link> =
            answers.into_iter().map(|answer| self.heard(answer, now)).collect();
        for name in lost {
            let known = self.known.get_mut(&name);
            links.extend(known.map(|known| known.missed(Quality::Lost, now)));
            // A card that was pulled is told as lost for as long as its flaps count.
            self.known.retain(|other, known| {
                *other != name || now.saturating_sub(known.at) < FLAPS_WITHIN
            });
        }
        links.sort_by(|a, b| a.name.cmp(&b.name));
        links
    }

    fn heard(&mut self, answer: Answer, now: Duration) -> Link {
        let known = self.known.entry(answer.name.clone()).or_insert_with(|| Known {
            state: Track::new(Source::new(answer.name.as_str(), "operstate")),
            last: answer.clone(),
            at: now,
            flaps: VecDeque::new(),
        });
        let before = known.last.totals.carrier_changes;
        let changes = answer.totals.carrier_changes.saturating_sub(before);
        let room = FLAPS_MAX.saturating_sub(known.flaps.len());
        known.flaps.extend((0..changes).take(room).map(|_| now));
        let traffic = traffic(&known.last, &answer, now.saturating_sub(known.at));
        (known.last, known.at) = (answer, now);
        known.tell(known.last.state.map_err(Into::into), traffic, now)
    }
}

impl Known {
    fn missed(&mut self, quality: Quality, now: Duration) -> Link {
        self.tell(Err(quality), Traffic::default(), now)
    }

    fn tell(&mut self, state: Result<LinkState, Quality>, traffic: Traffic, now: Duration) -> Link {
        self.flaps.retain(|at| now.saturating_sub(*at) < FLAPS_WITHIN);
        Link {
            name: self.last.name.clone(),
            state: self.state.take(state, now),
            speed_mbit: self.last.speed,
            duplex: self.last.duplex,
            mtu: self.last.mtu,
            flaps: u32::try_from(self.flaps.len()).unwrap_or(u32::MAX),
            traffic,
            totals: self.last.totals,
        }
    }
}

/// Not loopback, and not the host's end of a container or of a job, told by the names that their
/// makers give.
pub(crate) fn is_own(name: &str) -> bool {
    const OTHERS: [&str; 11] = [
        "apl-", "veth", "docker", "br-", "cni", "flannel", "cali", "virbr", "podman", "tap", "ifb",
    ];
    name != "lo" && OTHERS.iter().all(|begin| !name.starts_with(begin))
}

fn is_there(root: &Root, name: &str) -> bool {
    root.join(format!("{CLASS}/{name}/operstate")).exists()
}

fn read(root: &Root, name: &str) -> Answer {
    let path = |file: &str| format!("{CLASS}/{name}/{file}");
    let number = |file: &str| root.value::<u64>(path(file)).unwrap_or(0);
    let sum = |files: &[&str]| {
        files.iter().fold(0_u64, |sum, f| sum.saturating_add(number(&format!("statistics/{f}"))))
    };
    let duplex = match root.text(path("duplex")).unwrap_or_default().as_str() {
        "full" => Some(Duplex::Full),
        "half" => Some(Duplex::Half),
        _ => None,
    };
    Answer {
        name: name.to_owned(),
        state: state(root, name),
        // -1 while unknown, an error while down.
        speed: root.value::<i64>(path("speed")).ok().and_then(|mbit| u64::try_from(mbit).ok()),
        duplex,
        mtu: root.value(path("mtu")).unwrap_or(0),
        packets: sum(&["rx_packets", "tx_packets"]),
        totals: LinkTotals {
            rx_bytes: number("statistics/rx_bytes"),
            tx_bytes: number("statistics/tx_bytes"),
            errors: sum(&ERRORS),
            crc_errors: number("statistics/rx_crc_errors"),
            drops: sum(&DROPS),
            carrier_changes: number("carrier_changes"),
        },
    }
}

fn state(root: &Root, name: &str) -> Raw<LinkState> {
    let operstate = root.text(format!("{CLASS}/{name}/operstate")).map_err(Miss::from)?;
    let flags = root.text(format!("{CLASS}/{name}/flags")).unwrap_or_default();
    let flags = u32::from_str_radix(flags.trim_start_matches("0x"), 16).unwrap_or(IFF_UP);
    Ok(match operstate.as_str() {
        "up" => LinkState::Up,
        _ if flags & IFF_UP == 0 => LinkState::Down,
        "down" | "lowerlayerdown" | "dormant" => LinkState::NoCarrier,
        _ => LinkState::Unknown,
    })
}

fn traffic(before: &Answer, after: &Answer, span: Duration) -> Traffic {
    let since = |of: &dyn Fn(&Answer) -> u64| {
        let after = of(after);
        after.checked_sub(of(before)).unwrap_or(after)
    };
    let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1);
    let rate = |of: &dyn Fn(&Answer) -> u64| since(of).saturating_mul(1000) / millis;
    if span.is_zero() {
        return Traffic::default();
    }
    Traffic {
        rx_bytes_per_s: rate(&|answer| answer.totals.rx_bytes),
        tx_bytes_per_s: rate(&|answer| answer.totals.tx_bytes),
        packets: since(&|answer| answer.packets),
        errors: since(&|answer| answer.totals.errors),
        drops: since(&|answer| answer.totals.drops),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, expected: bool) {
        assert_eq!(is_own(name), expected, "{name}");
    }

    #[test]
    fn ends_of_jobs_and_containers_are_not_the_machines_cards() {
        for name in ["eth0", "enp3s0", "wlan0", "wwan0", "bond0", "wg0"] {
            check(name, true);
        }
        for name in ["lo", "apl-0123456789", "veth1a2b3c", "docker0", "br-5f3a", "ifb0"] {
            check(name, false);
        }
    }
}
