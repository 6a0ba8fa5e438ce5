//! What somebody set and what will not do what they meant, told at the start.
//!
//! Why: a misspelt variable is silently nothing, and a root file system that is not there fails the
//! first job instead of the installation; what protects the machine is missed on the day on which it is
//! hot. None keeps the appliance from starting: a disk may be mounted late, and other programs may use
//! the prefix.

use crate::{config::Config, settings};
use hardware::hooks::{Hooks, Refusal};
use std::path::Path;

/// Variables of the command line, which are no settings.
const OTHERS: [&str; 4] = ["CA", "CONFIG", "HOST", "TOKEN"];

/// A message for each.
pub(crate) fn all(config: &Config) -> Vec<String> {
    let roots = [("machine_root", config.machine_root.as_path())].into_iter();
    let images = config.machine_images.values().map(|path| ("machine_images", path.as_path()));
    let absent = roots.chain(images).filter(|(_, path)| !path.is_dir());
    let (folder, user) = (&config.machine.hooks, &config.machine.hooks_user);
    let machine = blindness(&config.hardware_root).into_iter().chain(hooks(folder, user));
    strangers().into_iter().chain(absent.map(absence)).chain(machine).collect()
}

/// Variables that look like settings and are none.
pub(crate) fn strangers() -> Vec<String> {
    // A name that is no text is none of ours.
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.filter_map(|name| stranger(&name)).collect()
}

/// What to say of a tree in which no machine can be read.
fn blindness(root: &Path) -> Option<String> {
    let missing = ["proc", "sys"].into_iter().find(|name| !root.join(name).is_dir())?;
    Some(format!(
        "`hardware_root` names {0}, but there is no folder {1}: the machine is not watched, and neither heat nor power holds jobs back",
        root.display(),
        root.join(missing).display()
    ))
}

/// What will not run when something happens to the machine. A folder or a user that nobody set, and
/// that nobody needs, is no oversight.
fn hooks(folder: &Path, user: &str) -> Vec<String> {
    let is_set =
        |key: &str, value: &str| settings::named(key).is_none_or(|one| one.default != value);
    let (hooks, is_there) = (Hooks::new(folder, user), folder.is_dir());
    let place = folder.display();
    let absent = (!is_there && is_set("hooks_dir", place.to_string().as_str()))
        .then(|| format!("`hooks_dir` names {place}, which is no folder: no hook runs"));
    let nobody = (!hooks.has_user() && (is_there || is_set("hooks_user", user))).then(|| {
        format!("`hooks_user` names `{user}`, but there is no such user here: only hooks run whose .conf names another")
    });
    let is_told =
        |refusal: &Refusal| matches!(refusal, Refusal::NoUser { user: own, .. } if own == user);
    let refused = hooks.refusals().into_iter().filter(|refusal| !is_told(refusal));
    let refused = refused.map(|refusal| format!("a hook will not run: {refusal}"));
    let strays = hooks.strays().into_iter().map(|path| {
        format!(
            "{}: no event has that name, nothing in it runs (`appliance hooks list`)",
            path.display()
        )
    });
    absent.into_iter().chain(nobody).chain(refused).chain(strays).collect()
}

/// What to say of a variable that looks like a setting and is none.
fn stranger(name: &str) -> Option<String> {
    let key = name.strip_prefix("APPLIANCE_")?;
    if OTHERS.contains(&key) || settings::named(&key.to_lowercase()).is_some() {
        return None;
    }
    let near = settings::nearest(&key.to_lowercase())
        .map(|near| format!(", did you mean `APPLIANCE_{}`?", near.to_uppercase()));
    Some(format!(
        "environment variable {name} is no setting and is not heeded{}",
        near.unwrap_or_default()
    ))
}

fn absence((key, path): (&str, &Path)) -> String {
    format!(
        "`{key}` names {}, which is no folder: its jobs fail until a root file system is there",
        path.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt};

    fn check(name: &str, told: Option<&str>) {
        assert_eq!(stranger(name).as_deref(), told, "{name}");
    }

    #[test]
    fn a_variable_that_is_no_setting_is_told_with_the_nearest() {
        check("APPLIANCE_LISTEN", None);
        check("APPLIANCE_TOKEN", None);
        check("PATH", None);
        check(
            "APPLIANCE_LISEN",
            Some(
                "environment variable APPLIANCE_LISEN is no setting and is not heeded, did you mean `APPLIANCE_LISTEN`?",
            ),
        );
        check(
            "APPLIANCE_QQ",
            Some("environment variable APPLIANCE_QQ is no setting and is not heeded"),
        );
    }

    #[test]
    fn a_tree_without_a_machine_is_told() {
        assert_eq!(blindness(Path::new("/")), None);
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("proc")).unwrap();
        let told = blindness(folder.path()).unwrap();
        assert!(told.contains("`hardware_root` names") && told.contains("/sys: "), "{told}");
        fs::create_dir(folder.path().join("sys")).unwrap();
        assert_eq!(blindness(folder.path()), None);
    }

    #[test]
    fn hooks_that_will_not_run_are_told_once() {
        assert_eq!(
            hooks(Path::new("/nonexist"), "0"),
            ["`hooks_dir` names /nonexist, which is no folder: no hook runs"]
        );
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(hooks(folder.path(), "0"), [""; 0]);
        for name in ["any", "power-low", "power-loww"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        for name in ["any/10-plain", "power-low/20-conf", "power-low/20-conf.conf"] {
            fs::write(folder.path().join(name), "#!/bin/sh\n").unwrap();
        }
        let conf = folder.path().join("power-low/20-conf.conf");
        fs::write(conf, "seconds=soon\n").unwrap();
        let hook = folder.path().join("power-low/20-conf");
        fs::set_permissions(hook, fs::Permissions::from_mode(0o755)).unwrap();
        let told = hooks(folder.path(), "0");
        let [plain, conf, stray] = told.as_slice() else { panic!("{told:?}") };
        assert!(plain.contains("10-plain is not executable"), "{plain}");
        assert!(conf.contains("20-conf.conf: line 1"), "{conf}");
        assert!(stray.contains("power-loww: no event has that name"), "{stray}");
    }

    #[test]
    fn a_user_of_hooks_that_is_not_there_is_told() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: changing the user needs root");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let told = hooks(folder.path(), "ghost");
        assert!(told.len() == 1 && told[0].contains("`hooks_user` names `ghost`"), "{told:?}");
        assert_eq!(hooks(Path::new("/nonexist"), "ghost").len(), 2);
    }
}
