//! Accounts and tokens by the command line, used from the network.

use crate::harness::{Appliance, BINARY};
use std::{fs, process::Command};

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

/// The command line over the network: its exit code, and what it said.
fn from_afar(house: &Appliance, host: &str, ca: &str, token: Option<&str>) -> (i32, String) {
    let mut command = Command::new(BINARY);
    command
        .args(["context", "list", "none", "--host", host, "--ca", ca])
        .env_remove("APPLIANCE_TOKEN");
    if let Some(token) = token {
        command.env("APPLIANCE_TOKEN", token);
    }
    let output = command.current_dir(house.folder.path()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

#[test]
fn the_command_line_from_afar_says_what_is_missing() {
    let house = Appliance::start();
    told(&house, &["user", "create", "robot", "--machine"]);
    let token = told(&house, &["token", "create", "robot", "nightly"]);
    let own = fs::read_to_string(house.data().join("tls/ca.pem")).unwrap();
    let make = "openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -subj /CN=other -keyout key.pem -out other.pem";
    let made = Command::new("sh").args(["-c", make]).current_dir(house.folder.path()).output();
    assert!(made.unwrap().status.success());
    let other = fs::read_to_string(house.folder.path().join("other.pem")).unwrap();
    for (name, text) in
        [("own.pem", own.clone()), ("both.pem", other + &own), ("none.pem", String::new())]
    {
        fs::write(house.folder.path().join(name), text).unwrap();
    }
    let check = |host: &str, ca: &str, token: Option<&str>, code: i32, words: &str| {
        let (found, said) = from_afar(&house, host, ca, token);
        assert!(found == code && said.contains(words), "{host} {ca}: {found} {said}");
    };
    let host = house.base_url.as_str();
    // With the line's end of the file that the token stood in.
    check(host, "own.pem", Some(&token), 3, "Organization not found");
    check(host, "both.pem", Some(token.trim()), 3, "Organization not found");
    check(host, "own.pem", None, 4, "into APPLIANCE_TOKEN");
    check(host, "own.pem", Some(""), 4, "into APPLIANCE_TOKEN");
    check(host, "own.pem", Some("apl_other"), 4, "APPLIANCE_TOKEN holds a token that");
    check(host, "own.pem", Some("apl_a b"), 2, "APPLIANCE_TOKEN: it holds what no token has");
    check(host, "other.pem", Some(&token), 7, "another authority than other.pem");
    check(host, "none.pem", Some(&token), 2, "no certificate in it");
    check(&host.replace("https", "http"), "own.pem", None, 2, "expected https://HOST[:PORT]");
}
