//! The rows of a run, written and read back through a real store.

use super::*;
use crate::{
    Config, Error, Reader, SiteKey, Store, Txn,
    logs::{LogSegment, SegmentBytes},
};
use base::{
    ids::{
        Attempt, Fence, JobId, JobNumber, PipelineId, PipelineNumber, ProjectId, RunnerId, TaskId,
        WorkflowId,
    },
    plan::{Executor, JobSpec},
    protocol::TestResult,
    state::{JobState, PipelineState, StepState, TaskOutcome, WorkflowState},
    time::Timestamp,
    trigger::{TriggerKind, Vcs},
    trust::Trust,
};
use indexmap::IndexMap;
use uuid::Uuid;

mod before;
mod caches;
mod gone;
mod holdings;
mod insights;
mod job_keys;
mod results;

const PROJECT: ProjectId = ProjectId(Uuid::from_u128(7));

fn open(dir: &tempfile::TempDir) -> Store {
    Store::open(&Config::new(dir.path().join("store")), SiteKey::new([7; 32])).unwrap()
}

fn check(
    write: impl FnOnce(&mut Txn<'_>) -> Result<(), Error> + Send + 'static,
    read: impl FnOnce(&Reader<'_>) -> Result<(), Error> + Send + 'static,
) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    store.write_blocking(write).unwrap();
    store.read_blocking(read).unwrap();
    store.close().unwrap();
}

fn uuid(number: u128) -> Uuid {
    Uuid::from_u128(0x0193_0000_0000_7000_8000_0000_0000_0000 | number << 40)
}

fn pipeline(number: u64, branch: &str) -> Pipeline {
    Pipeline {
        id: PipelineId(uuid(u128::from(number))),
        project: PROJECT,
        number: PipelineNumber(number),
        state: PipelineState::Created,
        kind: TriggerKind::Webhook,
        actor: "ann".into(),
        received_at: Timestamp(1),
        created_at: Timestamp(2),
        updated_at: Timestamp(2),
        vcs: Vcs {
            repository_url: "https://site/git/acme/relay".into(),
            revision: "0".repeat(40),
            branch: Some(branch.into()),
            tag: None,
            default_branch: "main".into(),
            base_revision: None,
            subject: "Fix".into(),
            body: String::new(),
            author: "Ann".into(),
        },
        parameters: IndexMap::new(),
        errors: vec![],
        workflows: vec![],
        due: None,
        trust: Trust::Unprotected,
    }
}

fn workflow(number: u128, of: &mut Pipeline) -> Workflow {
    let id = family::workflow(uuid(number));
    of.workflows.push(id);
    Workflow {
        id,
        pipeline: of.id,
        project: PROJECT,
        name: "build".into(),
        state: WorkflowState::Running,
        created_at: Timestamp(2),
        stopped_at: None,
        started_by: "ann".into(),
        canceled_by: None,
        workspace: id,
        rerun_of: None,
        reruns: 0,
        auto_rerun: 0,
        max_auto_reruns: 0,
    }
}

pub(super) fn job(of: WorkflowId, ordinal: u16, requires: &[u16]) -> Job {
    Job {
        id: family::job(of, ordinal),
        project: PROJECT,
        number: Some(JobNumber(u64::from(ordinal))),
        name: format!("job-{ordinal}"),
        kind: JobType::Build,
        state: JobState::Blocked,
        parallelism: 2,
        requires: requires
            .iter()
            .map(|on| Requires { on: family::job(of, *on), any_of: vec![JobState::Success] })
            .collect(),
        contexts: vec!["deploy".into()],
        serial_group: None,
        serial_end: None,
        created_at: Timestamp(2),
        queued_at: None,
        started_at: None,
        stopped_at: None,
        origin: None,
        decided_by: None,
        message: None,
    }
}

fn spec() -> JobSpec {
    JobSpec {
        executor: Executor::Machine { image: None },
        resource_class: None,
        parallelism: 2,
        environment: IndexMap::new(),
        working_directory: "~/project".into(),
        shell: None,
        steps: vec![],
        cache_retention_days: None,
    }
}

fn task(of: JobId, node: u32, attempt: u32) -> Task {
    let ordinal = u16::try_from((attempt - 1) * 2 + node + 1).unwrap();
    Task {
        id: family::task(of, ordinal),
        node,
        attempt: Attempt(attempt),
        runner: Some(RunnerId(uuid(1))),
        fence: Fence(1),
        next_report: 0,
        leased_at: Timestamp(3),
        started_at: None,
        stopped_at: None,
        outcome: None,
        message: None,
        peak_memory: None,
    }
}

#[test]
fn pipelines_are_listed_newest_first_by_branch_and_actor() {
    let write = |txn: &mut Txn<'_>| {
        for number in 1..=5 {
            let branch = if number % 2 == 0 { "fix" } else { "main" };
            let texts =
                ConfigTexts { source: Some("version: 2.1".into()), ..ConfigTexts::default() };
            txn.pipeline_insert(&pipeline(number, branch), &texts)?;
        }
        Ok(())
    };
    check(write, |reader| {
        let numbers =
            |list: Vec<Pipeline>| list.iter().map(|found| found.number.0).collect::<Vec<_>>();
        let fix = PipelineFilter { branch: Some("fix"), actor: Some("ann"), org: None };
        let nobody = PipelineFilter { actor: Some("bob"), ..PipelineFilter::default() };
        let all = PipelineFilter::default();
        assert_eq!(numbers(reader.pipeline_list(PROJECT, all, None, 2)?), [5, 4]);
        assert_eq!(
            numbers(reader.pipeline_list(PROJECT, all, Some(PipelineNumber(4)), 9)?),
            [3, 2, 1]
        );
        assert_eq!(numbers(reader.pipeline_list(PROJECT, fix, None, 9)?), [4, 2]);
        assert!(reader.pipeline_list(PROJECT, nobody, None, 9)?.is_empty());
        let before = Some(pipeline(3, "main").id);
        assert_eq!(numbers(reader.pipeline_list_all(all, before, 9)?), [2, 1]);
        assert_eq!(reader.pipeline_last_number(PROJECT)?, PipelineNumber(5));
        let found = reader.pipeline_by_number(PROJECT, PipelineNumber(3))?;
        assert_eq!(found, Some(pipeline(3, "main")));
        let texts = reader.pipeline_config(pipeline(3, "main").id)?.unwrap();
        assert_eq!(texts.source.as_deref(), Some("version: 2.1"));
        Ok(())
    });
}

#[test]
fn a_run_is_read_back_as_it_was_written() {
    let mut made = pipeline(1, "main");
    let mut run = workflow(9, &mut made);
    let (first, second) = (job(run.id, 1, &[]), job(run.id, 2, &[1]));
    let expected = (made.clone(), run.clone(), vec![first.clone(), second.clone()]);
    let write = move |txn: &mut Txn<'_>| {
        txn.pipeline_insert(&made, &ConfigTexts::default())?;
        txn.workflow_insert(&run)?;
        txn.job_insert(&first, Some(&spec()))?;
        txn.job_insert_like(&second, first.id)?;
        run.state = WorkflowState::Success;
        run.stopped_at = Some(Timestamp(9));
        txn.pipeline_workflow_add(made.id, run.id, Timestamp(5))
    };
    check(write, move |reader| {
        let (made, run, jobs) = expected;
        assert_eq!(reader.workflow_live()?, std::slice::from_ref(&run));
        assert_eq!(reader.workflow_get(run.id)?, Some(run.clone()));
        assert_eq!(reader.workflow_list(made.id)?.len(), 2, "the rerun is listed, too");
        assert_eq!(reader.job_list(run.id)?, jobs);
        assert_eq!(reader.job_by_number(PROJECT, JobNumber(2))?, Some(jobs[1].clone()));
        assert_eq!(reader.job_spec(jobs[1].id)?, Some(spec()));
        assert_eq!(reader.job_last_number(PROJECT)?, JobNumber(2));
        Ok(())
    });
}

#[test]
fn results_are_those_of_the_newest_attempt_of_each_node() {
    let id = family::job(family::workflow(uuid(9)), 1);
    let test = |name: &str| TestResult {
        classname: "c".into(),
        name: name.into(),
        file: None,
        result: "success".into(),
        message: String::new(),
        run_time_ms: 1,
        source: "junit.xml".into(),
    };
    let results = [test("a"), test("b")];
    let expected = results.to_vec();
    let write = move |txn: &mut Txn<'_>| {
        let mut lost = task(id, 0, 1);
        lost.outcome = Some(TaskOutcome::InfrastructureFail);
        for task in [&lost, &task(id, 1, 1), &task(id, 0, 2)] {
            txn.task_save(task)?;
            txn.artifact_save(task.id, "out.txt", &format!("{}/{}", task.node, task.attempt), 5)?;
        }
        txn.tests_save(task(id, 0, 2).id, 3, &results)?;
        let mut step = Step {
            task: task(id, 0, 2).id,
            step: 0,
            name: "Spin up environment".into(),
            background: false,
            state: StepState::Running,
            exit_code: None,
            started_at: Timestamp(4),
            stopped_at: None,
            output_bytes: 0,
        };
        txn.step_save(&step)?;
        (step.state, step.exit_code) = (StepState::Success, Some(0));
        txn.step_save(&step)
    };
    check(write, move |reader| {
        let owner = job(family::workflow_of(id), 1, &[]);
        let objects: Vec<_> =
            reader.artifact_page(&owner, None)?.into_iter().map(|found| found.object).collect();
        assert_eq!(objects, ["0/2", "1/1"]);
        assert_eq!(reader.test_page(&owner, None)?, (expected, None));
        assert_eq!(reader.task_list(id)?.len(), 3);
        let steps = reader.step_list(task(id, 0, 2).id)?;
        assert_eq!((steps.len(), steps[0].exit_code), (1, Some(0)));
        Ok(())
    });
}

fn segment(task: TaskId, step: u32, bytes: SegmentBytes) -> LogSegment {
    LogSegment { task, step, offset: 0, line: 0, size: 1, lines: 0, frames: vec![1], bytes }
}

#[test]
fn a_removed_pipeline_leaves_no_rows_and_names_its_objects() {
    let mut made = pipeline(1, "main");
    let run = workflow(9, &mut made);
    let id = made.id;
    let write = move |txn: &mut Txn<'_>| {
        txn.pipeline_insert(
            &made,
            &ConfigTexts { source: Some("x".into()), ..ConfigTexts::default() },
        )?;
        txn.workflow_insert(&run)?;
        txn.job_insert(&job(run.id, 1, &[]), Some(&spec()))?;
        let kept = task(family::job(run.id, 1), 0, 1);
        txn.task_save(&kept)?;
        txn.artifact_save(kept.id, "a", "object-a", 1)?;
        txn.log_segment_save(&segment(kept.id, 0, SegmentBytes::Here(vec![7])))?;
        txn.log_segment_save(&segment(kept.id, 1, SegmentBytes::Object("log-a".into())))?;
        assert_eq!(txn.pipeline_remove(id)?, None, "it goes on");
        txn.workflow_save(&Workflow { stopped_at: Some(Timestamp(9)), ..run })?;
        let removed = txn.pipeline_remove(id)?.unwrap();
        assert_eq!(
            (removed.artifacts, removed.logs),
            (["object-a".into()].into(), ["log-a".into()].into())
        );
        // In the same transaction: no cut leaves output of a task that nobody knows.
        assert!(txn.log_segment_list(kept.id, 0)?.is_empty());
        assert_eq!(txn.texts_forget(&txn.texts_unused()?)?, 3);
        Ok(())
    };
    check(write, move |reader| {
        assert_eq!(reader.pipeline_get(id)?, None);
        assert_eq!(reader.workflow_live()?, []);
        assert_eq!(reader.pipeline_ages(None)?, []);
        Ok(())
    });
}

#[test]
fn a_live_workflow_is_found_once_though_a_mark_was_set_before_it() {
    // Time, and bits of which none set renews the mark.
    let id = |time: u128, bits: u128| {
        family::workflow(Uuid::from_u128(time << 80 | 7 << 76 | 1 << 63 | bits << 32))
    };
    let made = [id(10, 1), id(20, 1), id(15, 0), id(30, 1)];
    let write = move |txn: &mut Txn<'_>| {
        let mut pipeline = pipeline(1, "main");
        let first = workflow(1, &mut pipeline);
        for id in made {
            txn.workflow_insert(&Workflow {
                id,
                workspace: id,
                stopped_at: None,
                ..first.clone()
            })?;
        }
        Ok(())
    };
    check(write, move |reader| {
        let found: Vec<_> = reader.workflow_live()?.iter().map(|live| live.id).collect();
        assert_eq!(found, [made[0], made[2], made[1], made[3]]);
        Ok(())
    });
}

#[test]
fn live_workflows_are_found_after_thousands_and_after_a_clock_set_back() {
    // The time grows and is set back once; the last bits are random.
    let id = |number: u128| {
        let time = if number < 900 { number } else { number - 500 };
        let random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % (1 << 12);
        family::workflow(Uuid::from_u128(
            time << 80 | 7 << 76 | number << 64 | 1 << 63 | random << 32,
        ))
    };
    let write = move |txn: &mut Txn<'_>| {
        let mut made = pipeline(1, "main");
        let mut ended = workflow(1, &mut made);
        for number in 1..1000 {
            ended = Workflow { id: id(number), workspace: id(number), stopped_at: None, ..ended };
            txn.workflow_insert(&ended)?;
            if number % 100 != 0 {
                ended.stopped_at = Some(Timestamp(9));
                txn.workflow_save(&ended)?;
            }
        }
        Ok(())
    };
    check(write, move |reader| {
        let mut found: Vec<_> = reader.workflow_live()?.iter().map(|live| live.id).collect();
        let mut expected: Vec<_> = (1..10).map(|hundred| id(hundred * 100)).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
        Ok(())
    });
}

#[test]
fn the_greatest_identifier_is_known_also_when_all_runs_are_forgotten() {
    let mut made = pipeline(1, "main");
    let first = workflow(1, &mut made);
    // Its bits make it the mark.
    let id = family::workflow(Uuid::from_u128(40 << 80 | 7 << 76 | 1 << 63));
    made.workflows = vec![id];
    let run = Workflow { id, workspace: id, stopped_at: Some(Timestamp(9)), ..first };
    let write = move |txn: &mut Txn<'_>| {
        assert_eq!(txn.newest_id()?, None);
        txn.pipeline_insert(&made, &ConfigTexts::default())?;
        txn.workflow_insert(&run)?;
        assert_eq!(txn.newest_id()?, Some(made.id.0));
        assert!(txn.pipeline_remove(made.id)?.is_some());
        Ok(())
    };
    check(write, move |reader| {
        assert_eq!(reader.newest_id()?, Some(id.0));
        Ok(())
    });
}
