//! The settings of one project: what its jobs reach, how it cancels, its variables, its
//! badge, its webhooks, its end.

mod badge;
mod delete;
mod given;
mod webhooks;

use super::{
    frame::{self, Frame, Here, Theme},
    links,
    variables::{self, Assignment, Named},
    visit::{Done, Visit},
};
use crate::{
    State,
    access::{Member, Role, Routes, User, Viewer},
    deeds,
    error::Failure,
    git, guarded,
};
use axum::{Form, extract::Path, response::Redirect};
use base::{ids::RepoName, protocol::NetworkPolicy, secret::Secret};
use given::{Given, judged};
use maud::{Markup, html};
use store::projects::{Project, Settings, VariableInfo};

pub(crate) use given::networks_check;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/projects/{org}/{repo}/settings", settings)
        .post("/projects/{org}/{repo}/settings", save)
        .post("/projects/{org}/{repo}/badge", badge::change)
        .post("/projects/{org}/{repo}/delete", delete::delete)
        .post("/projects/{org}/{repo}/webhooks", webhooks::add)
        .post("/projects/{org}/{repo}/webhooks/remove", webhooks::remove)
        .post("/projects/{org}/{repo}/variables", variable_set)
        .post("/projects/{org}/{repo}/variables/remove", variable_remove)
}

/// A project and what may be shown of its variables.
struct View {
    project: Project,
    variables: Vec<VariableInfo>,
    badge_token: Option<Secret>,
    webhooks: Vec<webhooks::Told>,
}

async fn load(state: &State, user: &User, org: &str, repo: &str) -> Result<View, Failure> {
    let name: RepoName =
        format!("{org}/{repo}").parse().map_err(|_| Failure::missing("Project"))?;
    let view = state
        .store
        .read(move |reader| {
            let project =
                reader.project_by_repo(&name)?.ok_or_else(|| Failure::missing("Project"))?;
            let variables = reader.project_variable_list(project.id)?;
            let badge_token = reader.badge_token(project.id)?;
            let webhooks = webhooks::read(reader, project.id)?;
            Ok::<_, Failure>(View { project, variables, badge_token, webhooks })
        })
        .await?;
    user.reach(view.project.id)?;
    Ok(view)
}

async fn settings(
    Viewer(user): Viewer,
    state: State,
    theme: Theme,
    visit: Visit,
    Path((org, repo)): Path<(String, String)>,
) -> Result<Markup, Failure> {
    let view = load(&state, &user, &org, &repo).await?;
    let frame = Frame {
        user: &user,
        theme,
        config: &state.config,
        here: Here::Projects,
        title: format!("Settings · {}", view.project.repo),
        look: None,
        live: None,
    };
    let closed = guarded::project(&user, &view.project).err().map(|why| why.to_string());
    let body = html! {
        nav.trail aria-label="Breadcrumb" { a href=(links::project(&view.project.repo)) { (view.project.repo) } }
        div.head { h1 { "Project settings" } }
        (visit.told())
        (settings_form(&view.project, &visit, user.may(Role::Member), user.may(Role::Admin)))
        (variables::list(&variables::Held {
            action: &links::settings(&view.project.repo).replace("/settings", "/variables"),
            variables: &view.variables,
            may: user.may(Role::Member),
            closed: closed.as_deref(),
            now: state.now(),
        }, &visit))
        section.panel {
            h2 { "Clone and push" }
            pre.command { code { "git clone " (links::git(&state.config.base_url, &view.project.repo.to_string())) } }
        }
        (badge::section(&badge::Badge {
            repo: &view.project.repo,
            base_url: &state.config.base_url,
            token: view.badge_token.as_ref().filter(|_| user.may(Role::Member)),
            may: user.may(Role::Member),
        }))
        @if user.may(Role::Member) { (webhooks::section(&webhooks::Section {
            repo: &view.project.repo,
            told: &view.webhooks,
            may: user.may(Role::Admin) && user.projects.is_none(),
            nobody: state.objects.tells_nobody(),
            now: state.now(),
        }, &visit)) }
        @if user.may(Role::Admin) && user.projects.is_none() { (delete::section(&view.project.repo, &visit)) }
    };
    Ok(frame::page(&frame, &body))
}

fn settings_form(project: &Project, visit: &Visit, may: bool, is_admin: bool) -> Markup {
    let settings = &project.settings;
    let action = links::settings(&project.repo);
    let (reach, allowed) = network_parts(&settings.network);
    let jobs_max = settings.jobs_max.map_or(String::new(), |max| max.to_string());
    let value = |field, kept| visit.value(&action, field, kept).to_owned();
    let checked = |field, kept| visit.checked(&action, field, kept);
    let (branch, reach) =
        (value("default_branch", &settings.default_branch), value("network", reach));
    html! {
        form.panel.stack method="post" action=(action) {
            h2 { "Builds" }
            fieldset disabled[!is_admin] {
                legend { "Default branch" @if !is_admin { span.faint { " (administrators only)" } } }
                label { "Name" input name="default_branch" value=(branch) required spellcheck="false"; }
                label.check { input type="checkbox" name="force_push" value="1" checked[checked("force_push", settings.force_push)]; "Members may rewrite and remove other branches with git push --force" }
            }
            fieldset disabled[!may] {
                label { "Max concurrent jobs" input name="jobs_max" type="number" min="1" max="10000" value=(value("jobs_max", &jobs_max)) placeholder="as many as there are slots"; }
                label.check { input type="checkbox" name="autocancel" value="1" checked[checked("autocancel", settings.autocancel)]; span { b { "Auto-cancel redundant workflows" } ": a newer pipeline of a branch cancels the older ones, but for the default branch" } }
                label.check { input type="checkbox" name="setup_workflows" value="1" checked[checked("setup_workflows", settings.setup_workflows)]; span { b { "Enable dynamic config using setup workflows" } ": setup configurations may continue into a second one" } }
            }
            fieldset disabled[!is_admin] {
                legend { "Network of jobs" @if !is_admin { span.faint { " (administrators only)" } } }
                @for (value, name, what) in REACHES {
                    label.check { input type="radio" name="network" value=(value) checked[value == reach]; span { b { (name) } " " (what) } }
                }
                label { "Networks that “full” allows, one per line, as far as the operator allows them (empty: all of those)" textarea name="allow" rows="3" spellcheck="false" placeholder="10.20.0.0/16" { (value("allow", &allowed)) } }
            }
            (protection(settings, visit, &action, is_admin))
            @if may { button.primary type="submit" { "Save" } }
        }
    }
}

/// What only administrators push to, and whether jobs push at all.
fn protection(settings: &Settings, visit: &Visit, action: &str, is_admin: bool) -> Markup {
    let protected = &settings.protected;
    let may_push = visit.checked(action, "jobs_may_push", settings.jobs_may_push);
    html! {
        fieldset disabled[!is_admin] {
            legend { "Protected branches and tags" @if !is_admin { span.faint { " (administrators only)" } } }
            p.faint { "Only administrators push to these. Their jobs find no cache, and get no object below “unprotected/”, of other branches; jobs of those put objects there alone. Empty: all branches are of one level." }
            @for (name, what, patterns) in [("protected_branches", "Branches", &protected.branches), ("protected_tags", "Tags", &protected.tags)] {
                label { (what) ", one name or /pattern/ per line, as in the filters of a workflow" textarea name=(name) rows="2" spellcheck="false" placeholder=(if name == "protected_tags" { "/v[0-9].*/" } else { "main" }) { (visit.value(action, name, &patterns.join("\n"))) } }
            }
            label.check { input type="checkbox" name="jobs_may_push" value="1" checked[may_push]; "Jobs may push to this repository; to protected branches those of protected branches alone" }
        }
    }
}

const REACHES: [(&str, &str, &str); 3] = [
    ("off", "Off", "loopback alone"),
    ("site", "Site", "this appliance's own Git, registry, S3 and API"),
    ("full", "Full", "also the networks below, as far as the operator allows any"),
];

fn network_parts(policy: &NetworkPolicy) -> (&'static str, String) {
    match policy {
        NetworkPolicy::Off => ("off", String::new()),
        NetworkPolicy::Site => ("site", String::new()),
        NetworkPolicy::Full { allow } => ("full", allow.join("\n")),
    }
}

async fn save(
    Member(user): Member,
    state: State,
    Path((org, repo)): Path<(String, String)>,
    Form(given): Form<Given>,
) -> Result<Redirect, Failure> {
    let view = load(&state, &user, &org, &repo).await?;
    let project = view.project;
    let keeps_branch = given.default_branch.is_none() || !user.may(Role::Admin);
    let keeps_network = given.network.is_none() || !user.may(Role::Admin);
    let keeps_protected = given.protected_branches.is_none() || !user.may(Role::Admin);
    let settings = judged(given, &project.settings, user.may(Role::Admin))?;
    if settings.default_branch != project.settings.default_branch {
        git::set_default_branch(&state, &project.repo, &settings.default_branch).await?;
    }
    let (deed, now, id) = (deeds::project_settings(&user, &project.repo), state.now(), project.id);
    state
        .store
        .write(move |txn| {
            txn.audit_append(now, &deed)?;
            txn.project_settings_change(id, |current| {
                // An administrator may have changed these since this page was read.
                let before = std::mem::replace(current, settings);
                if keeps_branch {
                    current.default_branch = before.default_branch;
                    current.force_push = before.force_push;
                }
                if keeps_network {
                    current.network = before.network;
                }
                if keeps_protected {
                    current.protected = before.protected;
                    current.jobs_may_push = before.jobs_may_push;
                }
            })
        })
        .await?;
    state.engine.project_changed(id).await;
    Ok(Done::SETTINGS.at(&links::settings(&project.repo)))
}

async fn variable_set(
    Member(user): Member,
    state: State,
    Path((org, repo)): Path<(String, String)>,
    Form(given): Form<Assignment>,
) -> Result<Redirect, Failure> {
    let (name, value) = given.judged()?;
    let project = load(&state, &user, &org, &repo).await?.project;
    guarded::project(&user, &project)?;
    let deed = deeds::project_variable(&user, "set", &project.repo, &name);
    let now = state.now();
    state
        .store
        .write(move |txn| {
            txn.audit_append(now, &deed)?;
            txn.project_variable_set(project.id, &name, &value, now)
        })
        .await?;
    Ok(Done::VARIABLE_SET.at(&links::settings(&project.repo)))
}

async fn variable_remove(
    Member(user): Member,
    state: State,
    Path((org, repo)): Path<(String, String)>,
    Form(Named { name }): Form<Named>,
) -> Result<Redirect, Failure> {
    let project = load(&state, &user, &org, &repo).await?.project;
    guarded::project(&user, &project)?;
    let deed = deeds::project_variable(&user, "remove", &project.repo, &name);
    let now = state.now();
    state
        .store
        .write(move |txn| {
            if txn.project_variable_remove(project.id, &name)? {
                txn.audit_append(now, &deed)?;
            }
            Ok::<_, store::Error>(())
        })
        .await?;
    Ok(Done::VARIABLE_REMOVED.at(&links::settings(&project.repo)))
}
