//! The real Git client against the faces: who may, what a push brings forth, what a cut leaves.

use base::{
    ids::{ProjectId, PushId, RepoName},
    secret::Secret,
    state::PipelineState,
    time::Timestamp,
    trigger::TriggerKind,
};
use engine::{Engine, logs::Logs};
use std::{
    net::{IpAddr, Ipv4Addr},
    path::Path,
    process::{Command, Output, Stdio},
    sync::Arc,
    time::SystemTime,
};
use store::{
    SiteKey, Store,
    access::{NewUser, Role},
    live::MemoryLive,
    projects::{Push, PushedRef},
    runs::Pipeline,
};
use tempfile::TempDir;
use web::{Config, Peer, Rooms, State};

const CONFIG: &str = "version: 2.1
jobs: { build: { machine: true, steps: [ run: 'true' ] } }
workflows: { main: { jobs: [ build ] } }
";

const PASSWORD: &str = "correct horse battery";

pub(crate) struct Site {
    pub(crate) dir: TempDir,
    pub(crate) state: State,
    address: String,
}

fn now() -> Timestamp {
    Timestamp(0).plus(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap())
}

impl Site {
    pub(crate) async fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let store = Store::open(&store::Config::new(at("store")), SiteKey::new([1; 32])).unwrap();
        let config = objects::Config { keep_free: 0, ..objects::Config::new(at("objects")) };
        let objects = objects::Objects::open(config, store.clone()).await.unwrap();
        let logs = Logs::new(store.clone(), objects.clone(), Arc::new(MemoryLive::default()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let base_url = format!("http://{address}");
        let schedule = engine::Config::for_cores(2, base_url.clone());
        let engine = Engine::start(schedule, store.clone()).await.unwrap();
        let repos = repos::Repos::open(at("repos"), repos::Limits::default()).unwrap();
        let config = Config::new(base_url);
        let state = State::new(Rooms {
            config,
            store,
            engine,
            logs,
            objects,
            repos,
            orbs: orbs::Registry::default(),
        });
        let peer = Peer::Network(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let router = web::router(state.clone()).layer(axum::Extension(peer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { dir, state, address }
    }

    pub(crate) async fn account(&self, login: &str, role: Role) {
        let password = Some(web::access::password::hash(&Secret::new(PASSWORD)));
        let new =
            NewUser { login: login.into(), name: String::new(), role, password, one_time: false };
        self.state.store.write(move |txn| txn.user_create(&new, now())).await.unwrap();
    }

    pub(crate) fn url(&self, login: &str) -> String {
        let password = PASSWORD.replace(' ', "%20");
        format!("http://{login}:{password}@{}/git/acme/relay.git", self.address)
    }

    /// Fills in the settings form with curl; the status of the answer.
    #[expect(clippy::disallowed_methods, reason = "tests run real clients")]
    async fn save_default_branch(&self, login: &str, branch: &str) -> String {
        let mut curl = Command::new("curl");
        curl.args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "-u"])
            .arg(format!("{login}:{PASSWORD}"))
            .args(["--data-urlencode", &format!("default_branch={branch}")])
            .arg(format!("http://{}/projects/acme/relay/settings", self.address));
        let output = tokio::task::spawn_blocking(move || curl.output()).await.unwrap().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A working copy with one commit and a configuration.
    pub(crate) async fn copy(&self, name: &str) -> Copy {
        let copy = Copy { dir: self.dir.path().join(name).to_string_lossy().into_owned() };
        std::fs::create_dir_all(Path::new(&copy.dir).join(".circleci")).unwrap();
        std::fs::write(Path::new(&copy.dir).join(".circleci/config.yml"), CONFIG).unwrap();
        copy.git(&["init", "-q", "-b", "main"]).await;
        copy.git(&["add", "-A"]).await;
        copy.git(&["commit", "-q", "-m", "First"]).await;
        copy
    }

    pub(crate) async fn project(&self) -> Option<ProjectId> {
        let repo: RepoName = "acme/relay".parse().unwrap();
        let read = move |reader: &store::Reader<'_>| reader.project_by_repo(&repo);
        self.state.store.read(read).await.unwrap().map(|project| project.id)
    }

    pub(crate) async fn pipelines(&self) -> Vec<Pipeline> {
        let Some(id) = self.project().await else { return Vec::new() };
        let last =
            self.state.store.read(move |reader| reader.pipeline_last_number(id)).await.unwrap();
        let mut found = Vec::new();
        for number in 1..=last.0 {
            let number = base::ids::PipelineNumber(number);
            let read = move |reader: &store::Reader<'_>| reader.pipeline_by_number(id, number);
            found.extend(self.state.store.read(read).await.unwrap());
        }
        found
    }
}

pub(crate) struct Copy {
    pub(crate) dir: String,
}

impl Copy {
    #[expect(clippy::disallowed_methods, reason = "tests run the real Git client")]
    pub(crate) fn run(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command
            .args(arguments)
            .current_dir(&self.dir)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.dir)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .envs([("GIT_AUTHOR_NAME", "Ada"), ("GIT_COMMITTER_NAME", "Ada")])
            .envs([("GIT_AUTHOR_EMAIL", "a@x.test"), ("GIT_COMMITTER_EMAIL", "a@x.test")])
            .stdin(Stdio::null());
        command
    }

    async fn output(&self, arguments: &[&str]) -> Output {
        let mut command = self.run(arguments);
        tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap()
    }

    /// Must succeed; standard output and standard error.
    pub(crate) async fn git(&self, arguments: &[&str]) -> (String, String) {
        let output = self.output(arguments).await;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        (text(&output.stdout), text(&output.stderr))
    }

    pub(crate) async fn fails(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments).await;
        assert!(!output.status.success(), "{arguments:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    pub(crate) async fn commit(&self, message: &str) -> String {
        self.git(&["commit", "-q", "--allow-empty", "-m", message]).await;
        self.git(&["rev-parse", "HEAD"]).await.0
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_makes_the_project_and_runs_its_pipeline() {
    let site = Site::open().await;
    site.account("mira", Role::Member).await;
    let copy = site.copy("a").await;
    let head = copy.git(&["rev-parse", "HEAD"]).await.0;
    let (_, said) = copy.git(&["push", &site.url("mira"), "main"]).await;
    let page = format!("http://{}/pipelines/gh/acme/relay/1", site.address);
    assert!(said.contains(&format!("remote: Pipeline 1 for main: {page}")), "{said}");
    let pipelines = site.pipelines().await;
    assert_eq!(pipelines.len(), 1);
    let pipeline = &pipelines[0];
    assert_eq!(pipeline.state, PipelineState::Created);
    assert_eq!(pipeline.kind, TriggerKind::Webhook);
    assert_eq!(pipeline.actor, "mira");
    assert_eq!(pipeline.vcs.revision, head);
    assert_eq!(pipeline.vcs.branch.as_deref(), Some("main"));
    let open = site.state.store.read(|reader| reader.push_list_open()).await.unwrap();
    assert!(open.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_is_gone_is_not_shown_as_an_empty_one_and_a_push_makes_it_again() {
    let site = Site::open().await;
    site.account("mira", Role::Member).await;
    let copy = site.copy("a").await;
    copy.git(&["push", &site.url("mira"), "main"]).await;
    std::fs::remove_dir_all(site.dir.path().join("repos/acme/relay.git")).unwrap();
    let said = copy.fails(&["ls-remote", &site.url("mira")]).await;
    assert!(said.contains("503"), "{said}");
    copy.git(&["push", &site.url("mira"), "main"]).await;
    let head = copy.git(&["rev-parse", "HEAD"]).await.0;
    let (found, _) = copy.git(&["ls-remote", &site.url("mira"), "main"]).await;
    assert!(found.contains(head.trim()), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_deletions_and_skip_marks_are_told_apart() {
    let site = Site::open().await;
    site.account("mira", Role::Member).await;
    let (copy, url) = (site.copy("a").await, site.url("mira"));
    copy.git(&["tag", "-a", "v1", "-m", "one"]).await;
    copy.git(&["push", "-q", &url, "main", "v1"]).await;
    assert_eq!(site.pipelines().await.len(), 2);
    assert_eq!(site.pipelines().await[1].vcs.tag.as_deref(), Some("v1"));
    copy.commit("Words only [ci skip]").await;
    let (_, said) = copy.git(&["push", &url, "main", "main:other"]).await;
    assert!(said.contains("No pipeline for main"), "{said}");
    copy.git(&["push", "-q", "-o", "ci.skip", &url, "main:third"]).await;
    copy.git(&["push", "-q", &url, ":other"]).await;
    for tag in ["t1", "t2", "t3", "t4"] {
        copy.git(&["tag", tag, "HEAD~1"]).await;
    }
    copy.git(&["push", "-q", &url, "--tags"]).await;
    assert_eq!(site.pipelines().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_may_what_it_may() {
    let site = Site::open().await;
    site.account("mira", Role::Member).await;
    site.account("vic", Role::Viewer).await;
    site.account("root", Role::Admin).await;
    let copy = site.copy("a").await;
    let nobody = format!("http://{}/git/acme/relay.git", site.address);
    copy.fails(&["push", &nobody, "main"]).await;
    let said = copy.fails(&["push", &site.url("vic"), "main"]).await;
    assert!(said.contains("403"), "{said}");
    assert_eq!(site.project().await, None);
    let said = copy.fails(&["ls-remote", &site.url("vic")]).await;
    assert!(said.contains("there is no repository acme/relay"), "{said}");
    copy.git(&["push", "-q", &site.url("mira"), "main"]).await;
    copy.git(&["ls-remote", &site.url("vic")]).await;
    copy.fails(&["ls-remote", &nobody]).await;
    copy.git(&["commit", "-q", "--amend", "-m", "Again"]).await;
    let said = copy.fails(&["push", "--force", &site.url("mira"), "main"]).await;
    assert!(said.contains("force is not allowed"), "{said}");
    copy.git(&["push", "-q", "--force", &site.url("root"), "main"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_branch_of_a_project_is_the_first_that_comes() {
    let site = Site::open().await;
    site.account("mira", Role::Member).await;
    let copy = site.copy("a").await;
    copy.git(&["push", "-q", &site.url("mira"), "main:trunk"]).await;
    let id = site.project().await.unwrap();
    let project = site.state.store.read(move |reader| reader.project_get(id)).await.unwrap();
    assert_eq!(project.unwrap().settings.default_branch, "trunk");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_settings_form_moves_the_branch_that_a_clone_checks_out() {
    let site = Site::open().await;
    site.account("mira", Role::Admin).await;
    let (copy, url) = (site.copy("a").await, site.url("mira"));
    copy.git(&["push", "-q", &url, "main", "main:release/2"]).await;
    assert_eq!(site.save_default_branch("mira", "release/2").await, "303");
    let (head, _) = copy.git(&["ls-remote", "--symref", &url, "HEAD"]).await;
    assert!(head.starts_with("ref: refs/heads/release/2\tHEAD"), "{head}");
    assert_eq!(site.save_default_branch("mira", "gone").await, "400");
    let (head, _) = copy.git(&["ls-remote", "--symref", &url, "HEAD"]).await;
    assert!(head.starts_with("ref: refs/heads/release/2\tHEAD"), "{head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_cut_left_untold_is_told_at_the_next_start_and_once() {
    let site = Site::open().await;
    site.account("mira", Role::Member).await;
    let (copy, url) = (site.copy("a").await, site.url("mira"));
    copy.git(&["push", "-q", "-o", "ci.skip", &url, "main"]).await;
    let old = copy.git(&["rev-parse", "HEAD"]).await.0;
    let new = copy.commit("Second").await;
    copy.git(&["push", "-q", "-o", "ci.skip", &url, "main", "main:still"]).await;
    assert!(site.pipelines().await.is_empty());
    // As if the cut came after the references moved; `never` did not move, `still` stands where
    // it stood.
    let moved = |name: &str, old: Option<&str>, new: &str| PushedRef {
        name: format!("refs/heads/{name}"),
        old: old.map(str::to_owned),
        new: Some(new.to_owned()),
    };
    let push = Push {
        id: PushId(uuid::Uuid::now_v7()),
        project: site.project().await.unwrap(),
        at: now(),
        actor: "mira".into(),
        refs: vec![
            moved("main", Some(&old), &new),
            moved("never", None, &new),
            moved("still", Some(&new), &old),
        ],
    };
    site.state.store.write(move |txn| txn.push_note(&push)).await.unwrap();
    web::git::tell_open_pushes(&site.state).await.unwrap();
    web::git::tell_open_pushes(&site.state).await.unwrap();
    let pipelines = site.pipelines().await;
    assert_eq!(pipelines.len(), 1);
    assert_eq!(pipelines[0].vcs.revision, new);
    assert_eq!(pipelines[0].vcs.branch.as_deref(), Some("main"));
    assert_eq!(pipelines[0].vcs.base_revision.as_deref(), Some(old.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_with_errors_is_told_to_the_one_who_pushed() {
    let site = Site::open().await;
    site.account("mira", Role::Member).await;
    let copy = site.copy("a").await;
    std::fs::write(Path::new(&copy.dir).join(".circleci/config.yml"), "version: [").unwrap();
    copy.git(&["commit", "-q", "-a", "-m", "Break"]).await;
    let (_, said) = copy.git(&["push", &site.url("mira"), "main"]).await;
    assert!(said.contains("has errors"), "{said}");
    assert_eq!(site.pipelines().await[0].state, PipelineState::Errored);
}

#[tokio::test]
async fn without_a_schedule_no_minute_is_written() {
    let site = Site::open().await;
    let mark = async || site.state.store.read(|reader| reader.clock_minute()).await.unwrap();
    site.state.store.write(|txn| txn.clock_set(100)).await.unwrap();
    let flushes = site.state.store.flushes();
    for minute in 101..110 {
        let looked = web::schedule::look(&site.state, Timestamp(minute * 60_000_000)).await;
        assert_eq!(looked.unwrap(), 0);
    }
    assert_eq!(mark().await, None, "the first schedule finds no minute from before it");
    assert_eq!(site.state.store.flushes().0, flushes.0 + 1);
}

#[tokio::test]
async fn a_schedule_and_a_timer_trigger_their_minute_once() {
    const NIGHTLY: &str = "version: 2.1
jobs: { build: { machine: true, steps: [ run: 'true' ] } }
workflows:
  main: { jobs: [ build ] }
  nightly:
    triggers: [ schedule: { cron: '20 0 * * *', filters: { branches: { only: main } } } ]
    jobs: [ build ]
";
    let site = Site::open().await;
    site.account("ada", Role::Member).await;
    let copy = site.copy("one").await;
    std::fs::write(Path::new(&copy.dir).join(".circleci/config.yml"), NIGHTLY).unwrap();
    copy.git(&["commit", "-q", "-a", "-m", "Nightly"]).await;
    copy.git(&["push", "-q", &site.url("ada"), "main"]).await;
    let project = site.project().await.unwrap();
    let schedule = store::projects::Schedule {
        id: base::ids::ScheduleId(uuid::Uuid::now_v7()),
        project,
        name: "noon".into(),
        description: String::new(),
        timetable: serde_json::json!({ "per-hour": 3, "hours-of-day": [0], "days-of-month": [2] }),
        parameters: [("branch".to_owned(), base::trigger::ParameterValue::String("main".into()))]
            .into_iter()
            .collect(),
        actor: None,
        created_at: now(),
        updated_at: now(),
    };
    site.state.store.write(move |txn| txn.schedule_save(&schedule)).await.unwrap();
    // The second of January 1970, so that nobody waits for midnight.
    let at = |minute: i64| Timestamp((1440 + minute) * 60_000_000);
    let look = |minute| web::schedule::look(&site.state, at(minute));
    assert_eq!(look(18).await.unwrap(), 0);
    assert_eq!(look(19).await.unwrap(), 0);
    assert_eq!(look(21).await.unwrap(), 2, "the minute between two looks is not lost");
    assert_eq!(look(21).await.unwrap(), 0);
    // A cut before the mark was written makes no second pipeline.
    site.state.store.write(|txn| txn.clock_set(1440 + 19)).await.unwrap();
    assert_eq!(look(22).await.unwrap(), 0);
    let made = site.pipelines().await;
    let kinds: Vec<_> =
        made.iter().map(|made| (made.kind, made.state, made.workflows.len())).collect();
    let scheduled = (TriggerKind::ScheduledPipeline, PipelineState::Created, 1);
    assert_eq!(kinds[1..], [scheduled, scheduled]);
    copy.git(&["push", "-q", &site.url("ada"), "main:other"]).await;
    let timers = site.state.store.read(|reader| reader.timer_list()).await.unwrap();
    assert_eq!(timers.len(), 1, "only the branch that its filter names");
}
