//! Projects, variables, contexts and pushes over a database in memory.

use super::{Push, PushedRef, Settings};
use crate::{Error, Txn, migrate};
use base::{
    ids::{Cursor, PipelineId, ProjectId, PushId},
    secret::Secret,
    time::Timestamp,
};
use uuid::Uuid;

mod removals;

const NOW: Timestamp = Timestamp(1_000_000);

fn check(test: impl FnOnce(&mut Txn<'_>) -> Result<(), Error>) {
    let (sql, key) = migrate::in_memory();
    test(&mut Txn::new(&sql, &key, Cursor(0))).unwrap();
}

fn project(txn: &Txn<'_>) -> Result<ProjectId, Error> {
    let repo = "acme/relay".parse().unwrap();
    Ok(txn.project_ensure(&repo, &Settings::default(), NOW)?.0.id)
}

#[test]
fn a_repository_has_one_project_however_it_is_written() {
    check(|txn| {
        let id = project(txn)?;
        let again = "ACME/Relay".parse().unwrap();
        let (same, made) = txn.project_ensure(&again, &Settings::default(), NOW)?;
        assert_eq!((same.id, made, same.repo.to_string()), (id, false, "acme/relay".into()));
        assert_eq!(txn.project_list()?.len(), 1);
        Ok(())
    });
}

#[test]
fn settings_written_by_an_older_program_get_defaults() {
    let old: Settings = serde_json::from_str(r#"{"default_branch": "trunk"}"#).unwrap();
    assert_eq!(old, Settings { default_branch: "trunk".into(), ..Settings::default() });
}

#[test]
fn a_jobs_secrets_come_lowest_precedence_first_and_are_sealed_at_rest() {
    let (sql, key) = migrate::in_memory();
    let txn = Txn::new(&sql, &key, Cursor(0));
    let id = project(&txn).unwrap();
    let org = txn.org_by_name("acme").unwrap().unwrap().id;
    txn.project_variable_set(id, "TOKEN", &Secret::new("from-project"), NOW).unwrap();
    let context = txn.context_create(org, "deploy", NOW).unwrap();
    txn.context_variable_set(context.id, "TOKEN", &Secret::new("from-context"), NOW).unwrap();
    let secrets = txn.project_secrets(id, &["deploy".to_owned()]).unwrap();
    let values: Vec<&str> = secrets.iter().map(|secret| secret.value.expose()).collect();
    assert_eq!(values, ["from-project", "from-context"]);
    assert!(matches!(txn.project_secrets(id, &["nope".to_owned()]), Err(Error::Missing(_))));
    assert_eq!(txn.project_variable_list(id).unwrap()[0].masked, "xxxxject");
    let at_rest: Vec<u8> =
        sql.query_row("SELECT value FROM project_variables", [], |row| row.get(0)).unwrap();
    assert!(!at_rest.windows(7).any(|part| part == b"project"));
}

#[test]
fn a_context_takes_its_variables_along() {
    check(|txn| {
        project(txn)?;
        let org = txn.org_by_name("acme")?.unwrap().id;
        let context = txn.context_create(org, "deploy", NOW)?;
        assert!(matches!(txn.context_create(org, "deploy", NOW), Err(Error::Conflict(_))));
        txn.context_variable_set(context.id, "A", &Secret::new("1"), NOW)?;
        assert_eq!(txn.context_variable_list(context.id)?.len(), 1);
        assert!(txn.context_remove(context.id)?);
        assert!(!txn.context_remove(context.id)?);
        assert!(txn.context_list(org)?.is_empty());
        Ok(())
    });
}

#[test]
fn expressions_of_a_context_are_kept_in_order_and_go_with_it() {
    check(|txn| {
        project(txn)?;
        let org = txn.org_by_name("acme")?.unwrap().id;
        let [one, other] = ["deploy", "other"].map(|name| txn.context_create(org, name, NOW));
        let (one, other) = (one?.id, other?.id);
        let first = txn.context_expression_add(one, "true", NOW)?;
        let second = txn.context_expression_add(one, "false", Timestamp(NOW.0 + 10_000))?;
        assert_eq!(txn.context_expression_list(one)?, [first.clone(), second.clone()]);
        assert!(txn.context_expression_list(other)?.is_empty());
        assert!(!txn.context_expression_remove(other, first.id)?, "of another context");
        assert!(txn.context_expression_remove(one, first.id)?);
        assert_eq!(txn.context_expression_list(one)?, [second]);
        assert!(txn.context_remove(one)?);
        assert!(txn.context_expression_list(one)?.is_empty());
        Ok(())
    });
}

#[test]
fn a_push_makes_one_pipeline_per_ref_however_often_it_is_told() {
    check(|txn| {
        let id = PushId(Uuid::from_u128(1));
        let refs = vec![PushedRef { name: "refs/heads/main".into(), old: None, new: None }];
        let push = Push { id, project: project(txn)?, at: NOW, actor: "mira".into(), refs };
        txn.push_note(&push)?;
        assert_eq!(txn.push_list_open()?, [push]);
        let pipeline = |n| PipelineId(Uuid::from_u128(n));
        assert_eq!(txn.push_pipeline_claim(id, "refs/heads/main", pipeline(1))?, None);
        assert_eq!(txn.push_pipeline_claim(id, "refs/heads/main", pipeline(2))?, Some(pipeline(1)));
        txn.push_done(id, NOW)?;
        assert!(txn.push_list_open()?.is_empty());
        assert_eq!(txn.push_sweep(Timestamp(NOW.0 + 1))?, 1);
        Ok(())
    });
}
