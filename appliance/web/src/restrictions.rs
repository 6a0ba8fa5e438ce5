//! Restrictions of contexts, for the API and the dashboard alike.
//!
//! Source: "Restrict a context" of the original's documentation: administrators alone set them;
//! projects are alternatives, and every expression must hold.
//! Limits: restrictions to groups of people are refused; a site has roles, and no groups.

use crate::{State, access::User, error::Failure};
use base::ids::{ContextId, ProjectId, RestrictionId};
use pipeline::check_restriction;
use store::{
    Reader,
    projects::{Context, Expression, Project},
};

/// Expressions of one context: each is decided for each job that asks.
const EXPRESSIONS_MAX: usize = 20;

/// One restriction of a context.
#[derive(Debug, Clone)]
pub(crate) enum Restriction {
    /// This project may use it, and others that are named, too.
    Project(Project),
    /// The last project that might use it was deleted: none may, until another is let in or this is
    /// taken away.
    Deleted(ProjectId),
    /// This must hold of a job.
    Expression(Expression),
}

/// The restrictions of a context.
pub(crate) fn list(
    reader: &Reader<'_>,
    context: ContextId,
) -> Result<Vec<Restriction>, store::Error> {
    let mut found = Vec::new();
    for project in reader.context_restriction_list(context)? {
        let there = reader.project_get(project)?;
        found.push(there.map_or(Restriction::Deleted(project), Restriction::Project));
    }
    let expressions = reader.context_expression_list(context)?;
    found.extend(expressions.into_iter().map(Restriction::Expression));
    Ok(found)
}

/// Restricts a context, as API v2 names it: by a project's id, or by an expression.
pub(crate) async fn add(
    state: &State,
    user: &User,
    context: &Context,
    kind: &str,
    value: &str,
) -> Result<Restriction, Failure> {
    match kind {
        "project" => add_project(state, user, context, value).await,
        "expression" => add_expression(state, user, context, value).await,
        "group" => Err(Failure::Invalid(
            "restrictions of the type `group` are not supported here, because a site has no groups: use `project`, or `expression` with what must hold of the pipeline".into(),
        )),
        other => Err(Failure::Invalid(format!(
            "restrictions of the type `{}` are not known: use `project` with a project's id, or `expression`",
            other.chars().take(64).collect::<String>()
        ))),
    }
}

async fn add_project(
    state: &State,
    user: &User,
    context: &Context,
    value: &str,
) -> Result<Restriction, Failure> {
    let project: ProjectId = value.parse().map_err(|_| Failure::missing("Project"))?;
    let project = state.store.read(move |reader| reader.project_get(project)).await?;
    let project = project
        .filter(|project| project.org == context.org)
        .ok_or_else(|| Failure::missing("Project"))?;
    let deed = user.deed("context.restrict", format!("{} {}", context.name, project.repo));
    let (now, context, id) = (state.now(), context.id, project.id);
    let write = move |txn: &mut store::Txn<'_>| {
        txn.audit_append(now, &deed)?;
        txn.context_restrict(context, id)
    };
    state.store.write(write).await?;
    Ok(Restriction::Project(project))
}

async fn add_expression(
    state: &State,
    user: &User,
    context: &Context,
    value: &str,
) -> Result<Restriction, Failure> {
    let text = value.trim().to_owned();
    check_restriction(&text)
        .map_err(|error| Failure::Invalid(format!("the expression is wrong at {error}")))?;
    let deed = user.deed("context.restrict", format!("{} {text}", context.name));
    let (now, context) = (state.now(), context.id);
    let write = move |txn: &mut store::Txn<'_>| {
        if txn.context_expression_list(context)?.len() >= EXPRESSIONS_MAX {
            return Ok(None);
        }
        txn.audit_append(now, &deed)?;
        txn.context_expression_add(context, &text, now).map(Some)
    };
    let made = state.store.write(write).await?;
    made.map(Restriction::Expression).ok_or_else(|| {
        let full =
            format!("a context has at most {EXPRESSIONS_MAX} expressions: join some by `and`");
        Failure::Invalid(full)
    })
}

/// Takes a restriction away, by its id: that of its project, or its own.
pub(crate) async fn remove(
    state: &State,
    user: &User,
    context: &Context,
    restriction: &str,
) -> Result<(), Failure> {
    let id: RestrictionId = restriction.parse().map_err(|_| Failure::missing("Restriction"))?;
    let deed = user.deed("context.unrestrict", format!("{} {id}", context.name));
    let (now, context) = (state.now(), context.id);
    let write = move |txn: &mut store::Txn<'_>| {
        let is_gone = txn.context_unrestrict(context, ProjectId(id.0))?
            || txn.context_expression_remove(context, id)?;
        if is_gone {
            txn.audit_append(now, &deed)?;
        }
        Ok::<_, store::Error>(is_gone)
    };
    if state.store.write(write).await? { Ok(()) } else { Err(Failure::missing("Restriction")) }
}
