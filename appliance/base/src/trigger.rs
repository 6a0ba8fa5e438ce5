//! What brings a pipeline forth.
//!
//! Why: whoever receives a trigger (push, API, command line, schedule) resolves it first to a
//! revision and the configuration text found there. The engine then needs no repository, and
//! the same trigger always makes the same plan.

use crate::{
    ids::{ProjectId, PushId, ScheduleId},
    time::Timestamp,
};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// A resolved request to run a project's configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trigger {
    /// The project whose configuration runs.
    pub project: ProjectId,
    /// How it came.
    pub kind: TriggerKind,
    /// Login of the person, or `schedule`.
    pub actor: String,
    /// When it came.
    pub received_at: Timestamp,
    /// The commit that is built.
    pub vcs: Vcs,
    /// What stands in `.circleci/config.yml` at that commit.
    pub config: ConfigText,
    /// Pipeline parameters given by the caller: at most 100, checked by the compiler.
    pub parameters: IndexMap<String, ParameterValue>,
    /// The push it answers; a push makes one pipeline for each of its refs, however often it is told.
    pub push: Option<PushId>,
    /// The schedule whose time it was.
    pub due: Option<Due>,
}

/// What a moment in time asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum Due {
    /// A schedule of the project: all that its configuration runs for it.
    Schedule {
        /// Which; `pipeline.schedule.id`.
        id: ScheduleId,
        /// Its name; `pipeline.schedule.name`.
        name: String,
    },
    /// The `triggers` of one workflow in the configuration: that workflow alone.
    Workflow {
        /// Its name.
        name: String,
    },
}

/// `pipeline.trigger.type` of API v2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TriggerKind {
    /// A git push.
    Webhook,
    /// A call of the API.
    Api,
    /// A person at the dashboard or command line.
    Explicit,
    /// A schedule.
    ScheduledPipeline,
}

/// The commit that a pipeline builds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vcs {
    /// `https://…/git/<org>/<name>` as a person would clone it.
    pub repository_url: String,
    /// 40 hexadecimal digits.
    pub revision: String,
    /// Branch name without `refs/heads/`; exactly one of branch and tag is set.
    pub branch: Option<String>,
    /// Tag name without `refs/tags/`.
    pub tag: Option<String>,
    /// The project's default branch.
    pub default_branch: String,
    /// Tip of the branch before the push, if there was one.
    pub base_revision: Option<String>,
    /// First line of the commit message.
    pub subject: String,
    /// The rest of the commit message.
    pub body: String,
    /// The commit's author, as written in the commit.
    pub author: String,
}

/// The configuration as found at the revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state", content = "text")]
pub enum ConfigText {
    /// The text of the file.
    Found(String),
    /// Why there is none; becomes an error of type `config-fetch`.
    Missing(String),
}

/// A pipeline parameter's value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a parameter is true or false, a whole number or a text")]
pub enum ParameterValue {
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A text, or a member of an enum.
    String(String),
}
