//! The runner's hold on a supervisor: start it, attach to it, ask, and wait for what it tells.
//!
//! Invariants: what is known is one [`View`], kept up to date by one task; a wait is a condition
//! on the view, so that a runner that attached late waits exactly like one that was there.
//! On failure: a supervisor that is gone ends every wait with [`Gone`]; its sandbox is gone, too. One
//! that does not end when it is to is killed, and nobody waits for ever for what cannot be killed.

use crate::{
    folder::{Folder, FolderError},
    host::Host,
    supervisor::wire::{self, Event, Request, View},
};
use rustix::process::{Pid, Signal, kill_process};
use std::{io, os::fd::AsFd, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
    time::{Instant, sleep, timeout},
};

/// Requests that wait to be written; a driver asks for one thing at a time.
const REQUESTS_MAX: usize = 64;

/// For how long a supervisor may take to end its sandbox and itself. The files of a large job may need
/// longer on a slow disk: whoever clears the folder removes what is left of them.
const FINISH_MAX: Duration = Duration::from_secs(30);

/// A supervisor greets at once, unless it makes its sandbox or waits for an answer of it.
pub(crate) const GREETING_MAX: Duration =
    sandbox::ANSWER_MAX.saturating_add(Duration::from_secs(10));

/// For how long one that was just born may take until it listens, and how often that is looked at.
const BIRTH_MAX: Duration = Duration::from_secs(2);
const BIRTH_LOOK: Duration = Duration::from_millis(20);

/// For how long the end of one that was killed is waited for.
const KILL_MAX: Duration = Duration::from_secs(5);

/// The supervisor is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the supervisor of this job is gone")]
pub(crate) struct Gone;

/// Why no supervisor could be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// Its folder could not be made.
    #[error("could not prepare a job's folder")]
    Folder(#[from] FolderError),
    /// The process could not be started.
    #[error("could not start a supervisor")]
    Spawn(#[from] io::Error),
}

/// A living supervisor.
pub(crate) struct Supervised {
    folder: Folder,
    requests: mpsc::Sender<Vec<u8>>,
    view: watch::Receiver<View>,
}

impl Supervised {
    /// Starts a supervisor with a new folder.
    pub(crate) fn start(host: &Host) -> Result<Self, StartError> {
        let folder = Folder::create(&host.jobs())?;
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let stream = UnixStream::from_std(ours)?;
        host.births.supervisor(&folder, theirs.as_fd())?;
        Ok(Self::over(folder, stream))
    }

    /// Attaches to the supervisor that serves `folder`; one that does not greet within `patience`
    /// is killed.
    pub(crate) async fn attach(folder: Folder, patience: Duration) -> Result<Self, Gone> {
        let stream =
            timeout(patience, knock(&folder)).await.map_err(|_| Gone)?.map_err(|_| Gone)?;
        let attached = Self::over(folder, stream);
        let mut view = attached.view.clone();
        // Only the supervisor's greeting makes the view true.
        if let Ok(greeted) = timeout(patience, view.changed()).await {
            return greeted.map(|()| attached).map_err(|_| Gone);
        }
        attached.kill("a supervisor that does not answer is killed, and its job with it").await;
        Err(Gone)
    }

    /// Ends the supervisor of a folder, if it lives, and removes what is left of both.
    pub(crate) async fn dismiss(host: &Arc<Host>, folder: Folder) {
        if let Ok(supervised) = Self::attach(folder.clone(), GREETING_MAX).await {
            supervised.finish().await;
        }
        host.clear(folder).await;
    }

    fn over(folder: Folder, stream: UnixStream) -> Self {
        let (read, write) = stream.into_split();
        let (tell, view) = watch::channel(View::default());
        let (requests, queue) = mpsc::channel(REQUESTS_MAX);
        tokio::spawn(listen(read, tell));
        tokio::spawn(pass_on(queue, write));
        Self { folder, requests, view }
    }

    /// The folder it shares with us.
    #[must_use]
    pub(crate) const fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Asks for something.
    pub(crate) async fn ask(&self, request: &Request) -> Result<(), Gone> {
        self.requests.send(line(request)).await.map_err(|_| Gone)
    }

    /// Asks for something without waiting; false when it cannot be asked now.
    pub(crate) fn ask_now(&self, request: &Request) -> bool {
        self.requests.try_send(line(request)).is_ok()
    }

    /// It can still serve a job.
    #[must_use]
    pub(crate) fn is_fit(&self) -> bool {
        let gone = self.view.has_changed().is_err();
        let sandbox = &self.view.borrow().sandbox;
        !gone && matches!(sandbox, wire::Sandbox::Absent | wire::Sandbox::Stands { .. })
    }

    /// What is known now.
    #[must_use]
    pub(crate) fn view(&self) -> View {
        self.view.borrow().clone()
    }

    /// Every change of what is known.
    #[must_use]
    pub(crate) fn changes(&self) -> watch::Receiver<View> {
        self.view.clone()
    }

    /// Waits until `found` finds something in what is known.
    pub(crate) async fn until<T>(
        &self,
        mut found: impl FnMut(&View) -> Option<T>,
    ) -> Result<T, Gone> {
        let mut view = self.view.clone();
        loop {
            if let Some(value) = found(&view.borrow_and_update()) {
                return Ok(value);
            }
            view.changed().await.map_err(|_| Gone)?;
        }
    }

    /// Ends the sandbox and the supervisor, and waits until both are gone.
    pub(crate) async fn finish(&self) {
        let ending = async {
            // One that is gone already is what was asked for.
            let _ = self.ask(&Request::Finish).await;
            self.gone().await;
        };
        if timeout(FINISH_MAX, ending).await.is_err() {
            self.kill("a supervisor that does not end is killed").await;
        }
    }

    /// Kills the process that listens in the folder, and waits for its end.
    async fn kill(&self, why: &str) {
        // The kernel connects to whoever listens, answer or not, and tells who it is.
        let listener = timeout(KILL_MAX, UnixStream::connect(self.folder.socket())).await;
        let peer = listener.ok().and_then(Result::ok).and_then(|stream| stream.peer_cred().ok());
        let pid = peer.and_then(|peer| peer.pid());
        tracing::error!(?pid, "{why}");
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            // One that is gone already is what is asked for.
            let _ = kill_process(pid, Signal::KILL);
        }
        let _ = timeout(KILL_MAX, self.gone()).await;
    }

    /// Waits until the supervisor is gone.
    async fn gone(&self) {
        let mut view = self.view.clone();
        while view.changed().await.is_ok() {}
    }
}

/// Connects to whoever listens in the folder; one that is just being born does so in a moment.
async fn knock(folder: &Folder) -> io::Result<UnixStream> {
    let until = Instant::now() + BIRTH_MAX;
    loop {
        match UnixStream::connect(folder.socket()).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound && Instant::now() < until => {
                sleep(BIRTH_LOOK).await;
            }
            result => return result,
        }
    }
}

fn line(request: &Request) -> Vec<u8> {
    let mut line = serde_json::to_vec(request).expect("a request is plain data");
    line.push(b'\n');
    line
}

/// Learns what the supervisor tells; ends, and so ends every wait, when it is gone.
async fn listen(read: OwnedReadHalf, tell: watch::Sender<View>) {
    let mut lines = BufReader::new(read).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        match serde_json::from_str::<Event>(&line) {
            Ok(event) => tell.send_modify(|view| view.learn(event)),
            Err(error) => {
                tracing::warn!(%error, "a supervisor of another build told something new")
            }
        }
    }
}

async fn pass_on(mut queue: mpsc::Receiver<Vec<u8>>, mut write: OwnedWriteHalf) {
    while let Some(line) = queue.recv().await {
        if write.write_all(&line).await.is_err() {
            return;
        }
    }
}
