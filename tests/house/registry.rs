//! The registry with the clients that people use, over the real TLS port.

use crate::{
    git::account,
    harness::{Appliance, announce, may_run_jobs},
    image::{BOX, archive},
    workspace::WorkingCopy,
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// Writes an OCI layout whose index holds the image of `image.tar` for two machines.
const TWO_VARIANTS: &str = r#"
import hashlib, json, os, tarfile
os.makedirs("both/blobs/sha256", exist_ok=True)
def put(data):
    digest = hashlib.sha256(data).hexdigest()
    open("both/blobs/sha256/" + digest, "wb").write(data)
    return {"digest": "sha256:" + digest, "size": len(data)}
layer = open("layer.tar", "rb").read()
config = json.load(open("config.json"))
variants = []
for machine in ["amd64", "arm64"]:
    config["architecture"] = machine
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **put(json.dumps(config).encode())},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", **put(layer)}],
    }
    variants.append({"mediaType": manifest["mediaType"], **put(json.dumps(manifest).encode()),
                     "platform": {"os": "linux", "architecture": machine}})
index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": variants}
top = {"schemaVersion": 2, "manifests": [{"mediaType": index["mediaType"], **put(json.dumps(index).encode()),
       "annotations": {"org.opencontainers.image.ref.name": "both"}}]}
json.dump(top, open("both/index.json", "w"))
json.dump({"imageLayoutVersion": "1.0.0"}, open("both/oci-layout", "w"))
"#;

/// A folder with an image, a registry, and who may do what there.
struct Bench {
    appliance: Appliance,
    folder: tempfile::TempDir,
    /// `127.0.0.1:PORT`.
    host: String,
    /// `login:token`.
    member: String,
    admin: String,
}

impl Bench {
    fn new() -> Self {
        let appliance = Appliance::start();
        let host = appliance.base_url.trim_start_matches("https://").to_owned();
        let folder = tempfile::tempdir().unwrap();
        archive(folder.path(), &BOX);
        // Some clients insist that the file of credentials is there.
        fs::write(folder.path().join("auth.json"), "{}").unwrap();
        let certificates = folder.path().join("certificates");
        fs::create_dir(&certificates).unwrap();
        fs::copy(appliance.data().join("tls/ca.pem"), certificates.join("ca.crt")).unwrap();
        let member = account(&appliance, "dev", "member");
        let admin = account(&appliance, "root", "admin");
        Self { appliance, folder, host, member, admin }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        Command::new(program)
            .args(arguments)
            .current_dir(self.folder.path())
            .env("XDG_RUNTIME_DIR", self.folder.path())
            .env("REGISTRY_AUTH_FILE", self.path("auth.json"))
            .env("NO_PROXY", "127.0.0.1")
            .output()
            .unwrap()
    }

    /// A client's words; it must succeed.
    fn good(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.run(program, arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {told}\n{}",
            self.appliance.log()
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn skopeo(&self, arguments: &[&str]) -> String {
        self.good("skopeo", &[&["--insecure-policy"], arguments].concat())
    }
}

fn has(program: &str) -> bool {
    let argument = if program == "busybox" { "true" } else { "--version" };
    let there =
        Command::new(program).arg(argument).output().is_ok_and(|output| output.status.success());
    if !there {
        announce(&format!("skipped: {program} is not installed"));
    }
    there
}

#[test]
fn skopeo_pushes_pulls_copies_inspects_and_deletes() {
    if !has("skopeo") || !has("busybox") {
        return;
    }
    let bench = Bench::new();
    let host = &bench.host;
    let member = bench.member.clone();
    let at = |name: &str| format!("docker://{host}/{name}");
    let (tool, other) = (at("site/tool:1"), at("site/other:2"));
    let to = ["--dest-cert-dir", "certificates", "--dest-creds", &member];
    let from = ["--src-cert-dir", "certificates", "--src-creds", &member];
    let look = ["--cert-dir", "certificates", "--creds", &member];
    bench.skopeo(&[&["copy"], &to[..], &["docker-archive:image.tar", &tool]].concat());
    let told = bench.skopeo(&[&["inspect"], &look[..], &[&tool]].concat());
    assert!(
        told.contains("\"Architecture\": \"amd64\"") && told.contains("FLAVOUR=busybox"),
        "{told}"
    );
    bench.skopeo(&[&["copy"], &from[..], &[&tool, "oci:pulled:1"]].concat());
    // From one repository to another: layers are mounted, not sent.
    let both = [&["copy"], &from[..], &to[..], &[&tool, &other]].concat();
    bench.skopeo(&both);
    bench.good("python3", &["-c", TWO_VARIANTS]);
    bench.skopeo(&[&["copy", "--all"], &to[..], &["oci:both:both", &at("site/both:1")]].concat());
    bench.skopeo(&[&["copy", "--all"], &from[..], &[&at("site/both:1"), "oci:again:1"]].concat());
    let raw = bench.skopeo(&[&["inspect", "--raw"], &look[..], &[&at("site/both:1")]].concat());
    assert!(raw.contains("arm64") && raw.contains("amd64"), "{raw}");
    let tags = bench.skopeo(&[&["list-tags"], &look[..], &[&at("site/tool")]].concat());
    assert!(tags.contains("\"1\""), "{tags}");

    let refused = bench.run(
        "skopeo",
        &[
            "--insecure-policy",
            "inspect",
            "--cert-dir",
            "certificates",
            "--creds",
            "dev:wrong",
            &tool,
        ],
    );
    assert!(!refused.status.success());
    let member_deletes = [&["--insecure-policy", "delete"], &look[..], &[&other]].concat();
    assert!(!bench.run("skopeo", &member_deletes).status.success(), "a member does not delete");
    let admin = bench.admin.clone();
    bench.skopeo(&["delete", "--cert-dir", "certificates", "--creds", &admin, &other]);
    let gone = [&["--insecure-policy", "inspect"], &look[..], &[&other]].concat();
    assert!(!bench.run("skopeo", &gone).status.success());

    if has("umoci") {
        let unpacked = bench.path("unpacked");
        bench.good("umoci", &["unpack", "--image", "pulled:1", unpacked.to_str().unwrap()]);
        assert!(unpacked.join("rootfs/etc/box-release").exists());
    }
    buildah(&bench, &member);
    command_line(&bench, &look);
}

/// Pulls, changes and pushes with buildah, where it runs.
fn buildah(bench: &Bench, member: &str) {
    if !has("buildah") {
        return;
    }
    let (root, state) = (bench.path("containers"), bench.path("state"));
    let own = [
        "--root",
        root.to_str().unwrap(),
        "--runroot",
        state.to_str().unwrap(),
        "--storage-driver",
        "vfs",
    ];
    let policy = bench.path("policy.json");
    fs::write(&policy, r#"{"default":[{"type":"insecureAcceptAnything"}]}"#).unwrap();
    let reach =
        ["--cert-dir", "certificates", "--creds", member, "--signature-policy", "policy.json"];
    let name = format!("docker://{}/site/tool:1", bench.host);
    let pulled = bench.run("buildah", &[&own[..], &["pull"], &reach[..], &[&name]].concat());
    if !pulled.status.success() {
        let why = String::from_utf8_lossy(&pulled.stderr).into_owned();
        assert!(!why.contains("unauthorized") && !why.contains("manifest"), "{why}");
        return announce(&format!("skipped: buildah does not run here: {why}"));
    }
    let image = String::from_utf8_lossy(&pulled.stdout).trim().to_owned();
    let target = format!("docker://{}/site/built:1", bench.host);
    bench.good("buildah", &[&own[..], &["push"], &reach[..], &[&image, &target]].concat());
}

/// What was pushed is listed, copied, exported and imported by the appliance's own command.
fn command_line(bench: &Bench, look: &[&str]) {
    let registry = |arguments: &[&str]| {
        let output = bench.appliance.cli(&[&["registry"], arguments].concat());
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(registry(&["list"]).contains("docker.io/site/tool:1"));
    let (exported, folder) =
        (bench.path("exported.tar"), format!("{}/", bench.path("layout").display()));
    registry(&["export", "site/both:1", exported.to_str().unwrap()]);
    registry(&["export", &format!("{}/site/tool:1", bench.host), &folder]);
    let archive = format!("oci-archive:{}", exported.display());
    bench.skopeo(&["copy", "--all", &archive, "oci:from-archive:1"]);
    let docker = format!("docker-archive:{}", exported.display());
    bench.skopeo(&["copy", &docker, "oci:from-docker:1"]);
    assert!(Path::new(&folder).join("index.json").exists());
    registry(&["copy", "site/both:1", "site/copied:2"]);
    let raw = bench.skopeo(
        &[&["inspect", "--raw"], look, &[&format!("docker://{}/site/copied:2", bench.host)]]
            .concat(),
    );
    assert!(raw.contains("arm64"), "{raw}");
    registry(&["remove", "site/copied:2"]);
    registry(&["import", exported.to_str().unwrap(), "--tag", "site/imported:3"]);
    assert!(registry(&["list"]).contains("docker.io/site/imported:3"));
}

#[test]
fn a_pushed_image_runs_in_a_job_at_once() {
    if !has("skopeo") || !has("busybox") || !may_run_jobs() {
        return;
    }
    let bench = Bench::new();
    let member = bench.member.clone();
    let target = format!("docker://{}/acme/tool:1", bench.host);
    bench.skopeo(&[
        "copy",
        "--dest-cert-dir",
        "certificates",
        "--dest-creds",
        &member,
        "docker-archive:image.tar",
        &target,
    ]);
    let config = format!(
        "version: 2.1\njobs:\n  long:\n    docker: [{{image: '{}/acme/tool:1'}}]\n    steps:\n      - run: {{command: 'echo from $FLAVOUR', shell: '/bin/sh -e'}}\n  short:\n    docker: [{{image: 'acme/tool:1'}}]\n    steps:\n      - run: {{command: 'echo from $FLAVOUR', shell: '/bin/sh -e'}}\nworkflows:\n  main:\n    jobs: [long, short]\n",
        bench.host
    );
    let copy = WorkingCopy::new(&bench.appliance, "acme/tool", &bench.member);
    copy.commit(".circleci/config.yml", &config, "In a pushed box");
    copy.push();
    let pipeline = bench.appliance.newest_pipeline("acme/tool")["id"].as_str().unwrap().to_owned();
    let states = bench.appliance.wait_for_workflows(&pipeline);
    let log = bench.appliance.cli(&["job", "log", "acme/tool", "1"]);
    let log = String::from_utf8_lossy(&log.stdout).into_owned();
    assert_eq!(states[0].1, "success", "{log}");
    assert!(log.contains("from busybox"), "{log}");
}
