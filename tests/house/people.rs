//! Accounts and tokens by the command line, used from the network.

use crate::harness::Appliance;
use std::process::Command;

/// What the command line printed; it must have succeeded.
fn told(house: &Appliance, arguments: &[&str]) -> String {
    let output = house.cli(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// The status of a request over TLS with this token.
fn status(house: &Appliance, method: &str, path: &str, token: &str) -> String {
    let output = Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--max-time",
            "30",
            "--output",
            "/dev/null",
            "--write-out",
        ])
        .args(["%{http_code}", "--request", method, "--cacert"])
        .arg(house.data().join("tls/ca.pem"))
        .args(["--header", &format!("circle-token: {token}")])
        .args(["--header", "content-type: application/json", "--data", "{}"])
        .arg(format!("{}{path}", house.base_url))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "curl {path}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn an_account_and_its_token_live_and_end_at_the_command_line() {
    let house = Appliance::start();
    let made = told(&house, &["user", "create", "mira", "--role", "admin", "--name", "Mira"]);
    assert!(made.contains("one-time password  "), "{made}");
    let machine = told(&house, &["user", "create", "robot", "--machine"]);
    assert!(!machine.contains("password"), "{machine}");
    let listed = told(&house, &["user", "list"]);
    assert!(listed.contains("mira") && listed.contains("robot"), "{listed}");

    let early = house.cli(&["token", "create", "admin", "early"]);
    let (early, note) = (early.stdout, String::from_utf8(early.stderr).unwrap());
    assert!(note.contains("Log in at https://") && note.contains("--machine"), "{note}");
    let early = String::from_utf8(early).unwrap();
    assert_eq!(status(&house, "GET", "/api/v2/context", early.trim()), "403", "it rests");

    let token = ["token", "create", "robot", "nightly", "--role", "viewer", "--days", "1"];
    let token = told(&house, &token).trim().to_owned();
    assert_eq!(status(&house, "GET", "/api/v2/me", &token), "200");
    assert_eq!(status(&house, "POST", "/api/v2/context", &token), "403", "a viewer makes nothing");
    let tokens = told(&house, &["token", "list", "robot"]);
    let row = tokens.lines().find(|line| line.contains("nightly")).unwrap();
    let id = row.split_whitespace().next().unwrap();

    told(&house, &["key", "create", "--owner", "robot"]);
    told(&house, &["user", "disable", "robot"]);
    assert_eq!(status(&house, "GET", "/api/v2/me", &token), "401", "locked out");
    assert!(told(&house, &["key", "list"]).contains("account locked out"), "so are its keys");
    told(&house, &["user", "enable", "robot"]);
    assert!(!told(&house, &["key", "list"]).contains("account locked out"));
    assert_eq!(status(&house, "GET", "/api/v2/me", &token), "200");
    told(&house, &["token", "revoke", "robot", id]);
    assert_eq!(status(&house, "GET", "/api/v2/me", &token), "401", "revoked");

    let refused = house.cli(&["user", "create", "../x"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("a login has"));
}
