//! The kernel's own means of cooling, and how far they are used.
//!
//! Invariants: read in a thread of its own, because a step is asked of the firmware on some boards.

use crate::{Root, slow::Slow, track::Track, zones};
use base::reading::{Cooling, Quality, Source};
use std::{
    collections::BTreeMap,
    io,
    time::{Duration, Instant},
};

type Answer = Vec<(zones::Cooler, crate::track::Raw<u64>)>;

/// All cooling devices.
pub(crate) struct Coolers {
    slow: Slow<Answer>,
    last: Answer,
    tracks: BTreeMap<Source, Track<u64>>,
}

impl Coolers {
    pub(crate) fn start(root: &Root) -> io::Result<Self> {
        let root = root.clone();
        // Cooling devices come with drivers that are loaded at boot.
        let mut known = None;
        let slow = Slow::start("cooling", move || {
            let coolers = known.get_or_insert_with(|| zones::find_coolers(&root));
            coolers.iter().map(|cooler| (cooler.clone(), cooler.read(&root))).collect()
        })?;
        Ok(Self { slow, last: Vec::new(), tracks: BTreeMap::new() })
    }

    pub(crate) fn ask(&mut self) {
        self.slow.ask();
    }

    pub(crate) fn take(&mut self, now: Duration, deadline: Instant) -> Vec<Cooling> {
        let answer = self.slow.take(deadline);
        let late = answer.is_none();
        if let Some(answer) = answer {
            self.last = answer;
        }
        let Self { last, tracks, .. } = self;
        let told = last.iter().map(|(cooler, raw)| {
            let raw = if late { Err(Quality::Stale) } else { raw.map_err(Into::into) };
            let track = tracks.entry(cooler.source.clone());
            let track = track.or_insert_with(|| Track::new(cooler.source.clone()));
            Cooling { kind: cooler.kind.clone(), state: track.take(raw, now), max: cooler.max }
        });
        told.collect()
    }
}
