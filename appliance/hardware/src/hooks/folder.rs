//! Which hooks there are, and which of them may run.
//!
//! Invariants: the folder, the event's folder and the file belong to root or to this process's own
//! user, and nobody else may write them; a link is judged by what it leads to. What is refused is
//! listed with its reason and its remedy, never silently left out.

use super::{
    Event, Happening, conf,
    run::{self, Outcome},
};
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// The folder whose hooks run at every event.
const ANY: &str = "any";
/// Hooks of one event; a folder with more is not a folder of hooks.
const HOOKS_MAX: usize = 64;

/// Where hooks are, and as whom they run.
#[derive(Debug, Clone)]
pub struct Hooks {
    folder: PathBuf,
    user: String,
}

/// One hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// File.
    pub path: PathBuf,
    /// As whom it runs.
    pub user: String,
    /// User and group id, when this process may change to them.
    pub(super) ids: Option<(u32, u32)>,
    /// How long it may run.
    pub allowed: Duration,
}

/// Why a hook is not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Somebody else could have written it.
    #[error("{0} can be written by others (mode {mode:04o}, owner {owner}): run `chown root:root {0} && chmod go-w {0}`", path.display())]
    Open {
        /// The file or folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// Its owner's id.
        owner: u32,
    },
    /// It is not executable.
    #[error("{0} is not executable: run `chmod 755 {0}`", path.display())]
    NotExecutable {
        /// The file.
        path: PathBuf,
    },
    /// Its `.conf` cannot be read.
    #[error("{}: {why}", path.display())]
    Conf {
        /// The `.conf`.
        path: PathBuf,
        /// Line and remedy.
        why: String,
    },
    /// There is no such user.
    #[error("{} should run as `{user}`, but there is no such user here", path.display())]
    NoUser {
        /// The hook.
        path: PathBuf,
        /// The user.
        user: String,
    },
    /// It has no place in the order.
    #[error("{} is not named NN-name, such as 10-fan-boost: rename it, or begin its name with a dot", path.display())]
    Unordered {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be looked at.
    #[error("{} cannot be looked at: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        why: String,
    },
}

impl Hooks {
    /// Hooks below `folder`, which run as `user` unless their `.conf` names another.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>, user: impl Into<String>) -> Self {
        Self { folder: folder.into(), user: user.into() }
    }

    /// Folders that look like an event's and are none.
    #[must_use]
    pub fn strays(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return Vec::new() };
        let is_stray = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let is_known = name == ANY || name.parse::<Event>().is_ok();
            path.is_dir() && !is_known && !name.starts_with('.')
        };
        entries.flatten().map(|entry| entry.path()).filter(is_stray).collect()
    }

    /// Whether there is somebody as whom hooks run.
    #[must_use]
    pub fn has_user(&self) -> bool {
        ids(&self.folder, &self.user).is_ok()
    }

    /// Why hooks of whatever event will not run, each once.
    #[must_use]
    pub fn refusals(&self) -> Vec<Refusal> {
        let mut all = Vec::new();
        for refusal in Event::ALL.into_iter().flat_map(|event| self.of(event)) {
            all.extend(refusal.err().filter(|refusal| !all.contains(refusal)));
        }
        all
    }

    /// The hooks of `event`, in their order, each ready or refused.
    #[must_use]
    pub fn of(&self, event: Event) -> Vec<Result<Hook, Refusal>> {
        let mut files: Vec<PathBuf> =
            [event.as_str(), ANY].iter().flat_map(|name| files(&self.folder.join(name))).collect();
        files.sort_by(|a, b| a.file_name().cmp(&b.file_name()).then_with(|| a.cmp(b)));
        files.into_iter().take(HOOKS_MAX).map(|path| self.judge(path)).collect()
    }

    /// Runs the hooks of a happening, each when the outcome of the one before was taken: a hook may
    /// switch the machine off.
    pub fn fire(&self, happening: &Happening) -> impl Iterator<Item = Outcome> {
        self.of(happening.event).into_iter().map(move |hook| match hook {
            Ok(hook) => run::run(&hook, happening),
            Err(refusal) => Outcome::refused(&refusal),
        })
    }

    fn judge(&self, path: PathBuf) -> Result<Hook, Refusal> {
        if !is_ordered(&path) {
            return Err(Refusal::Unordered { path });
        }
        let real = fs::canonicalize(&path).map_err(|error| unreadable(&path, &error))?;
        let folders = [Some(self.folder.as_path()), path.parent(), real.parent()];
        for place in folders.into_iter().flatten().chain([real.as_path()]) {
            closed(place)?;
        }
        let mode = fs::metadata(&real).map_err(|error| unreadable(&path, &error))?.mode();
        if mode & 0o111 == 0 {
            return Err(Refusal::NotExecutable { path });
        }
        let conf = read_conf(&path)?;
        let user = conf.user.unwrap_or_else(|| self.user.clone());
        let ids = ids(&path, &user)?;
        Ok(Hook { path, user, ids, allowed: conf.allowed })
    }
}

/// The files of a folder, links that lead nowhere too; `.conf` files, hidden ones, copies of editors
/// and folders are not hooks.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let is_hook = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        !name.starts_with('.') && !name.ends_with(".conf") && !name.ends_with('~') && !path.is_dir()
    };
    entries.flatten().map(|entry| entry.path()).filter(is_hook).collect()
}

/// Is it named `NN-name`?
fn is_ordered(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    matches!(name, [a, b, b'-', _, ..] if a.is_ascii_digit() && b.is_ascii_digit())
}

fn closed(path: &Path) -> Result<(), Refusal> {
    let meta = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    let owner = meta.uid();
    let own = owner == 0 || owner == rustix::process::geteuid().as_raw();
    if own && meta.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(Refusal::Open { path: path.to_path_buf(), mode: meta.mode() & 0o7777, owner })
}

fn read_conf(hook: &Path) -> Result<conf::Conf, Refusal> {
    let mut name = hook.file_name().unwrap_or_default().to_owned();
    name.push(".conf");
    let path = hook.with_file_name(name);
    let text = match fs::read_to_string(&path) {
        Ok(text) => {
            closed(&path)?;
            text
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(unreadable(&path, &error)),
    };
    conf::parse(&text).map_err(|why| Refusal::Conf { path, why })
}

/// `None` for a process that is no superuser: it can only run hooks as itself.
fn ids(hook: &Path, user: &str) -> Result<Option<(u32, u32)>, Refusal> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let found = conf::user(&passwd, user);
    found.map(Some).ok_or_else(|| Refusal::NoUser { path: hook.to_path_buf(), user: user.into() })
}

fn unreadable(path: &Path, error: &std::io::Error) -> Refusal {
    Refusal::Unreadable { path: path.to_path_buf(), why: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder's file → a part of the reason why it is refused.
    fn check(name: &str, link: Option<&str>, expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        let event = folder.path().join("thermal-warning");
        fs::create_dir(&event).unwrap();
        match link {
            Some(to) => std::os::unix::fs::symlink(to, event.join(name)).unwrap(),
            None => fs::write(event.join(name), "#!/bin/sh\n").unwrap(),
        }
        let found = Hooks::new(folder.path(), "root").of(Event::ThermalWarning);
        let [Err(refusal)] = found.as_slice() else { panic!("{name}: {found:?}") };
        assert!(refusal.to_string().contains(expected), "{refusal}");
    }

    #[test]
    fn what_will_not_run_is_never_left_out_silently() {
        check("10-fan", None, "is not executable");
        check("10-fan", Some("/nowhere/fan-boost"), "cannot be looked at");
        check("5-fan", None, "is not named NN-name");
        check("fan", None, "is not named NN-name");
    }

    #[test]
    fn folders_of_no_event_are_told() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["any", "thermal-warning", "thermal-warnning", ".old"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let strays = Hooks::new(folder.path(), "root").strays();
        assert_eq!(strays, [folder.path().join("thermal-warnning")]);
    }
}
