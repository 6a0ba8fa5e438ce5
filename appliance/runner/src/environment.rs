//! The environment of a job's steps, and how the log shows it.
//!
//! Why: precedence is the part of the language that scripts rely on most and that is seen least.
//! It is decided here, in pure code, once per job and once per step.
//! Precedence, lowest first: where the appliance is, the image's own, `environment` beside the image,
//! defaults, project and context variables (in the
//! order given), built-in `CIRCLE_*`, the job's `environment`, the step's `environment`.
//! Invariants: values are never interpolated; the listing shows no secret.
//! Decision: `environment` beside the first image reaches the steps: the original's own examples rely on
//! it, though its reference tells of the entry point alone.
//! Source: the built-in variables of the original service; those that it does not set on runners
//! (`CIRCLE_PREVIOUS_BUILD_NUM`) are absent.

use crate::spin_up::AGENT;
use base::protocol::Assignment;
use indexmap::IndexMap;
use std::fmt::Write as _;

/// Names and values, in the order they were first set.
pub(crate) type Environment = IndexMap<String, String>;

/// Where commands are searched when neither image nor job says otherwise.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The file that bash reads before each step. A job is alone with its `/tmp`, so that the name need
/// not tell whose it is, and the file can be there before the job is known.
pub(crate) const BASH_ENV: &str = "/tmp/.bash_env-build";

/// Who the steps run as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Person {
    /// Login name.
    pub user: String,
    /// Home folder, absolute.
    pub home: String,
}

/// The variables that every job has, in alphabetical order.
#[must_use]
pub(crate) fn built_in(job: &Assignment) -> Environment {
    let mut env = Environment::new();
    let mut set = |name: &str, value: String| env.insert(name.to_owned(), value);
    set("BASH_ENV", BASH_ENV.into());
    set("CI", "true".into());
    set("CIRCLECI", "true".into());
    if let Some(branch) = &job.vcs.branch {
        set("CIRCLE_BRANCH", branch.clone());
    }
    set("CIRCLE_BUILD_NUM", job.job_number.to_string());
    set("CIRCLE_BUILD_URL", job.build_url.clone());
    set("CIRCLE_INTERNAL_TASK_DATA", format!("/tmp/circleci-task-{}", job.task));
    set("CIRCLE_JOB", job.job_name.clone());
    set("CIRCLE_NODE_INDEX", job.node_index.to_string());
    set("CIRCLE_NODE_TOTAL", job.node_total.to_string());
    if let Some(organization) = &job.organization {
        set("CIRCLE_ORGANIZATION_ID", organization.to_string());
    }
    set("CIRCLE_PIPELINE_ID", job.pipeline.to_string());
    set("CIRCLE_PROJECT_ID", job.project.to_string());
    set("CIRCLE_PROJECT_REPONAME", job.repo.name().to_owned());
    set("CIRCLE_PROJECT_USERNAME", job.repo.org().to_owned());
    set("CIRCLE_REPOSITORY_URL", job.vcs.repository_url.clone());
    set("CIRCLE_SHA1", job.vcs.revision.clone());
    set("CIRCLE_SHELL_ENV", BASH_ENV.into());
    if let Some(tag) = &job.vcs.tag {
        set("CIRCLE_TAG", tag.clone());
    }
    set("CIRCLE_USERNAME", job.actor.clone());
    set("CIRCLE_WORKFLOW_ID", job.workflow.to_string());
    set("CIRCLE_WORKFLOW_JOB_ID", job.job.to_string());
    set("CIRCLE_WORKFLOW_WORKSPACE_ID", job.workspace.to_string());
    set("CIRCLE_WORKING_DIRECTORY", job.spec.working_directory.clone());
    env
}

/// What names a locale of characters. Where nothing does, text is UTF-8, by the last of these alone:
/// `LANG` would have every program load a dozen categories that are those of the C locale anyway,
/// which doubles the start of a shell.
const LOCALES: [&str; 3] = ["LANG", "LC_ALL", "LC_CTYPE"];

/// What every step of the job starts from.
#[must_use]
pub(crate) fn of_job(
    job: &Assignment,
    site: &Environment,
    image: &Environment,
    person: &Person,
) -> Environment {
    let mut env = Environment::from([("PATH".to_owned(), PATH.to_owned())]);
    env.extend(site.clone());
    env.extend(image.clone());
    env.insert("HOME".into(), person.home.clone());
    env.insert("USER".into(), person.user.clone());
    env.extend(
        job.secrets.iter().map(|secret| (secret.name.clone(), secret.value.expose().to_owned())),
    );
    env.extend(built_in(job));
    env.extend(job.spec.environment.clone());
    if !LOCALES.iter().any(|name| env.contains_key(*name)) {
        env.insert("LC_CTYPE".into(), "C.UTF-8".into());
    }
    reach_agent(&mut env);
    env
}

/// Where the job names folders of its own, `circleci` is still found: last, so that it hides nothing.
pub(crate) fn reach_agent(env: &mut Environment) {
    let Some((folder, _)) = AGENT.rsplit_once('/') else { return };
    let path = env.entry("PATH".to_owned()).or_default();
    if path.split(':').any(|named| named.trim_end_matches('/') == folder) {
        return;
    }
    if !path.is_empty() {
        path.push(':');
    }
    path.push_str(folder);
}

/// The text of the step `Preparing environment variables`.
#[must_use]
pub(crate) fn listing(job: &Assignment) -> String {
    let mut shown = built_in(job);
    shown.extend(job.spec.environment.clone());
    shown.sort_unstable_keys();
    let mut text = String::from("Using build environment variables:\n");
    for (name, value) in &shown {
        let _ = writeln!(text, "  {name}={value}");
    }
    if !job.secrets.is_empty() {
        text.push_str("\nUsing environment variables from project settings and/or contexts:\n");
        let mut names: Vec<&str> = job.secrets.iter().map(|secret| secret.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let _ = writeln!(text, "  {name}=**REDACTED**");
        }
        text.push_str("\nThe redacted variables listed above will be masked in run step output.\n");
    }
    text
}

/// `path` with a leading `~` replaced by the home folder, then relative to `base`.
#[must_use]
pub(crate) fn resolve(path: &str, home: &str, base: &str) -> String {
    let path = match path.strip_prefix('~') {
        Some("") => home.to_owned(),
        Some(rest) if rest.starts_with('/') => format!("{home}{rest}"),
        _ => path.to_owned(),
    };
    if path.starts_with('/') {
        return path;
    }
    match path.trim_start_matches("./").trim_end_matches('/') {
        "" | "." => base.to_owned(),
        inner => format!("{}/{inner}", base.trim_end_matches('/')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::examples;
    use base::{protocol::Variable, secret::Secret};

    fn check(path: &str, expected: &str) {
        assert_eq!(resolve(path, "/home/circleci", "/home/circleci/project"), expected, "{path}");
    }

    #[test]
    fn paths_are_relative_to_the_working_directory_and_know_the_home() {
        check("~", "/home/circleci");
        check("~/x", "/home/circleci/x");
        check("~other/x", "/home/circleci/project/~other/x");
        check("/abs", "/abs");
        check(".", "/home/circleci/project");
        check("./sub/", "/home/circleci/project/sub");
        check("sub", "/home/circleci/project/sub");
    }

    #[test]
    fn the_job_overrides_what_is_built_in_and_that_overrides_secrets() {
        let mut job = examples::assignment();
        let secret =
            |name: &str, value: &str| Variable { name: name.into(), value: Secret::new(value) };
        job.secrets = vec![
            secret("A", "project"),
            secret("A", "context"),
            secret("CI", "no"),
            secret("B", "s"),
        ];
        let spec = std::sync::Arc::make_mut(&mut job.spec);
        spec.environment = IndexMap::from([("B".into(), "job".into())]);
        let person = Person { user: "root".into(), home: "/root".into() };
        let image =
            Environment::from([("PATH".into(), "/opt/bin".into()), ("HOME".into(), "/".into())]);
        let site = Environment::from([
            ("PATH".into(), "/site".into()),
            ("APPLIANCE_URL".into(), "u".into()),
        ]);
        let env = of_job(&job, &site, &image, &person);
        let names = ["A", "CI", "B", "PATH", "HOME", "APPLIANCE_URL"];
        let values = names.map(|name| env[name].as_str());
        assert_eq!(values, ["context", "true", "job", "/opt/bin:/usr/local/bin", "/root", "u"]);
    }

    #[test]
    fn the_command_of_the_job_is_found_last_on_any_path() {
        for (path, expected) in [
            (Some("/opt/bin:/bin"), "/opt/bin:/bin:/usr/local/bin"),
            (Some("/usr/local/bin/:/bin"), "/usr/local/bin/:/bin"),
            (Some(PATH), PATH),
            (Some("/usr/local/bin2"), "/usr/local/bin2:/usr/local/bin"),
            (Some(""), "/usr/local/bin"),
            (None, "/usr/local/bin"),
        ] {
            let mut env = Environment::new();
            env.extend(path.map(|path| ("PATH".to_owned(), path.to_owned())));
            reach_agent(&mut env);
            assert_eq!(env["PATH"], expected, "{path:?}");
        }
    }

    #[test]
    fn text_is_utf_8_unless_something_names_a_locale() {
        let person = Person { user: "root".into(), home: "/root".into() };
        for (name, value, expected) in [
            ("OTHER", "x", Some("C.UTF-8")),
            ("LANG", "ja_JP.eucJP", None),
            ("LC_ALL", "C", None),
            ("LC_CTYPE", "de_DE.UTF-8", Some("de_DE.UTF-8")),
        ] {
            let named = IndexMap::from([(name.to_owned(), value.to_owned())]);
            let mut job = examples::assignment();
            std::sync::Arc::make_mut(&mut job.spec).environment = named;
            let env = of_job(&job, &Environment::new(), &Environment::new(), &person);
            assert_eq!(env.get("LC_CTYPE").map(String::as_str), expected, "{name}");
            assert_eq!(env.contains_key("LANG"), name == "LANG");
        }
    }

    #[test]
    fn the_listing_shows_no_secret() {
        let mut job = examples::assignment();
        job.secrets = vec![Variable { name: "TOKEN".into(), value: Secret::new("hunter2") }];
        let text = listing(&job);
        assert!(text.contains("  TOKEN=**REDACTED**\n") && !text.contains("hunter2"), "{text}");
        assert!(text.contains("  CIRCLE_JOB=build\n"), "{text}");
        let organization = "  CIRCLE_ORGANIZATION_ID=00000000-0000-0000-0000-000000000000\n";
        assert!(text.contains(organization), "{text}");
    }
}
