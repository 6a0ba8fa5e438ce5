//! The process from which supervisors are born.
//!
//! Why: starting this large program anew for each job took longer than all else that a supervisor
//! does before its job; see [`sandbox::launcher`].
//! Life: started with the first supervisor, by the same program, before it has a second thread; ends
//! with its runner. Supervisors live on.
//! On failure: a launcher that is gone is started anew; a birth that failed shows as a supervisor
//! that is gone.

use crate::{
    folder::{Folder, private},
    supervisor,
};
use sandbox::Launcher;
use std::{
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::{Mutex, PoisonError},
};

/// The word with which the runner calls this program.
pub(crate) const LAUNCH: &str = "launch";

/// Shown in the place of [`LAUNCH`] by those that are born.
const SUPERVISE: &str = "supervise";

/// What the launcher's arguments end in: room for those of a supervisor, which are longer.
const ROOM: &str = "supervisors of jobs are born of this process";

/// Where supervisors come from.
pub(crate) struct Births {
    executable: PathBuf,
    jobs: PathBuf,
    running: Mutex<Option<Running>>,
}

struct Running {
    launcher: Launcher,
    child: Child,
}

impl Births {
    pub(crate) const fn new(executable: PathBuf, jobs: PathBuf) -> Self {
        Self { executable, jobs, running: Mutex::new(None) }
    }

    /// Starts the supervisor of a folder, which speaks to the other end of `connection`.
    pub(crate) fn supervisor(&self, folder: &Folder, connection: BorrowedFd<'_>) -> io::Result<()> {
        let log = private(&folder.supervisor_log())?;
        let text = |path: &Path| path.to_str().map(str::to_owned).ok_or(io::ErrorKind::InvalidData);
        let arguments = vec![text(&self.executable)?, SUPERVISE.to_owned(), text(folder.path())?];
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(living) = running.as_ref()
            && living.launcher.launch(arguments.clone(), connection, log.as_fd()).is_ok()
        {
            return Ok(());
        }
        if let Some(mut dead) = running.take() {
            dead.child.kill()?;
            dead.child.wait()?;
        }
        let new = running.insert(start(&self.executable, &self.jobs)?);
        new.launcher.launch(arguments, connection, log.as_fd())
    }
}

impl Drop for Births {
    /// Ends the launcher by closing its connection.
    fn drop(&mut self) {
        let running = self.running.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Running { launcher, mut child }) = running {
            drop(launcher);
            // What it gave birth to is not its to end, so that it ends at once.
            let _reaped = child.wait();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the runner is the room that starts supervisors")]
fn start(executable: &Path, jobs: &Path) -> io::Result<Running> {
    let (ours, theirs) = UnixStream::pair()?;
    let child = std::process::Command::new(executable)
        .arg(LAUNCH)
        .arg(jobs)
        .arg(ROOM)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .spawn()?;
    Ok(Running { launcher: Launcher::over(ours), child })
}

/// Gives birth to supervisors for the runner at descriptor 0, until it is gone. To be called before
/// the process has a second thread.
pub(crate) fn main() -> u8 {
    // What the processor can do is asked once, here, and found in their memory by all supervisors: in a
    // virtual machine each such question stops it for some microseconds.
    let _asked_by_the_first_search = memchr::memmem::Finder::new(LAUNCH);
    let served = supervisor::runner_given_at_start().and_then(|runner| {
        let runner = runner.ok_or(io::ErrorKind::NotConnected)?;
        sandbox::launcher::serve(&runner, |arguments| match arguments {
            [_, _, folder] => supervisor::main(Path::new(folder)),
            _ => 1,
        })
    });
    u8::from(served.is_err())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_supervisor_finds_room_for_its_arguments() {
        let jobs = tempfile::tempdir().unwrap();
        let folder = Folder::create(jobs.path()).unwrap();
        let launcher = [LAUNCH, jobs.path().to_str().unwrap(), ROOM].join(" ");
        let supervisor = [SUPERVISE, folder.path().to_str().unwrap()].join(" ");
        assert!(launcher.len() >= supervisor.len(), "{launcher}\n{supervisor}");
    }
}
