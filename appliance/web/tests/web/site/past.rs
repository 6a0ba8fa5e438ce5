//! Runs that are over, written through the store as the engine would have written them.

use super::{Site, now, seconds};
use base::{
    ids::{
        Attempt, Fence, JobId, JobNumber, PipelineId, PipelineNumber, ProjectId, TaskId, WorkflowId,
    },
    plan::{DockerImage, Executor, JobSpec},
    protocol::TestResult,
    state::{JobState, PipelineState, StepState, TaskOutcome, WorkflowState},
    time::Timestamp,
    trigger::{ConfigText, Trigger, TriggerKind, Vcs},
};
use indexmap::IndexMap;
use store::runs::{
    ConfigTexts, Job, JobType, Pipeline, PipelineError, Requires, Step, Task, Workflow, family,
};
use uuid::{Builder, Uuid};

/// One job: name, what it requires, its end, when it began and how long it took.
#[derive(Clone, Copy)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) requires: &'static [usize],
    pub(crate) state: JobState,
    pub(crate) begin: u64,
    pub(crate) took: u64,
    pub(crate) parallelism: u32,
}

/// A job that ended well.
pub(crate) const fn good(
    name: &'static str,
    requires: &'static [usize],
    begin: u64,
    took: u64,
) -> Spec {
    Spec { name, requires, state: JobState::Success, begin, took, parallelism: 1 }
}

/// The same with another end.
pub(crate) const fn ended(spec: Spec, state: JobState) -> Spec {
    Spec { state, ..spec }
}

/// One run.
pub(crate) struct Run<'a> {
    pub(crate) project: ProjectId,
    pub(crate) number: u64,
    pub(crate) first_job: u64,
    pub(crate) ago: u64,
    pub(crate) branch: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) actor: &'a str,
    pub(crate) workflow: &'a str,
    pub(crate) state: WorkflowState,
    pub(crate) jobs: Vec<Spec>,
    pub(crate) errors: Vec<&'a str>,
    pub(crate) config: &'a str,
}

/// Unique within the process, in the order of their times.
fn id_at(at: Timestamp, salt: u64) -> Uuid {
    let mut random = [0x5a; 10];
    random[2..].copy_from_slice(&salt.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    Builder::from_unix_timestamp_millis(u64::try_from(at.0 / 1000).unwrap(), &random).into_uuid()
}

fn revision(number: u64) -> String {
    format!(
        "{:016x}{:016x}{:08x}",
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        number ^ 0xfeed_beef_cafe,
        number
    )
}

fn vcs(run: &Run<'_>) -> Vcs {
    Vcs {
        repository_url: "https://ci.substation-7:8443/git/acme/relay-firmware".into(),
        revision: revision(run.number),
        branch: Some(run.branch.into()),
        tag: None,
        default_branch: "main".into(),
        base_revision: None,
        subject: run.subject.into(),
        body: String::new(),
        author: run.actor.into(),
    }
}

/// What would bring such a run forth.
pub(crate) fn trigger(run: &Run<'_>) -> Trigger {
    Trigger {
        project: run.project,
        kind: TriggerKind::Api,
        actor: run.actor.into(),
        received_at: now(),
        vcs: vcs(run),
        config: ConfigText::Found(run.config.into()),
        parameters: IndexMap::new(),
        push: None,
        due: None,
    }
}

fn pipeline(run: &Run<'_>, at: Timestamp, workflow: Option<WorkflowId>) -> Pipeline {
    Pipeline {
        id: PipelineId(id_at(at, run.number)),
        project: run.project,
        number: PipelineNumber(run.number),
        state: if run.errors.is_empty() { PipelineState::Created } else { PipelineState::Errored },
        kind: TriggerKind::Webhook,
        actor: run.actor.into(),
        received_at: at,
        created_at: at,
        updated_at: at,
        vcs: vcs(run),
        parameters: IndexMap::new(),
        errors: run
            .errors
            .iter()
            .map(|message| PipelineError { kind: "config".into(), message: (*message).into() })
            .collect(),
        workflows: workflow.into_iter().collect(),
        due: None,
        trust: base::trust::Trust::Unprotected,
    }
}

fn is_over(state: JobState) -> bool {
    state.is_terminal()
}

fn job(run: &Run<'_>, at: Timestamp, workflow: WorkflowId, index: usize) -> Job {
    let spec = &run.jobs[index];
    let began = at.plus(seconds(spec.begin));
    let has_run = !matches!(
        spec.state,
        JobState::Blocked | JobState::Queued | JobState::OnHold | JobState::NotRun
    );
    let kind = if spec.name.starts_with("hold") { JobType::Approval } else { JobType::Build };
    let place = |index: usize| family::job(workflow, u16::try_from(index + 1).unwrap());
    Job {
        id: place(index),
        project: run.project,
        number: (kind == JobType::Build).then_some(JobNumber(run.first_job + index as u64)),
        name: spec.name.into(),
        kind,
        state: spec.state,
        parallelism: spec.parallelism,
        requires: spec
            .requires
            .iter()
            .map(|on| Requires { on: place(*on), any_of: vec![JobState::Success] })
            .collect(),
        contexts: vec![],
        serial_group: None,
        serial_end: None,
        created_at: at,
        queued_at: (!matches!(spec.state, JobState::Blocked | JobState::NotRun))
            .then(|| at.plus(seconds(spec.begin.saturating_sub(4)))),
        started_at: has_run.then_some(began),
        stopped_at: is_over(spec.state).then(|| began.plus(seconds(spec.took))),
        origin: None,
        decided_by: (kind == JobType::Approval && is_over(spec.state)).then(|| "mira".into()),
        message: None,
    }
}

fn job_spec() -> JobSpec {
    let image = DockerImage {
        image: "cimg/rust:1.95".into(),
        name: None,
        entrypoint: None,
        command: None,
        user: None,
        environment: IndexMap::new(),
    };
    JobSpec {
        executor: Executor::Docker { images: vec![image] },
        resource_class: Some("medium".into()),
        parallelism: 1,
        environment: IndexMap::new(),
        working_directory: "~/project".into(),
        shell: None,
        steps: vec![],
        cache_retention_days: None,
    }
}

impl Site {
    /// Writes a run; returns its jobs.
    pub(crate) async fn past(&self, run: Run<'_>) -> Vec<JobId> {
        let at = Timestamp(now().0 - i64::try_from(run.ago).unwrap() * 1_000_000);
        let id = family::workflow(id_at(at, run.number + 7));
        let workflow = (!run.jobs.is_empty()).then_some(id);
        let pipeline = pipeline(&run, at, workflow);
        let jobs: Vec<Job> = (0..run.jobs.len()).map(|index| job(&run, at, id, index)).collect();
        let stopped_at = jobs.iter().map(|job| job.stopped_at).max().flatten();
        let row = Workflow {
            id,
            pipeline: pipeline.id,
            project: run.project,
            name: run.workflow.into(),
            state: run.state,
            created_at: at,
            stopped_at: stopped_at.filter(|_| run.state.is_terminal()),
            started_by: run.actor.into(),
            canceled_by: None,
            workspace: id,
            rerun_of: None,
            reruns: 0,
            auto_rerun: 0,
            max_auto_reruns: 0,
        };
        let texts = ConfigTexts { source: Some(run.config.into()), ..ConfigTexts::default() };
        let ids = jobs.iter().map(|job| job.id).collect();
        self.store
            .write(move |txn| {
                txn.pipeline_insert(&pipeline, &texts)?;
                if workflow.is_some() {
                    txn.workflow_insert(&row)?;
                }
                jobs.iter().try_for_each(|job| txn.job_insert(job, Some(&job_spec())))
            })
            .await
            .unwrap();
        ids
    }

    /// Gives a job a task with these steps: name, seconds, state, output.
    pub(crate) async fn steps(&self, id: JobId, steps: &[(&str, u64, StepState, &str)]) -> TaskId {
        let task = family::task(id, 1);
        let job = self.store.read(move |reader| reader.job_get(id)).await.unwrap().unwrap();
        let mut at = job.started_at.unwrap();
        let mut rows = Vec::new();
        for (index, (name, took, state, text)) in steps.iter().enumerate() {
            let over = *state != StepState::Running;
            let step = u32::try_from(index).unwrap();
            self.logs.append(task, step, 0, text.as_bytes()).await.unwrap();
            rows.push(Step {
                task,
                step,
                name: (*name).into(),
                background: false,
                state: *state,
                exit_code: match state {
                    StepState::Failed => Some(100),
                    StepState::Running => None,
                    _ => Some(0),
                },
                started_at: at,
                stopped_at: over.then(|| at.plus(seconds(*took))),
                output_bytes: if over { text.len() as u64 } else { 0 },
            });
            at = at.plus(seconds(*took));
        }
        let failed = job.state == JobState::Failed;
        let row = Task {
            id: task,
            node: 0,
            attempt: Attempt(1),
            runner: None,
            fence: Fence(1),
            next_report: 0,
            leased_at: job.started_at.unwrap(),
            started_at: job.started_at,
            stopped_at: job.stopped_at,
            outcome: job
                .stopped_at
                .map(|_| if failed { TaskOutcome::Failed } else { TaskOutcome::Success }),
            message: None,
            peak_memory: Some(1_243_611_136),
        };
        let mut tails = Vec::new();
        for step in &rows {
            if step.stopped_at.is_some() {
                tails.push(self.logs.finish(task, step.step, step.output_bytes).await.unwrap());
            }
        }
        let ended: Vec<u32> =
            rows.iter().filter(|s| s.stopped_at.is_some()).map(|s| s.step).collect();
        self.store
            .write(move |txn| {
                txn.task_save(&row)?;
                rows.iter().try_for_each(|step| txn.step_save(step))?;
                tails.iter().try_for_each(|tail| tail.save(txn))
            })
            .await
            .unwrap();
        for step in ended {
            self.logs.settle(task, step).await;
        }
        task
    }

    /// Keeps an artifact.
    pub(crate) async fn artifact(&self, task: TaskId, path: &str, bytes: Vec<u8>) {
        let key = format!("{task}/{path}");
        let size = bytes.len() as u64;
        self.objects.put("artifacts", &key, bytes).await.unwrap();
        let path = path.to_owned();
        self.store.write(move |txn| txn.artifact_save(task, &path, &key, size)).await.unwrap();
    }

    /// Keeps test results: name, class, result, milliseconds, message.
    pub(crate) async fn results(&self, task: TaskId, results: &[(&str, &str, &str, u64, &str)]) {
        let tests: Vec<TestResult> = results
            .iter()
            .map(|(name, classname, result, run_time_ms, message)| TestResult {
                classname: (*classname).into(),
                name: (*name).into(),
                file: Some("modbus/src/frame.rs".into()),
                result: (*result).into(),
                message: (*message).into(),
                run_time_ms: *run_time_ms,
                source: "target/nextest/ci/junit.xml".into(),
            })
            .collect();
        self.store.write(move |txn| txn.tests_save(task, 0, &tests)).await.unwrap();
    }
}
