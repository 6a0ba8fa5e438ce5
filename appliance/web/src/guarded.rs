//! Variables that only administrators change, for the API and the dashboard alike.
//!
//! Why: a variable is as good as code. Git, shells and most tools read from their environment what they
//! are to run, so that whoever sets a variable of a protected branch's job decides what that job does.
//! Rules: the variables of a project that protects something, a context that is restricted, and the
//! contexts of an organisation of which a project protects something, whose jobs may ask for them.

use crate::{
    State,
    access::{Role, User},
    error::Failure,
};
use store::{
    Reader,
    projects::{Context, Project},
};

/// May this caller set and remove the project's variables?
pub(crate) fn project(user: &User, project: &Project) -> Result<(), Failure> {
    if user.may(Role::Admin) || project.settings.protected.is_empty() {
        return Ok(());
    }
    Err(Failure::Forbidden(format!(
        "{} protects branches or tags, and its variables reach their jobs: only an administrator sets and removes them",
        project.repo
    )))
}

/// Why only administrators change a context of an organisation with these projects, if so.
pub(crate) fn context_closed(
    name: &str,
    is_restricted: bool,
    projects: &[Project],
) -> Option<String> {
    if is_restricted {
        let why = "is restricted: only an administrator changes or removes it";
        return Some(format!("context {name} {why}"));
    }
    let protecting = projects.iter().find(|project| !project.settings.protected.is_empty())?;
    Some(format!(
        "context {name} is open to {}, which protects branches or tags: only an administrator changes or removes it",
        protecting.repo
    ))
}

/// May this caller change and remove the context?
pub(crate) async fn context(state: &State, user: &User, context: &Context) -> Result<(), Failure> {
    if user.may(Role::Admin) {
        return Ok(());
    }
    let context = context.clone();
    let read = move |reader: &Reader<'_>| {
        let is_restricted = !reader.context_restriction_list(context.id)?.is_empty()
            || !reader.context_expression_list(context.id)?.is_empty();
        let mut projects = reader.project_list()?;
        projects.retain(|project| project.org == context.org);
        Ok::<_, store::Error>(context_closed(&context.name, is_restricted, &projects))
    };
    state.store.read(read).await?.map_or(Ok(()), |why| Err(Failure::Forbidden(why)))
}
