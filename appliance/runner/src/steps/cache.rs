//! `save_cache` and `restore_cache`.
//!
//! Source: the log texts of the original service, which people search for.

use super::{asking, discard};
use crate::{
    agent::{self, Asked, KeyValues},
    control_plane::ControlPlane,
    environment::resolve,
    job::{Job, StepError},
};
use base::{
    protocol::{CacheHit, StoreConfirm, StoreRequest, StoreTarget},
    units::Bytes,
};
use std::fmt::Write as _;

/// The longest evaluated key, as on the original service.
const KEY_MAX: usize = 900;

/// What saving waits for.
const PLACE: &str = "a place for the cache";
const TAKEN: &str = "the store to take the cache";

/// Keys that one step may look for.
const KEYS_MAX: usize = 64;

impl<C: ControlPlane> Job<C> {
    pub(crate) async fn save_cache(
        &self,
        step: u32,
        key: &str,
        paths: &[String],
    ) -> Result<(), StepError> {
        let key = self.evaluated(step, &[key.to_owned()]).await?.remove(0);
        let request = StoreRequest::Cache { key: key.clone() };
        let held = self.outbox.held();
        let target =
            self.persist_in_asking(step, PLACE, || self.control.store(held, &request)).await?;
        let StoreTarget::Put { .. } = target else {
            self.outbox.say(
                step,
                &format!("Skipping cache generation, cache already exists for key: {key}\n"),
            );
            return Ok(());
        };
        self.outbox.say(step, "Creating cache archive...\n");
        let stands = self.stands()?;
        let absolute = |path: &String| resolve(path, &stands.user.home, &stands.working_directory);
        let asked = Asked::Pack {
            root: "/".into(),
            paths: paths.iter().map(absolute).collect(),
            globs: false,
            may_be_empty: true,
        };
        let archive = self.supervised.folder().exchange(step);
        self.agent(step, asking(&asked), None, Some(archive.clone())).await?;
        let manifest = agent::manifest_of(&archive).map_err(StepError::Failed)?;
        if manifest.archive == 0 {
            discard(&archive);
            self.outbox.say(step, &format!("Nothing to keep: no cache is stored for key: {key}\n"));
            return Ok(());
        }
        self.outbox.say(step, "Uploading cache archive...\n");
        // Packing may have taken longer than the place is held: ask again.
        let target =
            self.persist_in_asking(step, PLACE, || self.control.store(held, &request)).await?;
        if let StoreTarget::Put { to, key: object } = target {
            let (offset, size) = (manifest.length, manifest.archive);
            let put = || self.control.put(&to, &archive, offset, size);
            self.persist_in_asking(step, TAKEN, put).await?;
            let confirm =
                StoreConfirm { request: request.clone(), key: object, size, paths: paths.to_vec() };
            self.persist_in_asking(step, TAKEN, || self.control.confirm(held, &confirm)).await?;
        }
        discard(&archive);
        self.outbox.say(step, &format!("Stored Cache to {key}\n{}", listed(paths)));
        Ok(())
    }

    pub(crate) async fn restore_cache(&self, step: u32, keys: &[String]) -> Result<(), StepError> {
        let keys = self.evaluated(step, keys).await?;
        let held = self.outbox.held();
        let search = || self.control.cache(held, &keys);
        let Some(hit) = self.persist_in_asking(step, "the search for a cache", search).await?
        else {
            let misses: String =
                keys.iter().map(|key| format!("No cache is found for key: {key}\n")).collect();
            self.outbox.say(step, &misses);
            return Ok(());
        };
        self.outbox.say(step, &found(&hit));
        self.outbox.say(step, "\nDownloading cache archive...\n");
        let archive = self.supervised.folder().exchange(step);
        let get = || self.control.get(&hit.from, &archive);
        self.persist_in_asking(step, "the cache", get).await?;
        self.outbox.say(step, "Validating cache...\n\nUnarchiving cache...\n");
        let asked = Asked::Unpack { into: "/".into(), what: "cache".into() };
        self.agent(step, asking(&asked), Some(archive.clone()), None).await?;
        discard(&archive);
        Ok(())
    }

    /// The keys that these templates stand for here; checksums are taken inside.
    async fn evaluated(&self, step: u32, templates: &[String]) -> Result<Vec<String>, StepError> {
        if templates.is_empty() || templates.len() > KEYS_MAX {
            return Err(StepError::Failed(format!(
                "a cache step needs between 1 and {KEYS_MAX} keys"
            )));
        }
        let keys = if templates.iter().any(|template| template.contains("{{")) {
            self.evaluated_inside(step, templates).await?
        } else {
            templates.to_vec()
        };
        match keys.iter().find(|key| key.chars().count() > KEY_MAX) {
            Some(long) => {
                let shown: String = long.chars().take(64).collect();
                Err(StepError::Failed(format!(
                    "the cache key `{shown}…` is longer than {KEY_MAX} characters"
                )))
            }
            None => Ok(keys),
        }
    }

    async fn evaluated_inside(
        &self,
        step: u32,
        templates: &[String],
    ) -> Result<Vec<String>, StepError> {
        let asked = Asked::Keys {
            templates: templates.to_vec(),
            values: KeyValues {
                branch: self.assignment.vcs.branch.clone().unwrap_or_default(),
                revision: self.assignment.vcs.revision.clone(),
                build_num: self.assignment.job_number.0,
                epoch: crate::job::now().0 / 1_000_000,
            },
        };
        let answer = self.supervised.folder().exchange(step);
        self.agent(step, asking(&asked), None, Some(answer.clone())).await?;
        let keys = agent::keys_of(&answer, templates.len()).map_err(StepError::Failed)?;
        discard(&answer);
        Ok(keys)
    }
}

fn found(hit: &CacheHit) -> String {
    format!(
        "Found a cache from build {} at {}\nSize: {}\nCached paths:\n{}",
        hit.build,
        hit.key,
        Bytes(hit.size),
        listed(&hit.paths)
    )
}

fn listed(paths: &[String]) -> String {
    paths.iter().fold(String::new(), |mut text, path| {
        let _ = writeln!(text, "  * {path}");
        text
    })
}
