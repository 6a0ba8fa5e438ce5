//! Service containers: further images of `docker:`, beside the one whose steps run.

use crate::{
    git::account,
    harness::{Appliance, may_run_jobs},
    image::{BOX, Image, archive, has_busybox},
    workspace::WorkingCopy,
};

const PROJECT: &str = "acme/beside";

/// Serves one page that tells who serves it.
const PAGE: Image<'_> = Image {
    name: "site/page:1",
    config: r#"{"Env":["PATH=/bin","PORT=8080"],"Entrypoint":["/serve"],"Cmd":["by default"],"WorkingDir":"/srv"}"#,
    script: r#"echo 'page:x:70:70::/srv:/bin/sh' >> root/etc/passwd
printf '%s\n' '#!/bin/sh -e' 'mkdir -p /tmp/www' \
  'echo "$GREETING $* from $(id -un) in $(pwd) on $PORT; secret: $TOKEN; files: $(ls /etc/*release)" > /tmp/www/index.html' \
  'echo serving "$(cat /tmp/www/index.html)" > /dev/stderr' 'exec httpd -f -p "$PORT" -h /tmp/www' > root/serve
chmod 755 root/serve; chmod 1777 root/tmp; echo 1 > root/etc/page-release"#,
};

const CONFIG: &str = r#"version: 2.1
jobs:
  whole:
    docker:
      - image: site/box:1
        name: first
      - image: site/page:$TAG
        name: page
        environment: {GREETING: hello}
      - image: site/page:1
        command: [of, ours]
        user: page
        environment: {PORT: "8081", GREETING: bonjour}
      - image: site/box:1
        entrypoint: [/bin/sh, -c]
        command: ["echo gone; exit 7"]
    shell: /bin/sh -e
    steps:
      - run: |
          get() { until wget -q -O - "$1"; do sleep 0.1; done; }
          get http://localhost:8080/
          get http://page:8080/
          get http://127.0.0.1:8081/
          grep first /etc/hosts
      - run: |
          ls /tmp/www /etc/page-release && exit 1
          ps | grep '[h]ttpd' && exit 1
          echo on its "own"
  broken:
    docker:
      - image: site/box:1
      - image: site/page:1
        entrypoint: /no/such/program
    shell: /bin/sh -e
    steps: [run: echo never]
  absent:
    docker:
      - image: site/box:1
      - image: site/absent:1
    shell: /bin/sh -e
    steps: [run: echo never]
workflows:
  main:
    jobs: [whole, broken, absent]
"#;

fn log(appliance: &Appliance, jobs: &[serde_json::Value], name: &str) -> (String, String) {
    let job = jobs.iter().find(|job| job["name"] == name).unwrap();
    let number = job["job_number"].to_string();
    let output = appliance.cli(&["job", "log", PROJECT, &number]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    (job["status"].as_str().unwrap().to_owned(), told)
}

#[test]
fn services_run_beside_the_steps_and_end_with_the_job() {
    if !has_busybox() || !may_run_jobs() {
        return;
    }
    let appliance = Appliance::start();
    for image in [BOX, PAGE] {
        let folder = tempfile::tempdir().unwrap();
        let file = archive(folder.path(), &image);
        let imported = appliance.cli(&["registry", "import", file.to_str().unwrap()]);
        assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    }
    let copy = WorkingCopy::new(&appliance, PROJECT, &account(&appliance, "dev", "member"));
    copy.commit("README", "read me\n", "[skip ci] First");
    copy.push();
    for variable in
        [r#"{"name":"TOKEN","value":"hunter2-hunter2"}"#, r#"{"name":"TAG","value":"1"}"#]
    {
        appliance.api("POST", &format!("/api/v2/project/gh/{PROJECT}/envvar"), Some(variable));
    }
    copy.commit(".circleci/config.yml", CONFIG, "Services");
    copy.push();
    let pipeline = appliance.newest_pipeline(PROJECT)["id"].as_str().unwrap().to_owned();
    appliance.wait_for_workflows(&pipeline);
    let jobs = appliance.jobs(&pipeline);

    let (status, told) = log(&appliance, &jobs, "whole");
    assert_eq!(status, "success", "{told}");
    let page = "hello by default from root in /srv on 8080; secret: ; files: /etc/page-release";
    let other = "bonjour of ours from page in /srv on 8081; secret: ; files: /etc/page-release";
    for text in [
        "Container site/page:$TAG (page)",
        &format!("serving {page}"),
        &format!("serving {other}"),
        "Container site/box:1",
        "gone",
        "Exited with code exit status 7",
        "127.0.0.1 first",
        "on its own",
    ] {
        assert!(told.contains(text), "`{text}` is missing:\n{told}");
    }
    // Told once in its own step, and read twice by name and address.
    assert_eq!((told.matches(page).count(), told.matches(other).count()), (3, 2), "{told}");

    let (status, told) = log(&appliance, &jobs, "broken");
    assert_eq!(status, "failed", "{told}");
    for text in ["Container site/page:1", "/no/such/program", "`entrypoint:`"] {
        assert!(told.contains(text), "`{text}` is missing:\n{told}");
    }
    let (status, told) = log(&appliance, &jobs, "absent");
    assert_eq!(status, "failed", "{told}");
    for text in ["site/absent:1", "appliance registry import"] {
        assert!(told.contains(text), "`{text}` is missing:\n{told}");
    }
    assert!(!told.contains("never"), "{told}");
}
