//! `docker`, `machine` and `macos` of a processed job.

use super::{
    environment,
    reader::{self, Reader},
};
use crate::{
    definition::{KINDS, has_one_kind},
    diagnostic::Code,
    report::Report,
    syntax::{Map, Node, Span, Value},
};
use base::plan::{DockerImage, Executor};

/// Where the job runs; `None` after an error. A resource class or shell that stands inside
/// `machine` or `macos` is returned beside it.
pub(super) struct Read {
    pub executor: Executor,
    pub resource_class: Option<String>,
    pub shell: Option<String>,
}

/// Reads the one executor of a job.
pub(super) fn read(job: &Map, at: Span, report: &mut Report) -> Option<Read> {
    if !has_one_kind(job, &KINDS, at, report) {
        return None;
    }
    let (kind, node) = KINDS.iter().find_map(|kind| Some((*kind, job.get(kind)?)))?;
    let mut read = match kind {
        "docker" => Read {
            executor: Executor::Docker { images: docker(node, report)? },
            resource_class: None,
            shell: None,
        },
        "machine" => machine(node, report)?,
        _ => macos(node, report)?,
    };
    let written = job.get("resource_class");
    let class = written.and_then(Node::scalar_text).or(read.resource_class.clone());
    let class_at = written.map_or(node.at, |node| node.at);
    let runs_here = !matches!(read.executor, Executor::Unsupported { .. });
    if let Some(class) = class.filter(|_| runs_here) {
        if class.starts_with("windows.") || class.starts_with("macos.") {
            read.executor = unsupported(class_at, &format!("the resource class `{class}`"), report);
        } else if class.starts_with("gpu.") {
            report.warn(
                Code::NoEffect,
                class_at,
                format!("the resource class `{class}` promises no graphics processor here"),
                "use a runner class (`namespace/name`) of a machine that has one",
            );
        }
    }
    Some(read)
}

/// Ways to log in to an image's registry, with their keys.
const AUTH: [(&str, &[&str]); 3] = [
    ("auth", &["username", "password"]),
    ("aws_auth", &["aws_access_key_id", "aws_secret_access_key", "oidc_role_arn"]),
    ("gcp_auth", &["oidc_service_account", "workload_identity_pool", "workload_identity_provider"]),
];

fn docker(node: &Node, report: &mut Report) -> Option<Vec<DockerImage>> {
    let Some(items) = node.as_list().filter(|items| !items.is_empty()) else {
        reader::wrong_type(node, "JSONArray", report);
        return None;
    };
    let images: Vec<Option<DockerImage>> = items.iter().map(|item| image(item, report)).collect();
    images.into_iter().collect()
}

fn image(node: &Node, report: &mut Report) -> Option<DockerImage> {
    let mut map = Reader::of(node, report)?;
    map.only(&[
        "image",
        "name",
        "entrypoint",
        "command",
        "user",
        "environment",
        "auth",
        "aws_auth",
        "gcp_auth",
    ]);
    let image = map.required_text("image");
    if image.as_deref().is_some_and(|image| image.trim().is_empty()) {
        map.report.error(
            Code::Value,
            map.at,
            "the image's name is empty",
            "give `image: name:tag`",
        );
    }
    for (key, known) in AUTH {
        if let Some(auth) = map.get(key)
            && let Some(mut inner) = Reader::of(auth, map.report)
        {
            inner.only(known);
            map.report.warn(
                Code::NoEffect,
                auth.at,
                format!("`{key}` has no effect: images come from the local store"),
                "import the image with `appliance registry import`, and the job needs no login",
            );
        }
    }
    let environment = environment::read(map.get("environment"), map.report);
    let (name, user) = (map.text("name"), map.text("user"));
    let (entrypoint, command) = (map.texts("entrypoint"), map.texts("command"));
    Some(DockerImage { image: image?, name, entrypoint, command, user, environment })
}

fn machine(node: &Node, report: &mut Report) -> Option<Read> {
    let plain =
        |image| Read { executor: Executor::Machine { image }, resource_class: None, shell: None };
    match &node.value {
        Value::Bool(true) => return Some(plain(None)),
        Value::Text(text) => {
            let image = (&*text.text != "default").then(|| text.text.to_string());
            return Some(plain(image));
        }
        Value::Map(_) => {}
        _ => {
            report.error(
                Code::WrongType,
                node.at,
                format!("expected type: Mapping, found: {}", node.schema_name()),
                "write `machine: true` or `machine: {image: …}`",
            );
            return None;
        }
    }
    let mut map = Reader::of(node, report)?;
    map.only(&["image", "docker_layer_caching", "enabled", "resource_class", "shell"]);
    if map.boolean("docker_layer_caching") {
        map.report.warn(
            Code::NoEffect,
            map.at,
            "`docker_layer_caching` has no effect here",
            "keep layers with `save_cache`, or remove the key",
        );
    }
    map.boolean("enabled");
    let image = map.text("image");
    let (resource_class, shell) = (map.text("resource_class"), map.text("shell"));
    let executor = match image.as_deref() {
        Some(name) if name.starts_with("windows") => {
            unsupported(node.at, &format!("the Windows image `{name}`"), report)
        }
        _ => Executor::Machine { image },
    };
    Some(Read { executor, resource_class, shell })
}

fn macos(node: &Node, report: &mut Report) -> Option<Read> {
    let mut map = Reader::of(node, report)?;
    map.only(&["xcode", "resource_class", "shell"]);
    map.required_text("xcode");
    let (resource_class, shell) = (map.text("resource_class"), map.text("shell"));
    let executor = unsupported(node.at, "macOS", report);
    Some(Read { executor, resource_class, shell })
}

fn unsupported(at: Span, what: &str, report: &mut Report) -> Executor {
    let message = format!(
        "{what} cannot run on this appliance, which runs Linux jobs; use `docker` or `machine: true`"
    );
    report.warn(
        Code::Unsupported,
        at,
        format!("{what} cannot run on this appliance: the job will fail"),
        "use `docker` or `machine: true`, or filter the job out",
    );
    Executor::Unsupported { message }
}
