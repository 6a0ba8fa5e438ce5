//! Starting a pipeline by hand: a branch or tag, and the pipeline parameters that its configuration
//! declares.
//!
//! States: the form asks for the place, and shows one field, holding its default, for each parameter
//! that the configuration declares at `?branch=` or `?tag=`, or else at the default branch. One
//! button reads the parameters of the place in the fields, the other triggers there.
//! Invariants: what is built is what stands in the fields of branch and tag. Parameters that were
//! set for a place which declares others are not used: the form comes again with those of the
//! place that is asked for. Only values that differ from their default are given to the trigger, so
//! that a setup workflow may still pass the others on. Without a script it works all the same.
//! On failure: a place that does not exist is said on the form; a configuration that does not
//! compile becomes a pipeline that says so, as after a push.

use super::{
    frame::{self, Frame, Here, Theme},
    links,
    visit::Visit,
};
use crate::{
    State,
    access::{Member, Routes, User},
    error::Failure,
    trigger::{Place, Wish, resolve},
};
use axum::{
    Form,
    extract::{Path, Query},
    response::{IntoResponse, Redirect, Response},
};
use base::{
    ids::RepoName,
    trigger::{ConfigText, ParameterValue, Trigger, TriggerKind, Vcs},
};
use http::StatusCode;
use indexmap::IndexMap;
use maud::{Markup, html};
use pipeline::{DeclaredParameter, declared_parameters};
use serde::Deserialize;
use store::projects::Project;

/// What the name of each parameter's field begins with.
const FIELD: &str = "parameter.";

/// Hidden fields that hold the place whose parameters are shown.
const SHOWN_BRANCH: &str = "shown.branch";
const SHOWN_TAG: &str = "shown.tag";

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/projects/{org}/{repo}/trigger", ask)
        .post("/projects/{org}/{repo}/trigger", trigger)
}

/// Where the new pipeline is to run; empty fields are those a form left empty.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Wanted {
    branch: String,
    tag: String,
}

impl Wanted {
    fn place(&self) -> Result<Place, Failure> {
        match (self.branch.trim(), self.tag.trim()) {
            ("", "") => Ok(Place::DefaultBranch),
            (branch, "") => Ok(Place::Branch(branch.to_owned())),
            ("", tag) => Ok(Place::Tag(tag.to_owned())),
            _ => Err(Failure::Invalid("name a branch or a tag, not both".into())),
        }
    }
}

async fn find(state: &State, user: &User, org: &str, repo: &str) -> Result<Project, Failure> {
    let name: RepoName =
        format!("{org}/{repo}").parse().map_err(|_| Failure::missing("Project"))?;
    let found = state.store.read(move |reader| reader.project_by_repo(&name)).await?;
    let project = found.ok_or_else(|| Failure::missing("Project"))?;
    user.reach(project.id)?;
    Ok(project)
}

/// What a trigger there would be, without parameters yet.
async fn at(
    state: &State,
    user: &User,
    project: &Project,
    place: Place,
) -> Result<Trigger, Failure> {
    let wish = Wish {
        project: project.id,
        repo: project.repo.clone(),
        place,
        kind: TriggerKind::Api,
        actor: user.login.clone(),
        parameters: IndexMap::new(),
        push: None,
        due: None,
    };
    resolve(state, wish).await
}

fn declared(trigger: &Trigger) -> Vec<DeclaredParameter> {
    match &trigger.config {
        ConfigText::Found(text) => declared_parameters(text),
        ConfigText::Missing(_) => vec![],
    }
}

/// The place that the fields name, as a trigger without parameters.
async fn look(
    state: &State,
    user: &User,
    project: &Project,
    wanted: &Wanted,
) -> Result<Trigger, Failure> {
    at(state, user, project, wanted.place()?).await
}

async fn ask(
    Member(user): Member,
    state: State,
    theme: Theme,
    visit: Visit,
    Path((org, repo)): Path<(String, String)>,
    Query(asked): Query<Wanted>,
) -> Result<Markup, Failure> {
    let project = find(&state, &user, &org, &repo).await?;
    let wanted = typed(&visit, &links::trigger(&project.repo), asked);
    let found = look(&state, &user, &project, &wanted).await;
    let form = form(&project, &wanted, found.as_ref(), None, &visit);
    Ok(page(&state, &user, theme, &project, &html! { (visit.told()) (form) }))
}

/// The place of a form that was refused, or else the one that the address names.
fn typed(visit: &Visit, action: &str, asked: Wanted) -> Wanted {
    match (visit.typed(action, "branch"), visit.typed(action, "tag")) {
        (None, None) => asked,
        (branch, tag) => Wanted {
            branch: branch.unwrap_or_default().to_owned(),
            tag: tag.unwrap_or_default().to_owned(),
        },
    }
}

fn page(state: &State, user: &User, theme: Theme, project: &Project, form: &Markup) -> Markup {
    let frame = Frame {
        user,
        theme,
        config: &state.config,
        here: Here::Pipelines,
        title: format!("Trigger pipeline · {}", project.repo),
        look: None,
        live: None,
    };
    let body = html! {
        nav.trail aria-label="Breadcrumb" { a href=(links::project(&project.repo)) { (project.repo) } }
        div.head { h1 { "Trigger pipeline" } }
        (form)
    };
    frame::page(&frame, &body)
}

/// `stale` is the place for which parameters were set, when it declares others.
fn form(
    project: &Project,
    wanted: &Wanted,
    found: Result<&Trigger, &Failure>,
    stale: Option<&Wanted>,
    visit: &Visit,
) -> Markup {
    let address = links::trigger(&project.repo);
    html! {
        @match found {
            Ok(trigger) => @if let Some(stale) = stale {
                p.alert.hold role="alert" { "Nothing was triggered yet: the parameters that were set are those of " b { (stale.branch) (stale.tag) } ". These are those of " b { (name(&trigger.vcs)) } "." }
            },
            Err(Failure::Missing(why) | Failure::Invalid(why)) => p.alert role="alert" { (why) },
            Err(_) => p.alert role="alert" { "The repository cannot be read now; the log of the service says why." },
        }
        form.panel.stack method="post" action=(address) {
            div.inline {
                label { "Branch" input name="branch" value=(wanted.branch) placeholder=(project.settings.default_branch) spellcheck="false" autocapitalize="none"; }
                label { "or tag" input name="tag" value=(wanted.tag) spellcheck="false" autocapitalize="none"; }
                button type="submit" formmethod="get" formaction=(address) { "Read its parameters" }
            }
            @if let Ok(trigger) = found { (parameters(trigger, &address, visit)) }
        }
    }
}

fn parameters(trigger: &Trigger, action: &str, visit: &Visit) -> Markup {
    let declared = declared(trigger);
    let vcs = &trigger.vcs;
    html! {
        h2 { (name(vcs)) " " span.faint { (vcs.subject) } }
        @if let ConfigText::Missing(why) = &trigger.config { p.hint { (why) } }
        @if let Some(branch) = &vcs.branch { input type="hidden" name=(SHOWN_BRANCH) value=(branch); }
        @if let Some(tag) = &vcs.tag { input type="hidden" name=(SHOWN_TAG) value=(tag); }
        @for parameter in &declared { (field(parameter, action, visit)) }
        @if declared.is_empty() { p.hint { "Its configuration declares no pipeline parameters." } }
        button.primary type="submit" { "Trigger pipeline" }
    }
}

/// Of the branch or the tag.
fn name(vcs: &Vcs) -> &str {
    vcs.branch.as_ref().or(vcs.tag.as_ref()).map_or("", String::as_str)
}

fn field(parameter: &DeclaredParameter, action: &str, visit: &Visit) -> Markup {
    let name = format!("{FIELD}{}", parameter.name);
    let value = visit.value(action, &name, &parameter.default);
    let choices: Vec<&str> = match parameter.kind {
        "boolean" => vec!["true", "false"],
        _ => parameter.members.iter().map(String::as_str).collect(),
    };
    html! {
        label { span { (parameter.name) " " span.faint { (parameter.kind) } }
            @if choices.is_empty() {
                input name=(name) value=(value) inputmode=[(parameter.kind == "integer").then_some("numeric")] spellcheck="false" autocapitalize="none";
            } @else {
                select name=(name) {
                    @for choice in choices { option value=(choice) selected[choice == value] { (choice) } }
                }
            }
        }
    }
}

async fn trigger(
    Member(user): Member,
    state: State,
    theme: Theme,
    Path((org, repo)): Path<(String, String)>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    let project = find(&state, &user, &org, &repo).await?;
    let wanted = place_in(&fields, "branch", "tag");
    let found = look(&state, &user, &project, &wanted).await;
    let shown = place_in(&fields, SHOWN_BRANCH, SHOWN_TAG);
    let given = match &found {
        Ok(trigger) => given(&state, &user, &project, &shown, trigger, &fields).await?,
        Err(_) => None,
    };
    match (found, given) {
        (Ok(mut trigger), Some(parameters)) => {
            trigger.parameters = parameters;
            let made = state.engine.trigger(trigger).await?;
            Ok(Redirect::to(&links::pipeline(&project.repo, made.number)).into_response())
        }
        (found, _) => {
            let form = form(&project, &wanted, found.as_ref(), Some(&shown), &Visit::default());
            let page = page(&state, &user, theme, &project, &form);
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}

/// What two fields of a form say of a place.
fn place_in(fields: &[(String, String)], branch: &str, tag: &str) -> Wanted {
    let of = |name: &str| {
        let field = fields.iter().find(|(key, _)| key == name);
        field.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    Wanted { branch: of(branch), tag: of(tag) }
}

/// The parameters that somebody set on the form; `None` when they were set for a place that
/// declares others. A form that showed none speaks of every place.
async fn given(
    state: &State,
    user: &User,
    project: &Project,
    shown: &Wanted,
    trigger: &Trigger,
    fields: &[(String, String)],
) -> Result<Option<IndexMap<String, ParameterValue>>, Failure> {
    let here = declared(trigger);
    let text = |name: &Option<String>| name.clone().unwrap_or_default();
    let is_shown = (text(&trigger.vcs.branch), text(&trigger.vcs.tag))
        == (shown.branch.clone(), shown.tag.clone());
    if is_shown || (shown.branch.is_empty() && shown.tag.is_empty()) {
        return changed(&here, fields).map(Some);
    }
    let Ok(other) = look(state, user, project, shown).await else { return Ok(None) };
    let there = declared(&other);
    if there == here {
        return changed(&here, fields).map(Some);
    }
    Ok(changed(&there, fields).ok().filter(IndexMap::is_empty))
}

/// The parameters whose field holds another value than their default.
fn changed(
    declared: &[DeclaredParameter],
    fields: &[(String, String)],
) -> Result<IndexMap<String, ParameterValue>, Failure> {
    let given = |parameter: &DeclaredParameter| {
        let of =
            |(key, _): &&(String, String)| key.strip_prefix(FIELD) == Some(parameter.name.as_str());
        fields.iter().find(of).map(|(_, value)| value.clone())
    };
    let differing = declared.iter().filter_map(|parameter| {
        given(parameter).filter(|text| *text != parameter.default).map(|text| (parameter, text))
    });
    differing
        .map(|(parameter, text)| Ok((parameter.name.clone(), value(parameter, text)?)))
        .collect()
}

fn value(parameter: &DeclaredParameter, text: String) -> Result<ParameterValue, Failure> {
    let bad = |wanted: &str| {
        Failure::Invalid(format!(
            "the parameter `{}` must be {wanted}, not `{text}`",
            parameter.name
        ))
    };
    match parameter.kind {
        "boolean" => text.parse().map(ParameterValue::Boolean).map_err(|_| bad("true or false")),
        "integer" => {
            text.trim().parse().map(ParameterValue::Integer).map_err(|_| bad("a whole number"))
        }
        "enum" if !parameter.members.contains(&text) => {
            Err(bad(&format!("one of {}", parameter.members.join(", "))))
        }
        _ => Ok(ParameterValue::String(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "version: 2.1\nparameters:\n  deploy: {type: boolean, default: false}\n  board: {type: enum, enum: [a, b], default: a}\n  count: {type: integer, default: 3}\n  label: {type: string, default: ''}\n";

    /// Fields as a form posts them → the parameters, or a part of the refusal.
    fn check(fields: &[(&str, &str)], expected: Result<&[(&str, ParameterValue)], &str>) {
        let fields: Vec<_> =
            fields.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let found = changed(&declared_parameters(CONFIG), &fields);
        match (found, expected) {
            (Ok(found), Ok(expected)) => {
                let expected: IndexMap<_, _> = expected
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), value.clone()))
                    .collect();
                assert_eq!(found, expected, "{fields:?}");
            }
            (Err(Failure::Invalid(why)), Err(part)) => assert!(why.contains(part), "{why}"),
            (found, expected) => panic!("{fields:?}: {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn defaults_are_not_given_and_types_are_kept() {
        let defaults = [
            ("branch", "main"),
            ("parameter.deploy", "false"),
            ("parameter.board", "a"),
            ("parameter.count", "3"),
            ("parameter.label", ""),
        ];
        check(&defaults, Ok(&[]));
        check(&[("parameter.deploy", "true")], Ok(&[("deploy", ParameterValue::Boolean(true))]));
        check(&[("parameter.count", "-4")], Ok(&[("count", ParameterValue::Integer(-4))]));
        let text = ParameterValue::String("b".into());
        check(&[("parameter.board", "b")], Ok(&[("board", text.clone())]));
        check(&[("parameter.label", "b")], Ok(&[("label", text)]));
        check(&[("deploy", "true"), ("parameter.unknown", "1")], Ok(&[]));
    }

    #[test]
    fn values_of_another_type_are_refused() {
        check(&[("parameter.deploy", "yes")], Err("`deploy` must be true or false"));
        check(&[("parameter.count", "many")], Err("`count` must be a whole number"));
        check(&[("parameter.board", "c")], Err("`board` must be one of a, b"));
    }
}
