//! Starting programs inside the job and learning their ends.

use super::{
    Job, StepEnd, StepError,
    room::{self, Short},
};
use crate::{
    control_plane::{ControlPlane, Trouble},
    environment::{BASH_ENV, Environment},
    outbox::Patience,
    spin_up::{AGENT, Stands},
    supervised::Gone,
    supervisor::wire::{self, End, Exec, How, Request, RunId, View},
};
use base::{
    secret::Secret,
    state::{StepState, TaskOutcome},
    units::Bytes,
};
use std::{
    fs::File,
    future::Future,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// The longest line that is told as the reason why a job failed.
const LINE_MAX: u64 = 4 << 10;

/// What is waited for so long is told in the step that waits for it; a restart of the other side is over
/// sooner.
const QUIET: Duration = Duration::from_secs(5);

/// Reasons for waiting that one step tells.
const REASONS_MAX: usize = 5;

/// A program of a step.
pub(crate) struct Program {
    /// Path inside, or a name to look for in `PATH`.
    pub(crate) program: String,
    /// Started in its place where it is not there.
    pub(crate) otherwise: Option<String>,
    pub(crate) args: Vec<String>,
    pub(crate) env: Environment,
    pub(crate) cwd: String,
    pub(crate) stdin: Option<PathBuf>,
    pub(crate) stdout: Option<PathBuf>,
    pub(crate) idle: Option<Duration>,
}

impl Program {
    /// The agent, told what to do.
    pub(crate) fn agent(args: Vec<String>, env: Environment, cwd: String) -> Self {
        let program = AGENT.into();
        Self { program, otherwise: None, args, env, cwd, stdin: None, stdout: None, idle: None }
    }
}

impl<C: ControlPlane> Job<C> {
    /// Starts a program inside the job, with our own file of `BASH_ENV` in place. One that the
    /// configuration names is its own affair: it may be the system's, or not be there yet.
    pub(crate) async fn start(
        &self,
        run: RunId,
        program: Program,
        stands: &Stands,
    ) -> Result<(), Gone> {
        let named = program.env.get("BASH_ENV").filter(|named| *named == BASH_ENV);
        let create_file = named.cloned();
        let env = program.env.into_iter().map(|(name, value)| (name, Secret::new(value))).collect();
        let exec = Exec {
            run,
            container: 0,
            program: program.program,
            otherwise: program.otherwise,
            create_file,
            args: program.args,
            env,
            cwd: program.cwd,
            user: stands.user.clone(),
            stdin: program.stdin,
            stdout: program.stdout,
            idle_ms: program.idle.map(|idle| u64::try_from(idle.as_millis()).unwrap_or(u64::MAX)),
        };
        self.supervised.ask(&Request::Exec(Box::new(exec))).await
    }

    /// Waits for the end of a run.
    pub(crate) async fn ended(&self, run: RunId) -> Result<End, Gone> {
        let end = self.supervised.until(|view| end_of(view, run)).await?;
        // What the runner adds to the log comes after what the run has printed.
        let length = self.supervised.view().outputs.get(&run.step).copied();
        self.outbox.grown(run.step, length.unwrap_or(0));
        self.learn(&end);
        Ok(end)
    }

    /// The latest run of a step, if it has one.
    pub(crate) fn latest_run(&self, step: u32) -> Option<RunId> {
        self.supervised.view().runs.keys().filter(|run| run.step == step).max().copied()
    }

    /// Runs the agent with `args` in the working directory, and fails with the step unless it succeeds.
    pub(crate) async fn agent(
        &self,
        step: u32,
        args: Vec<String>,
        stdin: Option<PathBuf>,
        stdout: Option<PathBuf>,
    ) -> Result<(), StepError> {
        let stands = self.stands()?;
        let run = self
            .latest_run(step)
            .map_or(RunId { step, nth: 0 }, |run| RunId { nth: run.nth + 1, ..run });
        let env = self.step_environment(&stands);
        let cwd = stands.working_directory.clone();
        let program = Program { stdin, stdout, ..Program::agent(args, env, cwd) };
        self.start(run, program, &stands).await?;
        let end = self.ended(run).await?;
        if matches!(end.how, How::Code(0)) {
            return Ok(());
        }
        // Before the verdict, which adds a line of its own.
        let said = self.last_line(step);
        let judged = self.judge(step, &end);
        Err(match end.how {
            _ if judged.state == StepState::TimedOut => {
                StepError::Failed("the job ran out of time".into())
            }
            How::NotStarted { message } => StepError::Told(Some(message)),
            // What it said last, it has said in the log.
            _ => StepError::Told(said),
        })
    }

    /// The last line that a step has printed, masked.
    fn last_line(&self, step: u32) -> Option<String> {
        let text = tail(&self.supervised.folder().output(step), LINE_MAX).ok()?;
        let line = text.lines().rfind(|line| !line.trim().is_empty())?;
        Some(line.trim().to_owned())
    }

    /// What a run's end means for its step; tells it in the log.
    pub(crate) fn judge(&self, step: u32, end: &End) -> StepEnd {
        if end.oom_kills > 0 && !matches!(end.how, How::Code(0)) {
            let message = self.tell_out_of_memory(step, end);
            self.blame(message);
        }
        let exited = |code: i32| {
            if code != 0 {
                self.outbox.say(step, &format!("\nExited with code exit status {code}\n"));
            }
            let state = if code == 0 { StepState::Success } else { StepState::Failed };
            StepEnd { state, exit_code: Some(code) }
        };
        match &end.how {
            How::Code(code) => exited(*code),
            How::Signal(signal) => exited(128 + signal),
            How::Idle => StepEnd { state: StepState::TimedOut, exit_code: None },
            How::Overtime => {
                self.outbox.say(step, "\nThe job ran longer than it may and was stopped\n");
                let mut state = self.state();
                state.cut = Some(TaskOutcome::TimedOut);
                state.message = Some("the job ran longer than it may".into());
                StepEnd { state: StepState::TimedOut, exit_code: None }
            }
            How::DiskFull { used, limit } => {
                self.tell_disk_full(step, *used, *limit);
                StepEnd { state: StepState::Failed, exit_code: None }
            }
            How::DiskShort { free } => {
                self.tell_disk_short(step, *free);
                StepEnd { state: StepState::Failed, exit_code: None }
            }
            How::FilesShort { free } => {
                self.tell_files_short(step, *free);
                StepEnd { state: StepState::Failed, exit_code: None }
            }
            How::Stopped => StepEnd { state: StepState::Canceled, exit_code: None },
            How::NotStarted { message } => {
                self.outbox.say(step, &format!("{message}\n"));
                StepEnd { state: StepState::Failed, exit_code: None }
            }
            How::Lost => self.break_off(step, "the job's sandbox was lost".into()),
        }
    }

    /// Tells in a step's log that the kernel ended processes for want of memory; the same for
    /// people.
    pub(super) fn tell_out_of_memory(&self, step: u32, end: &End) -> String {
        let figure =
            |bytes: Option<Bytes>| bytes.map_or_else(|| "unknown".to_owned(), |b| b.to_string());
        let message = format!(
            "Out of memory: the kernel ended {} of the job's processes. The limit is {}, the peak was {}; use a larger resource_class or run less at one time",
            end.oom_kills,
            figure(end.used.memory_limit),
            figure(end.used.memory_peak),
        );
        self.outbox.say(step, &format!("\n{message}\n"));
        message
    }

    fn tell_disk_full(&self, step: u32, used: Bytes, limit: Bytes) {
        let message = format!(
            "Out of disk: the job kept {used} and may keep {limit}. Remove what is not needed any more, or ask the operator for more (setting `job_disk_gib`)"
        );
        self.outbox.say(step, &format!("\n{message}\n"));
        self.cut_for_disk(message);
    }

    fn tell_disk_short(&self, step: u32, free: Bytes) {
        let message = format!(
            "Out of disk: only {free} is left on the machine that ran the job, and every job there was stopped. Ask the operator to make room"
        );
        self.outbox.say(step, &format!("\n{message}\n"));
        self.cut_for_disk(message);
    }

    fn tell_files_short(&self, step: u32, free: u64) {
        let message = format!(
            "Out of files: the file system of the machine that ran the job takes only {free} more, and every job there was stopped. Make fewer files, or ask the operator to make room"
        );
        self.outbox.say(step, &format!("\n{message}\n"));
        self.cut_for_disk(message);
    }

    /// Does `work`, which fills `file` on the machine's disk, while there is room for that.
    pub(crate) async fn with_room_for<T>(
        &self,
        step: u32,
        file: &Path,
        work: impl Future<Output = Result<T, StepError>>,
    ) -> Result<T, StepError> {
        let limit = self.host.config.disk;
        let (done, short) = tokio::select! {
            done = work => (done?, room::look(file, limit)),
            short = room::outgrown(file, limit) => return Err(self.cut_short(step, short)),
        };
        short.map_or(Ok(done), |short| Err(self.cut_short(step, short)))
    }

    fn cut_short(&self, step: u32, short: Short) -> StepError {
        match short {
            Short::Job { used, limit } => self.tell_disk_full(step, used, limit),
            Short::Machine { free } => self.tell_disk_short(step, free),
        }
        StepError::Told(None)
    }

    fn cut_for_disk(&self, message: String) {
        let mut state = self.state();
        state.message = Some(message);
        state.cut = Some(TaskOutcome::Failed);
    }

    /// Asks the control side, again and again while it cannot be reached. The step's log tells what it
    /// waits for, once that takes long, and once for each: `what` completes "waiting for …".
    pub(crate) async fn persist_in_asking<T, F>(
        &self,
        step: u32,
        what: &str,
        ask: impl Fn() -> F,
    ) -> Result<T, StepError>
    where
        F: Future<Output = Result<T, Trouble>> + Send,
    {
        let mut asking = std::pin::pin!(self.ask_patiently(step, ask));
        if let Ok(answer) = tokio::time::timeout(QUIET, &mut asking).await {
            return answer;
        }
        if self.state().waited.insert((step, what.to_owned())) {
            self.outbox.say(step, &format!("Waiting for {what}...\n"));
        }
        asking.await
    }

    /// Once it waits for long, it tells why, too.
    async fn ask_patiently<T, F>(&self, step: u32, ask: impl Fn() -> F) -> Result<T, StepError>
    where
        F: Future<Output = Result<T, Trouble>> + Send,
    {
        let (begun, mut told, mut patience) = (Instant::now(), Vec::new(), Patience::default());
        loop {
            let trouble = match ask().await {
                Err(trouble @ Trouble::Link { .. }) => trouble,
                other => return other.map_err(StepError::from),
            };
            let reason = trouble.told();
            let is_news = told.len() < REASONS_MAX && !told.contains(&reason);
            if begun.elapsed() > QUIET && is_news {
                self.outbox.say(step, &format!("Still trying: {reason}\n"));
                told.push(reason);
            }
            patience.wait(&trouble).await;
        }
    }
}

/// How a run ended: one of which nothing was told before the sandbox was lost never began.
fn end_of(view: &View, run: RunId) -> Option<End> {
    let told = view.runs.get(&run).cloned().flatten();
    let used = view.used.unwrap_or_default();
    let lost = || Some(End { how: How::Lost, oom_kills: 0, used });
    told.or_else(|| if view.sandbox == wire::Sandbox::Lost { lost() } else { None })
}

/// The last `most` bytes of a file, as text.
fn tail(path: &Path, most: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
    let mut text = Vec::new();
    file.take(most).read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
