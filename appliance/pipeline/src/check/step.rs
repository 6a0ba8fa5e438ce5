//! Built-in steps to actions.

use super::{reader::Reader, run};
use crate::{
    cache_key::Template,
    diagnostic::Code,
    report::Report,
    syntax::{Node, Span},
};
use base::plan::{Action, Step, When};

/// The key that somebody means who gives a step a text instead of keys.
const MAIN_KEYS: [(&str, &str); 6] = [
    ("checkout", "path"),
    ("restore_cache", "key"),
    ("attach_workspace", "at"),
    ("store_artifacts", "path"),
    ("store_test_results", "path"),
    ("setup_remote_docker", "version"),
];

/// Longest cache key template.
const KEY_MAX: usize = 900;

/// Reads one processed step of a job with so many copies; `None` after an error.
pub(super) fn read(node: &Node, parallelism: u32, report: &mut Report) -> Option<Step> {
    let (name, at, value) = match (node.as_text(), node.as_map().map(|map| map.entries.as_slice()))
    {
        (Some(name), _) => (name, node.at, Node::null(node.at)),
        (None, Some([entry])) => (&*entry.key, entry.key_at, entry.value.clone()),
        _ => return None,
    };
    report.push("step", name, at);
    let step = action(name, at, &value, parallelism, report);
    report.pop();
    step
}

fn action(
    name: &str,
    at: Span,
    value: &Node,
    parallelism: u32,
    report: &mut Report,
) -> Option<Step> {
    match name {
        "run" => run::read(value, at, report).map(|run| Step {
            name: run.name,
            when: run.when,
            action: Action::Run(run.command),
        }),
        "deploy" => deploy(at, value, parallelism, report),
        "checkout" => checkout(at, value, report),
        "setup_remote_docker" => remote_docker(at, value, report),
        "add_ssh_keys" => ssh_keys(at, value, report),
        "install_signing_bundle" => {
            report.warn(
                Code::Unsupported,
                at,
                "`install_signing_bundle` cannot run on this appliance: the job will fail",
                "sign on a macOS machine",
            );
            Some(step("Install signing bundle", When::OnSuccess, Action::Unsupported { message: "install_signing_bundle signs iOS applications on macOS; this appliance runs Linux jobs".into() }))
        }
        _ => keyed(name, at, value, report),
    }
}

/// Deploys once, which a job of several copies does not: each would, whatever becomes of the others.
fn deploy(at: Span, value: &Node, parallelism: u32, report: &mut Report) -> Option<Step> {
    if parallelism > 1 {
        report.error(
            Code::Unsupported,
            at,
            format!("`deploy` would run in each of the job's {parallelism} copies"),
            "move it to a job of its own that `requires` this one, and write `run:` there",
        );
        return None;
    }
    report.warn(
        Code::Deprecated,
        at,
        "`deploy` is deprecated and runs like `run` here",
        "write `run:`",
    );
    run::read(value, at, report).map(|run| Step {
        name: run.name,
        when: run.when,
        action: Action::Run(run.command),
    })
}

fn step(name: &str, when: When, action: Action) -> Step {
    Step { name: name.into(), when, action }
}

/// A map to read, an absent value counting as an empty one.
fn reader<'a>(
    name: &str,
    value: &'a Node,
    empty: &'a crate::syntax::Map,
    at: Span,
    report: &'a mut Report,
) -> Option<Reader<'a>> {
    if value.is_null() {
        return Some(Reader { map: empty, at, report });
    }
    if let (Some(text), Some((_, key))) =
        (value.as_text(), MAIN_KEYS.iter().find(|(step, _)| *step == name))
    {
        let message = format!("expected type: Mapping, found: {}", value.schema_name());
        report.error(
            Code::WrongType,
            value.at,
            message,
            format!("write `{name}: {{{key}: {text}}}`"),
        );
        return None;
    }
    Reader::of(value, report)
}

fn keyed(name: &str, at: Span, value: &Node, report: &mut Report) -> Option<Step> {
    let empty = crate::syntax::Map::default();
    let mut map = reader(name, value, &empty, at, report)?;
    let (title, action) = match name {
        "save_cache" => ("Saving cache", save_cache(&mut map)),
        "restore_cache" => ("Restoring cache", restore_cache(&mut map)),
        "persist_to_workspace" => {
            map.only(&["root", "paths", "name", "when"]);
            let (root, paths) = (map.required_text("root"), required_texts(&mut map, "paths"));
            (
                "Persisting to workspace",
                root.zip(paths).map(|(root, paths)| Action::PersistToWorkspace { root, paths }),
            )
        }
        "attach_workspace" => {
            map.only(&["at", "name", "when"]);
            (
                "Attaching workspace",
                map.required_text("at").map(|at| Action::AttachWorkspace { at }),
            )
        }
        "store_artifacts" => {
            map.only(&["path", "destination", "name", "when", "prefix"]);
            let (path, destination) = (map.required_text("path"), map.text("destination"));
            ("Uploading artifacts", path.map(|path| Action::StoreArtifacts { path, destination }))
        }
        "store_test_results" => {
            map.only(&["path", "name", "when"]);
            (
                "Uploading test results",
                map.required_text("path").map(|path| Action::StoreTestResults { path }),
            )
        }
        _ => return None,
    };
    let when = match action {
        // Results and artifacts are wanted most after a failure.
        Some(Action::StoreArtifacts { .. } | Action::StoreTestResults { .. })
            if map.get("when").is_none() =>
        {
            When::Always
        }
        _ => run::when(&mut map),
    };
    let title = map.text("name").filter(|name| !name.is_empty()).unwrap_or_else(|| title.into());
    Some(step(&title, when, action?))
}

fn required_texts(map: &mut Reader<'_>, key: &str) -> Option<Vec<String>> {
    map.require(key)?;
    map.texts(key)
}

fn save_cache(map: &mut Reader<'_>) -> Option<Action> {
    map.only(&["paths", "key", "name", "when", "cache_type"]);
    let (key, paths) = (map.required_text("key"), required_texts(map, "paths"));
    let key = key.filter(|key| check_key(key, map, "key"));
    key.zip(paths).map(|(key, paths)| Action::SaveCache { key, paths })
}

fn restore_cache(map: &mut Reader<'_>) -> Option<Action> {
    map.only(&["key", "keys", "name", "when", "cache_type", "paths"]);
    if let Some(paths) = map.get("paths") {
        map.report.warn(
            Code::NoEffect,
            paths.at,
            "`paths` of restore_cache has no effect: a cache knows its paths",
            "remove the key",
        );
    }
    let mut keys: Vec<String> = map.text("key").into_iter().collect();
    keys.extend(map.texts("keys").unwrap_or_default());
    if keys.is_empty() {
        map.report.error(
            Code::MissingKey,
            map.at,
            "required key [key] or [keys] not found",
            "add `key:`, or `keys:` with a list",
        );
        return None;
    }
    let place = if map.get("key").is_some() { "key" } else { "keys" };
    keys.iter().all(|key| check_key(key, map, place)).then_some(Action::RestoreCache { keys })
}

fn check_key(key: &str, map: &mut Reader<'_>, place: &str) -> bool {
    let at = map.get(place).map_or(map.at, |node| node.at);
    if key.len() > KEY_MAX {
        map.report.error(
            Code::Limit,
            at,
            format!("a cache key is at most {KEY_MAX} characters long"),
            "shorten it, for example with a checksum",
        );
        return false;
    }
    // The original finds this out only when the step runs, and so may a job that is never run.
    if let Err(error) = Template::parse(key) {
        map.report.warn(
            Code::Value,
            at,
            format!("{error}: this step will fail"),
            "known: {{ .Branch }}, {{ .Revision }}, {{ .BuildNum }}, {{ .Environment.NAME }}, {{ checksum \"FILE\" }}, {{ epoch }}, {{ arch }}",
        );
    }
    true
}

fn checkout(at: Span, value: &Node, report: &mut Report) -> Option<Step> {
    let empty = crate::syntax::Map::default();
    let mut map = reader("checkout", value, &empty, at, report)?;
    map.only(&["path", "method", "depth", "name", "when"]);
    if let Some(method) = map.get("method")
        && !["blobless", "full", "shallow"].contains(&method.as_text().unwrap_or_default())
    {
        map.report.error(
            Code::Value,
            method.at,
            "Input not a valid enum value",
            "`method` is blobless, full or shallow",
        );
    }
    let when = run::when(&mut map);
    let title =
        map.text("name").filter(|name| !name.is_empty()).unwrap_or_else(|| "Checkout code".into());
    let path = map.text("path").unwrap_or_else(|| ".".into());
    Some(step(&title, when, Action::Checkout { path }))
}

fn remote_docker(at: Span, value: &Node, report: &mut Report) -> Option<Step> {
    let empty = crate::syntax::Map::default();
    let mut map = reader("setup_remote_docker", value, &empty, at, report)?;
    map.only(&[
        "version",
        "docker_layer_caching",
        "prefer_same_region",
        "name",
        "when",
        "reusable",
    ]);
    map.boolean("docker_layer_caching");
    map.text("version");
    map.report.warn(
        Code::Unsupported,
        at,
        "`setup_remote_docker` is not supported on this appliance: the job will fail at this step",
        "build images in a `machine: true` job with the tools of its root file system",
    );
    let message = "setup_remote_docker: this appliance has no remote Docker engine; build images in a `machine: true` job".into();
    Some(step("Setup a remote Docker engine", When::OnSuccess, Action::Unsupported { message }))
}

fn ssh_keys(at: Span, value: &Node, report: &mut Report) -> Option<Step> {
    let empty = crate::syntax::Map::default();
    let mut map = reader("add_ssh_keys", value, &empty, at, report)?;
    map.only(&["fingerprints", "name", "when"]);
    let fingerprints = map.texts("fingerprints").unwrap_or_default();
    let action = if fingerprints.is_empty() {
        map.report.warn(
            Code::NoEffect,
            at,
            "`add_ssh_keys` adds nothing: this appliance keeps no SSH keys",
            "put the key into a context variable and write it to a file in a `run` step",
        );
        Action::Ignored {
            message: "add_ssh_keys: this appliance keeps no SSH keys; nothing was added".into(),
        }
    } else {
        map.report.warn(Code::Unsupported, at, "`add_ssh_keys` with fingerprints is not supported on this appliance: the job will fail at this step", "put the key into a context variable and write it to a file in a `run` step");
        Action::Unsupported {
            message: format!(
                "add_ssh_keys: this appliance keeps no SSH keys, so {} cannot be added; put the key into a context variable",
                fingerprints.join(", ")
            ),
        }
    };
    Some(step("Installing additional SSH keys", When::OnSuccess, action))
}
