//! The machine: how warm, how full, how busy it is, what that holds back, and since when.

mod sensors;

use super::{
    chart::{Chart, Line, Mark},
    frame::{self, Frame, Here, Theme},
    look::Look,
    moment,
};
use crate::{
    State,
    access::{Routes, Viewer},
    api::hardware::{held, moments},
    error::Failure,
};
use axum::extract::Query;
use base::time::Timestamp;
use engine::govern::{Bound, Decision, Governed, Limiter, Moment};
use maud::{Markup, html};
use serde::Deserialize;
use std::time::Duration;
use store::runs::Job;

/// Spans that a person may choose, in hours, and their names.
const SPANS: [(u64, &str); 4] = [(1, "1 hour"), (6, "6 hours"), (24, "1 day"), (168, "1 week")];

/// Ten minutes: less than that is a line and not a chart.
const LEAST_MICROS: u64 = 600_000_000;

/// From here on it reads as all of the CPU time.
const QUOTA_FULL: f64 = 0.995;

pub(super) fn routes() -> Routes {
    Routes::new().get("/hardware", show)
}

#[derive(Debug, Deserialize)]
struct Wanted {
    hours: Option<u64>,
}

/// Everything on the page.
struct View<'a> {
    governed: &'a Governed,
    moments: &'a [Moment],
    held: Vec<(Job, String)>,
    /// Of certificates that end soon.
    certificates: Vec<String>,
    hours: u64,
    now: Timestamp,
}

async fn show(
    Viewer(user): Viewer,
    state: State,
    theme: Theme,
    Query(wanted): Query<Wanted>,
) -> Result<Markup, Failure> {
    let hours =
        wanted.hours.filter(|hours| SPANS.iter().any(|(known, _)| known == hours)).unwrap_or(1);
    let governed = state.engine.governed().borrow().clone();
    let moments = moments(&state, Duration::from_secs(hours * 3600)).await?;
    let mut held = held(&state).await?;
    held.retain(|(job, _)| user.reach(job.project).is_ok());
    let now = state.now();
    let ends = state.config.certificates.borrow().clone();
    let certificates = ends.iter().filter_map(|end| end.warning(now)).collect();
    let view = View { governed: &governed, moments: &moments, held, certificates, hours, now };
    let frame = Frame {
        user: &user,
        theme,
        config: &state.config,
        here: Here::Hardware,
        title: "Hardware".to_owned(),
        look: None,
        live: None,
    };
    Ok(frame::page(&frame, &body(&view)))
}

fn body(view: &View<'_>) -> Markup {
    let decision = &view.governed.decision;
    let (look, word) = condition(view.governed);
    html! {
        div.head data-follow="/hardware/stream" { h1 { "Hardware" } (look.badge(word)) }
        p.why { (sentence(view.governed)) }
        @for warning in &view.certificates { p.alert.hold role="alert" { (warning) } }
        dl.facts {
            div { dt { "Slots" } dd { (decision.slots) " of " (decision.pool) } }
            div { dt { "Running" } dd { (view.governed.running) } }
            div { dt { "Waiting" } dd { (view.governed.waiting) } }
            div { dt { "CPU time for jobs" } dd { (format!("{:.0} %", decision.quota * 100.0)) } }
            div { dt { "Network jobs" } dd { (decision.network_slots) " of " (decision.pool) } }
            div { dt { "Bulk transfer" } dd { (format!("{:.0} %", decision.sync_share * 100.0)) } }
            @if let Some(left) = decision.headroom {
                div { dt { "Headroom in 30 s" } dd { (format!("{left:.1} °C")) } }
            }
        }
        (waiting(&view.held, view.now))
        nav.spans aria-label="Span of the charts" {
            @for (hours, name) in SPANS {
                a href=(format!("/hardware?hours={hours}"))
                    aria-current=[(hours == view.hours).then_some("true")] { (name) }
            }
        }
        (charts(view))
        (limiters(decision))
        @if let Some(readings) = view.governed.readings.as_deref() { (sensors::all(readings)) }
    }
}

fn condition(governed: &Governed) -> (Look, &'static str) {
    let decision = &governed.decision;
    match () {
        () if governed.readings.is_none() => (Look::Stopped, "Not read"),
        () if decision.pause => (Look::Bad, "Paused"),
        () if decision.slots == 0 => (Look::Bad, "Closed"),
        () if decision.quota < QUOTA_FULL => (Look::Error, "Throttled"),
        () if decision.slots < decision.pool => (Look::Error, "Held back"),
        () => (Look::Good, "Free"),
    }
}

fn sentence(governed: &Governed) -> String {
    let decision = &governed.decision;
    match decision.binding() {
        _ if governed.readings.is_none() => "No sensors are read: nothing is held back.".to_owned(),
        Some(bound) if decision.pause => {
            format!("All jobs stand still. {}: {}.", capital(bound), bound.reading)
        }
        Some(bound) => format!(
            "{} allows {} of {} jobs: {}.",
            capital(bound),
            bound.slots,
            decision.pool,
            bound.reading
        ),
        // Heat slows what runs before it holds back what waits.
        None if decision.quota < QUOTA_FULL => {
            let heat = decision.bounds.iter().find(|bound| bound.limiter == Limiter::Thermal);
            let reading = heat.map_or("", |heat| heat.reading.as_str());
            format!("Nothing is held back. Heat slows what runs: {reading}.")
        }
        None => "Nothing holds jobs back.".to_owned(),
    }
}

/// The limiter at the beginning of a sentence.
const fn capital(bound: &Bound) -> &'static str {
    match bound.limiter {
        Limiter::Thermal => "Heat",
        Limiter::Memory => "Memory",
        Limiter::Io => "The disk's speed",
        Limiter::Power => "Power",
        Limiter::Disk => "The disk",
        Limiter::Cpu => "The processor",
        Limiter::Network => "The network",
    }
}

fn waiting(held: &[(Job, String)], now: Timestamp) -> Markup {
    html! {
        @if !held.is_empty() {
            section.held {
                h2 { "Jobs that wait " span.count { (held.len()) } }
                ul { @for (job, why) in held {
                    li {
                        b { (job.name) } " "
                        @if let Some(number) = job.number { span.faint { "#" (number) " " } }
                        @if let Some(at) = job.queued_at { span.faint { (moment::ago(at, now)) } }
                        p { (why) }
                    }
                } }
            }
        }
    }
}

fn charts(view: &View<'_>) -> Markup {
    let to = view.now;
    let from = begin(view);
    let marks = marks(view.moments);
    let line = |name, class, steps, of: &dyn Fn(&Moment) -> Option<f64>| Line {
        name,
        class,
        steps,
        points: view.moments.iter().map(|moment| (moment.at, of(moment))).collect(),
    };
    #[expect(clippy::cast_precision_loss, reason = "a drawing")]
    let kbit = |bytes: u64| Some(bytes as f64 * 8.0 / 1000.0);
    let chart = |title, unit, (floor, ceiling), limit, lines| {
        Chart { title, unit, from, to, floor, ceiling, limit, lines, marks: &marks }.draw()
    };
    html! {
        div.charts {
            (chart("Temperature", "°C", (20.0, 100.0), Some(view.governed.limit), vec![
                line("Hottest", "one", false, &|moment| moment.celsius),
            ]))
            (chart("Jobs", "", (0.0, 2.0), None, vec![
                line("Slots", "two", true, &|moment| Some(moment.slots.into())),
                line("Running", "one", true, &|moment| Some(moment.running.into())),
                line("Waiting", "three", true, &|moment| Some(moment.waiting.into())),
            ]))
            (chart("Load", "%", (0.0, 100.0), None, vec![
                line("Processor", "one", false, &|moment| moment.cpu),
                line("Memory", "three", false, &|moment| moment.memory),
                line("CPU time for jobs", "two", false, &|moment| Some(moment.quota)),
            ]))
            (chart("Network", "kbit/s", (0.0, 10.0), None, vec![
                line("In", "one", false, &|moment| kbit(moment.rx)),
                line("Out", "two", false, &|moment| kbit(moment.tx)),
            ]))
        }
        p.hint {
            span.key { i.mark.held {} "jobs were held" }
            span.key { i.mark.paused {} "jobs stood still" }
        }
    }
}

/// The span that was asked for, or as much of it as is known: a new appliance shows its first
/// minutes and not an empty hour.
fn begin(view: &View<'_>) -> Timestamp {
    let back = |micros: u64| {
        Timestamp(view.now.0.saturating_sub(i64::try_from(micros).unwrap_or(i64::MAX)))
    };
    let asked = back(view.hours * 3_600_000_000);
    let known = view.moments.first().map_or(asked, |moment| moment.at);
    asked.max(known.min(back(LEAST_MICROS)))
}

/// Spans in which jobs were held or stood still.
fn marks(moments: &[Moment]) -> Vec<Mark> {
    let mut marks: Vec<Mark> = Vec::new();
    let of = |moment: &Moment| match (moment.paused, moment.held) {
        (true, _) => Some(("paused", "jobs stood still")),
        (_, true) => Some(("held", "jobs were held")),
        _ => None,
    };
    for pair in moments.windows(2) {
        let (Some((class, word)), to) = (of(&pair[0]), pair[1].at) else { continue };
        match marks.last_mut().filter(|mark| mark.class == class && mark.to == pair[0].at) {
            Some(mark) => mark.to = to,
            None => marks.push(Mark { class, from: pair[0].at, to, word }),
        }
    }
    marks
}

/// Of several below the pool the lowest binds: the others would not give more either.
fn limiters(decision: &Decision) -> Markup {
    let (pool, binding) = (decision.pool, [decision.binding(), decision.network()]);
    let binds = |bound: &Bound| binding.into_iter().flatten().any(|one| one == bound);
    html! {
        section {
            h2 { "Limiters" }
            div.scroll { table {
                thead { tr { th { "Limiter" } th { "Slots" } th { "Reading" } } }
                tbody { @for bound in &decision.bounds {
                    tr {
                        td { b { (bound.limiter) } }
                        td.nowrap { (bound.slots) " of " (pool)
                            @if binds(bound) { " " span.pill.bad { "binds" } } }
                        td { (bound.reading) }
                    }
                } }
            } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(second: i64, held: bool, paused: bool) -> Moment {
        Moment {
            at: Timestamp(second),
            celsius: None,
            slots: 1,
            running: 0,
            waiting: 0,
            cpu: None,
            memory: None,
            quota: 100.0,
            rx: 0,
            tx: 0,
            held,
            paused,
        }
    }

    #[test]
    fn neighbours_of_one_kind_are_one_mark() {
        let moments = [
            moment(0, false, false),
            moment(1, true, false),
            moment(2, true, false),
            moment(3, true, true),
            moment(4, false, false),
            moment(5, true, false),
            moment(6, false, false),
        ];
        let marks: Vec<_> =
            marks(&moments).iter().map(|mark| (mark.class, mark.from.0, mark.to.0)).collect();
        assert_eq!(marks, [("held", 1, 3), ("paused", 3, 4), ("held", 5, 6)]);
    }

    #[test]
    fn of_several_low_limiters_one_binds() {
        let bound = |limiter, slots| Bound { limiter, slots, reading: String::new() };
        let mut decision = Decision::open(4);
        let bounds = [(Limiter::Thermal, 3), (Limiter::Memory, 1), (Limiter::Disk, 4)];
        decision.bounds = bounds.map(|(limiter, slots)| bound(limiter, slots)).to_vec();
        decision.slots = 1;
        let page = limiters(&decision).into_string();
        assert_eq!(page.matches("binds").count(), 1, "{page}");
        assert!(page.contains("1 of 4 <span class=\"pill bad\">binds"), "{page}");
    }
}
