//! `store_artifacts`: files that people fetch later.
//!
//! A file whose name cannot be kept is named and passed over; the step fails when the others are
//! stored.
//! Decision: secrets in paths are hidden before anything leaves the job, so that the path under which an
//! artifact is stored, listed and fetched is the one that is shown. Files that this gives one path are
//! numbered in their order: none replaces another.

use super::{asking, discard};
use crate::{
    agent::{self, Asked, Bundled},
    control_plane::ControlPlane,
    environment::resolve,
    job::{Job, StepError},
};
use base::{
    protocol::{Progress, StoreConfirm, StoreRequest, StoreTarget},
    units::Bytes,
};
use std::collections::HashMap;

/// What storing waits for.
const TAKEN: &str = "the store to take an artifact";

impl<C: ControlPlane> Job<C> {
    pub(crate) async fn store_artifacts(
        &self,
        step: u32,
        path: &str,
        destination: Option<&str>,
    ) -> Result<(), StepError> {
        let destination = destination.map_or_else(|| without_steps_upwards(path), str::to_owned);
        if leads_out(&destination) {
            return Err(StepError::Failed(format!(
                "`{destination}` leads out of the folder of artifacts: use a `destination` without `..`"
            )));
        }
        let stands = self.stands()?;
        let from = resolve(path, &stands.user.home, &stands.working_directory);
        self.outbox.say(step, &format!("Uploading {from} to {destination}\n"));
        let bundle = self.supervised.folder().exchange(step);
        let asked = Asked::Bundle { path: from.clone(), most: self.host.config.disk };
        self.agent(step, asking(&asked), None, Some(bundle.clone())).await?;
        let manifest = agent::bundle_of(&bundle).map_err(StepError::Failed)?;
        if manifest.files.is_empty() {
            self.outbox.say(step, &format!("No artifact files found at {from}\n"));
        }
        let prefix = artifact_prefix(&destination, manifest.single, &from);
        let passed_over = self.store_all(step, &prefix, &bundle, manifest).await?;
        discard(&bundle);
        if passed_over == 0 {
            return Ok(());
        }
        Err(StepError::Failed(format!(
            "{passed_over} file(s) could not be stored: rename those whose names have a line break"
        )))
    }

    /// Stores what can be kept; the number of files that cannot.
    async fn store_all(
        &self,
        step: u32,
        prefix: &str,
        bundle: &std::path::Path,
        manifest: Bundled,
    ) -> Result<usize, StepError> {
        let (mut offset, mut passed_over) = (manifest.length, 0);
        let mut paths = Paths::default();
        for (name, size) in manifest.files {
            let path = paths.shown(&self.outbox.masked(&joined(prefix, &name)));
            let told = if can_be_kept(&path) {
                self.store_artifact(step, &path, bundle, offset, size).await?;
                format!("  * {path} ({})\n", Bytes(size))
            } else {
                passed_over += 1;
                format!("  * {} passed over: its name has a line break\n", path.escape_debug())
            };
            self.outbox.say(step, &told);
            offset += size;
        }
        Ok(passed_over)
    }

    async fn store_artifact(
        &self,
        step: u32,
        path: &str,
        bundle: &std::path::Path,
        offset: u64,
        size: u64,
    ) -> Result<(), StepError> {
        let held = self.outbox.held();
        let request = StoreRequest::Artifact { path: path.to_owned() };
        let store = || self.control.store(held, &request);
        let target = self.persist_in_asking(step, TAKEN, store).await?;
        let StoreTarget::Put { to, key } = target else { return Ok(()) };
        let put = || self.control.put(&to, bundle, offset, size);
        self.persist_in_asking(step, TAKEN, put).await?;
        let confirm = StoreConfirm { request, key: key.clone(), size, paths: Vec::new() };
        self.persist_in_asking(step, TAKEN, || self.control.confirm(held, &confirm)).await?;
        self.outbox.report(Progress::Artifact { path: path.to_owned(), key, size });
        Ok(())
    }
}

/// The paths of one step's artifacts, secrets hidden.
#[derive(Default)]
struct Paths(HashMap<String, u32>);

impl Paths {
    /// The path itself for the first that has it, and a numbered one for each further.
    fn shown(&mut self, masked: &str) -> String {
        let mut path = masked.to_owned();
        while self.0.contains_key(&path) {
            let count = self.0.entry(masked.to_owned()).or_insert(1);
            *count += 1;
            path = format!("{masked}.{count}");
        }
        self.0.insert(path.clone(), 1);
        path
    }
}

/// A destination with a step upwards: nobody could fetch what is stored there.
fn leads_out(destination: &str) -> bool {
    destination.split('/').any(|part| part == "..")
}

/// What is stored from beside the working directory is listed as if it lay in it.
fn without_steps_upwards(path: &str) -> String {
    path.split('/').filter(|part| *part != "..").collect::<Vec<_>>().join("/")
}

/// Names of artifacts stand on lines of their own.
fn can_be_kept(path: &str) -> bool {
    !path.contains(['\0', '\n', '\r'])
}

/// Where in the list the files stand. A single file takes its own name below a destination that
/// is a folder, and the destination's name otherwise.
fn artifact_prefix(destination: &str, single: bool, from: &str) -> String {
    let plain = destination.trim_start_matches("~/").trim_start_matches("./").trim_matches('/');
    let plain = if plain == "." || plain == "~" { "" } else { plain };
    if !single || !destination.ends_with('/') {
        return plain.to_owned();
    }
    joined(plain, from.rsplit('/').next().unwrap_or_default())
}

fn joined(prefix: &str, name: &str) -> String {
    match (prefix, name) {
        ("", name) => name.to_owned(),
        (prefix, "") => prefix.to_owned(),
        (prefix, name) => format!("{prefix}/{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(destination: &str, from: &str, name: &str, expected: &str) {
        let prefix = artifact_prefix(destination, name.is_empty(), from);
        assert_eq!(joined(&prefix, name), expected, "{destination} {name}");
    }

    #[test]
    fn files_stand_where_the_configuration_says() {
        check("target/report.html", "/p/target/report.html", "", "target/report.html");
        check("docs/", "/p/target/report.html", "", "docs/report.html");
        check("/tmp/out", "/tmp/out", "a/b.txt", "tmp/out/a/b.txt");
        check(".", "/p", "a.txt", "a.txt");
        check("~/logs", "/home/circleci/logs", "x", "logs/x");
    }

    #[test]
    fn paths_that_look_alike_without_their_secrets_are_told_apart() {
        let mut paths = Paths::default();
        let shown = ["a", "****", "****.2", "****", "****", "b"].map(|path| paths.shown(path));
        assert_eq!(shown, ["a", "****", "****.2", "****.3", "****.4", "b"]);
    }

    #[test]
    fn steps_upwards_lead_out_and_dots_in_names_do_not() {
        assert_eq!(without_steps_upwards("../reports/a..b"), "reports/a..b");
        for destination in ["..", "../out", "a/../b", "a/..", "~/../a", "/.."] {
            assert!(leads_out(destination), "{destination}");
        }
        for destination in [".", "./out", "a..b", "...", "..a/b", "/tmp/out"] {
            assert!(!leads_out(destination), "{destination}");
        }
    }
}
