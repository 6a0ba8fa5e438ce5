//! A `docker:` job on an image brought in from an archive.

use crate::{
    git::account,
    harness::{Appliance, BINARY, announce, may_run_jobs},
    workspace::WorkingCopy,
};
use std::{
    fs,
    io::Write,
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const PROJECT: &str = "acme/box";

const CONFIG: &str = "version: 2.1\njobs:\n  inside:\n    docker: [{image: 'site/box:1'}]\n    steps:\n      - checkout\n      - run: {command: 'echo from $FLAVOUR > /dev/stdout; ls /etc/box-release; cat README /etc/hosts; id -u', shell: '/bin/sh -e'}\n      - run: echo by default in $0\nworkflows:\n  main:\n    jobs: [inside]\n";

/// Runs a shell script in a folder; it must succeed.
fn shell(folder: &Path, script: &str) {
    let status = Command::new("sh").args(["-ec", script]).current_dir(folder).status().unwrap();
    assert!(status.success(), "{script}");
}

/// What an image is made of.
pub(crate) struct Image<'a> {
    /// Name and tag.
    pub(crate) name: &'a str,
    /// The `config` of its configuration, as JSON.
    pub(crate) config: &'a str,
    /// Makes more of its `root` folder, beside which it runs.
    pub(crate) script: &'a str,
}

/// An image that holds busybox alone.
pub(crate) const BOX: Image<'_> = Image {
    name: "site/box:1",
    config: r#"{"Env":["PATH=/bin","FLAVOUR=busybox"]}"#,
    script: "echo 1 > root/etc/box-release",
};

/// Busybox is here to be put into images.
pub(crate) fn has_busybox() -> bool {
    let found = Command::new("busybox").arg("true").status().is_ok_and(|status| status.success());
    if !found {
        announce("skipped: images are made of busybox-static");
    }
    found
}

/// What `docker save` would write for an image of busybox, as `image.tar`.
pub(crate) fn archive(folder: &Path, image: &Image<'_>) -> PathBuf {
    let Image { name, config, script } = image;
    shell(
        folder,
        &format!(
            r#"rm -rf root; mkdir -p root/bin root/etc root/tmp root/root
cp "$(command -v busybox)" root/bin/busybox
for tool in sh ls cat echo mkdir env sleep id wget httpd ps grep hostname touch; do ln -s busybox root/bin/$tool; done
echo 'root:x:0:0:root:/root:/bin/sh' > root/etc/passwd
{script}
tar --create --owner=0 --group=0 --numeric-owner --file=layer.tar --directory=root .
diff=$(sha256sum layer.tar | cut -d' ' -f1)
printf '{{"architecture":"amd64","os":"linux","config":%s,"rootfs":{{"type":"layers","diff_ids":["sha256:%s"]}}}}' '{config}' "$diff" > config.json
printf '[{{"Config":"config.json","RepoTags":["{name}"],"Layers":["layer.tar"]}}]' > manifest.json
tar --create --file=image.tar manifest.json config.json layer.tar"#
        ),
    );
    folder.join("image.tar")
}

#[test]
fn a_missing_image_says_how_to_import_it_and_an_imported_one_runs() {
    if !has_busybox() || !may_run_jobs() {
        return;
    }
    let appliance = Appliance::start();
    let copy = WorkingCopy::new(&appliance, PROJECT, &account(&appliance, "dev", "member"));
    fs::write(copy.path().join("README"), "read me\n").unwrap();
    copy.commit(".circleci/config.yml", CONFIG, "In a box");
    copy.push();
    let first = appliance.newest_pipeline(PROJECT)["id"].as_str().unwrap().to_owned();
    assert_eq!(appliance.wait_for_workflows(&first)[0].1, "failed");
    let log = |number: &str| {
        let output = appliance.cli(&["job", "log", PROJECT, number]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(log("1").contains("appliance registry import"), "{}", log("1"));

    let folder = tempfile::tempdir().unwrap();
    // Of a user who is not root: what is made for the job must be open to all of its users.
    let image = Image {
        config: r#"{"User":"box","Env":["PATH=/bin","FLAVOUR=busybox"]}"#,
        script:
            "mkdir -p root/home/box; echo 'box:x:1000:1000::/home/box:/bin/sh' >> root/etc/passwd
echo 1 > root/etc/box-release; chmod -R go+rX root",
        ..BOX
    };
    let image = archive(folder.path(), &image);
    let imported = appliance.cli(&["registry", "import", image.to_str().unwrap()]);
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    let made = appliance.api("POST", &format!("/api/v2/project/gh/{PROJECT}/pipeline"), Some("{}"));
    let second = made["id"].as_str().unwrap();
    let states = appliance.wait_for_workflows(second);
    let told = log("2");
    assert_eq!(states[0].1, "success", "{told}");
    for text in
        ["from busybox", "/etc/box-release", "read me", "localhost", "\n1000\n", "by default in "]
    {
        assert!(told.contains(text), "`{text}` is missing:\n{told}");
    }
}

/// `registry import -` at the end of a pipe.
fn pipe_in(appliance: &Appliance, image: &Path) -> (bool, String) {
    let script = "cat \"$1\" | \"$0\" registry import - --data-dir \"$2\"";
    let output = Command::new("sh")
        .args(["-c", script, BINARY])
        .args([image, &appliance.data()])
        .output()
        .unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The same at the end of a socket, as `ssh` has it.
fn socket_in(appliance: &Appliance, image: &Path) -> (bool, String) {
    let (mut near, far) = UnixStream::pair().unwrap();
    let import = Command::new(BINARY)
        .args(["registry", "import", "-", "--data-dir"])
        .arg(appliance.data())
        .stdin(OwnedFd::from(far))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Who cannot read it is gone before the last byte.
    drop(near.write_all(&fs::read(image).unwrap()));
    drop(near);
    let output = import.wait_with_output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn an_image_comes_from_standard_input_and_above_the_mark_the_mark_is_named() {
    if !has_busybox() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let image = archive(folder.path(), &BOX);
    shell(folder.path(), "gzip -k image.tar");
    let image = image.with_extension("tar.gz");
    let appliance = Appliance::start();
    let (good, told) = pipe_in(&appliance, &image);
    assert!(good, "{told}");
    let listed = appliance.cli(&["registry", "list"]).stdout;
    assert!(String::from_utf8_lossy(&listed).contains("site/box:1"));
    let (good, told) = socket_in(&appliance, &image);
    assert!(good, "{told}");

    // More than any disk of a test has free.
    let mark = [("APPLIANCE_OBJECTS_KEEP_FREE_MIB", "1048576")];
    let above = Appliance::start_with([0, 0], &mark);
    let (good, told) = pipe_in(&above, &image);
    assert!(!good && told.contains("objects_keep_free_mib"), "{told}");
}
