//! The S3 face with the programs that people point at it. Each is passed over, with a note, where
//! it is not installed.

#![expect(clippy::unwrap_used, reason = "a test ends where its preparation fails")]
#![expect(clippy::disallowed_methods, reason = "tests start the real clients")]

use base::secret::Secret;
use objects::{Config, Objects, Owner, Scope};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use store::{SiteKey, Store};

const KEY: &str = "AKTEST";
const SECRET: &str = "test-secret";

/// A face on loopback, and a folder for its client.
struct Site {
    folder: tempfile::TempDir,
    port: u16,
}

impl Site {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = store::Config::new(folder.path().join("store"));
        let store = Store::open(&config, SiteKey::new([7; 32])).unwrap();
        let config = Config { keep_free: 0, ..Config::new(folder.path().join("blobs")) };
        let objects = Objects::open(config, store).await.unwrap();
        let owner = Owner { id: "ann".into(), display: "Ann".into(), email: String::new() };
        objects.key_import(KEY, &Secret::new(SECRET), owner, Scope::Owner, None).await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(axum::serve(listener, objects::s3::router(objects)).into_future());
        Self { folder, port }
    }

    fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A tree with a small, an empty, a strangely named and a large file.
    fn tree(&self) -> PathBuf {
        let tree = self.folder.path().join("tree");
        fs::create_dir_all(tree.join("deep/er")).unwrap();
        fs::write(tree.join("small"), b"small").unwrap();
        fs::write(tree.join("deep/empty"), b"").unwrap();
        fs::write(tree.join("deep/er/ü + & name"), b"strange").unwrap();
        let large: Vec<u8> =
            (0..12_000_000_u32).map(|n| n.wrapping_mul(7).to_le_bytes()[1]).collect();
        fs::write(tree.join("large"), large).unwrap();
        tree
    }

    fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(args)
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path())
            .env("AWS_ACCESS_KEY_ID", KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .env("AWS_DEFAULT_REGION", "us-east-1")
            // A certificate bundle of the caller is of no use on a plain loopback.
            .env_remove("AWS_CA_BUNDLE");
        command
    }

    /// Runs a client to its end and gives what it printed.
    fn run(&self, program: &str, args: &[&str]) -> String {
        let output = self.command(program, args).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let told = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{program} {args:?}: {told}");
        text(&output.stdout)
    }
}

/// The client answers; a note where it does not.
#[expect(clippy::print_stderr, reason = "a skipped test says why")]
fn is_there(program: &str, args: &[&str]) -> bool {
    let found = Command::new(program).args(args).output().is_ok_and(|out| out.status.success());
    if !found {
        eprintln!("skipped: {program} {args:?} does not run here");
    }
    found
}

fn same(first: &Path, second: &Path) {
    let output = Command::new("diff").arg("-r").args([first, second]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

async fn with_site(work: impl FnOnce(&Site) + Send + 'static) {
    let site = Site::start().await;
    tokio::task::spawn_blocking(move || work(&site)).await.unwrap();
}

/// Runs a script of `tests/clients` with the endpoint, the key and its secret.
async fn run_boto3(script: &'static str) {
    with_site(move |site| {
        if is_there("python3", &["-c", "import boto3"]) {
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(script);
            let script = script.display().to_string();
            let mut command = site.command("python3", &[&script, &site.endpoint(), KEY, SECRET]);
            // The interpreter finds its packages by the caller's home.
            command.env("HOME", std::env::var_os("HOME").unwrap_or_default());
            let output = command.output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_with_boto3_finds_all_that_it_uses() {
    run_boto3("boto3_check.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn boto3s_own_helpers_work_as_they_do_elsewhere() {
    run_boto3("boto3_walk.py").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s3cmd_puts_lists_and_gets() {
    with_site(|site| {
        if !is_there("s3cmd", &["--version"]) {
            return;
        }
        let host = format!("127.0.0.1:{}", site.port);
        let base = ["--no-ssl", "--access_key", KEY, "--secret_key", SECRET, "--host", &host];
        let run = |args: &[&str]| {
            let all: Vec<&str> =
                base.iter().chain(&["--host-bucket", &host]).chain(args).copied().collect();
            site.run("s3cmd", &all)
        };
        let (tree, back) = (site.tree(), site.folder.path().join("back"));
        fs::create_dir(&back).unwrap();
        run(&["mb", "s3://cmd"]);
        run(&["sync", &format!("{}/", tree.display()), "s3://cmd/t/"]);
        assert_eq!(run(&["ls", "-r", "s3://cmd"]).lines().count(), 4);
        run(&["sync", "s3://cmd/t/", &format!("{}/", back.display())]);
        same(&tree, &back);
        run(&["rb", "--recursive", "--force", "s3://cmd"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rclone_syncs_checks_and_purges() {
    with_site(|site| {
        if !is_there("rclone", &["version"]) {
            return;
        }
        let remote = format!(
            ":s3,provider=Other,access_key_id={KEY},secret_access_key={SECRET},endpoint='{}':",
            site.endpoint()
        );
        let (tree, back) = (site.tree(), site.folder.path().join("back"));
        let place = format!("{remote}clone/t");
        let tree_text = tree.display().to_string();
        site.run("rclone", &["sync", &tree_text, &place, "--s3-upload-cutoff", "6Mi"]);
        site.run("rclone", &["check", &tree_text, &place]);
        site.run("rclone", &["copy", &place, &back.display().to_string()]);
        same(&tree, &back);
        site.run("rclone", &["purge", &format!("{remote}clone")]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn restic_backs_up_and_restores() {
    with_site(|site| {
        if !is_there("restic", &["version"]) {
            return;
        }
        let tree = site.tree();
        let repo = format!("s3:{}/backup/site", site.endpoint());
        let run = |args: &[&str]| {
            let mut command = site.command("restic", &["-r", &repo, "--no-cache"]);
            let output = command.args(args).env("RESTIC_PASSWORD", "x").output().unwrap();
            assert!(
                output.status.success(),
                "{args:?}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        };
        run(&["init"]);
        run(&["backup", "tree"]);
        run(&["check", "--read-data"]);
        run(&["restore", "latest", "--target", "back"]);
        same(&tree, &site.folder.path().join("back").join("tree"));
        run(&["forget", "latest", "--prune"]);
    })
    .await;
}
