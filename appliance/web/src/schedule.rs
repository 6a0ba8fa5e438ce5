//! Time as a trigger: schedules of the API, and workflows whose configuration says when they run.
//!
//! Why here: a schedule becomes a trigger as a push does, by way of the repository.
//! The way: each minute is looked at once, as it begins. The last one is kept in the store, so that a
//! short stop loses none; minutes older than [`CATCH_UP`] are passed over, since nobody wants last
//! night's build at noon. Where there is no schedule nothing is kept, and so nothing written. A cut between a pipeline and the mark makes no second pipeline: the store knows
//! which schedule a pipeline came from, and of which minute.
//! Units: minutes since 1970-01-01T00:00Z.
//! On failure: what cannot be triggered is logged and passed over; a full queue or a failed store
//! leaves the mark, and the next round tries again.

use crate::{
    State,
    error::Failure,
    trigger::{Place, Wish, resolve},
};
use base::{
    ids::ProjectId,
    time::Timestamp,
    trigger::{Due, ParameterValue, TriggerKind},
};
use pipeline::{
    cron::{Cron, Minute},
    timetable::Timetable,
};
use std::{ops::RangeInclusive, time::Duration};
use store::projects::{Schedule, Timer};

/// After a look that failed, the next.
const AGAIN: Duration = Duration::from_secs(10);

/// Missed minutes that are made up for, for example after a restart.
const CATCH_UP: i64 = 15;

const MICROS: i64 = 60_000_000;

/// Looks at the time for ever; end it by dropping.
pub async fn keep(state: State) {
    loop {
        let wait = match look(&state, state.now()).await {
            Ok(_) => to_next_minute(state.now()),
            Err(error) => {
                tracing::error!("schedules could not be looked at: {error:#}");
                AGAIN
            }
        };
        tokio::time::sleep(wait).await;
    }
}

/// A timer may fire a little early; what is left is then waited for.
fn to_next_minute(now: Timestamp) -> Duration {
    let micros = MICROS - now.0.rem_euclid(MICROS);
    Duration::from_micros(micros.unsigned_abs())
}

/// Triggers what became due since the last look; how many pipelines that made.
///
/// # Errors
/// When the store fails or the engine takes nothing; the same minutes are looked at again.
pub async fn look(state: &State, now: Timestamp) -> Result<usize, Failure> {
    let minute = now.0.div_euclid(MICROS);
    let read = |reader: &store::Reader<'_>| {
        let mark = reader.clock_minute()?;
        Ok::<_, store::Error>((mark, reader.schedule_list(None)?, reader.timer_list()?))
    };
    let (mark, schedules, timers) = state.store.read(read).await?;
    if schedules.is_empty() && timers.is_empty() {
        if mark.is_some() {
            // The first schedule that is made must not find minutes from before it.
            state.store.write(|txn| txn.clock_forget()).await?;
        }
        return Ok(0);
    }
    let mark = believed(mark, minute);
    if mark.is_some_and(|mark| mark >= minute) {
        return Ok(0);
    }
    let mut made = 0;
    for at in minutes(mark, minute) {
        for moment in moments(&schedules, &timers, at) {
            made += usize::from(fire(state, &moment, at).await?);
        }
    }
    state.store.write(move |txn| txn.clock_set(minute)).await?;
    Ok(made)
}

/// A mark far ahead was made while the clock was wrong: it would keep every schedule still until the
/// clock comes there again.
fn believed(mark: Option<i64>, now: i64) -> Option<i64> {
    let is_ahead = mark.is_some_and(|mark| mark > now + CATCH_UP);
    if is_ahead {
        tracing::warn!("the clock was set back: schedules go on from now");
    }
    mark.filter(|_| !is_ahead)
}

/// The minutes to look at. Before the first look nothing was due.
fn minutes(mark: Option<i64>, now: i64) -> RangeInclusive<i64> {
    let first = mark.map_or(now, |mark| mark + 1);
    first.max(now - CATCH_UP)..=now
}

/// One pipeline that a minute asks for.
#[derive(Debug, Clone, PartialEq)]
struct Moment {
    project: ProjectId,
    place: Place,
    actor: String,
    due: Due,
    parameters: indexmap::IndexMap<String, ParameterValue>,
}

fn moments(schedules: &[Schedule], timers: &[Timer], at: i64) -> Vec<Moment> {
    let at = Minute::at(at);
    let due = schedules.iter().filter(|schedule| {
        let table = serde_json::from_value::<Timetable>(schedule.timetable.clone()).ok();
        table.and_then(|table| table.cron().ok()).is_some_and(|cron| cron.fires(at))
    });
    let own =
        timers.iter().filter(|timer| Cron::parse(&timer.cron).is_ok_and(|cron| cron.fires(at)));
    due.map(of_schedule).chain(own.map(of_timer)).collect()
}

fn of_schedule(schedule: &Schedule) -> Moment {
    let mut parameters = schedule.parameters.clone();
    let mut text = |key: &str| match parameters.shift_remove(key) {
        Some(ParameterValue::String(text)) => Some(text),
        _ => None,
    };
    let place = match (text("branch"), text("tag")) {
        (Some(branch), _) => Place::Branch(branch),
        (None, Some(tag)) => Place::Tag(tag),
        (None, None) => Place::DefaultBranch,
    };
    Moment {
        project: schedule.project,
        place,
        actor: schedule.actor.clone().unwrap_or_else(|| "schedule".into()),
        due: Due::Schedule { id: schedule.id, name: schedule.name.clone() },
        parameters,
    }
}

fn of_timer(timer: &Timer) -> Moment {
    Moment {
        project: timer.project,
        place: Place::Branch(timer.branch.clone()),
        actor: "schedule".into(),
        due: Due::Workflow { name: timer.workflow.clone() },
        parameters: indexmap::IndexMap::new(),
    }
}

/// Triggers one pipeline; false when it has one already or cannot have one.
async fn fire(state: &State, moment: &Moment, at: i64) -> Result<bool, Failure> {
    let received = Timestamp(at * MICROS);
    let (project, due) = (moment.project, moment.due.clone());
    let branch = match (&moment.due, &moment.place) {
        (Due::Workflow { .. }, Place::Branch(branch)) => Some(branch.clone()),
        _ => None,
    };
    let read = move |reader: &store::Reader<'_>| {
        let done = reader.pipeline_is_due_done(project, &due, branch.as_deref(), received)?;
        Ok::<_, store::Error>((done, reader.project_get(project)?))
    };
    let (false, Some(project)) = state.store.read(read).await? else { return Ok(false) };
    let repo = project.repo.clone();
    let wish = Wish {
        project: moment.project,
        repo: project.repo,
        place: moment.place.clone(),
        kind: TriggerKind::ScheduledPipeline,
        actor: moment.actor.clone(),
        parameters: moment.parameters.clone(),
        push: None,
        due: Some(moment.due.clone()),
    };
    let mut trigger = match resolve(state, wish).await {
        Ok(trigger) => trigger,
        Err(failure) => {
            tracing::warn!(project = %repo, due = ?moment.due, "a schedule was passed over: {failure}");
            return forget(state, moment, &failure).await;
        }
    };
    trigger.received_at = received;
    let made = state.engine.trigger(trigger).await?;
    tracing::info!(project = %repo, pipeline.number = made.number.0, "triggered by schedule");
    Ok(true)
}

/// A branch that is gone takes the timers of its configuration with it.
async fn forget(state: &State, moment: &Moment, failure: &Failure) -> Result<bool, Failure> {
    let (Due::Workflow { .. }, Place::Branch(branch), Failure::Missing(_)) =
        (&moment.due, &moment.place, failure)
    else {
        return Ok(false);
    };
    let (project, branch) = (moment.project, branch.clone());
    state.store.write(move |txn| txn.timer_set(project, &branch, &[])).await?;
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(mark: Option<i64>, now: i64, expected: &[i64]) {
        assert_eq!(minutes(mark, now).collect::<Vec<_>>(), expected, "{mark:?} to {now}");
    }

    #[test]
    fn each_minute_is_looked_at_once_and_old_ones_are_passed_over() {
        check(None, 100, &[100]);
        check(Some(99), 100, &[100]);
        check(Some(97), 100, &[98, 99, 100]);
        assert_eq!(minutes(Some(1), 1000).count(), 16);
        check(Some(100), 100, &[]);
    }

    #[test]
    fn what_is_due_becomes_a_trigger_of_its_place() {
        let project = ProjectId(uuid::Uuid::nil());
        let schedule = Schedule {
            id: base::ids::ScheduleId(uuid::Uuid::nil()),
            project,
            name: "nightly".into(),
            description: String::new(),
            timetable: json!({ "per-hour": 1, "hours-of-day": [0], "days-of-week": ["THU"] }),
            parameters: [
                ("branch".to_owned(), ParameterValue::String("main".into())),
                ("deep".to_owned(), ParameterValue::Boolean(true)),
            ]
            .into_iter()
            .collect(),
            actor: Some("ann".into()),
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
        };
        let timer = Timer {
            project,
            branch: "main".into(),
            workflow: "weekly".into(),
            cron: "5 0 * * thu".into(),
        };
        let found = moments(std::slice::from_ref(&schedule), std::slice::from_ref(&timer), 0);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (&found[0].place, found[0].actor.as_str()),
            (&Place::Branch("main".into()), "ann")
        );
        assert_eq!(found[0].parameters.keys().collect::<Vec<_>>(), ["deep"]);
        let later = moments(&[schedule], &[timer], 5);
        assert_eq!(later[0].due, Due::Workflow { name: "weekly".into() });
    }
}
