//! What the machine's operator is shown: settings that cannot be used, the page that the unit names, when
//! the certificates end.

use crate::harness::{Appliance, BINARY};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

fn show(file: &Path, environment: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut show = Command::new(BINARY);
    show.args(["config", "show", "--config"]).arg(file).env_remove("APPLIANCE_CONFIG");
    let Output { status, stdout, stderr } =
        show.envs(environment.iter().copied()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn settings_that_cannot_be_used_are_shown_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("appliance.toml");
    let write = |text: &str| {
        let _ = fs::remove_file(&file);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
    };
    write("slots = 3\n");
    let (code, table, errors) = show(&file, &[]);
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{table}");

    write("slots = 'many'\nlisen = 'x'\n");
    let (code, table, errors) =
        show(&file, &[("APPLIANCE_KEEP_DAYS", "0"), ("APPLIANCE_LOGG", "x")]);
    assert_eq!(code, Some(2), "{table}{errors}");
    let row = |key: &str| table.lines().find(|line| line.starts_with(key)).unwrap();
    assert!(row("slots ").contains("cannot be used: expected "), "{table}");
    assert!(row("keep_days ").contains("cannot be used: expected "), "{table}");
    assert!(!row("listen ").contains("cannot be used"), "{table}");
    for words in [
        "`slots` is `many`",
        "`keep_days` is `0`",
        "there is no setting `lisen`, did you mean `listen`?",
        "does not start",
        "APPLIANCE_LOGG is no setting and is not heeded, did you mean `APPLIANCE_LOG`?",
        "the default is used",
    ] {
        assert!(errors.contains(words), "`{words}` is not in {errors}");
    }
}

#[test]
fn the_page_that_the_unit_names_is_there_once_it_is_installed_as_told() {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
    let unit = fs::read_to_string(config.join("appliance.service")).unwrap();
    let named = unit.lines().find_map(|line| line.strip_prefix("Documentation=man:")).unwrap();
    let (name, section) = named.trim_end_matches(')').split_once('(').unwrap();
    let told = fs::read_to_string(config.join("README.md")).unwrap();
    let told = told.lines().find_map(|line| line.trim().strip_prefix("appliance man ")).unwrap();
    let words: Vec<&str> = told.split_whitespace().collect();
    let [option, folder] = words[..2] else { panic!("{told}") };
    assert!(folder.ends_with(&format!("/man/man{section}")), "{folder}");
    let into = tempfile::tempdir().unwrap();
    let made = Command::new(BINARY).args(["man", option]).arg(into.path()).status().unwrap();
    assert!(made.success());
    let page = fs::read_to_string(into.path().join(format!("{name}.{section}"))).unwrap();
    assert!(page.contains(".TH appliance 1"), "{page}");
}

#[test]
fn the_ends_of_the_certificates_are_measured() {
    let appliance = Appliance::start();
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--fail", "--unix-socket"])
        .arg(appliance.data().join("control.sock"))
        .arg("http://localhost/metrics")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let end = |certificate: &str| {
        let begin =
            format!("appliance_certificate_not_after_seconds{{certificate=\"{certificate}\",");
        let row = text.lines().find(|line| line.starts_with(&begin));
        row.unwrap_or_else(|| panic!("{text}")).rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    // 2069-12-19, whatever the clock says.
    assert_eq!(end("authority"), 3_154_636_800);
    assert!(end("server") < end("authority"));
}
