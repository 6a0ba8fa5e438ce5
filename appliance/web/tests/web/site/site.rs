//! A whole site behind the faces: real store, engine, logs and objects in a temporary folder.
//!
//! Why a past: pages are judged with runs that took minutes and ended days ago, and no test waits
//! that long. [`past`] writes such runs through the store; everything else goes through the engine.

#![allow(dead_code, reason = "each test and example uses its part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a fixture stops at the first surprise"
)]

pub(crate) mod output;
pub(crate) mod past;
pub(crate) mod work;

use base::{
    ids::{ProjectId, RepoName, UserId},
    secret::Secret,
    time::Timestamp,
};
use engine::{Engine, Handle, logs::Logs};
use objects::Objects;
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::{Duration, SystemTime},
};
use store::{
    SiteKey, Store,
    access::{NewToken, NewUser, Role, Scope},
    live::MemoryLive,
    projects::Settings,
};
use tempfile::TempDir;
use web::access::{password, token};

/// Now, as the faces see it.
pub(crate) fn now() -> Timestamp {
    Timestamp(0).plus(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap())
}

/// A running site.
pub(crate) struct Site {
    pub(crate) dir: TempDir,
    pub(crate) store: Store,
    pub(crate) engine: Handle,
    pub(crate) logs: Logs,
    pub(crate) objects: Objects,
    pub(crate) router: axum::Router,
    pub(crate) state: web::State,
}

impl Site {
    /// Opens a site that answers as `base_url`.
    pub(crate) async fn open(base_url: &str) -> Self {
        Self::open_telling(base_url, &[]).await
    }

    /// Opens one that may tell addresses below these prefixes what happens.
    pub(crate) async fn open_telling(base_url: &str, allow: &[String]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = store::Config::new(dir.path().join("store"));
        let store = Store::open(&config, SiteKey::new([7; 32])).unwrap();
        let mut objects = objects::Config::new(dir.path().join("objects"));
        objects.webhook_allow = allow.to_vec();
        let objects = Objects::open(objects, store.clone()).await.unwrap();
        let logs = Logs::new(store.clone(), objects.clone(), Arc::new(MemoryLive::default()));
        let orbs = orbs::Registry::at(dir.path().join("orbs"));
        let schedule =
            engine::Config { orbs: orbs.clone(), ..engine::Config::for_cores(2, base_url) };
        let engine = Engine::start(schedule, store.clone()).await.unwrap();
        let repos = repos::Repos::open(dir.path().join("repos"), repos::Limits::default()).unwrap();
        let state = web::State::new(web::Rooms {
            config: web::Config::new(base_url),
            store: store.clone(),
            engine: engine.clone(),
            logs: logs.clone(),
            objects: objects.clone(),
            repos,
            orbs,
        });
        let router = web::router(state.clone());
        Self { dir, store, engine, logs, objects, router, state }
    }

    /// Makes an account.
    pub(crate) async fn account(
        &self,
        login: &str,
        role: Role,
        word: &str,
        one_time: bool,
    ) -> UserId {
        let new = NewUser {
            login: login.into(),
            name: String::new(),
            role,
            password: Some(password::hash(&Secret::new(word))),
            one_time,
        };
        self.store.write(move |txn| txn.user_create(&new, now())).await.unwrap().id
    }

    /// Makes a token of an account.
    pub(crate) async fn token(&self, user: UserId, role: Role) -> String {
        self.scoped_token(user, Scope { role, projects: None }).await
    }

    /// Makes a token of an account that opens one project alone.
    pub(crate) async fn bound_token(&self, user: UserId, role: Role, project: ProjectId) -> String {
        let projects = Some(vec![project]);
        self.scoped_token(user, Scope { role, projects }).await
    }

    async fn scoped_token(&self, user: UserId, scope: Scope) -> String {
        let (secret, hash) = token::new_token().unwrap();
        let new = NewToken { hash, user, label: "test".into(), scope, expires_at: None };
        self.store.write(move |txn| txn.token_create(&new, now())).await.unwrap();
        secret.expose().to_owned()
    }

    /// Makes a project.
    pub(crate) async fn project(&self, name: &str) -> ProjectId {
        let repo: RepoName = name.parse().unwrap();
        let make =
            move |txn: &mut store::Txn<'_>| txn.project_ensure(&repo, &Settings::default(), now());
        self.store.write(make).await.unwrap().0.id
    }

    /// The faces as a network caller reaches them.
    pub(crate) fn faces(&self) -> axum::Router {
        let peer = web::Peer::Network(IpAddr::V4(Ipv4Addr::LOCALHOST));
        self.router.clone().layer(axum::Extension(peer))
    }
}

/// Seconds as a span.
pub(crate) fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}
