//! The keys with which a job asks the S3 service, and Git, on behalf of its project.
//!
//! Why under names of our own: a job that sets `AWS_ACCESS_KEY_ID` and its sisters means its own
//! account; half of those and half of ours would be neither.
//! Why two levels: what one job puts into a bucket the next one gets. Where a project protects branches,
//! jobs of others must not change what those of the protected ones read.
//! Invariants: a job whose network is off gets none; a key ends with the task, and with the lease by
//! which it was given, and not by a clock, which may be set in mid-job.

use crate::State;
use base::{
    ids::{Fence, TaskId},
    protocol::{Assignment, NetworkPolicy, Variable},
    secret::Secret,
    time::Timestamp,
    trust::Trust,
};
use objects::SessionScope;
use store::Reader;

/// When a key of S3 ends whose task goes on.
const NEVER: Timestamp = Timestamp(i64::MAX);

/// Puts the keys in front of the job's secrets, so that a variable of the project wins. Where the
/// store cannot say how far the job is trusted, it gets none.
pub(super) fn give(state: &State, job: &mut Assignment) {
    if job.network == NetworkPolicy::Off {
        return;
    }
    let (scope, git) = match state.store.look(|reader| of_store(reader, job)) {
        Ok(found) => found,
        Err(error) => {
            tracing::error!(job.id = %job.job, %error, "a job gets no keys");
            return;
        }
    };
    let subject = subject(job.task, job.fence);
    let key = state.objects.session_key(&subject, &job.repo.to_string(), scope, NEVER);
    let variable = |name: &str, value: Secret| Variable { name: name.into(), value };
    let variables = [
        variable("APPLIANCE_GIT_KEY", git),
        variable("APPLIANCE_S3_ACCESS_KEY_ID", Secret::new(key.id)),
        variable("APPLIANCE_S3_SECRET_ACCESS_KEY", key.secret),
        variable("APPLIANCE_S3_SESSION_TOKEN", key.token),
    ];
    job.secrets.splice(0..0, variables);
}

/// What the key of S3 may, and the key of Git.
fn of_store(reader: &Reader<'_>, job: &Assignment) -> Result<(SessionScope, Secret), store::Error> {
    let project = reader.project_get(job.project)?;
    let protects = project.is_some_and(|project| !project.settings.protected.is_empty());
    let scope = scope(protects, reader.job_trust(job.job)?);
    Ok((scope, reader.job_key(job.task, job.fence)?))
}

/// What the key of a job may, where its project protects branches, and where it has one level.
const fn scope(protects: bool, trust: Trust) -> SessionScope {
    match (protects, trust) {
        (false, _) => SessionScope::Owner,
        (true, Trust::Protected) => SessionScope::Protected,
        (true, Trust::Unprotected) => SessionScope::Unprotected,
    }
}

/// What a key is made for: a task, as long as somebody holds it by this lease.
fn subject(task: TaskId, fence: Fence) -> String {
    format!("{task}.{fence}")
}

/// Is the task of a job's key still held as it was when the key was given?
///
/// # Errors
/// The store cannot be read.
pub fn job_key_stands(reader: &Reader<'_>, key: &str) -> Result<bool, store::Error> {
    let id = key.split_once('.').and_then(|(task, _)| task.parse::<TaskId>().ok());
    let Some(id) = id else { return Ok(false) };
    let held =
        |task: store::runs::Task| task.outcome.is_none() && subject(task.id, task.fence) == key;
    Ok(reader.task_get(id)?.is_some_and(held))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_that_protects_nothing_has_one_level() {
        for (protects, trust, expected) in [
            (false, Trust::Unprotected, SessionScope::Owner),
            (false, Trust::Protected, SessionScope::Owner),
            (true, Trust::Unprotected, SessionScope::Unprotected),
            (true, Trust::Protected, SessionScope::Protected),
        ] {
            assert_eq!(scope(protects, trust), expected, "{protects} {trust:?}");
        }
    }
}
