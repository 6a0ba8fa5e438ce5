//! Carries out what the runner asks, and what the clocks ask.

use super::{
    ALONE_LOOK, BeginError, LEFTOVERS_MAX, READS_AT_END, Supervisor, chain, disk,
    run::{Clock, Due, Run},
    spool::{Read, Spool},
    told, trust,
    wire::{self, End, Event, Exec, How, Request, RunId},
};
use crate::{folder::fresh, mask::Patterns};
use std::{
    fs::File,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

/// The signal that asks a run to end, and the one that ends it.
const TERM: i32 = 15;
const KILL: i32 = 9;

impl Supervisor {
    pub(super) fn carry_out(&mut self, request: Request) {
        match request {
            Request::Create(create) => self.create(&create),
            Request::Begin(begin) => self.begin_job(&begin),
            request @ (Request::Exec(_) | Request::Stop { .. }) if self.frozen_since.is_some() => {
                self.held_back.push(request);
            }
            Request::Exec(exec) => {
                let run = exec.run;
                if self.view.runs.contains_key(&run) {
                    return;
                }
                if self.overtime {
                    return self.ended(run, How::Overtime);
                }
                if let Err(how) = self.exec(*exec) {
                    self.ended(run, how);
                }
            }
            Request::Stop { run, grace } => self.stop(run, grace),
            Request::Freeze { why } => self.freeze(&why),
            Request::Cpu { millis } => self.limit_cpu(millis),
            Request::Thaw => self.thaw(),
            Request::Measure => {
                let used = self.measure();
                self.tell(Event::Used(used));
            }
            Request::Finish => self.finished = true,
        }
    }

    fn create(&mut self, create: &wire::Create) {
        if self.view.sandbox != wire::Sandbox::Absent {
            return;
        }
        let made = sandbox::Sandbox::create(&create.spec);
        let made = made.and_then(|mut made| Ok((users(&mut made, create)?, made)));
        let state = match made {
            Ok(((user, users), made)) => {
                self.cpu_millis = create.spec.limits.cpu_millis;
                let mut warnings = made.warnings().to_vec();
                if let Some(trust) = &create.trust
                    && let Err(error) = trust::lay(&made, trust, &self.folder.door())
                {
                    warnings.push(format!(
                        "the job does not know the appliance's certificate: {error}"
                    ));
                }
                self.sandbox = Some(made);
                self.disk = Some(disk::Watch::new(create.spec.limits.disk, Instant::now()));
                wire::Sandbox::Stands { warnings, user, users }
            }
            Err(error) => told::not_made(&error),
        };
        self.tell(Event::Sandbox(state));
    }

    /// A runner that took the job up anew says this again; the job's time goes on.
    fn begin_job(&mut self, begin: &wire::Begin) {
        if self.has_job {
            return;
        }
        self.has_job = true;
        self.ends_with_runner = begin.ends_with_runner;
        self.patterns = Patterns::new(begin.secrets.iter().map(base::secret::Secret::expose));
        self.deadline = Some(Instant::now() + begin.runtime_max);
    }

    fn exec(&mut self, exec: Exec) -> Result<(), How> {
        let container = exec.container;
        if self.view.sandbox == wire::Sandbox::Lost {
            return Err(How::Lost);
        }
        let Some(sandbox) = container_of(&mut self.sandbox, container) else {
            return Err(not_started("the sandbox does not stand".into()));
        };
        let (spool, stdio) = stdio(&self.folder, &self.patterns, &exec)
            .map_err(|error| not_started(chain(&error)))?;
        self.outside.extend(disk::outside(&exec));
        let env = exec
            .env
            .iter()
            .map(|(name, value)| (name.clone(), value.expose().to_owned()))
            .collect();
        let name = exec.program.clone();
        let child = sandbox
            .spawn(sandbox::Exec {
                program: exec.program,
                args: exec.args,
                env,
                cwd: exec.cwd,
                create_cwd: true,
                create_file: exec.create_file,
                otherwise: exec.otherwise,
                user: exec.user,
                stdio,
                terminal: false,
            })
            .map_err(|error| match error {
                sandbox::Error::Lost if container == 0 => How::Lost,
                error => not_started(told::not_started(&name, &error)),
            })?;
        let clock = Clock::new(Instant::now(), exec.idle_ms.map(Duration::from_millis));
        let sandbox::Child { pid, pidfd: leader } = child;
        self.runs.push(Run { id: exec.run, container, pid, leader, spool: Some(spool), clock });
        self.tell(Event::Begun(exec.run));
        Ok(())
    }

    /// What the sandbox tells by itself.
    pub(super) fn hear_sandbox(&mut self) {
        let mut container = 0;
        while let Some(sandbox) = container_of(&mut self.sandbox, container) {
            let heard = sandbox.next_event(Some(Duration::ZERO));
            match heard {
                Ok(Some(sandbox::Event::Exited { pid, status })) => {
                    self.exited(container, pid, status);
                    continue;
                }
                Ok(None) => {}
                Ok(Some(sandbox::Event::Lost)) => self.lost(container),
                Err(error) => {
                    tracing::error!(error = chain(&error), "the sandbox does not answer");
                    self.lost(container);
                }
            }
            container += 1;
        }
    }

    fn exited(&mut self, container: usize, pid: u32, status: sandbox::Status) {
        let is_it = |run: &Run| run.container == container && run.pid == pid;
        let Some(at) = self.runs.iter().position(is_it) else { return };
        let own = match status {
            sandbox::Status::Code(code) => How::Code(code),
            sandbox::Status::Signal(signal) => How::Signal(signal),
        };
        self.over(at, own);
    }

    /// The run at this place is over, by itself or because we ended it.
    fn over(&mut self, at: usize, own: How) {
        let mut run = self.runs.remove(at);
        if let Some(spool) = run.spool.take() {
            self.drain(run.id.step, spool);
        }
        self.ended(run.id, run.clock.why().unwrap_or(own));
    }

    /// Reads what the run has left in its pipe, and keeps the pipe for its descendants.
    fn drain(&mut self, step: u32, mut spool: Spool) {
        let now = Instant::now();
        let mut length = None;
        let mut open = true;
        for _ in 0..READS_AT_END {
            match spool.read(&mut self.buffer, now) {
                Read::Grown(grown) => length = Some(grown),
                Read::Quiet => {}
                Read::Empty => break,
                Read::Closed => {
                    open = false;
                    break;
                }
            }
        }
        if let Some(length) = spool.finish().or(length) {
            self.tell(Event::Grown(step, length));
        }
        if open {
            spool.drop_further();
            if self.leftovers.len() == LEFTOVERS_MAX {
                self.leftovers.remove(0);
            }
            self.leftovers.push(spool);
        }
    }

    fn ended(&mut self, run: RunId, how: How) {
        let used = self.measure();
        let oom_kills = self.spent.new_oom_kills(&used);
        self.tell(Event::Ended(run, End { how, oom_kills, used }));
    }

    /// The sandbox is gone, and every run with it; or one of its companions, and what ran there. Of a
    /// companion that is gone this is heard again and again.
    pub(super) fn lost(&mut self, container: usize) {
        let is_gone = |run: &mut Run| container == 0 || run.container == container;
        let gone: Vec<Run> = self.runs.extract_if(.., is_gone).collect();
        if !gone.is_empty() {
            self.end_lost(gone);
        }
        if container == 0 {
            self.destroy();
            self.tell(Event::Sandbox(wire::Sandbox::Lost));
            self.resume();
        }
    }

    fn end_lost(&mut self, gone: Vec<Run>) {
        let used = self.measure();
        let oom_kills = self.spent.new_oom_kills(&used);
        for mut run in gone {
            if let Some(spool) = run.spool.take() {
                self.drain(run.id.step, spool);
            }
            let how = run.clock.why().unwrap_or(How::Lost);
            self.tell(Event::Ended(run.id, End { how, oom_kills, used }));
        }
    }

    fn stop(&mut self, id: RunId, grace: Duration) {
        let now = Instant::now();
        let Some(run) = self.runs.iter_mut().find(|run| run.id == id) else { return };
        run.clock.end(How::Stopped, now, grace);
        if let Some(sandbox) = container_of(&mut self.sandbox, run.container)
            && !grace.is_zero()
            && let Err(error) = sandbox.signal_session(run.pid, TERM)
        {
            tracing::warn!(error = chain(&error), "a run could not be asked to end");
        }
        self.keep_time(now);
    }

    /// Does what the clocks ask for.
    pub(super) fn keep_time(&mut self, now: Instant) {
        if self.link.is_none() && now >= self.looked + ALONE_LOOK {
            self.looked = now;
            self.finished |= !self.may_be_taken_up();
        }
        if self.frozen_since.is_some() {
            return;
        }
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.deadline = None;
            self.overtime = true;
            self.runs.iter_mut().for_each(|run| run.clock.end(How::Overtime, now, Duration::ZERO));
            // With nobody to report to, nobody will ever finish this job.
            self.finished |= self.link.is_none();
        }
        self.watch_disk(now);
        let mut given_up = Vec::new();
        for (at, run) in self.runs.iter_mut().enumerate() {
            let last_output = run.last_output();
            match run.clock.tick(last_output, now) {
                Due::Nothing => {}
                Due::Kill => kill(&mut self.sandbox, run),
                Due::GiveUp => given_up.push(at),
            }
        }
        given_up.into_iter().rev().for_each(|at| self.over(at, How::Signal(KILL)));
    }

    /// Ends every run of a job that keeps too much on disk.
    fn watch_disk(&mut self, now: Instant) {
        if self.runs.is_empty() {
            return;
        }
        let (Some(watch), Some(sandbox)) = (&mut self.disk, &self.sandbox) else { return };
        let outside = &self.outside;
        if let Some(how) = watch.look(sandbox, || disk::taken_by(outside), now) {
            self.runs.iter_mut().for_each(|run| run.clock.end(how.clone(), now, Duration::ZERO));
        }
    }

    fn measure(&self) -> sandbox::Usage {
        self.sandbox
            .as_ref()
            .map_or_else(|| self.view.used.unwrap_or_default(), sandbox::Sandbox::usage)
    }
}

fn kill(sandbox: &mut Option<sandbox::Sandbox>, run: &Run) {
    if let Some(sandbox) = container_of(sandbox, run.container)
        && let Err(error) = sandbox.signal_session(run.pid, KILL)
    {
        tracing::warn!(error = chain(&error), "a run could not be killed");
    }
    // By its own descriptor as well: the job may keep init from finding it.
    let _may_have_ended =
        rustix::process::pidfd_send_signal(&run.leader, rustix::process::Signal::KILL);
}

/// The sandbox itself, or one of its companions.
fn container_of(
    sandbox: &mut Option<sandbox::Sandbox>,
    container: usize,
) -> Option<&mut sandbox::Sandbox> {
    let sandbox = sandbox.as_mut()?;
    match container.checked_sub(1) {
        None => Some(sandbox),
        Some(companion) => sandbox.companions().get_mut(companion),
    }
}

/// Looks up the accounts of the job and of its companions.
fn users(
    made: &mut sandbox::Sandbox,
    create: &wire::Create,
) -> Result<(sandbox::User, Vec<sandbox::User>), sandbox::Error> {
    let user = made.user(&create.account)?;
    let companions = made.companions().iter().zip(&create.accounts);
    let users = companions.map(|(companion, account)| companion.user(account));
    Ok((user, users.collect::<Result<_, _>>()?))
}

const fn not_started(message: String) -> How {
    How::NotStarted { message }
}

/// The three descriptors of a run, and where its output goes.
fn stdio(
    folder: &crate::folder::Folder,
    patterns: &Patterns,
    exec: &Exec,
) -> Result<(Spool, [OwnedFd; 3]), BeginError> {
    let failed = |attempt| move |source| BeginError { attempt, source };
    let stdin = exec.stdin.clone().unwrap_or_else(|| "/dev/null".into());
    let stdin = File::open(stdin).map_err(failed("open the run's input"))?;
    let path = folder.output(exec.run.step);
    let (spool, writer) =
        Spool::open(&path, patterns.clone()).map_err(failed("open the step's output"))?;
    let stdout = match &exec.stdout {
        Some(path) => fresh(path).map(OwnedFd::from),
        None => writer.try_clone(),
    };
    let stdout = stdout.map_err(failed("open the run's output"))?;
    Ok((spool, [stdin.into(), stdout, writer]))
}
