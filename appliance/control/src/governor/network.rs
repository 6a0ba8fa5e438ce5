//! The link: it sets the slots of jobs that work over it and the budget of bulk transfer, never
//! those of local jobs.
//!
//! Why additive growth and multiplicative retreat: loss on a thin radio link is answered within
//! seconds, and the way back is slow. Control traffic is always allowed; only bulk is budgeted.
//! Units: loss in percent of segments, the budget as a share of the link.

use super::{
    Bound, Limiter,
    moment::{Moment, finite, slots},
};

/// What is known of one network card.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Carrier is there.
    pub up: bool,
    /// It speaks half duplex, which on a switched link is a fault.
    pub half_duplex: bool,
    /// Changes of its carrier in the last ten minutes.
    pub flaps: u32,
}

/// What is known of the network.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Network {
    /// Cards that carry traffic to other machines.
    pub links: Vec<Link>,
    /// Lost share of segments in percent, over a window with enough of them.
    pub loss: Option<f64>,
    /// Time-outs of connections in the last ten seconds.
    pub timeouts: u64,
    /// Something that makes every large transfer hang, in words.
    pub trouble: Option<String>,
}

const LOSS_FINE: f64 = 0.5;
const LOSS_BAD: f64 = 2.0;
/// Growth a second: five hundredths a minute.
const GROWTH: f64 = 0.05 / 60.0;
const RETREAT: f64 = 0.7;
const RETREAT_SECONDS: f64 = 10.0;
const BUDGET_MIN: f64 = 0.02;
/// Changes of the carrier within ten minutes: three times away and back.
const FLAPS: u32 = 6;
const OFF_SECONDS: f64 = 300.0;
const OFF_MAX_SECONDS: f64 = 3600.0;
/// The limiter's state.
#[derive(Debug, Clone)]
pub(super) struct NetworkLimiter {
    budget: f64,
    since_retreat: f64,
    off_left: f64,
    off_next: f64,
    why: String,
}

impl Default for NetworkLimiter {
    fn default() -> Self {
        Self {
            budget: 1.0,
            since_retreat: f64::MAX,
            off_left: 0.0,
            off_next: OFF_SECONDS,
            why: String::new(),
        }
    }
}

/// Why a link gets no bulk.
fn bad(link: &Link) -> Option<String> {
    if link.flaps >= FLAPS {
        return Some(format!("{} changed {} times in ten minutes", link.name, link.flaps));
    }
    link.half_duplex.then(|| format!("{} speaks half duplex", link.name))
}

impl NetworkLimiter {
    /// The bound of network jobs, and the share of the link for bulk.
    pub(super) fn step(&mut self, network: &Network, moment: &Moment<'_>) -> (Bound, f64) {
        let pool = moment.pool();
        self.quarantine(network, moment.seconds);
        let loss = finite(network.loss);
        self.aimd(loss, network.timeouts, moment.seconds);
        let down = !network.links.is_empty() && network.links.iter().all(|link| !link.up);
        let (slots, budget, reading) = if down {
            (0, 0.0, "no link is up".to_owned())
        } else if self.off_left > 0.0 {
            (1, 0.0, format!("{}, bulk is off for {:.0} s", self.why, self.off_left))
        } else {
            let loss =
                loss.map_or("no loss measured".to_owned(), |loss| format!("loss {loss:.1} %"));
            (slots(f64::from(pool) * self.budget).max(1), self.budget, loss)
        };
        (Bound { limiter: Limiter::Network, slots: slots.min(pool), reading }, budget)
    }

    /// A flapping or half-duplex link gets no bulk: five minutes, then ten, up to an hour.
    fn quarantine(&mut self, network: &Network, seconds: f64) {
        let why = network.links.iter().filter(|link| link.up || link.flaps > 0).find_map(bad);
        if self.off_left > 0.0 {
            self.off_left = (self.off_left - seconds).max(0.0);
        } else if let Some(why) = why.or_else(|| network.trouble.clone()) {
            self.off_left = self.off_next;
            self.off_next = (self.off_next * 2.0).min(OFF_MAX_SECONDS);
            self.why = why;
        } else {
            // All is quiet, and has been for the ten minutes that flaps are counted over.
            self.off_next = OFF_SECONDS;
        }
    }

    fn aimd(&mut self, loss: Option<f64>, timeouts: u64, seconds: f64) {
        self.since_retreat += seconds;
        let bad = timeouts > 0 || loss.is_some_and(|loss| loss > LOSS_BAD);
        if bad && self.since_retreat >= RETREAT_SECONDS {
            self.budget = (self.budget * RETREAT).max(BUDGET_MIN);
            self.since_retreat = 0.0;
        } else if !bad && loss.is_none_or(|loss| loss < LOSS_FINE) {
            self.budget = (self.budget + GROWTH * seconds).min(1.0);
        }
    }
}
