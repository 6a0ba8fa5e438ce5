//! The first step of every job: its sandbox.
//!
//! Invariants: nothing that the job wrote is read out here; what later steps need to know of the
//! sandbox is one value, [`Stands`], kept in the journal.
//! On failure: what the configuration asks for and this place does not have fails the job with the
//! remedy; what this machine could not do is an infrastructure failure and is tried anew.

use crate::{
    config::HostConfig,
    control_plane::ControlPlane,
    environment::{BASH_ENV, Environment, Person},
    folder::Folder,
    host::{Host, Number},
    job::{Job, Service, StepEnd, StepError},
    reach,
    resources::{self, Limits},
    supervised::Supervised,
    supervisor::wire::{self, Request},
};
use base::{
    plan::{DockerImage, Executor},
    protocol::{Assignment, NetworkPolicy},
};
use sandbox::{Bind, Companion, HostRoot, IdRange, Places, Root, Spec, Storage, User};
use serde::{Deserialize, Serialize};
use std::{fmt::Write as _, path::PathBuf};

pub(crate) mod image;

/// Where the job sees its scripts and the doorbell.
pub(crate) const DOOR: &str = "/run/circleci";

/// What the job's tests took before, within [`DOOR`].
pub(crate) const TIMINGS: &str = "timings.json";

/// Where the job sees this program.
pub(crate) const AGENT: &str = "/usr/local/bin/circleci-agent";

/// Home of the user of `machine` jobs, as on the original service.
const HOME: &str = "/home/circleci";

/// Ids of one job: a whole system's.
const IDS: u32 = 65536;

/// What steps need to know of the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stands {
    /// Who runs the steps.
    pub user: User,
    /// The environment that the image brings.
    pub image: Environment,
    /// Absolute, inside.
    pub working_directory: String,
    /// Program and arguments that the image of the steps runs beside them.
    #[serde(default)]
    pub entry: Option<Vec<String>>,
    /// What runs beside the steps, in the order of its containers.
    #[serde(default)]
    pub services: Vec<Service>,
}

impl Stands {
    /// Login and home of the one who runs the steps.
    #[must_use]
    pub(crate) fn person(&self) -> Person {
        Person { user: self.user.name.clone(), home: self.user.home.clone() }
    }
}

/// A root file system and what comes with it.
pub(crate) struct Prepared {
    pub(crate) root: Root,
    /// The account to look up in the root's own files.
    pub(crate) account: String,
    /// Home folder, where it is not that of the account.
    pub(crate) home: Option<String>,
    pub(crate) image: Environment,
    /// Program and arguments that the image insists on running beside the steps.
    pub(crate) entry: Option<Vec<String>>,
    /// What step 0 tells about it.
    pub(crate) told: String,
    /// What of it is not what was asked for.
    pub(crate) warning: Option<String>,
    pub(crate) beside: Beside,
}

/// The service containers of a job, as its sandbox needs them: their roots and accounts, and the
/// names by which all containers of the job know each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Beside {
    pub(crate) roots: Vec<(Root, String)>,
    pub(crate) names: Vec<String>,
    pub(crate) services: Vec<Service>,
}

impl Prepared {
    /// Where the steps of `job` begin, where that is known before the account was looked up.
    fn working_directory(&self, job: &Assignment) -> Option<String> {
        let home = self.home.as_deref()?;
        Some(crate::environment::resolve(&job.spec.working_directory, home, home))
    }
}

impl<C: ControlPlane> Job<C> {
    /// Makes the sandbox, tells about it in step 0, and remembers it.
    pub(crate) async fn spin_up(&self) -> Result<StepEnd, StepError> {
        let limits = limits_of(&self.host, &self.assignment)?;
        // A runner before us may have told it.
        let untold = self.outbox.length(0) == 0;
        let prepared = self.prepare_root().await?;
        let shape = Shape {
            root: prepared.root.clone(),
            account: prepared.account.clone(),
            working_directory: prepared.working_directory(&self.assignment),
            limits,
            network: self.assignment.network.clone(),
            beside: prepared.beside.clone(),
        };
        let (_, note) = shape.network(&self.host, &self.number);
        if self.shape.as_ref() != Some(&shape) {
            let create = shape.create(&self.host, &self.supervised, &self.number);
            self.supervised.ask(&Request::Create(Box::new(create))).await?;
        }
        let begin = wire::Begin {
            secrets: self.assignment.secrets.iter().map(|secret| secret.value.clone()).collect(),
            runtime_max: self.assignment.runtime_max,
            ends_with_runner: !C::JOBS_OUTLIVE,
        };
        self.supervised.ask(&Request::Begin(begin)).await?;
        self.time_begins();
        if untold {
            self.outbox.say(0, &self.about(&prepared.told, limits, &note));
            if let Some(warning) = &prepared.warning {
                self.outbox.say(0, &format!("Warning: {warning}\n"));
            }
        }
        let state = self
            .supervised
            .until(|view| (view.sandbox != wire::Sandbox::Absent).then(|| view.sandbox.clone()));
        let (mut user, users) = match state.await? {
            wire::Sandbox::Unfit { message } => return Err(StepError::Failed(message)),
            wire::Sandbox::Failed { message } => return Err(StepError::Infrastructure(message)),
            wire::Sandbox::Lost | wire::Sandbox::Absent => {
                return Err(StepError::Infrastructure("the sandbox was lost".into()));
            }
            wire::Sandbox::Stands { warnings, user, users } => {
                for warning in warnings {
                    self.outbox.say(0, &format!("Warning: {warning}\n"));
                }
                (user, users)
            }
        };
        user.home = prepared.home.unwrap_or(user.home);
        let home = &user.home;
        let working_directory =
            crate::environment::resolve(&self.assignment.spec.working_directory, home, home);
        let services = prepared.beside.services.into_iter().zip(users);
        let services = services.map(|(service, user)| service.of(user)).collect();
        let (image, entry) = (prepared.image, prepared.entry);
        self.stand(Stands { user, image, working_directory, entry, services });
        Ok(StepEnd::success())
    }

    async fn prepare_root(&self) -> Result<Prepared, StepError> {
        match &self.assignment.spec.executor {
            Executor::Machine { image } => Ok(machine_root(&self.host.config, image.as_deref())),
            Executor::Docker { images } => self.image_root(images).await,
            Executor::Unsupported { message } => Err(StepError::Failed(message.clone())),
        }
    }

    async fn image_root(&self, images: &[DockerImage]) -> Result<Prepared, StepError> {
        let [primary, beside @ ..] = images else {
            return Err(StepError::Failed("the docker executor names no image".into()));
        };
        let mut prepared = self.unpack_image(primary).await?;
        prepared.beside.names.extend(primary.name.clone());
        for image in beside {
            let told = self.unpack_service(image, &mut prepared.beside).await?;
            let _ = write!(prepared.told, "\nService: {told}");
        }
        Ok(prepared)
    }

    fn about(&self, root: &str, limits: Limits, network: &str) -> String {
        let class = self.assignment.spec.resource_class.as_deref().unwrap_or("default");
        let uname = rustix::system::uname();
        let mut text = String::new();
        let _ = writeln!(
            text,
            "Runner: {} ({})",
            uname.nodename().to_string_lossy(),
            self.host.config.version
        );
        let _ = writeln!(
            text,
            "Kernel: {} {}",
            uname.release().to_string_lossy(),
            uname.machine().to_string_lossy()
        );
        let _ = writeln!(text, "Executor: {root}");
        let _ = writeln!(
            text,
            "Resource class: {class}: {} CPUs, {} of memory, {} processes",
            limits.cpus, limits.memory, limits.processes
        );
        let _ = writeln!(text, "Network: {network}");
        text
    }
}

/// What a sandbox is, but for the job that it is for: one can be made ahead of its job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shape {
    root: Root,
    account: String,
    /// Where it is known before the sandbox stands.
    working_directory: Option<String>,
    limits: Limits,
    network: NetworkPolicy,
    beside: Beside,
}

impl Shape {
    /// The shape that a job needs, where that is known without asking anybody.
    pub(crate) fn of(host: &Host, job: &Assignment) -> Option<Self> {
        let Executor::Machine { image } = &job.spec.executor else { return None };
        let prepared = machine_root(&host.config, image.as_deref());
        Some(Self {
            working_directory: prepared.working_directory(job),
            root: prepared.root,
            account: prepared.account,
            limits: limits_of(host, job).ok()?,
            network: job.network.clone(),
            beside: Beside::default(),
        })
    }

    /// The request that makes a sandbox of this shape.
    pub(crate) fn create(
        &self,
        host: &Host,
        supervised: &Supervised,
        number: &Number,
    ) -> wire::Create {
        let (config, folder) = (&host.config, supervised.folder());
        let is_root = is_root(&self.account);
        let spec = Spec {
            id: sandbox_id(folder),
            root: self.root.clone(),
            scratch: folder.sandbox(),
            storage: Storage::Disk,
            ids: IdRange { host_start: config.first_id + number.get() * IDS, count: IDS },
            binds: binds(&config.executable, folder.door(), is_root),
            places: Places {
                folders: self.working_directory.iter().map(PathBuf::from).collect(),
                files: vec![BASH_ENV.into()],
            },
            hostname: hostname(folder),
            limits: sandbox::Limits {
                memory: Some(self.limits.memory),
                cpu_millis: Some(self.limits.cpus * 1000),
                pids: Some(self.limits.processes),
                disk: config.disk,
            },
            network: self.network(host, number).0,
            companions: self.companions(folder),
            names: self.beside.names.clone(),
            // An image whose user is not root brings a `sudo` of its own.
            allow_privilege_gain: !is_root,
            cgroup_base: host.groups.clone(),
        };
        let trust = reach::trust(&self.network, &config.network, &self.root, &config.data);
        let accounts = self.beside.roots.iter().map(|(_, account)| account.clone()).collect();
        wire::Create { spec, account: self.account.clone(), accounts, trust }
    }

    fn companions(&self, folder: &Folder) -> Vec<Companion> {
        let companion = |(number, (root, account)): (usize, &(Root, String))| Companion {
            root: root.clone(),
            hostname: format!("{}-{}", hostname(folder), number + 1),
            allow_privilege_gain: !is_root(account),
        };
        self.beside.roots.iter().enumerate().map(companion).collect()
    }

    /// What the job reaches, and how its log tells it.
    fn network(&self, host: &Host, number: &Number) -> (sandbox::Network, String) {
        let config = &host.config;
        reach::network(&self.network, &config.network, number.get(), &config.data)
    }
}

fn limits_of(host: &Host, job: &Assignment) -> Result<Limits, StepError> {
    let class = job.spec.resource_class.as_deref();
    resources::limits(&job.spec.executor, class, host.machine)
        .map_err(|error| StepError::Failed(error.to_string()))
}

/// How the log tells the root of `machine` jobs where the operator gave none.
const HOST_COPY: &str = "machine, on a copy of the host; nobody in it changes the host's files, not even root (where jobs install packages, give them a root of their own: settings `machine_root`, `machine_images`)";

/// Images that mean whatever the machine has.
const ANY_IMAGE: [&str; 2] = ["default", "self-hosted"];

/// The root of `machine` jobs that ask for `image`.
fn machine_root(config: &HostConfig, image: Option<&str>) -> Prepared {
    let named = image.and_then(|name| Some((name, config.machine_images.get(name)?)));
    let (root, told) = match (named, &config.machine_root) {
        (Some((name, path)), _) => {
            (Root::Directory { path: path.clone() }, format!("machine, image {name}"))
        }
        (None, Some(path)) => {
            let told = "machine, on its own root file system".to_owned();
            (Root::Directory { path: path.clone() }, told)
        }
        (None, None) => {
            let masks = config.masks.iter().cloned().chain([config.data.clone()]).collect();
            (Root::Host(HostRoot { masks }), HOST_COPY.to_owned())
        }
    };
    let unknown = image.filter(|name| named.is_none() && !ANY_IMAGE.contains(name));
    let warning = unknown.map(|name| {
        let known: Vec<&str> = config.machine_images.keys().map(String::as_str).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        format!("the image `{name}` is not known here, so the job runs as told above. Known images: {known}; the operator adds one by the setting `machine_images`")
    });
    let (account, home) = (String::new(), Some(HOME.to_owned()));
    let (image, entry, beside) = (Environment::new(), None, Beside::default());
    Prepared { root, account, home, image, entry, told, warning, beside }
}

/// Names the sandbox of a folder on this host.
pub(crate) fn sandbox_id(folder: &Folder) -> String {
    format!("job-{}", folder.name())
}

fn binds(executable: &std::path::Path, door: PathBuf, is_root: bool) -> Vec<Bind> {
    let bind = |source: PathBuf, target: &str| Bind {
        source,
        target: target.into(),
        read_only: true,
        map_ids: false,
    };
    let mut binds = vec![
        bind(door, DOOR),
        bind(executable.to_owned(), AGENT),
        bind(executable.to_owned(), "/usr/local/bin/circleci"),
    ];
    if is_root {
        // The job is root already; scripts that say `sudo` need not know.
        binds.push(bind(executable.to_owned(), "/usr/local/bin/sudo"));
    }
    binds
}

fn is_root(account: &str) -> bool {
    matches!(account.split(':').next(), Some("" | "0" | "root"))
}

/// A valid host name, unlike that of any other job here.
fn hostname(folder: &Folder) -> String {
    let name = folder.name();
    format!("job-{}", name.get(..12).unwrap_or(&name))
}
