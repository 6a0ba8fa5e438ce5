//! What a start would find, by the same judgement, and without changing anything.

use crate::{
    SiteKey,
    error::OpenError,
    place::{Last, Lock, Mark},
    prepare::{judge, look_at_log},
    store::{Config, DATABASE},
};

/// What was found where a start would not be refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Examined {
    /// The last stop was not clean.
    pub unclean: bool,
    /// Acknowledged commits, at the least, that damage took since the last stop.
    pub lost_commits: u64,
}

/// Looks at a store that nobody has open. Without a key it is not told whether it fits. Blocks;
/// milliseconds, but for the check after an unclean stop.
///
/// # Errors
/// Those of [`crate::Store::open`], [`OpenError::InUse`] while somebody has it.
pub fn examine(config: &Config, key: Option<&SiteKey>) -> Result<Examined, OpenError> {
    Lock::probe(&config.dir)?;
    let path = config.dir.join(DATABASE);
    let (mark, last) = Mark::look(&config.dir);
    let (unclean, lost_commits) = match last {
        Last::Clean => (false, 0),
        Last::Unclean { log } => (true, look_at_log(&path, &mark, log)?),
    };
    if path.exists() {
        judge(&path, unclean, config, key)?;
    }
    Ok(Examined { unclean, lost_commits })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Store;
    use std::{collections::BTreeMap, path::Path};

    /// Every file and its bytes, but for the index of the log, which SQLite may make anew.
    fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        let read = |entry: std::fs::DirEntry| {
            let name = entry.file_name().into_string().unwrap();
            let bytes = std::fs::read(entry.path()).unwrap();
            (!name.ends_with("-shm")).then_some((name, bytes))
        };
        entries.filter_map(read).collect()
    }

    /// Looks at what `harm` left; what is told, if a start would be refused.
    fn check(harm: impl FnOnce(&Path), key: u8, expected: Result<Examined, &str>) {
        let dir = tempfile::tempdir().unwrap();
        let config = Config { was_in_use: true, ..Config::new(dir.path().join("a?b#c%20")) };
        let first = Config { was_in_use: false, ..config.clone() };
        Store::open(&first, SiteKey::new([1; 32])).unwrap().close().unwrap();
        harm(&config.dir);
        let before = files(&config.dir);
        let found = examine(&config, Some(&SiteKey::new([key; 32])));
        assert!(files(&config.dir) == before, "nothing is changed");
        match (found.map_err(|error| error.to_string()), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(told), Err(words)) => assert!(told.contains(words), "{told}"),
            (found, expected) => panic!("{found:?}, expected {expected:?}"),
        }
    }

    fn sql(dir: &Path, text: &str) {
        let sql = rusqlite::Connection::open(dir.join(DATABASE)).unwrap();
        crate::wal::keep_at_close(&sql, true).unwrap();
        sql.execute_batch(text).unwrap();
    }

    #[test]
    fn a_store_is_judged_as_at_a_start_and_stays_as_it_is() {
        let clean = Examined { unclean: false, lost_commits: 0 };
        check(|_| (), 1, Ok(clean));
        check(|_| (), 2, Err("sealed under another site key"));
        check(|dir| sql(dir, "PRAGMA user_version = 999"), 1, Err("schema version 999"));
        let in_use = |dir: &Path, text: &str| std::fs::write(dir.join("in-use"), text).unwrap();
        check(|dir| in_use(dir, ""), 1, Ok(Examined { unclean: true, ..clean }));
        check(|dir| in_use(dir, "00000000000000004096\n"), 1, Err("missing, or too short"));
        let emptied = |dir: &Path| std::fs::write(dir.join(DATABASE), b"").unwrap();
        check(emptied, 1, Err("holds nothing"));
        let damaged = |dir: &Path| std::fs::write(dir.join(DATABASE), [7; 8192]).unwrap();
        check(damaged, 1, Err("is damaged"));
    }

    #[test]
    fn what_stands_in_the_log_alone_counts() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::new(dir.path());
        let open = || Store::open(&config, SiteKey::new([1; 32]));
        let store = open().unwrap();
        let held = examine(&config, None).unwrap_err().to_string();
        assert!(held.contains(&format!("in use by pid {}", std::process::id())), "{held}");
        store.close().unwrap();
        sql(dir.path(), "PRAGMA user_version = 999");
        std::fs::write(dir.path().join("in-use"), "").unwrap();
        let before = files(dir.path());
        assert!(before.iter().any(|(name, log)| name.ends_with("-wal") && !log.is_empty()));
        let newer = examine(&config, None).unwrap_err().to_string();
        assert!(newer.contains("schema version 999"), "{newer}");
        assert!(files(dir.path()) == before && open().is_err(), "as at a start");
    }
}
