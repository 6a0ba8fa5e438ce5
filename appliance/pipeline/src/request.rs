//! What a compilation is given besides the text: the trigger's values, parameters and orbs.
//!
//! Source of the names: the original's list of pipeline values. A value that is known to the
//! language and that this trigger does not have is empty, as there; an unknown name is an error.

use crate::{
    orbs::Orbs,
    scope::value_node,
    syntax::{Node, Text, Value},
};
use base::{
    ids::{PipelineId, PipelineNumber, RepoName},
    trigger::{Due, ParameterValue, Trigger, TriggerKind},
};
use indexmap::IndexMap;
use std::collections::BTreeMap;

/// Everything a compilation depends on besides the text. The same request and text always give
/// the same bytes.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The path shown in diagnostics; empty means `.circleci/config.yml`.
    pub file: String,
    /// The `pipeline.*` values.
    pub values: Values,
    /// Pipeline parameters given by the caller.
    pub parameters: IndexMap<String, ParameterValue>,
    /// Orb sources that can be referred to.
    pub orbs: Orbs,
    /// This configuration continues a setup pipeline, and so cannot be a setup itself.
    pub continuation: bool,
}

/// The `pipeline.*` values of one trigger, by name without `pipeline.`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Values {
    known: BTreeMap<String, ParameterValue>,
}

/// Names that exist whatever the trigger; without a value they are empty.
const NAMES: [&str; 48] = [
    "config.file_path",
    "config.ref",
    "config.repository.name",
    "config.repository.url",
    "config.sha",
    "definition.id",
    "deploy.component_name",
    "deploy.current_version",
    "deploy.environment_name",
    "deploy.namespace",
    "deploy.reason",
    "deploy.target_version",
    "event.action",
    "event.context.github.pr_url",
    "event.name",
    "git.base_revision",
    "git.branch",
    "git.branch.is_default",
    "git.commit.author_avatar_url",
    "git.commit.author_login",
    "git.commit.author_email",
    "git.commit.author_name",
    "git.commit.body",
    "git.commit.subject",
    "git.commit.url",
    "git.repo_id",
    "git.repo_name",
    "git.repo_owner",
    "git.repo_url",
    "git.revision",
    "git.ssh_checkout_url",
    "git.tag",
    "id",
    "integration_source",
    "name",
    "number",
    "project.git_url",
    "project.id",
    "project.slug",
    "project.type",
    "schedule.id",
    "schedule.name",
    "trigger.id",
    "trigger.name",
    "trigger.received_at",
    "trigger.type",
    "trigger_parameters.webhook.body",
    "trigger_source",
];

/// Those of them that are no texts.
const TYPED: [&str; 2] = ["git.branch.is_default", "number"];

/// Families whose members depend on the event; unknown members are empty.
const FAMILIES: [&str; 6] = [
    "deploy.",
    "event.github.",
    "trigger_parameters.circleci.",
    "trigger_parameters.github_app.",
    "trigger_parameters.gitlab.",
    "trigger_parameters.webhook.",
];

impl Values {
    /// The values of one trigger. `pipeline.trigger_source` tells the kind as API v2 does, and
    /// `pipeline.trigger.type` in the words that took its place; the project's type is `github`,
    /// whose slugs (`gh/…`) are used.
    #[must_use]
    pub fn from_trigger(
        trigger: &Trigger,
        id: PipelineId,
        number: PipelineNumber,
        repo: &RepoName,
    ) -> Self {
        let vcs = &trigger.vcs;
        let mut values = Self::default();
        values.set("id", id.to_string());
        values.put("number", ParameterValue::Integer(i64::try_from(number.0).unwrap_or(i64::MAX)));
        values.set("project.id", trigger.project.to_string());
        values.set("project.slug", repo.slug());
        values.set("project.type", "github");
        values.set("project.git_url", vcs.repository_url.clone());
        values.set("integration_source", "github_oauth");
        values.set("config.file_path", ".circleci/config.yml");
        values.set("git.repo_url", vcs.repository_url.clone());
        values.set("git.repo_owner", repo.org());
        values.set("git.repo_name", repo.name());
        values.set("git.revision", vcs.revision.clone());
        values.set("git.branch", vcs.branch.clone().unwrap_or_default());
        values.set("git.tag", vcs.tag.clone().unwrap_or_default());
        let is_default = vcs.branch.as_deref() == Some(&vcs.default_branch);
        values.put("git.branch.is_default", ParameterValue::Boolean(is_default));
        values.set("git.base_revision", vcs.base_revision.clone().unwrap_or_default());
        values.set("git.commit.subject", vcs.subject.clone());
        values.set("git.commit.body", vcs.body.clone());
        values.set("git.commit.author_login", vcs.author.clone());
        values.set("trigger.received_at", trigger.received_at.to_string());
        values.kind(trigger.kind);
        if let Some(Due::Schedule { id, name }) = &trigger.due {
            values.set("schedule.id", id.to_string());
            values.set("schedule.name", name.clone());
        }
        values
    }

    fn kind(&mut self, kind: TriggerKind) {
        let (source, name, event) = match kind {
            TriggerKind::Webhook => ("webhook", "github_oauth", "push"),
            TriggerKind::Api => ("api", "api", "api"),
            TriggerKind::Explicit => ("explicit", "api", "api"),
            TriggerKind::ScheduledPipeline => ("scheduled_pipeline", "schedule", "schedule"),
        };
        self.set("trigger_source", source);
        self.set("trigger.type", name);
        self.set("event.name", event);
        self.set("event.action", event);
    }

    /// Placeholders with which a configuration is checked when no pipeline runs, as the original
    /// command line does: number 1, branch `main`, a revision of zeros.
    #[must_use]
    pub fn local() -> Self {
        let mut values = Self::default();
        values.set("id", "00000000-0000-0000-0000-000000000001");
        values.put("number", ParameterValue::Integer(1));
        values.set("project.git_url", "https://localhost/git/acme/project");
        values.set("project.slug", "gh/acme/project");
        values.set("project.type", "github");
        values.set("git.branch", "main");
        values.put("git.branch.is_default", ParameterValue::Boolean(true));
        values.set("git.tag", "");
        values.set("git.revision", "0".repeat(40));
        values.set("git.base_revision", "0".repeat(40));
        values.kind(TriggerKind::Explicit);
        values
    }

    /// Sets a value that is a text.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.put(name, ParameterValue::String(value.into()));
    }

    /// Sets a value of any type; `name` without `pipeline.`.
    pub fn put(&mut self, name: &str, value: ParameterValue) {
        self.known.insert(name.into(), value);
    }

    /// Every value that there is, by name without `pipeline.`.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ParameterValue)> {
        self.known.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The value of a name; empty when the language knows it and the trigger does not. A text is then
    /// the empty text, so that whatever takes a text takes it; of other types there is nothing.
    pub(crate) fn lookup(&self, name: &str) -> Option<Node> {
        if let Some(value) = self.known.get(name) {
            return Some(parameter_node(value));
        }
        if NAMES.contains(&name) && !TYPED.contains(&name) {
            return Some(parameter_node(&ParameterValue::String(String::new())));
        }
        let is_known =
            TYPED.contains(&name) || FAMILIES.iter().any(|family| name.starts_with(family));
        is_known.then(|| value_node(Value::Null))
    }

    pub(crate) fn names() -> &'static [&'static str] {
        &NAMES
    }
}

/// A parameter's value as a node that no text holds.
pub(crate) fn parameter_node(value: &ParameterValue) -> Node {
    value_node(match value {
        ParameterValue::Boolean(on) => Value::Bool(*on),
        ParameterValue::Integer(number) => Value::Int(*number),
        ParameterValue::String(text) => {
            Value::Text(Text { text: text.as_str().into(), plain: false })
        }
    })
}
