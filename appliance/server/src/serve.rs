//! `appliance serve`: every room opened in order, wired, served, drained.
//!
//! The order: data directory and key, store, bytes, repositories, engine, faces, sockets, runner.
//! Nothing is served before all of it stands; a room that cannot open ends the start with its own
//! message and remedy.
//! The drain: no new connections, open requests end within `drain_seconds`, the engine settles what
//! it has, the runner leaves (its jobs go on), the store closes. What was cut is said.

use crate::{
    calm,
    command::Code,
    config::Config,
    daily,
    data_dir::DataDir,
    faces::{Caller, Face},
    first_start,
    identity::Identity,
    job_network, logging,
    machine::Machine,
    object_place, orb_addresses, output, oversights, runner_child,
    settings::Settings,
    site_names::{base_url, names},
};
use anyhow::Context;
use base::time::Timestamp;
use engine::{Engine, Handle, logs::Logs};
use ingress::{Certificates, Drain, Lanes, Listener};
use objects::Objects;
use repos::Repos;
use std::{
    fs,
    num::NonZero,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use store::{SiteKey, Store, live::SledLive};
use tokio::{signal::unix::SignalKind, sync::watch};

/// Threads of the control plane: one serves, one more keeps it answering while the other computes.
const THREADS: usize = 2;

/// The fewest and the most lanes: few connections need more, and each waits with memory of its own.
const LANES: (usize, usize) = (2, 4);

pub(crate) fn run(settings: &Settings) -> anyhow::Result<Code> {
    let begun = Instant::now();
    let config = Config::build(settings)?;
    logging::start(&config.log)?;
    for oversight in oversights::all(&config) {
        tracing::warn!("{oversight}");
    }
    runner::undumpable();
    runner::memory::arenas_bound();
    let lanes = lanes()?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()?;
    runtime.block_on(async {
        let house = House::open(config, &lanes).await?;
        house.announce(begun);
        let stop = stop_signal()?;
        Box::pin(house.serve(stop)).await
    })?;
    Ok(0)
}

/// Threads that carry network connections: one for each core, and never one alone, so that what
/// holds one up does not hold up all.
pub(crate) fn lanes() -> anyhow::Result<Lanes> {
    let cores = std::thread::available_parallelism().map_or(LANES.0, NonZero::get);
    Lanes::start(cores.clamp(LANES.0, LANES.1)).context("no thread is to be had for connections")
}

/// Everything that serves, bound and ready.
pub(crate) struct House {
    config: Config,
    data: DataDir,
    store: Store,
    engine: Handle,
    logs: Logs,
    live: Arc<SledLive>,
    objects: Objects,
    identity: Identity,
    state: web::State,
    faces: axum::Router,
    sockets: Sockets,
    machine: Machine,
    base_url: String,
    first_password: Option<base::secret::Secret>,
}

struct Sockets {
    tls: Listener,
    s3: Option<Listener>,
    /// Both services once more, where jobs see them.
    tls_for_jobs: Option<Listener>,
    s3_for_jobs: Option<Listener>,
    plain: Option<Listener>,
    control: Listener,
    runner: Listener,
}

pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(0).plus(since)
}

impl House {
    pub(crate) async fn open(config: Config, lanes: &Lanes) -> anyhow::Result<Self> {
        let data = DataDir::open(&config.data_dir)?;
        let store = open_store(&data)?;
        let opened = Self::furnish(config, data, store.clone(), lanes).await;
        if opened.is_err() {
            // A start that was refused is no unclean stop.
            tokio::task::spawn_blocking(move || store.close()).await??;
        }
        opened
    }

    /// Opens every room over the store.
    async fn furnish(
        config: Config,
        data: DataDir,
        store: Store,
        lanes: &Lanes,
    ) -> anyhow::Result<Self> {
        object_place::settle(&config, &data)?;
        let objects = Objects::open(object_place::config(&config, &data)?, store.clone()).await?;
        let repos = Repos::open(data.join("repos"), config.git.clone())?;
        let identity = Identity::open(&config, &data)?;
        let sockets =
            Sockets::bind(&config, &data, identity.certificates()).await?.with_lanes(lanes);
        let machine = Machine::start(&config)?;
        let base_url = base_url(&config, sockets.tls.address());
        let mut schedule = engine::Config::for_cores(1, base_url.clone());
        schedule.limits.slots = config.slots;
        schedule.limits.per_project = config.slots;
        let orbs = orb_addresses::asking(
            orbs::Registry::at(data.join("orbs")),
            config.orb_addresses.clone(),
            config.objects.outward_roots.clone(),
        );
        schedule.orbs = orbs.clone();
        let engine = Engine::start(schedule, store.clone()).await?;
        let live = Arc::new(SledLive::open(&data.join("live"))?);
        let logs = Logs::new(store.clone(), objects.clone(), Arc::clone(&live) as _);
        let first_password = first_start::administrator(&store, now()).await?;
        if first_password.is_some() {
            // Until then all of it is in the log alone.
            store.copy_home().await;
        }
        let mut face = web::Config::new(base_url.clone());
        face.keep = config.keep;
        face.certificates = identity.ends();
        face.authority = fs::read_to_string(data.join("tls/ca.pem")).ok();
        let state = web::State::new(web::Rooms {
            config: face,
            store: store.clone(),
            engine: engine.clone(),
            logs: logs.clone(),
            objects: objects.clone(),
            repos,
            orbs,
        });
        web::removal::free_names(&state).await;
        web::tell_open_pushes(&state).await?;
        let faces = web::router(state.clone());
        Ok(Self {
            config,
            data,
            store,
            engine,
            logs,
            live,
            objects,
            identity,
            state,
            faces,
            sockets,
            machine,
            base_url,
            first_password,
        })
    }

    /// Address of the dashboard.
    pub(crate) fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The administrator's one-time password, at the first start.
    pub(crate) fn first_password(&self) -> Option<&base::secret::Secret> {
        self.first_password.as_ref()
    }

    fn announce(&self, begun: Instant) {
        if let Some(password) = &self.first_password {
            // Shown once, to whoever starts the appliance for the first time.
            output::note(&format!(
                "first start: log in at {} as `admin` with the one-time password {}",
                self.base_url,
                password.expose()
            ));
        }
        tracing::info!(
            ready_ms = begun.elapsed().as_millis(),
            s3 = self.sockets.s3.as_ref().and_then(Listener::address).map(tracing::field::display),
            "ready at {}",
            self.base_url
        );
        let ready = [sd_notify::NotifyState::Ready, sd_notify::NotifyState::Status("serving")];
        if let Err(error) = sd_notify::notify(&ready) {
            tracing::debug!(%error, "the service manager was not told");
        }
    }

    /// Serves until `stop`, then drains.
    pub(crate) async fn serve(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let Self {
            config,
            data,
            store,
            engine,
            logs,
            live,
            objects,
            identity,
            state,
            faces,
            sockets,
            machine,
            ..
        } = self;
        let (drain, deadline, keep) = (Drain::new(), config.drain, config.keep);
        let (runner_stop, runner_stopped) = watch::channel(false);
        let network = sockets.job_network(&config, &data);
        let listeners = sockets.serve(&drain, deadline, &faces, &objects);
        let governing = machine.govern(config.law, &store, &engine, Arc::clone(&live) as _);
        let runner = tokio::spawn(runner_child::keep(config, data, network, runner_stopped));
        let machine = machine.attend(store.clone());
        let identity = tokio::spawn(identity.keep());
        let keeper = tokio::spawn(objects.clone().keep());
        let logged = objects.clone();
        let sweep = tokio::spawn(daily::sweep(daily::Rooms {
            store: store.clone(),
            logs: logs.clone(),
            objects,
            repos: state.repos.clone(),
            keep,
        }));
        let schedules = tokio::spawn(web::schedule::keep(state.clone()));
        let removals = tokio::spawn(web::removal::keep(state.clone()));
        let webhooks = tokio::spawn(web::webhooks::keep(state.clone()));
        let calm = tokio::spawn(calm::give_back(store.events()));
        stop.await;
        tracing::info!("stopping");
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
        runner_stop.send_replace(true);
        drain.start();
        state.close_streams();
        let cut: usize = listeners.join_all().await.into_iter().sum();
        if cut > 0 {
            tracing::warn!(connections = cut, "connections were cut at the deadline");
        }
        drop(governing);
        identity.abort();
        sweep.abort();
        schedules.abort();
        removals.abort();
        webhooks.abort();
        calm.abort();
        keeper.abort();
        // What requests left in access logs is of no other place.
        logged.deliver_access_logs().await;
        runner.await.context("the runner's keeper ended early")?;
        machine.stop().await;
        engine.drain().await;
        logs.flush().await?;
        tokio::task::spawn_blocking(move || {
            live.close();
            store.close()
        })
        .await??;
        tracing::info!("stopped");
        Ok(())
    }
}

impl Sockets {
    async fn bind(
        config: &Config,
        data: &DataDir,
        certificates: &Arc<Certificates>,
    ) -> anyhow::Result<Self> {
        let tls = certificates.server_config()?;
        let s3 = match config.s3_listen {
            Some(address) => Some(Listener::bind(address, Some(Arc::clone(&tls))).await?),
            None => None,
        };
        let plain = match config.plain_listen {
            Some(address) => Some(Listener::bind(address, None).await?),
            None => None,
        };
        let jobs = config.job_network.as_ref();
        let main = Listener::bind(config.listen, Some(Arc::clone(&tls))).await?;
        Ok(Self {
            tls_for_jobs: job_network::beside(&main, jobs, &tls),
            s3_for_jobs: s3.as_ref().and_then(|s3| job_network::beside(s3, jobs, &tls)),
            tls: main,
            s3,
            plain,
            control: Listener::bind_unix(&data.join("control.sock"))?,
            runner: Listener::bind_unix(&data.join("runner.sock"))?,
        })
    }

    /// Network connections on lanes; those of the socket files stay beside the engine, which they
    /// ask for all that they want.
    fn with_lanes(self, lanes: &Lanes) -> Self {
        let on = |listener: Listener| listener.with_lanes(lanes);
        Self {
            tls: on(self.tls),
            s3: self.s3.map(on),
            tls_for_jobs: self.tls_for_jobs.map(on),
            s3_for_jobs: self.s3_for_jobs.map(on),
            plain: self.plain.map(on),
            ..self
        }
    }

    fn job_network(&self, config: &Config, data: &DataDir) -> runner::SiteNetwork {
        let port = |listener: &Listener| listener.address().map(|address| address.port());
        let s3 = self.s3.as_ref().and_then(port);
        let people = base_url(config, self.tls.address());
        job_network::site(config, data, &people, names(config).dns, port(&self.tls), s3)
    }

    fn serve(
        self,
        drain: &Drain,
        deadline: Duration,
        web: &axum::Router,
        objects: &Objects,
    ) -> tokio::task::JoinSet<usize> {
        let mut set = tokio::task::JoinSet::new();
        let mut spawn = |listener: Listener, face: Face, unix: web::Peer| {
            let (drain, secure) = (drain.clone(), listener.is_secure());
            let service = move |peer| Caller::new(face.clone(), peer, unix, secure);
            set.spawn(listener.serve(drain, deadline, service));
        };
        let by_host = Face::ByHost(objects.clone(), web.clone());
        let operator = web::Peer::Operator;
        for listener in [self.tls].into_iter().chain(self.tls_for_jobs) {
            spawn(listener, by_host.clone(), operator);
        }
        spawn(self.control, by_host.clone(), operator);
        // A presigned address reaches the runner without a host, on the connection that it has.
        let for_runner = web.clone().nest("/s3", objects::s3::router(objects.clone()));
        spawn(self.runner, Face::Web(for_runner), web::Peer::LocalRunner);
        if let Some(plain) = self.plain {
            spawn(plain, by_host, operator);
        }
        for listener in self.s3.into_iter().chain(self.s3_for_jobs) {
            spawn(listener, Face::S3(objects.clone()), operator);
        }
        set
    }
}

fn open_store(data: &DataDir) -> anyhow::Result<Store> {
    data.check_database()?;
    let key = SiteKey::new(data.site_key()?);
    let was_in_use = data.was_in_use();
    let config = store::Config { was_in_use, ..store::Config::new(data.join("state")) };
    let store = Store::open(&config, key)?;
    match store.lost_commits() {
        0 if !store.was_unclean() => {}
        0 => tracing::warn!("the last stop was not clean; the database was checked and is whole"),
        commits => tracing::error!(
            commits,
            "the database's log was damaged: at least the last {commits} changes before the stop are lost, and the database is as it was before them; check the disk. Files that nothing names are kept at this start: to go back to a copy of the data directory, stop the service and put it back"
        ),
    }
    Ok(store)
}

/// Completes at SIGTERM or SIGINT.
pub(crate) fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let mut term = tokio::signal::unix::signal(SignalKind::terminate())?;
    let mut interrupt = tokio::signal::unix::signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = term.recv() => (),
            _ = interrupt.recv() => (),
        }
    })
}
