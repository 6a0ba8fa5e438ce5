//! Deleting a project, over a database in memory.

use super::{NOW, check, project};
use crate::{
    Error, Txn,
    access::{NewToken, NewUser, Role, Scope},
    projects::{Push, Removal, Schedule, Settings},
    runs::Cache,
};
use base::{
    ids::{JobNumber, ProjectId, PushId, ScheduleId, UserId},
    secret::Secret,
    time::Timestamp,
    trust::Trust,
};
use uuid::Uuid;

fn other(txn: &Txn<'_>) -> Result<ProjectId, Error> {
    let repo = "acme/other".parse().unwrap();
    Ok(txn.project_ensure(&repo, &Settings::default(), NOW)?.0.id)
}

fn schedule(project: ProjectId) -> Schedule {
    Schedule {
        id: ScheduleId(Uuid::from_u128(5)),
        project,
        name: "nightly".into(),
        description: String::new(),
        timetable: serde_json::Value::Null,
        parameters: indexmap::IndexMap::new(),
        actor: None,
        created_at: NOW,
        updated_at: NOW,
    }
}

fn push(project: ProjectId) -> Push {
    Push {
        id: PushId(Uuid::from_u128(6)),
        project,
        at: NOW,
        actor: "mira".into(),
        refs: Vec::new(),
    }
}

/// Names tables that have a row which names the project.
fn named(txn: &Txn<'_>, id: ProjectId) -> Result<Vec<&'static str>, Error> {
    let tables = [
        "projects",
        "project_variables",
        "pushes",
        "schedules",
        "timers",
        "job_peaks",
        "caches",
        "context_restrictions",
        "removals",
    ];
    let mut found = Vec::new();
    for table in tables {
        let column = if table == "projects" { "id" } else { "project" };
        let mut find = txn.statement(&format!("SELECT 1 FROM {table} WHERE {column} = ?1"))?;
        if find.exists([id.0])? {
            found.push(table);
        }
    }
    Ok(found)
}

#[test]
fn a_deleted_project_takes_along_all_that_is_its_alone() {
    check(|txn| {
        let (id, other) = (project(txn)?, other(txn)?);
        for id in [id, other] {
            txn.project_variable_set(id, "TOKEN", &Secret::new("1"), NOW)?;
            txn.timer_set(id, "main", &[("nightly".into(), "0 0 * * *".into())])?;
        }
        txn.schedule_save(&schedule(id))?;
        txn.push_note(&push(id))?;
        let whole = named(txn, other)?;
        txn.project_remove(id, NOW)?;
        assert_eq!(named(txn, id)?, ["removals"]);
        assert_eq!(named(txn, other)?, whole, "nobody else's");
        assert!(txn.push_list_open()?.is_empty());
        let repo = Some("acme/relay".parse().unwrap());
        assert_eq!(txn.removal_list()?, [Removal { project: id, repo, at: NOW }]);
        txn.removal_done(id)?;
        assert!(named(txn, id)?.is_empty());
        Ok(())
    });
}

#[test]
fn a_name_is_free_when_the_folder_is_out_of_the_way_and_begins_another_project() {
    check(|txn| {
        let id = project(txn)?;
        txn.project_remove(id, NOW)?;
        let again = "ACME/Relay".parse().unwrap();
        let refused = txn.project_ensure(&again, &Settings::default(), NOW);
        assert!(matches!(refused, Err(Error::Conflict(why)) if why.contains("still in the way")));
        txn.removal_name_free(id)?;
        let (new, made) = txn.project_ensure(&again, &Settings::default(), NOW)?;
        assert!(made && new.id != id);
        assert_eq!(txn.removal_list()?[0].repo, None);
        Ok(())
    });
}

#[test]
fn nothing_is_written_for_a_project_that_is_gone() {
    check(|txn| {
        let id = project(txn)?;
        let org = txn.org_by_name("acme")?.unwrap().id;
        let context = txn.context_create(org, "deploy", NOW)?.id;
        txn.project_remove(id, NOW)?;
        let late: [Result<(), Error>; 5] = [
            txn.project_variable_set(id, "TOKEN", &Secret::new("1"), NOW),
            txn.schedule_save(&schedule(id)),
            txn.push_note(&push(id)),
            txn.context_restrict(context, id),
            txn.project_remove(id, NOW),
        ];
        assert!(late.iter().all(|late| matches!(late, Err(Error::Missing(_)))), "{late:?}");
        assert_eq!(named(txn, id)?, ["removals"]);
        Ok(())
    });
}

#[test]
fn a_context_that_was_closed_is_opened_to_nobody() {
    check(|txn| {
        let (id, other) = (project(txn)?, other(txn)?);
        let org = txn.org_by_name("acme")?.unwrap().id;
        let alone = txn.context_create(org, "alone", NOW)?.id;
        let shared = txn.context_create(org, "shared", NOW)?.id;
        for (context, project) in [(alone, id), (shared, id), (shared, other)] {
            txn.context_restrict(context, project)?;
        }
        txn.project_remove(id, NOW)?;
        assert_eq!(txn.context_restriction_list(shared)?, [other]);
        assert!(!txn.context_allows(alone, other)?);
        assert!(txn.context_unrestrict(alone, id)?, "and it can be opened");
        Ok(())
    });
}

fn token(txn: &Txn<'_>, user: UserId, hash: u8, projects: &[ProjectId]) -> Result<(), Error> {
    let scope = Scope { role: Role::Member, projects: Some(projects.to_vec()) };
    let label = String::new();
    let new = NewToken { hash: [hash; 32], user, label, scope, expires_at: None };
    txn.token_create(&new, NOW).map(drop)
}

#[test]
fn a_token_of_one_project_goes_with_it_and_one_of_several_is_bound_to_the_rest() {
    check(|txn| {
        let (id, other) = (project(txn)?, other(txn)?);
        let user = NewUser {
            login: "ann".into(),
            name: "Ann".into(),
            role: Role::Member,
            password: None,
            one_time: false,
        };
        let user = txn.user_create(&user, NOW)?.id;
        token(txn, user, 1, &[id])?;
        token(txn, user, 2, &[id, other])?;
        token(txn, user, 3, &[other])?;
        txn.project_remove(id, NOW)?;
        assert!(txn.token_find(&[1; 32], NOW)?.is_none());
        for hash in [2, 3] {
            let bound = txn.token_find(&[hash; 32], NOW)?.unwrap().0.scope.projects;
            assert_eq!(bound, Some(vec![other]));
        }
        Ok(())
    });
}

#[test]
fn an_open_push_is_seen_for_as_long_as_is_asked() {
    check(|txn| {
        let (id, other) = (project(txn)?, other(txn)?);
        txn.push_note(&push(id))?;
        assert!(txn.push_is_open(id, NOW)?);
        assert!(!txn.push_is_open(other, NOW)?);
        assert!(!txn.push_is_open(id, Timestamp(NOW.0 + 1))?);
        txn.push_done(push(id).id, NOW)?;
        assert!(!txn.push_is_open(id, NOW)?);
        Ok(())
    });
}

#[test]
fn caches_of_a_deleted_project_go_in_handfuls() {
    check(|txn| {
        let (id, other) = (project(txn)?, other(txn)?);
        for (project, n) in [(id, 1), (id, 2), (id, 3), (other, 4)] {
            let cache = Cache {
                project,
                key: format!("deps-{n}"),
                trust: Trust::Unprotected,
                object: format!("task/{n}"),
                size: 1,
                paths: Vec::new(),
                job: JobNumber(1),
                created_at: NOW,
                expires_at: Timestamp(NOW.0 + 1),
            };
            txn.cache_insert(&cache)?;
        }
        assert_eq!(txn.removal_caches(id, 2)?.len(), 2);
        assert_eq!(txn.removal_caches(id, 2)?.len(), 1);
        assert!(txn.removal_caches(id, 2)?.is_empty());
        assert!(txn.cache_get(other, Trust::Unprotected, "deps-4", NOW)?.is_some());
        Ok(())
    });
}
