//! Looks at a job's files from outside, without running anything inside.
//!
//! Invariants: every path is resolved within the job's root, links included, whatever the job
//! does meanwhile (openat2 with RESOLVE_IN_ROOT), and within the root's own file system: what the kernel
//! tells in `/proc` and `/sys` it tells whoever asks, and here that is the host's root; opening never
//! waits (a pipe, say).

use super::Sandbox;
use crate::{Error, User};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// Larger passwd and group files are cut: they would be an attack.
const ACCOUNTS_MAX: u64 = 1 << 20;

/// The kernel answers EAGAIN when a rename elsewhere made a resolution unsure.
const RESOLVE_TRIES: u32 = 16;

impl Sandbox {
    /// Opens a file or directory of the job for reading. Whether it is a plain file is for the
    /// caller to ask of the result's metadata.
    ///
    /// # Errors
    /// What the kernel says: not found, a loop of links.
    pub fn open(&self, path: &Path) -> Result<File, Error> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        self.resolve(path, flags).map(File::from).map_err(Error::path("open in the job", path))
    }

    /// Whether something is at this path inside.
    #[must_use]
    pub fn exists(&self, path: &Path) -> bool {
        self.resolve(path, OFlags::PATH | OFlags::CLOEXEC).is_ok()
    }

    /// Reads the account that an image or configuration names: `name`, `uid`, `name:group` or
    /// `uid:gid`; empty is root.
    ///
    /// # Errors
    /// A name that the job's passwd or group file does not know.
    pub fn user(&self, text: &str) -> Result<User, Error> {
        let read = |path: &str| {
            let mut content = String::new();
            let file = self.open(Path::new(path)).ok()?;
            file.take(ACCOUNTS_MAX).read_to_string(&mut content).ok().map(|_| content)
        };
        let (passwd, group) =
            (read("/etc/passwd").unwrap_or_default(), read("/etc/group").unwrap_or_default());
        account(text, &passwd, &group).ok_or_else(|| Error::Invalid {
            field: "user",
            value: text.to_owned(),
            reason: "the job's /etc/passwd and /etc/group do not name it; use a number or add it to the image",
        })
    }

    fn resolve(&self, path: &Path, flags: OFlags) -> io::Result<std::os::fd::OwnedFd> {
        let root = self.root.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        let mut result = Err(rustix::io::Errno::AGAIN);
        for _ in 0..RESOLVE_TRIES {
            result = rustix::fs::openat2(root, path, flags, Mode::empty(), how);
            if !matches!(result, Err(rustix::io::Errno::AGAIN)) {
                break;
            }
        }
        Ok(result?)
    }
}

/// Source: passwd(5), group(5); the forms are those of an image's `User`.
fn account(text: &str, passwd: &str, group: &str) -> Option<User> {
    let (name, group_name) =
        text.split_once(':').map_or((text, None), |(name, group)| (name, Some(group)));
    let name = if name.is_empty() { "0" } else { name };
    let lines = || {
        passwd
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .filter(|line| line.len() >= 6)
    };
    let by_name = lines().find(|line| line[0] == name);
    let entry = by_name.or_else(|| lines().find(|line| line[2] == name));
    let mut user = match entry {
        Some(line) => User {
            uid: line[2].parse().ok()?,
            gid: line[3].parse().ok()?,
            home: if line[5].is_empty() { "/".into() } else { line[5].into() },
            name: line[0].into(),
            groups: Vec::new(),
        },
        None => {
            User { uid: name.parse().ok()?, name: name.into(), home: "/".into(), ..User::default() }
        }
    };
    let groups = || {
        group.lines().map(|line| line.split(':').collect::<Vec<_>>()).filter(|line| line.len() >= 4)
    };
    match group_name {
        Some(wanted) => {
            let known =
                groups().find(|line| line[0] == wanted).and_then(|line| line[2].parse().ok());
            user.gid = known.or_else(|| wanted.parse().ok())?;
        }
        None => {
            let member = |line: &Vec<&str>| line[3].split(',').any(|one| one == user.name);
            user.groups = groups().filter(member).filter_map(|line| line[2].parse().ok()).collect();
        }
    }
    Some(user)
}

#[cfg(test)]
mod tests {
    use super::account;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\nci:x:1000:1001::/home/ci:/bin/bash\nbroken:x\n";
    const GROUP: &str = "root:x:0:\nci:x:1001:\ndocker:x:999:ci,other\n";

    fn check(text: &str, expected: Option<(u32, u32, &str, &[u32])>) {
        let found = account(text, PASSWD, GROUP);
        let shown = found
            .as_ref()
            .map(|user| (user.uid, user.gid, user.home.as_str(), user.groups.as_slice()));
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn accounts_are_named_as_images_name_them() {
        check("", Some((0, 0, "/root", &[])));
        check("ci", Some((1000, 1001, "/home/ci", &[999])));
        check("1000", Some((1000, 1001, "/home/ci", &[999])));
        check("ci:docker", Some((1000, 999, "/home/ci", &[])));
        check("4321", Some((4321, 0, "/", &[])));
        check("4321:77", Some((4321, 77, "/", &[])));
        check("nobody-here", None);
        check("ci:nogroup", None);
        check("broken", None);
    }
}
