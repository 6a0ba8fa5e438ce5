//! The orb store from the outside: what is added is found, kept, and never changed behind a back.

#![expect(clippy::unwrap_used, reason = "a test ends where its preparation fails")]

use orbs::{Added, Error, Name, Registry, check, read, write_bundle};
use std::{fs, path::Path};

const ORB: &str = "version: 2.1\ncommands: {say: {steps: [run: echo hi]}}\n";

fn registry() -> (tempfile::TempDir, Registry) {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::at(folder.path().join("orbs"));
    (folder, registry)
}

fn add(registry: &Registry, name: &str, text: &str) -> Result<Added, Error> {
    registry.add(&name.parse::<Name>()?, text)
}

fn put(folder: &Path, path: &str, text: &str) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn a_release_never_changes_and_a_dev_version_does() {
    let (_folder, registry) = registry();
    assert_eq!(add(&registry, "acme/tools@1.0.0", ORB).unwrap(), Added::New);
    assert_eq!(add(&registry, "acme/tools@1.0.0", ORB).unwrap(), Added::Same);
    let refused = add(&registry, "acme/tools@1.0.0", "version: 2.1\n").unwrap_err().to_string();
    assert!(refused.contains("acme/tools@1.0.0") && refused.contains("new version"), "{refused}");
    assert_eq!(add(&registry, "acme/tools@dev:x", ORB).unwrap(), Added::New);
    assert_eq!(add(&registry, "acme/tools@dev:x", "version: 2.1\n").unwrap(), Added::Replaced);
    assert_eq!(&*registry.source("acme/tools@1").unwrap().text, ORB);
    assert_eq!(&*registry.source("acme/tools@dev:x").unwrap().text, "version: 2.1\n");
}

#[test]
fn many_writers_of_one_release_agree_on_the_first() {
    let (_folder, registry) = registry();
    let texts: Vec<String> =
        (0..8).map(|n| format!("version: 2.1\ndescription: '{n}'\n")).collect();
    let results: Vec<bool> = std::thread::scope(|scope| {
        let handles: Vec<_> = texts
            .iter()
            .map(|text| scope.spawn(|| add(&registry, "acme/tools@1.0.0", text).is_ok()))
            .collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).collect()
    });
    assert_eq!(results.iter().filter(|ok| **ok).count(), 1);
    let winner = results.iter().position(|ok| *ok).unwrap();
    assert_eq!(*registry.source("acme/tools@1.0.0").unwrap().text, texts[winner]);
}

#[test]
fn a_write_that_was_cut_leaves_nothing_that_is_found() {
    let (folder, registry) = registry();
    add(&registry, "acme/tools@1.0.0", ORB).unwrap();
    put(folder.path(), "orbs/registry/acme/tools/.new-abc", "version: 2.");
    put(folder.path(), "orbs/registry/acme/tools/notes.txt", "x");
    assert_eq!(registry.versions("acme/tools").unwrap().len(), 1);
    assert_eq!(registry.list().unwrap().len(), 1);
}

fn check_name(name: &str, accepted: bool) {
    let (_folder, registry) = registry();
    assert_eq!(add(&registry, name, ORB).is_ok(), accepted, "{name}");
}

#[test]
fn names_cannot_leave_the_store() {
    check_name("acme/tools@1.0.0", true);
    check_name("acme/tools@1.0", false);
    check_name("acme/tools", false);
    check_name("../tools@1.0.0", false);
    check_name("acme/../../x@1.0.0", false);
    check_name("acme/tools@dev:../x", false);
    check_name("https://git.example/orbs/../x.yml", true);
    check_name("http://git.example/x.yml", false);
    check_name(&format!("https://git.example/{}", "x".repeat(300)), false);
}

#[test]
fn a_configuration_gets_what_it_names_and_what_that_names() {
    let (_folder, registry) = registry();
    for version in ["1.0.0", "1.2.0", "2.0.0"] {
        add(&registry, &format!("acme/outer@{version}"), "version: 2.1\norbs: {i: acme/inner@1}\n")
            .unwrap();
    }
    add(&registry, "acme/inner@1.0.1", ORB).unwrap();
    add(&registry, "acme/other@1.0.0", ORB).unwrap();
    let found = |text: &str| registry.load_for(text).unwrap();
    let orbs = found("orbs: {o: acme/outer@1}");
    assert_eq!(orbs.find("acme/outer@1").unwrap().resolved, "acme/outer@1.2.0");
    assert_eq!(orbs.find("acme/inner@1").unwrap().resolved, "acme/inner@1.0.1");
    assert!(orbs.find("acme/other@1").is_none());
    let chosen = found("orbs: {o: 'acme/outer@<<pipeline.parameters.v>>'}");
    assert_eq!(chosen.find("acme/outer@2").unwrap().resolved, "acme/outer@2.0.0");
    assert_eq!(found("orbs: {o: acme/outer@3}").versions("acme/outer").len(), 3);
}

#[test]
fn addresses_are_answered_below_allowed_prefixes_alone() {
    let (_folder, registry) = registry();
    add(&registry, "https://git.example/orbs/a.yml", ORB).unwrap();
    let finds = |prefix: &str| {
        let registry = registry.clone().allow_only([prefix.to_owned()]);
        registry
            .load_for("orbs: {a: 'https://git.example/orbs/a.yml'}")
            .unwrap()
            .find("https://git.example/orbs/a.yml")
            .is_some()
    };
    assert!(finds("https://git.example/orbs/") && finds("https://git.example"));
    assert!(!finds("https://git.exam") && !finds("https://other.example/"));
    assert_eq!(registry.list().unwrap()[0].name, "https://git.example/orbs/a.yml");
}

#[test]
fn a_file_a_source_folder_and_a_bundle_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join(path);
    put(folder.path(), "orb.yml", ORB);
    assert_eq!(read(&at("orb.yml"), Some("acme/aa@1.0.0")).unwrap()[0].text, ORB);
    assert!(read(&at("orb.yml"), None).unwrap_err().to_string().contains("orb import"));
    put(folder.path(), "source/src/@orb.yml", "version: 2.1\n");
    put(
        folder.path(),
        "source/src/commands/say.yml",
        "steps: [run: <<include(scripts/say.sh)>>]\n",
    );
    put(folder.path(), "source/src/scripts/say.sh", "echo hi\n");
    let packed = read(&at("source"), Some("acme/bb@dev:x")).unwrap();
    assert!(packed[0].text.contains("- run: |\n        echo hi\n"), "{}", packed[0].text);
    assert!(
        read(&at("source/src/scripts"), None).unwrap_err().to_string().contains("no orb in it")
    );
}

#[test]
fn a_bundle_carries_orbs_from_store_to_store() {
    let ((_a, from), (folder, to)) = (registry(), registry());
    for name in ["acme/aa@1.0.0", "acme/bb@2.1.3", "acme/bb@dev:x"] {
        add(&from, name, ORB).unwrap();
    }
    let path = folder.path().join("orbs.tar.gz");
    let mut bytes = vec![];
    let all = ["acme/aa@1", "acme/bb@2.1.3", "acme/bb@dev:x"].map(|name| {
        let found = from.source(name).unwrap();
        (found.resolved, found.text.to_string())
    });
    assert_eq!(write_bundle(&all, &mut bytes).unwrap(), 3);
    fs::write(&path, &bytes).unwrap();
    for candidate in read(&path, None).unwrap() {
        to.add(&candidate.name, &candidate.text).unwrap();
    }
    assert_eq!(to.list().unwrap(), from.list().unwrap());
    assert!(read(&path, Some("acme/aa@1.0.0")).unwrap_err().to_string().contains("own names"));
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(read(&path, None).unwrap_err().to_string().contains("unpack"));
}

#[test]
fn an_orb_is_checked_and_what_it_lacks_is_a_warning() {
    let (_folder, registry) = registry();
    let codes = |text: &str| -> Vec<(bool, &'static str)> {
        let found = check(&registry, "orb.yml", text).unwrap();
        found.iter().map(|d| (d.is_error(), d.code.as_str())).collect()
    };
    assert_eq!(codes(ORB), []);
    assert_eq!(codes("version: 2.1\norbs: {x: acme/gone@1}\n"), [(false, "orb")]);
    assert_eq!(
        codes("version: 2.1\ncommands: {c: {steps: [nothing]}}\n"),
        [(true, "unknown-name")]
    );
}
