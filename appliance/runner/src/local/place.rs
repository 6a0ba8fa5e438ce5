//! The control side of `appliance run`: prints what a server would keep, keeps what jobs share.
//!
//! Form: `caches/<project>/<hash of key>/{key,paths,build,archive}`,
//! `artifacts/<run>/<workflow>/<job>/<path>`, and `objects/<run>/` for the workspaces of this run. A
//! project is one working copy; a run has its name, and a number while others go on ([`Own`]).
//! Invariants: a cache is complete when its folder has its final name; keys are never overwritten;
//! a name that comes from the repository or the job never leads out of its folder.

use super::{
    Images, Print, archive,
    lines::Lines,
    names::{artifact, hash},
    own::Own,
};
use crate::control_plane::{ControlPlane, Trouble};
use base::{
    ids::{JobNumber, TaskId},
    protocol::{
        CacheHit, Held, ImageSource, Presigned, Progress, Report, Reported, StoreConfirm,
        StoreRequest, StoreTarget, Verdict, Workspace, WorkspaceLayer,
    },
    secret::Secret,
    state::{StepState, TaskOutcome},
    workspace::{Conflict, Names, NamesError, Owner, Owners},
};
use bytes::Bytes;
use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use uuid::Uuid;

/// What is known of a task.
pub(super) struct Task {
    /// Shown in front of each line.
    pub(super) label: String,
    /// Where its artifacts are, within those of the project.
    pub(super) folder: PathBuf,
    /// Its job's place in the workflow.
    pub(super) job: String,
    /// Number of its job.
    pub(super) number: JobNumber,
    /// Jobs whose layers it sees, with their generation.
    pub(super) upstream: HashMap<String, u32>,
    lines: Lines,
    outcome: Option<TaskOutcome>,
}

impl Task {
    pub(super) fn new(
        label: String,
        folder: PathBuf,
        job: String,
        number: JobNumber,
        upstream: HashMap<String, u32>,
    ) -> Self {
        Self { label, folder, job, number, upstream, lines: Lines::default(), outcome: None }
    }
}

struct Layer {
    job: String,
    /// Jobs upstream of it.
    upstream: Vec<String>,
    object: PathBuf,
    names: Names,
}

#[derive(Default)]
struct State {
    tasks: HashMap<TaskId, Task>,
    layers: Vec<Layer>,
}

pub(super) struct Place {
    keep: PathBuf,
    own: Own,
    /// Names the caches of this working copy.
    project: String,
    directory: PathBuf,
    images: Arc<dyn Images>,
    print: Print,
    state: Mutex<State>,
}

impl Place {
    pub(super) fn new(
        keep: PathBuf,
        own: Own,
        project: String,
        directory: PathBuf,
        images: Arc<dyn Images>,
        print: Print,
    ) -> Self {
        Self { keep, own, project, directory, images, print, state: Mutex::default() }
    }

    fn caches(&self) -> PathBuf {
        self.keep.join("caches").join(&self.project)
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
                let kept = artifact(&self.own.artifacts, &task.folder, path);
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

    fn cache_folder(&self, key: &str) -> PathBuf {
        self.caches().join(hash(key.as_bytes()))
    }

    /// The newest cache whose key begins with `key`.
    fn find_cache(&self, key: &str) -> Option<CacheHit> {
        let entries = fs::read_dir(self.caches()).ok()?.flatten();
        let found = entries.filter_map(|entry| {
            let full = fs::read_to_string(entry.path().join("key"))
                .ok()
                .filter(|full| full.starts_with(key))?;
            let archive = entry.path().join("archive");
            let meta = fs::metadata(&archive).ok()?;
            let paths = fs::read_to_string(entry.path().join("paths")).unwrap_or_default();
            let build = fs::read_to_string(entry.path().join("build")).unwrap_or_default();
            let hit = CacheHit {
                key: full,
                build: JobNumber(build.parse().unwrap_or(1)),
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
                let build = self.state().tasks.get(&task.task).map_or(1, |task| task.number.0);
                fs::write(draft.join("build"), build.to_string())?;
                fs::rename(&object, draft.join("archive"))?;
                fs::create_dir_all(self.caches())?;
                match fs::rename(&draft, &folder) {
                    // Another run was faster: keys are never overwritten.
                    Err(_) if folder.exists() => fs::remove_dir_all(draft),
                    renamed => renamed,
                }
            }
            StoreRequest::Workspace => {
                let mut state = self.state();
                let Some(task) = state.tasks.get(&task.task) else { return Ok(()) };
                let (job, upstream) = (task.job.clone(), task.upstream.keys().cloned().collect());
                state.layers.push(Layer { job, upstream, object, names: confirm.names.clone() });
                Ok(())
            }
            StoreRequest::Artifact { path } => {
                let folder = self.state().tasks.get(&task.task).map(|task| task.folder.clone());
                let into = artifact(&self.own.artifacts, &folder.unwrap_or_default(), path)
                    .ok_or(io::ErrorKind::InvalidFilename)?;
                fs::create_dir_all(into.parent().unwrap_or(&self.keep))?;
                fs::rename(object, into)
            }
        }
    }

    fn object(&self, kind: &str) -> PathBuf {
        self.own.objects.join(format!("{kind}-{}", Uuid::new_v4().simple()))
    }
}

/// Layers in their order as a job hears of them.
fn told(seen: &[&Layer]) -> Vec<WorkspaceLayer> {
    let mut jobs: Vec<&String> = seen.iter().map(|layer| &layer.job).collect();
    jobs.dedup();
    let numbers: HashMap<&String, u32> = jobs.into_iter().zip(0..).collect();
    let layer = |layer: &&Layer| WorkspaceLayer {
        job_name: layer.job.clone(),
        job: numbers[&layer.job],
        upstream: layer.upstream.iter().filter_map(|job| numbers.get(job).copied()).collect(),
        from: at(&layer.object),
    };
    seen.iter().map(layer).collect()
}

fn conflict(told: &[WorkspaceLayer], seen: &[&Layer]) -> Result<Option<Conflict>, NamesError> {
    let mut owners = Owners::default();
    for (layer, Layer { names, .. }) in told.iter().zip(seen) {
        let (job_name, upstream) = (layer.job_name.clone(), layer.upstream.clone());
        let owner = Owner { job_name, job: layer.job, upstream };
        if let Some(conflict) = owners.add(owner, names)? {
            return Ok(Some(conflict));
        }
    }
    Ok(None)
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
    const JOBS_OUTLIVE: bool = false;

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
            && artifact(Path::new(""), Path::new(""), path).is_none()
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

    async fn workspace(&self, task: Held) -> Result<Workspace, Trouble> {
        let state = self.state();
        let Some(task) = state.tasks.get(&task.task) else { return Ok(Workspace::default()) };
        let mut seen: Vec<&Layer> =
            state.layers.iter().filter(|layer| task.upstream.contains_key(&layer.job)).collect();
        seen.sort_by_key(|layer| (task.upstream.get(&layer.job), &layer.job));
        let layers = told(&seen);
        let conflict = conflict(&layers, &seen)
            .map_err(|error| Trouble::Rejected { message: error.to_string() })?;
        Ok(Workspace { layers, conflict })
    }

    async fn image(&self, _: Held, reference: &str) -> Result<ImageSource, Trouble> {
        self.images.find(reference).await.map_err(|message| Trouble::Rejected { message })
    }

    async fn checkout(&self, _: Held, into: &Path) -> Result<(), Trouble> {
        archive::write(&self.directory, into).map_err(file("copy the working copy"))
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
