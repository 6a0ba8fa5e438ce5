//! The control side of `appliance run`: prints what a server would keep, keeps what jobs share.
//!
//! Form: `caches/<hash of key>/{key,archive}`, `artifacts/<job>/<path>`, and `layers/` for the
//! workspaces of this run.
//! Invariants: a cache is complete when its folder has its final name; keys are never overwritten;
//! a name that comes from the repository or the job never leads out of its folder.

use super::{Images, Print, lines::Lines, working_copy};
use crate::control_plane::{ControlPlane, Trouble};
use base::{
    ids::{JobNumber, TaskId},
    protocol::{
        CacheHit, Held, ImageSource, Presigned, Progress, Report, Reported, StoreConfirm,
        StoreRequest, StoreTarget, Verdict, WorkspaceLayer,
    },
    secret::Secret,
    state::{StepState, TaskOutcome},
};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::{Component, Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use uuid::Uuid;

/// What is known of a task.
pub(super) struct Task {
    /// Shown in front of each line.
    pub(super) label: String,
    /// Its job's place in the workflow.
    pub(super) job: String,
    /// Jobs whose layers it sees, with their generation.
    pub(super) upstream: HashMap<String, u32>,
    lines: Lines,
    outcome: Option<TaskOutcome>,
}

impl Task {
    pub(super) fn new(label: String, job: String, upstream: HashMap<String, u32>) -> Self {
        Self { label, job, upstream, lines: Lines::default(), outcome: None }
    }
}

struct Layer {
    job: String,
    /// Jobs upstream of it.
    upstream: Vec<String>,
    object: PathBuf,
    paths: Vec<String>,
}

#[derive(Default)]
struct State {
    tasks: HashMap<TaskId, Task>,
    layers: Vec<Layer>,
}

pub(super) struct Place {
    keep: PathBuf,
    directory: PathBuf,
    images: Arc<dyn Images>,
    print: Print,
    state: Mutex<State>,
}

impl Place {
    pub(super) fn new(
        keep: PathBuf,
        directory: PathBuf,
        images: Arc<dyn Images>,
        print: Print,
    ) -> Self {
        Self { keep, directory, images, print, state: Mutex::default() }
    }

    pub(super) fn expect(&self, id: TaskId, task: Task) {
        self.state().tasks.insert(id, task);
    }

    /// How a task ended, if it did.
    pub(super) fn outcome(&self, id: TaskId) -> Option<TaskOutcome> {
        self.state().tasks.get(&id).and_then(|task| task.outcome)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, id: TaskId, progress: &Progress) {
        let mut state = self.state();
        let Some(task) = state.tasks.get_mut(&id) else { return };
        let lines = match progress {
            Progress::StepStarted { step, name, .. } => task.lines.started(*step, name),
            Progress::StepEnded { step, state, rest, .. } => {
                let mut lines = task.lines.printed(*step, rest);
                lines.extend(task.lines.ended(*step));
                if !matches!(state, StepState::Success | StepState::Running) {
                    lines.push(format!("── step {step}: {state}"));
                }
                lines
            }
            Progress::Artifact { path, .. } => {
                let kept = self.artifact(&task.label, path);
                kept.map(|kept| format!("── artifact {}", kept.display())).into_iter().collect()
            }
            Progress::Ended { outcome, message, .. } => {
                task.outcome = Some(*outcome);
                let why =
                    message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
                vec![format!("── {outcome}{why}")]
            }
            Progress::Started { .. } | Progress::Tests { .. } => return,
        };
        self.print_all(task, &lines);
    }

    fn print_output(&self, id: TaskId, step: u32, bytes: &[u8]) {
        let mut state = self.state();
        let Some(task) = state.tasks.get_mut(&id) else { return };
        let lines = task.lines.printed(step, bytes);
        self.print_all(task, &lines);
    }

    fn print_all(&self, task: &Task, lines: &[String]) {
        lines.iter().for_each(|line| (self.print)(&task.label, line));
    }

    fn artifact(&self, label: &str, path: &str) -> Option<PathBuf> {
        artifact(&self.keep, label, path)
    }

    fn cache_folder(&self, key: &str) -> PathBuf {
        let hash = Sha256::digest(key)
            .iter()
            .fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        self.keep.join("caches").join(hash)
    }

    /// The newest cache whose key begins with `key`.
    fn find_cache(&self, key: &str) -> Option<CacheHit> {
        let entries = fs::read_dir(self.keep.join("caches")).ok()?.flatten();
        let found = entries.filter_map(|entry| {
            let full = fs::read_to_string(entry.path().join("key"))
                .ok()
                .filter(|full| full.starts_with(key))?;
            let archive = entry.path().join("archive");
            let meta = fs::metadata(&archive).ok()?;
            let paths = fs::read_to_string(entry.path().join("paths")).unwrap_or_default();
            let hit = CacheHit {
                key: full,
                build: JobNumber(1),
                size: meta.len(),
                paths: paths.lines().map(str::to_owned).collect(),
                from: at(&archive),
            };
            Some((meta.modified().ok()?, hit))
        });
        found.max_by_key(|found| found.0).map(|(_, hit)| hit)
    }

    fn keep_object(&self, task: Held, confirm: &StoreConfirm) -> io::Result<()> {
        let object = PathBuf::from(&confirm.key);
        match &confirm.request {
            StoreRequest::Cache { key } => {
                let folder = self.cache_folder(key);
                if folder.exists() {
                    return fs::remove_file(object);
                }
                let draft = self.object("cache");
                fs::create_dir_all(&draft)?;
                fs::write(draft.join("key"), key)?;
                fs::write(draft.join("paths"), confirm.paths.join("\n"))?;
                fs::rename(&object, draft.join("archive"))?;
                fs::create_dir_all(self.keep.join("caches"))?;
                fs::rename(draft, folder)
            }
            StoreRequest::Workspace => {
                let mut state = self.state();
                let Some(task) = state.tasks.get(&task.task) else { return Ok(()) };
                let (job, upstream) = (task.job.clone(), task.upstream.keys().cloned().collect());
                state.layers.push(Layer { job, upstream, object, paths: confirm.paths.clone() });
                Ok(())
            }
            StoreRequest::Artifact { path } => {
                let label = self
                    .state()
                    .tasks
                    .get(&task.task)
                    .map(|task| task.label.clone())
                    .unwrap_or_default();
                let into = self.artifact(&label, path).ok_or(io::ErrorKind::InvalidFilename)?;
                fs::create_dir_all(into.parent().unwrap_or(&self.keep))?;
                fs::rename(object, into)
            }
        }
    }

    fn object(&self, kind: &str) -> PathBuf {
        self.keep.join("objects").join(format!("{kind}-{}", Uuid::new_v4().simple()))
    }
}

/// Where an artifact is kept; `None` for a path that leads elsewhere.
fn artifact(keep: &Path, label: &str, path: &str) -> Option<PathBuf> {
    let is_plain = |part| matches!(part, Component::Normal(_));
    let path = Path::new(path);
    let inside = path.components().all(is_plain) && path.file_name().is_some();
    inside.then(|| keep.join("artifacts").join(folder_name(label)).join(path))
}

/// A job's name as the name of one folder.
fn folder_name(label: &str) -> String {
    let name = label.replace(['/', '\0'], "_");
    match name.as_str() {
        "" | "." | ".." => format!("_{name}"),
        _ => name,
    }
}

fn file(attempt: &str) -> impl FnOnce(io::Error) -> Trouble {
    let attempt = attempt.to_owned();
    move |source| Trouble::File { attempt, source }
}

fn at(path: &Path) -> Presigned {
    Presigned { url: Secret::new(path.to_string_lossy()) }
}

fn copy(from: &Path, offset: u64, size: u64, into: &Path) -> io::Result<()> {
    let mut source = File::open(from)?;
    source.seek(SeekFrom::Start(offset))?;
    if let Some(folder) = into.parent() {
        fs::create_dir_all(folder)?;
    }
    io::copy(&mut source.take(size), &mut File::create(into)?).map(drop)
}

impl ControlPlane for Place {
    async fn report(&self, report: &Report) -> Result<Reported, Trouble> {
        report.progress.iter().for_each(|progress| self.tell(report.task, progress));
        Ok(Reported { verdict: Verdict::Keep, next: None })
    }

    async fn output(&self, task: Held, step: u32, _: u64, bytes: Bytes) -> Result<(), Trouble> {
        self.print_output(task.task, step, &bytes);
        Ok(())
    }

    async fn store(&self, _: Held, request: &StoreRequest) -> Result<StoreTarget, Trouble> {
        if let StoreRequest::Artifact { path } = request
            && self.artifact("", path).is_none()
        {
            return Err(Trouble::Rejected {
                message: format!(
                    "`{path}` leads out of the folder of artifacts: use a `destination` without `..`"
                ),
            });
        }
        if let StoreRequest::Cache { key } = request
            && self.cache_folder(key).exists()
        {
            return Ok(StoreTarget::Exists);
        }
        let object = self.object("put");
        Ok(StoreTarget::Put { to: at(&object), key: object.to_string_lossy().into_owned() })
    }

    async fn confirm(&self, task: Held, confirm: &StoreConfirm) -> Result<(), Trouble> {
        self.keep_object(task, confirm).map_err(file("keep an object"))
    }

    async fn cache(&self, _: Held, keys: &[String]) -> Result<Option<CacheHit>, Trouble> {
        Ok(keys.iter().find_map(|key| self.find_cache(key)))
    }

    async fn workspace(&self, task: Held) -> Result<Vec<WorkspaceLayer>, Trouble> {
        let state = self.state();
        let Some(task) = state.tasks.get(&task.task) else { return Ok(Vec::new()) };
        let mut seen: Vec<&Layer> =
            state.layers.iter().filter(|layer| task.upstream.contains_key(&layer.job)).collect();
        seen.sort_by_key(|layer| (task.upstream.get(&layer.job), &layer.job));
        let mut jobs: Vec<&String> = seen.iter().map(|layer| &layer.job).collect();
        jobs.dedup();
        let numbers: HashMap<&String, u32> = jobs.into_iter().zip(0..).collect();
        let layer = |layer: &Layer| WorkspaceLayer {
            job_name: layer.job.clone(),
            paths: layer.paths.clone(),
            job: numbers[&layer.job],
            upstream: layer.upstream.iter().filter_map(|job| numbers.get(job).copied()).collect(),
            from: at(&layer.object),
        };
        Ok(seen.into_iter().map(layer).collect())
    }

    async fn image(&self, _: Held, reference: &str) -> Result<ImageSource, Trouble> {
        self.images.find(reference).await.map_err(|message| Trouble::Rejected { message })
    }

    async fn checkout(&self, _: Held, into: &Path) -> Result<(), Trouble> {
        working_copy::archive(&self.directory, into).map_err(file("copy the working copy"))
    }

    /// Nothing is remembered from one run to the next.
    async fn timings(&self, _: Held, into: &Path) -> Result<(), Trouble> {
        fs::write(into, "[]").map_err(file("write the times of tests"))
    }

    /// An address is a path here, or a layer's digest.
    async fn get(&self, from: &Presigned, into: &Path) -> Result<(), Trouble> {
        if from.url.expose().starts_with("sha256:") {
            let fetched = self.images.fetch(from.url.expose(), into).await;
            return fetched.map_err(|message| Trouble::Rejected { message });
        }
        fs::copy(from.url.expose(), into).map(drop).map_err(file("fetch an object"))
    }

    async fn put(
        &self,
        to: &Presigned,
        from: &Path,
        offset: u64,
        size: u64,
    ) -> Result<(), Trouble> {
        copy(from, offset, size, Path::new(to.url.expose())).map_err(file("store an object"))
    }
}

impl Drop for Place {
    /// Layers and unfinished objects are of this run alone.
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.keep.join("objects"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(label: &str, path: &str, expected: Option<&str>) {
        let found = artifact(Path::new("/keep"), label, path);
        assert_eq!(found, expected.map(PathBuf::from), "{label} {path}");
    }

    #[test]
    fn artifacts_stay_in_their_folder() {
        check("build", "out/a.txt", Some("/keep/artifacts/build/out/a.txt"));
        check("build 1/2", "a", Some("/keep/artifacts/build 1_2/a"));
        check("../../etc", "cron.d/x", Some("/keep/artifacts/.._.._etc/cron.d/x"));
        check("..", "a", Some("/keep/artifacts/_../a"));
        check("/etc", "a", Some("/keep/artifacts/_etc/a"));
        check("build", "../../../etc/cron.d/x", None);
        check("build", "a/../../b", None);
        check("build", "/etc/passwd", None);
        check("build", "", None);
    }
}
