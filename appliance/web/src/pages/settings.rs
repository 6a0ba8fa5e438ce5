//! The settings of one project: what its jobs reach, how it cancels, its variables.

use super::{
    frame::{self, Frame, Here, Theme},
    links,
    variables::{self, Assignment, Named},
};
use crate::{
    State,
    access::{Member, Role, Routes, User, Viewer},
    error::Failure,
    git,
};
use axum::{Form, extract::Path, response::Redirect};
use base::{ids::RepoName, protocol::NetworkPolicy};
use maud::{Markup, html};
use serde::Deserialize;
use store::projects::{Project, Settings, VariableInfo};

/// Networks that one project may be let out to.
const NETWORKS_MAX: usize = 64;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/projects/{org}/{repo}/settings", settings)
        .post("/projects/{org}/{repo}/settings", save)
        .post("/projects/{org}/{repo}/variables", variable_set)
        .post("/projects/{org}/{repo}/variables/remove", variable_remove)
}

/// A project and what may be shown of its variables.
struct View {
    project: Project,
    variables: Vec<VariableInfo>,
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
            Ok::<_, Failure>(View { project, variables })
        })
        .await?;
    user.reach(view.project.id)?;
    Ok(view)
}

async fn settings(
    Viewer(user): Viewer,
    state: State,
    theme: Theme,
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
    let body = html! {
        nav.trail aria-label="Breadcrumb" { a href=(links::project(&view.project.repo)) { (view.project.repo) } }
        div.head { h1 { "Project settings" } }
        (settings_form(&view.project, user.may(Role::Member), user.may(Role::Admin)))
        (variables::list(&links::settings(&view.project.repo).replace("/settings", "/variables"), &view.variables, user.may(Role::Member), state.now()))
        section.panel {
            h2 { "Clone and push" }
            pre.command { code { "git clone " (links::git(&state.config.base_url, &view.project.repo.to_string())) } }
        }
    };
    Ok(frame::page(&frame, &body))
}

fn settings_form(project: &Project, may: bool, is_admin: bool) -> Markup {
    let settings = &project.settings;
    let (reach, allowed) = network_parts(&settings.network);
    html! {
        form.panel.stack method="post" action=(links::settings(&project.repo)) {
            h2 { "Builds" }
            fieldset disabled[!may] {
                label { "Default branch" input name="default_branch" value=(settings.default_branch) required spellcheck="false"; }
                label { "Jobs at once" input name="jobs_max" type="number" min="1" max="10000" value=[settings.jobs_max] placeholder="as many as there are slots"; }
                label.check { input type="checkbox" name="autocancel" value="1" checked[settings.autocancel]; "A newer pipeline of a branch cancels the older ones, but for the default branch" }
                label.check { input type="checkbox" name="force_push" value="1" checked[settings.force_push]; "Members may rewrite branches with git push --force" }
                label.check { input type="checkbox" name="setup_workflows" value="1" checked[settings.setup_workflows]; "Setup configurations may continue into a second one" }
            }
            fieldset disabled[!is_admin] {
                legend { "Network of jobs" @if !is_admin { span.faint { " (administrators only)" } } }
                @for (value, name, what) in REACHES {
                    label.check { input type="radio" name="network" value=(value) checked[value == reach]; span { b { (name) } " " (what) } }
                }
                label { "Networks that “full” allows, one per line, as far as the operator allows them (empty: all of those)" textarea name="allow" rows="3" spellcheck="false" placeholder="10.20.0.0/16" { (allowed) } }
            }
            @if may { button.primary type="submit" { "Save" } }
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

#[derive(Debug, Deserialize)]
struct Given {
    default_branch: String,
    #[serde(default)]
    jobs_max: String,
    autocancel: Option<String>,
    force_push: Option<String>,
    setup_workflows: Option<String>,
    network: Option<String>,
    #[serde(default)]
    allow: String,
}

/// The new settings, or what is wrong with them. What a member may not change stays.
fn judged(given: Given, old: &Settings, is_admin: bool) -> Result<Settings, Failure> {
    let branch = given.default_branch.trim();
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !"~^:?*[\\".contains(c);
    if branch.is_empty()
        || branch.len() > 200
        || branch.starts_with('-')
        || !branch.chars().all(plain)
    {
        return Err(Failure::Invalid("the default branch is not a branch name".into()));
    }
    let jobs_max = match given.jobs_max.trim() {
        "" => None,
        text => Some(text.parse().ok().filter(|n| (1..=10_000).contains(n)).ok_or_else(|| {
            Failure::Invalid("jobs at once must be a number from 1 to 10000, or empty".into())
        })?),
    };
    let network = match given.network.filter(|_| is_admin) {
        Some(reach) => network(&reach, &given.allow)?,
        None => old.network.clone(),
    };
    Ok(Settings {
        default_branch: branch.to_owned(),
        network,
        autocancel: given.autocancel.is_some(),
        jobs_max,
        force_push: given.force_push.is_some(),
        setup_workflows: given.setup_workflows.is_some(),
    })
}

fn network(reach: &str, allow: &str) -> Result<NetworkPolicy, Failure> {
    let networks: Vec<String> =
        allow.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    match reach {
        "off" => Ok(NetworkPolicy::Off),
        "site" => Ok(NetworkPolicy::Site),
        "full" => networks_check(&networks).map(|()| NetworkPolicy::Full { allow: networks }),
        _ => Err(Failure::Invalid("the network must be off, site or full".into())),
    }
}

/// Whether a project may be let out to these networks.
pub(crate) fn networks_check(networks: &[String]) -> Result<(), Failure> {
    if networks.len() > NETWORKS_MAX {
        return Err(Failure::Invalid(format!("at most {NETWORKS_MAX} networks can be allowed")));
    }
    match networks.iter().find(|network| !is_network(network)) {
        Some(bad) => Err(Failure::Invalid(format!(
            "`{bad}` is not a network such as 10.20.0.0/16 or 10.20.0.0/16:443"
        ))),
        None => Ok(()),
    }
}

/// An IPv4 address, perhaps with the length of its prefix and a port. Links carry no IPv6.
fn is_network(text: &str) -> bool {
    let (network, port) = text.split_once(':').unwrap_or((text, "1"));
    let (address, prefix) = network.split_once('/').unwrap_or((network, "32"));
    address.parse::<std::net::Ipv4Addr>().is_ok()
        && prefix.parse::<u8>().is_ok_and(|prefix| prefix <= 32)
        && port.parse::<u16>().is_ok_and(|port| port > 0)
}

async fn save(
    Member(user): Member,
    state: State,
    Path((org, repo)): Path<(String, String)>,
    Form(given): Form<Given>,
) -> Result<Redirect, Failure> {
    let view = load(&state, &user, &org, &repo).await?;
    let project = view.project;
    let keeps_network = given.network.is_none() || !user.may(Role::Admin);
    let settings = judged(given, &project.settings, user.may(Role::Admin))?;
    if settings.default_branch != project.settings.default_branch {
        git::set_default_branch(&state, &project.repo, &settings.default_branch).await?;
    }
    let (deed, now, id) = (
        user.deed("project.settings", format!("project {}", project.repo)),
        state.now(),
        project.id,
    );
    state
        .store
        .write(move |txn| {
            txn.audit_append(now, &deed)?;
            txn.project_settings_change(id, |current| {
                // An administrator may have closed it since this page was read.
                let open = keeps_network.then(|| current.network.clone());
                *current = settings;
                current.network = open.unwrap_or_else(|| current.network.clone());
            })
        })
        .await?;
    Ok(Redirect::to(&links::settings(&project.repo)))
}

async fn variable_set(
    Member(user): Member,
    state: State,
    Path((org, repo)): Path<(String, String)>,
    Form(given): Form<Assignment>,
) -> Result<Redirect, Failure> {
    let (name, value) = given.judged()?;
    let project = load(&state, &user, &org, &repo).await?.project;
    let deed = user.deed("variable.set", format!("project {} {name}", project.repo));
    let now = state.now();
    state
        .store
        .write(move |txn| {
            txn.audit_append(now, &deed)?;
            txn.project_variable_set(project.id, &name, &value, now)
        })
        .await?;
    Ok(Redirect::to(&links::settings(&project.repo)))
}

async fn variable_remove(
    Member(user): Member,
    state: State,
    Path((org, repo)): Path<(String, String)>,
    Form(Named { name }): Form<Named>,
) -> Result<Redirect, Failure> {
    let project = load(&state, &user, &org, &repo).await?.project;
    let deed = user.deed("variable.remove", format!("project {} {name}", project.repo));
    let now = state.now();
    state
        .store
        .write(move |txn| {
            txn.audit_append(now, &deed)?;
            txn.project_variable_remove(project.id, &name)
        })
        .await?;
    Ok(Redirect::to(&links::settings(&project.repo)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(reach: &str, allow: &str, accepted: bool) {
        assert_eq!(network(reach, allow).is_ok(), accepted, "{reach} {allow}");
    }

    #[test]
    fn networks_are_checked_before_they_are_kept() {
        check("off", "", true);
        check("full", "10.0.0.0/8\n\n10.1.0.0/16:443\n192.168.1.7", true);
        check("full", "fd00::/8", false);
        check("full", "10.0.0.0/8:0", false);
        check("full", "10.0.0.0/33", false);
        check("full", "example.com", false);
        check("everything", "", false);
    }
}
