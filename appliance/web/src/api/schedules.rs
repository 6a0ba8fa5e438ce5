//! Schedules of projects, as API v2 has them.

use super::{Slug, body::Sent, id, message, people::People, project, shapes};
use crate::{
    State,
    access::{Member, Routes, User, Viewer},
    error::Failure,
};
use axum::{Json, extract::Path};
use base::{ids::ScheduleId, trigger::ParameterValue};
use http::StatusCode;
use indexmap::IndexMap;
use pipeline::timetable::Timetable;
use serde::Deserialize;
use serde_json::{Value, json};
use store::{
    access::NewAudit,
    projects::{Project, Schedule},
};

/// Schedules of one project; more is a loop that makes them.
const SCHEDULES_MAX: usize = 200;

/// All schedules are read every few seconds; their texts must stay small.
const DESCRIPTION_MAX: usize = 2048;

/// Parameters of one schedule, and characters of one value: the bounds of a trigger's.
const PARAMETERS_MAX: usize = 100;
const PARAMETER_MAX: usize = 512;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/api/v2/project/{vcs}/{org}/{repo}/schedule", list)
        .post("/api/v2/project/{vcs}/{org}/{repo}/schedule", make)
        .get("/api/v2/schedule/{id}", get)
        .patch("/api/v2/schedule/{id}", change)
        .delete("/api/v2/schedule/{id}", remove)
}

/// A new schedule, or what to change of one.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct Wanted {
    name: Option<String>,
    description: Option<String>,
    timetable: Option<Timetable>,
    parameters: Option<IndexMap<String, ParameterValue>>,
    attribution_actor: Option<String>,
}

/// Those whom schedules act for.
async fn people(state: &State, rows: &[Schedule]) -> Result<People, Failure> {
    People::find(state, rows.iter().filter_map(|row| row.actor.as_deref())).await
}

fn shape(schedule: &Schedule, slug: &str, people: &People) -> Value {
    let login = schedule.actor.as_deref().unwrap_or("system");
    json!({
        "id": schedule.id,
        "name": schedule.name,
        "description": schedule.description,
        "timetable": schedule.timetable,
        "parameters": schedule.parameters,
        "project-slug": slug,
        "actor": { "id": people.id(login), "login": login, "name": login },
        "created-at": schedule.created_at,
        "updated-at": schedule.updated_at,
    })
}

/// One schedule as the caller reads it.
async fn told(state: &State, schedule: &Schedule, slug: &str) -> Result<Value, Failure> {
    let people = people(state, std::slice::from_ref(schedule)).await?;
    Ok(shape(schedule, slug, &people))
}

/// A line for the audit log.
fn deed(by: &User, action: &str, slug: &str, schedule: &Schedule) -> NewAudit {
    by.deed(action, format!("{slug} {} {}", schedule.name, schedule.id))
}

/// Checks what is wanted, and puts it into the schedule.
fn put(into: &mut Schedule, wanted: Wanted, by: &User) -> Result<(), Failure> {
    let invalid = |why: &str| Err(Failure::Invalid(why.to_owned()));
    if let Some(name) = wanted.name {
        into.name = name;
    }
    if into.name.trim().is_empty() || into.name.len() > 256 {
        return invalid("name: 1 to 256 characters are required");
    }
    if let Some(description) = wanted.description {
        into.description = description;
    }
    if into.description.len() > DESCRIPTION_MAX {
        return Err(Failure::Invalid(format!(
            "description: at most {DESCRIPTION_MAX} bytes are kept"
        )));
    }
    if let Some(timetable) = wanted.timetable {
        timetable.cron().map_err(|error| Failure::Invalid(error.to_string()))?;
        into.timetable = serde_json::to_value(timetable).map_err(Failure::inside)?;
    }
    if into.timetable.is_null() {
        return invalid("timetable: per-hour, hours-of-day and days are required");
    }
    if let Some(parameters) = wanted.parameters {
        into.parameters = parameters;
    }
    let long = |value: &ParameterValue| matches!(value, ParameterValue::String(text) if text.chars().count() > PARAMETER_MAX);
    if into.parameters.len() > PARAMETERS_MAX || into.parameters.values().any(long) {
        return Err(Failure::Invalid(format!(
            "parameters: at most {PARAMETERS_MAX}, each of at most {PARAMETER_MAX} characters"
        )));
    }
    let text = |key: &str| matches!(into.parameters.get(key), Some(ParameterValue::String(_)));
    if text("branch") == text("tag") {
        return invalid("parameters: name the `branch` or the `tag` that is built");
    }
    match wanted.attribution_actor.as_deref() {
        Some("current") => into.actor = Some(by.login.clone()),
        Some("system") => into.actor = None,
        Some(_) => return invalid("attribution-actor: `current` or `system`"),
        None => {}
    }
    Ok(())
}

async fn list(
    Viewer(user): Viewer,
    state: State,
    Path(slug): Path<Slug>,
) -> Result<Json<Value>, Failure> {
    let Project { id, repo, .. } = project(&state, &user, slug).await?;
    let rows = state.store.read(move |reader| reader.schedule_list(Some(id))).await?;
    let (slug, people) = (repo.slug(), people(&state, &rows).await?);
    Ok(Json(shapes::page(rows.iter().map(|row| shape(row, &slug, &people)).collect(), None)))
}

async fn make(
    Member(user): Member,
    state: State,
    Path(slug): Path<Slug>,
    Sent(wanted): Sent<Wanted>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let Project { id, repo, .. } = project(&state, &user, slug).await?;
    let now = state.now();
    let mut schedule = Schedule {
        id: ScheduleId(uuid::Uuid::nil()),
        project: id,
        name: String::new(),
        description: String::new(),
        timetable: Value::Null,
        parameters: IndexMap::new(),
        actor: Some(user.login.clone()),
        created_at: now,
        updated_at: now,
    };
    put(&mut schedule, wanted, &user)?;
    let (by, of) = (user, repo.slug());
    let saved = state
        .store
        .write(move |txn| {
            if txn.schedule_list(Some(id))?.len() >= SCHEDULES_MAX {
                return Ok(None);
            }
            schedule.id = txn.schedule_id(now);
            txn.schedule_save(&schedule)?;
            txn.audit_append(now, &deed(&by, "schedule.create", &of, &schedule))?;
            Ok::<_, store::Error>(Some(schedule))
        })
        .await?;
    let saved = saved.ok_or_else(|| {
        Failure::Conflict(format!("a project has at most {SCHEDULES_MAX} schedules: remove some"))
    })?;
    Ok((StatusCode::CREATED, Json(told(&state, &saved, &repo.slug()).await?)))
}

/// A schedule that the caller's token reaches, and its project's slug.
async fn find(state: &State, user: &User, text: &str) -> Result<(Schedule, String), Failure> {
    let id: ScheduleId = id(text, "Schedule")?;
    let found = state
        .store
        .read(move |reader| {
            let Some(schedule) = reader.schedule_get(id)? else { return Ok(None) };
            let project = reader.project_get(schedule.project)?;
            Ok::<_, store::Error>(project.map(|project| (schedule, project.repo.slug())))
        })
        .await?;
    let found = found.ok_or_else(|| Failure::missing("Schedule"))?;
    user.reach(found.0.project)?;
    Ok(found)
}

async fn get(
    Viewer(user): Viewer,
    state: State,
    Path(text): Path<String>,
) -> Result<Json<Value>, Failure> {
    let (schedule, slug) = find(&state, &user, &text).await?;
    Ok(Json(told(&state, &schedule, &slug).await?))
}

async fn change(
    Member(user): Member,
    state: State,
    Path(text): Path<String>,
    Sent(wanted): Sent<Wanted>,
) -> Result<Json<Value>, Failure> {
    let (Schedule { id, .. }, slug) = find(&state, &user, &text).await?;
    let (now, of) = (state.now(), slug.clone());
    let change = move |txn: &mut store::Txn<'_>| {
        // It may have been changed or removed since.
        let Some(mut schedule) = txn.schedule_get(id)? else {
            return Ok(Err(Failure::missing("Schedule")));
        };
        if let Err(failure) = put(&mut schedule, wanted, &user) {
            return Ok(Err(failure));
        }
        schedule.updated_at = now;
        txn.schedule_save(&schedule)?;
        txn.audit_append(now, &deed(&user, "schedule.change", &of, &schedule))?;
        Ok::<_, store::Error>(Ok(schedule))
    };
    let schedule = state.store.write(change).await??;
    Ok(Json(told(&state, &schedule, &slug).await?))
}

async fn remove(
    Member(user): Member,
    state: State,
    Path(text): Path<String>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let (schedule, slug) = find(&state, &user, &text).await?;
    let now = state.now();
    let remove = move |txn: &mut store::Txn<'_>| {
        txn.audit_append(now, &deed(&user, "schedule.remove", &slug, &schedule))?;
        txn.schedule_remove(schedule.id)
    };
    state.store.write(remove).await?;
    Ok(message(StatusCode::OK, "Schedule deleted."))
}
