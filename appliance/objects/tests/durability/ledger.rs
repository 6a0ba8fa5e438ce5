//! What each key may hold, and the comparison with what it does hold.

use crate::load::{ABSENT, BUCKET, Tell, Value, noise, open};
use objects::{Entry, Error, Objects, Place};
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// Values that each key may hold: the last acknowledged one, and those begun after it.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    may: Mutex<BTreeMap<String, Vec<Value>>>,
    told: Mutex<(u64, Vec<String>)>,
    /// The disk is being cut: what is told from here on may be there or not. A sync that overlaps
    /// the shutdown of an ext4 can return without an error although the journal has dropped its
    /// transaction; nobody has heard such an answer before the power went.
    cutting: AtomicBool,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tell for Ledger {
    fn begin(&self, key: &str, value: Value) {
        locked(&self.may).entry(key.to_owned()).or_insert_with(|| vec![ABSENT]).push(value);
    }

    fn done(&self, key: &str, value: Value) {
        if self.cutting.load(Ordering::SeqCst) {
            return;
        }
        locked(&self.may).insert(key.to_owned(), vec![value]);
        locked(&self.told).0 += 1;
    }

    fn failed(&self, key: &str, why: &str) {
        locked(&self.told).1.push(format!("{key}: {why}"));
    }
}

impl Ledger {
    /// Takes in a line of the worker.
    pub(crate) fn line(&self, line: &str) {
        let mut words = line.splitn(4, ' ');
        let (Some("@"), Some(word), Some(key)) = (words.next(), words.next(), words.next()) else {
            return;
        };
        let rest = words.next().unwrap_or_default();
        match word {
            "begin" => self.begin(key, rest.parse().unwrap()),
            "done" => self.done(key, rest.parse().unwrap()),
            _ => self.failed(key, rest),
        }
    }

    /// From here on, until the comparison, an answer comes too late to be counted on.
    pub(crate) fn cut(&self) {
        self.cutting.store(true, Ordering::SeqCst);
    }

    /// Deeds acknowledged so far.
    pub(crate) fn acknowledged(&self) -> u64 {
        locked(&self.told).0
    }

    /// What failed since the last question.
    pub(crate) fn failures(&self) -> Vec<String> {
        std::mem::take(&mut locked(&self.told).1)
    }

    /// Opens the room and compares; the ledger then holds what is there. Returns files kept.
    pub(crate) async fn compare(&self, dir: &Path, place: Option<Place>) -> u64 {
        self.cutting.store(false, Ordering::SeqCst);
        let (objects, store) = open(dir, place).await.expect("the next start needs no hand");
        let keys: Vec<(String, Vec<Value>)> = locked(&self.may).clone().into_iter().collect();
        for (key, may) in keys {
            let found = content(&objects, &key).await;
            let fits = may.iter().copied().find(|value| match &found {
                None => *value == ABSENT,
                Some(bytes) => *value != ABSENT && *bytes == noise(*value),
            });
            let size = found.map(|bytes| bytes.len());
            let fits = fits.unwrap_or_else(|| panic!("{key} holds {size:?}, may hold {may:?}"));
            locked(&self.may).insert(key, vec![fits]);
        }
        self.nothing_else(&objects).await;
        objects.sweep_now().await.unwrap();
        objects.gc_now().await.unwrap();
        let scrubbed = objects.scrub_all().await.unwrap();
        assert_eq!(scrubbed.rotten, 0, "rows without their bytes");
        tokio::task::spawn_blocking(move || store.close()).await.unwrap().unwrap();
        scrubbed.files
    }

    /// The bucket lists no key that nobody put.
    async fn nothing_else(&self, objects: &Objects) {
        let mut after = None::<String>;
        loop {
            let page = match objects.list(BUCKET, "", None, after.as_deref(), 1000).await {
                Err(Error::NoBucket(_)) => return,
                other => other.unwrap(),
            };
            for entry in page.entries {
                let Entry::Object(info) = entry else { continue };
                let known = locked(&self.may).get(&info.key).cloned().unwrap_or_default();
                assert!(
                    known.iter().any(|value| *value != ABSENT),
                    "{} came from nowhere",
                    info.key
                );
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return,
            }
        }
    }
}

/// The bytes of a key, or of the only layer of an image.
async fn content(objects: &Objects, key: &str) -> Option<Vec<u8>> {
    let (bucket, key) = match key.strip_prefix("image:") {
        None => (BUCKET, key.to_owned()),
        Some(name) => {
            let reference = format!("load/{name}:1");
            let life = std::time::Duration::from_secs(60);
            let source = match objects.image_source(&reference, life).await {
                Err(objects::oci::ImageError::Missing(_)) => return None,
                other => other.expect("a name leads to a whole image"),
            };
            let hex = source.layers[0].digest.trim_start_matches("sha256:").to_owned();
            ("images", format!("blobs/sha256/{hex}"))
        }
    };
    match objects.get_small(bucket, &key, 64 << 20).await {
        Ok(bytes) => Some(bytes),
        Err(Error::NoObject { .. } | Error::NoBucket(_)) => None,
        Err(other) => panic!("{key}: {other}"),
    }
}
