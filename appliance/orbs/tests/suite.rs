//! The orb store from the outside: what is added is found, kept, and never changed behind a back.

#![expect(clippy::unwrap_used, reason = "a test ends where its preparation fails")]

use orbs::{Added, Error, Failure, Name, Registry, Reply, check, read, write_bundle};
use pipeline::{Orbs, Request, Values};
use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

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
    check_name("https://git.example/orbs/../x.yml", false);
    check_name("https://user@git.example/x.yml", false);
    check_name("http://git.example/x.yml", true);
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
        let registry = registry.clone().allow_only([prefix.parse().unwrap()]);
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

/// A store that may ask below `https://git.example/`, and how often it did.
fn asking(answer: impl Fn() -> Result<Reply, Failure> + Send + Sync + 'static) -> Asking {
    let (folder, registry) = registry();
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let registry = registry.allow_only(["https://git.example/".parse().unwrap()]).fetch_with(
        Arc::new(move |_: &str| {
            counter.fetch_add(1, Ordering::Relaxed);
            answer()
        }),
    );
    Asking { folder, registry, asked }
}

struct Asking {
    folder: tempfile::TempDir,
    registry: Registry,
    asked: Arc<AtomicUsize>,
}

const ADDRESS: &str = "https://git.example/a.yml";

impl Asking {
    /// Whether a configuration that names the address gets it, and how often it was asked so far.
    fn check(&self, found: bool, asked: usize) {
        let orbs = self.registry.load_for(&format!("orbs: {{a: '{ADDRESS}'}}")).unwrap();
        assert_eq!(orbs.find(ADDRESS).is_some(), found);
        assert_eq!(self.asked.load(Ordering::Relaxed), asked);
    }

    /// Makes the copy look older than five minutes.
    fn age(&self) {
        let addresses = self.folder.path().join("orbs/addresses");
        let record = fs::read_dir(&addresses)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.extension().is_some_and(|end| end == "fetched"))
            .unwrap();
        let text = fs::read_to_string(&record).unwrap();
        let digest = text.split_once(' ').unwrap().1;
        fs::write(&record, format!("1700000000000000 {digest}")).unwrap();
    }
}

#[test]
fn an_address_is_asked_once_in_five_minutes() {
    let asking = asking(|| Ok(Reply::Text(ORB.into())));
    asking.check(true, 1);
    asking.check(true, 1);
    asking.age();
    asking.check(true, 2);
    asking.check(true, 2);
    let other = asking.registry.load_for("orbs: {a: 'https://evil.example/a.yml'}").unwrap();
    assert!(other.find("https://evil.example/a.yml").is_none());
    assert_eq!(asking.asked.load(Ordering::Relaxed), 2);
}

#[test]
fn while_nobody_answers_the_copy_serves() {
    let up = Arc::new(AtomicBool::new(true));
    let answer = Arc::clone(&up);
    let asking = asking(move || match answer.load(Ordering::Relaxed) {
        true => Ok(Reply::Text(ORB.into())),
        false => Err(Failure::Unreachable("is down".into())),
    });
    asking.check(true, 1);
    up.store(false, Ordering::Relaxed);
    asking.age();
    asking.check(true, 2);
    // It failed just now, and is not asked again so soon.
    asking.check(true, 2);
    let text = format!(
        "version: 2.1\norbs: {{a: '{ADDRESS}'}}\njobs: {{build: {{machine: true, steps: [a/say]}}}}\n"
    );
    let compile = |orbs: &Orbs| {
        let request = Request { orbs: orbs.clone(), values: Values::local(), ..Request::default() };
        pipeline::compile(&text, &request)
    };
    let done = asking.registry.compile_with(&text, compile, |done| done.absent.clone()).unwrap();
    let told: Vec<String> = done.warnings().map(|warning| warning.message.clone()).collect();
    assert!(done.config.is_some() && told.len() == 1 && told[0].contains("is down"), "{told:?}");
}

#[test]
fn what_was_brought_by_hand_is_never_asked_for() {
    let asking = asking(|| Err(Failure::Refused("is not there".into())));
    asking.check(false, 1);
    add(&asking.registry, ADDRESS, ORB).unwrap();
    asking.check(true, 1);
}

#[test]
fn what_is_brought_by_hand_while_the_address_is_asked_stays_and_is_told() {
    const FETCHED: &str = "version: 2.1\ncommands: {say: {steps: [run: echo fetched]}}\n";
    let folder = tempfile::tempdir().unwrap();
    let by_hand = Registry::at(folder.path().join("orbs"));
    let other = by_hand.clone();
    let ask = move |_: &str| {
        assert_eq!(add(&other, ADDRESS, ORB).unwrap(), Added::New);
        Ok(Reply::Text(FETCHED.into()))
    };
    let asking =
        by_hand.allow_only(["https://git.example/".parse().unwrap()]).fetch_with(Arc::new(ask));
    let text = format!(
        "version: 2.1\norbs: {{a: '{ADDRESS}'}}\njobs: {{build: {{machine: true, steps: [a/say]}}}}\n"
    );
    let compile = |orbs: &Orbs| {
        let request = Request { orbs: orbs.clone(), values: Values::local(), ..Request::default() };
        (orbs.clone(), pipeline::compile(&text, &request))
    };
    let absent = |done: &(Orbs, pipeline::Compilation)| done.1.absent.clone();
    for told in [1, 0] {
        let (orbs, done) = asking.compile_with(&text, compile, absent).unwrap();
        assert_eq!(&*orbs.find(ADDRESS).unwrap().text, ORB);
        let warnings: Vec<_> = done.warnings().map(|one| one.message.clone()).collect();
        assert_eq!(warnings.len(), told, "{warnings:?}");
        assert!(warnings.iter().all(|words| words.contains("imported by hand")), "{warnings:?}");
    }
}

#[test]
fn compilations_that_start_together_ask_once() {
    let asking = asking(|| Ok(Reply::Text(ORB.into())));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| asking.registry.load_for(&format!("orbs: {{a: '{ADDRESS}'}}")).unwrap());
        }
    });
    assert_eq!(asking.asked.load(Ordering::Relaxed), 1);
}

#[test]
fn an_address_with_an_expression_is_asked_for_when_it_is_known() {
    let asking = asking(|| Ok(Reply::Text(ORB.into())));
    let text = "version: 2.1\nparameters: {v: {type: string, default: a}}\norbs: {a: 'https://git.example/<<pipeline.parameters.v>>.yml'}\njobs: {build: {machine: true, steps: [a/say]}}\n";
    let compile = |orbs: &Orbs| {
        let request = Request { orbs: orbs.clone(), values: Values::local(), ..Request::default() };
        pipeline::compile(text, &request)
    };
    let done = asking.registry.compile_with(text, compile, |done| done.absent.clone()).unwrap();
    let errors: Vec<String> = done.errors().map(pipeline::Diagnostic::render).collect();
    assert!(done.config.is_some(), "{errors:?}");
    asking.check(true, 1);
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
