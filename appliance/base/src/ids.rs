//! One newtype for each identifier, in one alphabetical list.
//!
//! Why: a bare UUID can be passed for any other; the compiler should object.
//! Invariants: an identifier is made by the shell (it needs randomness or a clock) and only
//! carried here. UUIDs are version 7, so that rows sort by age.
//! On failure: parsing names the text and the kind of identifier that was expected.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// A text that is not an identifier of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {kind}: expected a UUID such as 018f3c9e-0000-7000-8000-000000000000")]
pub struct IdError {
    kind: &'static str,
    text: String,
}

macro_rules! uuid_ids {
    ($($(#[$doc:meta])* $name:ident, $kind:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Uuid::try_parse(text)
                    .map(Self)
                    .map_err(|_| IdError { kind: $kind, text: text.chars().take(64).collect() })
            }
        }
    )*};
}

uuid_ids! {
    /// A named set of environment variables that workflows ask for by name.
    ContextId, "a context id";
    /// One job of one workflow run; reruns make new jobs.
    JobId, "a job id";
    /// An organisation: the owner of projects and contexts.
    OrgId, "an organisation id";
    /// One pipeline: what one trigger brought forth.
    PipelineId, "a pipeline id";
    /// A project: one repository and its settings.
    ProjectId, "a project id";
    /// One received push, noted before its refs move so that its pipeline cannot be forgotten.
    PushId, "a push id";
    /// An expression that restricts a context.
    RestrictionId, "a restriction id";
    /// A runner process that registered with the control plane.
    RunnerId, "a runner id";
    /// A schedule of a project, made through the API.
    ScheduleId, "a schedule id";
    /// A browser session.
    SessionId, "a session id";
    /// One node of one attempt of a job: the unit that a runner claims.
    TaskId, "a task id";
    /// An API token's public half; the secret half is kept only as a hash.
    TokenId, "a token id";
    /// A person or a machine account.
    UserId, "a user id";
    /// An address outside that is told of a project's workflows and jobs.
    WebhookId, "a webhook id";
    /// One run of a workflow within a pipeline.
    WorkflowId, "a workflow id";
}

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident($inner:ty);)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

numbers! {
    /// Counts the tries of one job, from 1. A task is run at most once per attempt.
    Attempt(u32);
    /// Position in the event log, from 1, without gaps; readers ask for what follows a cursor.
    Cursor(u64);
    /// Grows with every lease of a task; a write with an older fence is refused.
    Fence(u64);
    /// Project-scoped job number, from 1 (the `job-number` of API v2).
    JobNumber(u64);
    /// Project-scoped pipeline number, from 1.
    PipelineNumber(u64);
}

/// A `org/name` pair that names a repository; the project slug of API v2 is `gh/<org>/<name>`.
///
/// Both halves match `[A-Za-z0-9][A-Za-z0-9._-]{0,99}` and are not `.`, `..` or `*.git`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepoName {
    org: String,
    name: String,
}

/// A text that cannot name a repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a repository name: expected ORG/NAME of letters, digits, `.`, `_` and `-`, each starting with a letter or digit, at most 100 characters, not ending in .git"
)]
pub struct RepoNameError(String);

impl RepoName {
    /// The organisation's name.
    #[must_use]
    pub fn org(&self) -> &str {
        &self.org
    }

    /// The repository's name within its organisation.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The project slug of API v2.
    #[must_use]
    pub fn slug(&self) -> String {
        format!("gh/{}/{}", self.org, self.name)
    }
}

fn is_name_part(part: &str) -> bool {
    part.len() <= 100
        && part.starts_with(|c: char| c.is_ascii_alphanumeric())
        && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        && !part.ends_with(".git")
        && !part.contains("..")
}

impl FromStr for RepoName {
    type Err = RepoNameError;
    fn from_str(text: &str) -> Result<Self, RepoNameError> {
        match text.split_once('/') {
            Some((org, name)) if is_name_part(org) && is_name_part(name) => {
                Ok(Self { org: org.into(), name: name.into() })
            }
            _ => Err(RepoNameError(text.chars().take(64).collect())),
        }
    }
}

impl TryFrom<String> for RepoName {
    type Error = RepoNameError;
    fn try_from(text: String) -> Result<Self, RepoNameError> {
        text.parse()
    }
}

impl From<RepoName> for String {
    fn from(name: RepoName) -> Self {
        name.to_string()
    }
}

impl fmt::Display for RepoName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.org, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, accepted: bool) {
        assert_eq!(text.parse::<RepoName>().is_ok(), accepted, "{text}");
    }

    #[test]
    fn repository_names_cannot_leave_their_folder() {
        check("acme/relay", true);
        check("a.b/c_d-e", true);
        for bad in [
            "", "acme", "acme/", "/x", "../x", "a/..", "a/b/c", "a/x.git", "-a/b", "a/b\0",
            "a/b..c",
        ] {
            check(bad, false);
        }
    }
}
