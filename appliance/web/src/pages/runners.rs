//! Runners: what they serve, what they do, when they were heard.

use super::{
    frame::{self, Frame, Here, Live, Theme},
    look::Look,
    moment,
};
use crate::{
    State,
    access::{Routes, Viewer},
    error::Failure,
};
use base::{limits::HEARTBEAT, time::Timestamp};
use engine::{RunnerStatus, Status};
use maud::{Markup, html};
use store::runs::RunnerRow;

/// Three heartbeats missed: it is gone.
const SILENT: u32 = 3;

pub(super) fn routes() -> Routes {
    Routes::new().get("/runners", show)
}

async fn show(Viewer(user): Viewer, state: State, theme: Theme) -> Result<Markup, Failure> {
    let status = state.engine.status().await?;
    let (rows, cursor) = state
        .store
        .read(|reader| Ok::<_, store::Error>((reader.runner_list()?, reader.event_last()?)))
        .await?;
    let frame = Frame {
        user: &user,
        theme,
        config: &state.config,
        here: Here::Runners,
        title: "Runners".to_owned(),
        look: None,
        live: Some(Live { cursor, project: None }),
    };
    Ok(frame::page(&frame, &body(&rows, &status, state.now())))
}

fn body(rows: &[RunnerRow], status: &Status, now: Timestamp) -> Markup {
    html! {
        div.head { h1 { "Runners" } }
        dl.facts {
            div { dt { "Running" } dd { (status.leased) } }
            div { dt { "Slots" } dd { (status.slots) } }
            div { dt { "Waiting" } dd { (status.waiting) } }
        }
        @if rows.is_empty() {
            section.empty {
                h2 { "No runner has registered" }
                p { "The local runner starts with the service. If it does not appear here, " code { "appliance doctor" } " on the machine says why." }
            }
        }
        ul.cards {
            @for row in rows {
                @let live = status.runners.iter().find(|live| live.id == row.id);
                (card(row, live, now))
            }
        }
    }
}

fn card(row: &RunnerRow, live: Option<&RunnerStatus>, now: Timestamp) -> Markup {
    let register = &row.register;
    let seen = live.and_then(|live| live.seen_at);
    let busy = live.map_or(0, |live| live.busy);
    let (look, word) = condition(seen, busy, now);
    html! {
        li.card {
            h2 { (register.name) " " (look.badge(word)) }
            p.slots role="img" aria-label=(format!("{busy} of {} slots busy", register.slots)) {
                @for slot in 0..register.slots.min(64) { i.sq.(if slot < busy { "run" } else { "idle" }) {} }
                span.faint { " " (busy) " of " (register.slots) " slots busy" }
            }
            dl.facts {
                div { dt { "Host" } dd { (register.hostname) } }
                div { dt { "Version" } dd { (register.version) } }
                div { dt { "Last contact" } dd { @match seen { Some(at) => (moment::ago(at, now)), None => "not since the service began" } } }
                div { dt { "Resource classes" } dd {
                    @if register.serves_plain_classes { span.pill { "all plain classes" } }
                    @for class in &register.resource_classes { span.pill { (class) } }
                } }
            }
        }
    }
}

fn condition(seen: Option<Timestamp>, busy: u32, now: Timestamp) -> (Look, &'static str) {
    match seen {
        Some(at) if now.since(at) <= HEARTBEAT * SILENT => match busy {
            0 => (Look::Good, "Idle"),
            _ => (Look::Running, "Busy"),
        },
        _ => (Look::Stopped, "Silent"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(heard_before: Option<i64>, busy: u32, word: &str) {
        let seen = heard_before.map(|seconds| Timestamp(1_000_000_000 - seconds * 1_000_000));
        assert_eq!(condition(seen, busy, Timestamp(1_000_000_000)).1, word);
    }

    #[test]
    fn a_runner_that_is_not_heard_is_told_as_such() {
        check(Some(5), 0, "Idle");
        check(Some(5), 2, "Busy");
        check(Some(31), 2, "Silent");
        check(None, 0, "Silent");
    }
}
