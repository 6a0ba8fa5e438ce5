//! What a job does with the appliance's own faces: objects with its own key, and a pipeline that it
//! continues.

use crate::{
    git::account,
    harness::{Appliance, announce, may_run_jobs},
    workspace::WorkingCopy,
};
use std::path::Path;

const PROJECT: &str = "acme/keeper";

/// The AWS CLI once, because it takes a second to start; curl signs the other requests.
const KEEP: &str = r#"version: 2.1
jobs:
  keep:
    machine: true
    environment: {AWS_DEFAULT_REGION: us-east-1}
    steps:
      - run: |
          export AWS_ACCESS_KEY_ID=$APPLIANCE_S3_ACCESS_KEY_ID
          export AWS_SECRET_ACCESS_KEY=$APPLIANCE_S3_SECRET_ACCESS_KEY
          export AWS_SESSION_TOKEN=$APPLIANCE_S3_SESSION_TOKEN
          s3() { aws --endpoint-url "$APPLIANCE_S3_URL" s3 "$@"; }
          head -c 9000000 /dev/zero > large
          s3 cp --no-progress large s3://given/large
          curl --silent --show-error --fail "$(s3 presign s3://given/large)" | cmp - large
      - run: |
          ask() {
            curl --silent --show-error --write-out '%{http_code}\n' --aws-sigv4 aws:amz:us-east-1:s3 \
              --user "$APPLIANCE_S3_ACCESS_KEY_ID:$APPLIANCE_S3_SECRET_ACCESS_KEY" \
              --header "x-amz-security-token: ${TOKEN:-$APPLIANCE_S3_SESSION_TOKEN}" \
              --header "x-amz-content-sha256: UNSIGNED-PAYLOAD" "$@" | tee answer
          }
          ask --request PUT "$APPLIANCE_S3_URL/made" | grep 200
          ask "$APPLIANCE_S3_URL/made" | grep made
          ask "$APPLIANCE_S3_URL/foreign" | grep AccessDenied
          ask "$APPLIANCE_S3_URL/images" | grep AccessDenied
          TOKEN=AAAA ask "$APPLIANCE_S3_URL/given" | grep InvalidToken
          echo others "closed"
workflows:
  main:
    jobs: [keep]
"#;

#[test]
fn a_job_keeps_objects_with_the_key_of_its_project() {
    if !may_run_jobs() {
        return;
    }
    // Jobs see the programs of the system, not those of its users.
    if !Path::new("/usr/bin/aws").exists() {
        announce("skipped: the test of a job's key needs the AWS CLI");
        return;
    }
    let appliance = Appliance::start();
    let admin = account(&appliance, "root", "admin");
    let told = appliance.cli(&["bucket", "create", "given", "--owner", PROJECT]);
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let told = appliance.cli(&["bucket", "create", "foreign"]);
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let copy = WorkingCopy::new(&appliance, PROJECT, &admin);
    copy.commit(".circleci/config.yml", KEEP, "Keep");
    copy.push();
    let (states, told) = outcome(&appliance, 1);
    assert_eq!(states, ["success"], "{told}");
    for text in ["upload: ./large to s3://given/large", "others closed"] {
        assert!(told.contains(text), "`{text}` is missing:\n{told}");
    }
}

const SETUP: &str = r##"version: 2.1
setup: true
jobs:
  choose:
    machine: true
    steps:
      - run: |
          cat > next.yml \<<'END'
          version: 2.1
          parameters: {colour: {type: string, default: none}}
          jobs:
            paint:
              machine: true
              steps: [run: 'echo painted \<< pipeline.parameters.colour >>']
          workflows:
            chosen:
              jobs: [paint]
          END
          python3 -c 'import json, os
          print(json.dumps({"continuation-key": os.environ["CIRCLE_CONTINUATION_KEY"],
            "configuration": open("next.yml").read(), "parameters": {"colour": "turquoise"}}))' > body
          ask() { curl --silent --show-error --output answer --write-out '%{http_code}\n' --json @body "$APPLIANCE_URL/api/v2/pipeline/continue"; cat answer; echo; }
          ask
          ask
workflows:
  setup:
    jobs: [choose]
"##;

#[test]
fn a_setup_job_continues_its_pipeline_from_inside() {
    if !may_run_jobs() {
        return;
    }
    let appliance = Appliance::start();
    let copy = WorkingCopy::new(&appliance, PROJECT, &account(&appliance, "dev", "member"));
    copy.commit(".circleci/config.yml", SETUP, "Choose");
    copy.push();
    let (_, told) = outcome(&appliance, 1);
    let answers: Vec<&str> =
        told.lines().filter(|line| line.len() == 3 && line.parse::<u16>().is_ok()).collect();
    assert!(matches!(answers.as_slice(), ["200", "400" | "409" | "422"]), "{told}");
    let (states, told) = outcome(&appliance, 2);
    assert_eq!(states, ["success", "success"], "{told}");
    assert!(told.contains("painted turquoise"), "{told}");
}

/// How the workflows of the newest pipeline ended, and the log of a job.
fn outcome(appliance: &Appliance, job: u32) -> (Vec<String>, String) {
    let pipeline = appliance.newest_pipeline(PROJECT)["id"].as_str().unwrap().to_owned();
    let states = appliance.wait_for_workflows(&pipeline).into_iter().map(|(_, state)| state);
    let states = states.collect();
    let output = appliance.cli(&["job", "log", PROJECT, &job.to_string()]);
    (states, String::from_utf8_lossy(&output.stdout).into_owned())
}
