//! The workflows of `appliance run`, job by job, by the rules of the server.

use super::{
    LocalError, Options,
    names::folder_name,
    place::{Place, Task},
};
use crate::{
    host::Host,
    job::{Job, Order, Seat, Telling},
    supervised::Supervised,
    supervisor::chain,
};
use base::{
    ids::{
        Attempt, Fence, JobId, JobNumber, PipelineId, PipelineNumber, ProjectId, RepoName, TaskId,
        WorkflowId,
    },
    limits::JOB_RUNTIME_MAX,
    plan::{JobKind, JobSpec, Plan, PlannedJob, WorkflowPlan},
    protocol::{Assignment, NetworkPolicy},
    state::{JobState, TaskOutcome},
    trigger::Vcs,
};
use control::workflow::{Edge, Kind, Node, settle};
use std::{collections::HashMap, convert::Infallible, future::Future, path::Path, sync::Arc};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
};
use uuid::Uuid;

/// One run of everything.
pub(super) struct Run<'a> {
    pub(super) options: &'a Options,
    pub(super) host: Arc<Host>,
    pub(super) place: Arc<Place>,
    pub(super) vcs: Vcs,
    pub(super) repo: RepoName,
    /// Lines name their workflow, because there are several.
    pub(super) several: bool,
    pub(super) pipeline: (PipelineId, PipelineNumber),
    /// The number of the first job of the first workflow.
    pub(super) first_job: u64,
}

/// What tells a workflow's jobs from those of others.
#[derive(Clone, Copy)]
struct Ids {
    workflow: WorkflowId,
    /// The number of its first job.
    first_job: u64,
}

impl Run<'_> {
    /// Runs the workflows one after the other.
    pub(super) async fn all(
        &self,
        plan: &Plan,
        interrupt: impl Future<Output = ()>,
    ) -> Result<bool, LocalError> {
        let orders = watch::Sender::new(Order::Run);
        let work = async {
            let mut good = true;
            let mut first_job = self.first_job;
            for workflow in &plan.workflows {
                let ids = Ids { workflow: WorkflowId(Uuid::new_v4()), first_job };
                good &= self.workflow(workflow, ids, &orders).await;
                first_job += workflow.jobs.len() as u64;
            }
            good
        };
        tokio::pin!(work);
        tokio::select! {
            good = &mut work => return Ok(good),
            () = interrupt => {}
        }
        orders.send_replace(Order::Cancel);
        work.await;
        Ok(false)
    }

    async fn workflow(
        &self,
        workflow: &WorkflowPlan,
        ids: Ids,
        orders: &watch::Sender<Order>,
    ) -> bool {
        let mut nodes = nodes(workflow);
        let slots = Arc::new(Semaphore::new(self.options.slots.max(1) as usize));
        let mut running: JoinSet<(usize, TaskOutcome)> = JoinSet::new();
        let mut left: HashMap<usize, (u32, JobState)> = HashMap::new();
        loop {
            let canceled = *orders.borrow() != Order::Run;
            let gate = |_| {
                Ok::<_, Infallible>(if canceled { JobState::Canceled } else { JobState::Queued })
            };
            let Ok(changes) = settle(&mut nodes, gate);
            let mut decided = false;
            for (index, state) in changes {
                let job = &workflow.jobs[index];
                match state {
                    JobState::Queued => {
                        nodes[index].state = JobState::Running;
                        let count = self.start(workflow, ids, index, &slots, orders, &mut running);
                        left.insert(index, (count, JobState::Success));
                    }
                    JobState::OnHold => {
                        nodes[index].state = self.approval(&self.label(workflow, &job.name));
                        decided = true;
                    }
                    JobState::NotRun => {
                        (self.options.print)(&self.label(workflow, &job.name), "── not run");
                    }
                    _ => {}
                }
            }
            if decided {
                // What it holds up may be ready now.
                continue;
            }
            let Some(ended) = running.join_next().await else { break };
            let (index, outcome) = ended.expect("a node's task only waits for its work");
            let Some((count, worst)) = left.get_mut(&index) else { continue };
            *count -= 1;
            *worst = worse(*worst, outcome);
            if *count == 0 {
                nodes[index].state = *worst;
            }
        }
        *orders.borrow() == Order::Run && nodes.iter().all(is_good)
    }

    /// What stands in front of the lines of a job, or of one of its nodes.
    fn label(&self, workflow: &WorkflowPlan, name: &str) -> String {
        if self.several { format!("{}/{name}", workflow.name) } else { name.to_owned() }
    }

    fn approval(&self, label: &str) -> JobState {
        if self.options.approve {
            (self.options.print)(label, "── approved");
            return JobState::Success;
        }
        (self.options.print)(
            label,
            "── waits for approval, which was not given: say --approve to go on",
        );
        JobState::Canceled
    }

    /// Starts every node of a job; how many.
    fn start(
        &self,
        workflow: &WorkflowPlan,
        ids: Ids,
        index: usize,
        slots: &Arc<Semaphore>,
        orders: &watch::Sender<Order>,
        running: &mut JoinSet<(usize, TaskOutcome)>,
    ) -> u32 {
        let job = &workflow.jobs[index];
        let JobKind::Build { spec } = &job.kind else { return 0 };
        let upstream = upstream(workflow, index);
        for node in 0..spec.parallelism {
            let assignment = self.assignment(job, spec, ids, index, node);
            let (name, folder) = named(workflow, job, spec.parallelism, node);
            let folder = Path::new(&folder_name(&workflow.name)).join(folder);
            let label = self.label(workflow, &name);
            let number = assignment.job_number;
            let task = Task::new(label, folder, job.name.clone(), number, upstream.clone());
            self.place.expect(assignment.task, task);
            let (host, place) = (self.host.clone(), self.place.clone());
            let (slots, orders) = (slots.clone(), orders.subscribe());
            running.spawn(async move {
                let _slot = slots.acquire().await;
                // A bug in a node's work fails that node; the others go on.
                let work = tokio::spawn(one(host, place, assignment, orders));
                (index, work.await.unwrap_or(TaskOutcome::InfrastructureFail))
            });
        }
        spec.parallelism
    }

    fn assignment(
        &self,
        job: &PlannedJob,
        spec: &Arc<JobSpec>,
        ids: Ids,
        index: usize,
        node: u32,
    ) -> Assignment {
        Assignment {
            task: TaskId(Uuid::new_v4()),
            fence: Fence(1),
            attempt: Attempt(1),
            node_index: node,
            node_total: spec.parallelism,
            job: JobId(Uuid::new_v4()),
            job_name: job.name.clone(),
            job_number: JobNumber(ids.first_job + index as u64),
            workflow: ids.workflow,
            workspace: ids.workflow,
            pipeline: self.pipeline.0,
            pipeline_number: self.pipeline.1,
            organization: None,
            project: ProjectId(Uuid::nil()),
            repo: self.repo.clone(),
            vcs: self.vcs.clone(),
            actor: "local".into(),
            build_url: String::new(),
            spec: spec.clone(),
            secrets: self.options.environment.clone(),
            network: NetworkPolicy::Off,
            runtime_max: JOB_RUNTIME_MAX,
        }
    }
}

/// Runs one node of a job.
async fn one(
    host: Arc<Host>,
    place: Arc<Place>,
    assignment: Assignment,
    orders: watch::Receiver<Order>,
) -> TaskOutcome {
    let task = assignment.task;
    let supervised = match Supervised::start(&host) {
        Ok(supervised) => supervised,
        Err(error) => {
            tracing::error!(error = chain(&error), "no supervisor could be started");
            return TaskOutcome::InfrastructureFail;
        }
    };
    let mut seat = Seat::bare(supervised);
    match seat.prepare(&host) {
        Ok(ground) => {
            let telling = Telling::default();
            let (job, memory) =
                Job::take_up(host, place.clone(), assignment, seat, ground, orders, telling);
            job.run(&memory, false).await;
            job.clear_away().await;
        }
        Err(error) => {
            tracing::error!(error = chain(&error), "a job could not be begun");
            seat.dismiss(&host).await;
        }
    }
    place.outcome(task).unwrap_or(TaskOutcome::InfrastructureFail)
}

/// What a node is called, and its folder: another job may be called as the node of a parallel one is.
fn named(workflow: &WorkflowPlan, job: &PlannedJob, nodes: u32, node: u32) -> (String, String) {
    if nodes == 1 {
        return (job.name.clone(), folder_name(&job.name));
    }
    let name = format!("{}-{node}", job.name);
    let is_taken = workflow.jobs.iter().any(|other| other.name == name);
    let folder = if is_taken { format!("{}/{node}", job.name) } else { name.clone() };
    (name, folder_name(&folder))
}

/// What nobody approved is left out; everything else must have succeeded, or have been left out.
fn is_good(node: &Node) -> bool {
    match node.state {
        JobState::Success | JobState::NotRun => true,
        JobState::Canceled => node.kind == Kind::Approval,
        _ => false,
    }
}

fn nodes(workflow: &WorkflowPlan) -> Vec<Node> {
    let index_of: HashMap<&str, usize> =
        workflow.jobs.iter().enumerate().map(|(index, job)| (job.name.as_str(), index)).collect();
    let node = |job: &PlannedJob| Node {
        state: JobState::Blocked,
        kind: match job.kind {
            JobKind::Build { .. } => Kind::Build,
            JobKind::Approval => Kind::Approval,
            JobKind::NoOp => Kind::NoOp,
        },
        requires: job
            .requires
            .iter()
            .filter_map(|requirement| {
                Some(Edge {
                    on: *index_of.get(requirement.job.as_str())?,
                    any_of: requirement.any_of.clone(),
                })
            })
            .collect(),
    };
    workflow.jobs.iter().map(node).collect()
}

/// All jobs upstream, each with the longest way that leads to it from a root.
fn upstream(workflow: &WorkflowPlan, index: usize) -> HashMap<String, u32> {
    let depths = depths(workflow);
    let mut found = HashMap::new();
    let mut pending: Vec<&PlannedJob> = vec![&workflow.jobs[index]];
    while let Some(job) = pending.pop() {
        for name in job.requires.iter().map(|requirement| &requirement.job) {
            let Some(above) = workflow.jobs.iter().find(|job| job.name == *name) else { continue };
            if found.insert(name.clone(), depths.get(name.as_str()).copied().unwrap_or(0)).is_none()
            {
                pending.push(above);
            }
        }
    }
    found
}

/// The longest way from a root to each job. A plan has no cycle, so that as many rounds as there
/// are jobs are enough.
fn depths(workflow: &WorkflowPlan) -> HashMap<&str, u32> {
    let mut depths: HashMap<&str, u32> =
        workflow.jobs.iter().map(|job| (job.name.as_str(), 0)).collect();
    for _ in &workflow.jobs {
        for job in &workflow.jobs {
            let above =
                job.requires.iter().filter_map(|requirement| depths.get(requirement.job.as_str()));
            let depth = above.max().map_or(0, |depth| depth + 1);
            depths.insert(&job.name, depth);
        }
    }
    depths
}

/// The worse of what is known and what came.
fn worse(known: JobState, outcome: TaskOutcome) -> JobState {
    match (known, outcome) {
        (known, TaskOutcome::Success) => known,
        (JobState::Failed, _) => JobState::Failed,
        (_, TaskOutcome::Canceled) => JobState::Canceled,
        _ => JobState::Failed,
    }
}
