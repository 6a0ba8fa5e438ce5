//! `appliance run`: a working copy's workflows right here, without a server.
//!
//! Caches, artifacts, images and their unpacked layers stay under `$XDG_CACHE_HOME/appliance` (`~/.cache/appliance`); the folders
//! of running jobs are temporary.

use crate::{
    cli::RunArgs,
    command::{Code, Missing, parameters, variables},
    local_images::LocalImages,
    output, runner_child,
};
use anyhow::Context;
use runner::{
    Beginning,
    local::{LocalError, Options},
};
use std::{
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            fs::DirBuilderExt,
            net::{SocketAddr, UnixDatagram},
            process::CommandExt,
        },
    },
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::Notify,
};

/// The first of the host ids that jobs of the first run use; the server's runner on this machine has
/// others.
const FIRST_ID: u32 = 0x2000_0000;

/// Host ids of one run: more than its jobs take.
const IDS: u32 = 0x0100_0000;

/// Runs at once on this machine.
const RUNS_MAX: u32 = 64;

pub(crate) fn run(args: RunArgs) -> anyhow::Result<Code> {
    let keep = cache_folder()?;
    begin_apart(&keep)?;
    let seat = Seat::take(&keep)?;
    let directory = std::path::absolute(&args.directory)?;
    let paper = Arc::new(Paper::default());
    let options = Options {
        orbs: orbs(&args, &directory)?,
        directory,
        workflows: args.workflow,
        job: args.job,
        parameters: parameters(&args.parameters)?,
        environment: variables(&args.environment)?,
        approve: args.approve,
        slots: args.slots,
        images: Arc::new(LocalImages::under(&keep)),
        host: runner::HostConfig {
            layers: keep.join("layers"),
            ..runner_child::host(&seat.folder, runner_child::Jobs::default(), seat.first_id)
        },
        keep,
        print: paper.print(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let interrupt = async {
        tokio::select! {
            () = asked_to_end() => (),
            () = paper.torn.notified() => (),
        }
    };
    let ended = runtime.block_on(runner::local::run(options, interrupt));
    if let Some(error) = paper.why() {
        anyhow::bail!("the run was stopped, because its output cannot be written: {error}");
    }
    match ended {
        Ok(true) => Ok(0),
        Ok(false) => Ok(1),
        Err(LocalError::Configuration(errors)) => {
            output::note(&errors);
            Ok(8)
        }
        Err(error @ LocalError::Unknown { .. }) => Err(Missing(error.to_string()).into()),
        Err(error) => Err(error.into()),
    }
}

/// Begins anew in a group of this run's own, where the one that it was born in is another's: that of a
/// shell's session.
#[expect(clippy::disallowed_methods, reason = "this process goes on as the one that it starts")]
fn begin_apart(keep: &Path) -> anyhow::Result<()> {
    let own = keep.join(format!("process-{}", std::process::id()));
    let Beginning::Behind { program, words } = Beginning::of(&own) else { return Ok(()) };
    let mut arguments = std::env::args_os();
    arguments.next();
    let mut command = std::process::Command::new(&program);
    let failed = command.args(words).arg(runner_child::executable()).args(arguments).exec();
    Err(failed).with_context(|| format!("cannot start {}", program.display()))
}

/// Completes when somebody asks for the end: at the terminal, by `kill` or `timeout`, by closing the
/// terminal. Jobs must not go on unseen.
async fn asked_to_end() {
    let heard = |kind| async move {
        match signal(kind) {
            Ok(mut signals) => {
                let _heard = signals.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = heard(SignalKind::interrupt()) => (),
        () = heard(SignalKind::terminate()) => (),
        () = heard(SignalKind::hangup()) => (),
    }
}

/// The orbs that the working copy's configuration names. A configuration that cannot be read is
/// told by the run itself.
fn orbs(args: &RunArgs, directory: &Path) -> anyhow::Result<pipeline::Orbs> {
    let text = std::fs::read_to_string(directory.join(".circleci/config.yml")).unwrap_or_default();
    let request = pipeline::Request {
        values: pipeline::Values::local(),
        parameters: parameters(&args.parameters)?,
        ..pipeline::Request::default()
    };
    let (orbs, _) = crate::command::config::with_orbs(&text, &request, args.data_dir.as_deref())?;
    Ok(orbs)
}

/// Where the run prints. When that cannot be written any more, the run ends as if interrupted: its
/// jobs must not go on unseen.
#[derive(Default)]
struct Paper {
    torn: Notify,
    why: Mutex<Option<io::Error>>,
}

impl Paper {
    fn print(self: &Arc<Self>) -> runner::local::Print {
        let paper = Arc::clone(self);
        Arc::new(move |job, text| {
            let line =
                if job.is_empty() { format!("{text}\n") } else { format!("{job} | {text}\n") };
            if let Err(error) = output::try_raw(line.as_bytes()) {
                paper.why.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                paper.torn.notify_one();
            }
        })
    }

    fn why(&self) -> Option<io::Error> {
        self.why.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

pub(crate) fn cache_folder() -> anyhow::Result<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
    let folder = base.context("set HOME or XDG_CACHE_HOME: caches need a place")?.join("appliance");
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

/// What a run has to itself: a range of the machine's ids, and the folder of its runner, removed at its
/// end. What a killed run left there is ended and removed by the next that sits here, so that no two jobs
/// have the same ids.
struct Seat {
    folder: PathBuf,
    first_id: u32,
    /// A name that the kernel gives to one process of the machine at a time.
    _name: UnixDatagram,
}

impl Seat {
    fn take(keep: &Path) -> anyhow::Result<Self> {
        let free = (0..RUNS_MAX).find_map(|nth| claim(nth).transpose().map(|name| (nth, name)));
        let (nth, name) = free.with_context(|| {
            format!("{RUNS_MAX} runs go on already on this machine: wait for one to end")
        })?;
        let name = name.context("cannot claim host ids for jobs")?;
        let folder = keep.join(format!("run-{nth}"));
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        Ok(Self { folder, first_id: FIRST_ID + nth * IDS, _name: name })
    }
}

/// `None` when somebody else has it.
fn claim(nth: u32) -> io::Result<Option<UnixDatagram>> {
    let name = SocketAddr::from_abstract_name(format!("appliance-run-{nth}"))?;
    match UnixDatagram::bind_addr(&name) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(None),
        claimed => claimed.map(Some),
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_at_once_share_no_host_ids() {
        let keep = tempfile::tempdir().unwrap();
        let [first, second] = [(); 2].map(|()| Seat::take(keep.path()).unwrap());
        assert!(first.first_id.abs_diff(second.first_id) >= IDS);
        assert_ne!(first.folder, second.folder);
        assert!(FIRST_ID.checked_add(RUNS_MAX * IDS).is_some_and(|end| end < 0x8000_0000));
    }
}
