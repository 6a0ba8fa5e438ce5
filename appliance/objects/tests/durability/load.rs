//! Mixed load: small and large puts, uploads in parts, copies, deletes, images.

use crate::s3::S3;
use objects::{Config, Error, Objects, Place, oci::Source};
use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};
use store::{SiteKey, Store};

/// What a key holds: bytes that follow from a seed, or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) seed: u64,
    pub(crate) size: usize,
}

/// The key is not there.
pub(crate) const ABSENT: Value = Value { seed: 0, size: 0 };

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.seed, self.size)
    }
}

impl FromStr for Value {
    type Err = std::num::ParseIntError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (seed, size) = text.split_once('.').unwrap_or((text, "0"));
        Ok(Self { seed: seed.parse()?, size: size.parse()? })
    }
}

/// Bytes that no other seed gives.
pub(crate) fn noise(value: Value) -> Vec<u8> {
    let mut state = value.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(value.size + 8);
    while bytes.len() < value.size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(value.size);
    bytes
}

/// The bucket of the load.
pub(crate) const BUCKET: &str = "load";

/// Opens the room at a folder, or over another place.
pub(crate) async fn open(dir: &Path, place: Option<Place>) -> Result<(Objects, Store), String> {
    let settings = store::Config::new(dir.join("store"));
    let store = tokio::task::spawn_blocking(move || Store::open(&settings, SiteKey::new([7; 32])))
        .await
        .unwrap()
        .map_err(|error| error.to_string())?;
    let place = place.unwrap_or(Place::Folder(dir.join("blobs")));
    let config = Config { keep_free: 0, ..Config::over(place) };
    let objects = Objects::open(config, store.clone()).await.map_err(|error| error.to_string())?;
    Ok((objects, store))
}

/// What is done next.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Put,
    Parts,
    Copy,
    Delete,
    Image,
}

const DEEDS: [Deed; 9] = [
    Deed::Put,
    Deed::Put,
    Deed::Copy,
    Deed::Put,
    Deed::Delete,
    Deed::Parts,
    Deed::Put,
    Deed::Image,
    Deed::Put,
];

/// Sizes around the bounds: in a row, just not in a row, one write, several writes.
const SIZES: [usize; 6] = [100, 4 << 10, 16 << 10, (16 << 10) + 1, 90_000, 700_000];

/// Keys of one line of load.
const KEYS: u64 = 5;

/// Where a line of load tells what it does.
pub(crate) trait Tell: Send + Sync {
    fn begin(&self, key: &str, value: Value);
    fn done(&self, key: &str, value: Value);
    fn failed(&self, key: &str, why: &str);
}

/// One line of load: its own keys, one deed after the other.
pub(crate) struct Line {
    pub(crate) objects: Objects,
    pub(crate) s3: S3,
    pub(crate) name: String,
    /// Archives of images lie here while they are imported; not on the disk under test.
    pub(crate) scratch: PathBuf,
    /// What is known to be there.
    known: BTreeMap<String, Value>,
    seed: u64,
}

impl Line {
    pub(crate) fn new(objects: &Objects, s3: &S3, name: String, scratch: &Path, seed: u64) -> Self {
        let (objects, s3, scratch) = (objects.clone(), s3.clone(), scratch.to_owned());
        Self { objects, s3, name, scratch, known: BTreeMap::new(), seed }
    }

    fn value(&mut self) -> Value {
        self.seed += 1;
        let sizes = SIZES.len() as u64;
        let size = SIZES[usize::try_from(self.seed.wrapping_mul(7) % sizes).unwrap()];
        Value { seed: self.seed, size }
    }

    /// Does deed number `number`.
    pub(crate) async fn step(&mut self, number: u64, tell: &dyn Tell) {
        let deed = DEEDS[usize::try_from(number % DEEDS.len() as u64).unwrap()];
        let key = format!("{}/k{}", self.name, number % KEYS);
        let (key, value, from) = match deed {
            Deed::Image => (format!("image:{}", self.name), self.value(), None),
            Deed::Delete => (key, ABSENT, None),
            Deed::Copy => match self.known.iter().find(|(other, value)| {
                **other != key && **value != ABSENT && !other.starts_with("image:")
            }) {
                Some((other, value)) => (key, *value, Some(other.clone())),
                None => (key, self.value(), None),
            },
            Deed::Put | Deed::Parts => (key, self.value(), None),
        };
        self.known.remove(&key);
        tell.begin(&key, value);
        match self.act(deed, &key, value, from).await {
            Ok(()) => {
                tell.done(&key, value);
                self.known.insert(key, value);
            }
            Err(why) => tell.failed(&key, &why),
        }
    }

    async fn act(
        &self,
        deed: Deed,
        key: &str,
        value: Value,
        from: Option<String>,
    ) -> Result<(), String> {
        let told = |error: Error| error.to_string();
        match (deed, from) {
            (Deed::Copy, Some(from)) => self.s3.copy(BUCKET, &from, key).await,
            (Deed::Put | Deed::Copy, _) => {
                self.objects.put(BUCKET, key, noise(value)).await.map(drop).map_err(told)
            }
            (Deed::Parts, _) => self.s3.parts(BUCKET, key, noise(value)).await,
            (Deed::Delete, _) => self.objects.delete(BUCKET, key).await.map_err(told),
            (Deed::Image, _) => self.image(value).await,
        }
    }

    /// Every other image is pushed, the rest is imported.
    async fn image(&self, value: Value) -> Result<(), String> {
        if value.seed.is_multiple_of(2) {
            return crate::push::push(&self.objects, &self.name, value).await;
        }
        let path = self.scratch.join(format!("{}.tar", self.name));
        let manifest = format!(
            r#"[{{"Config":"c.json","RepoTags":["load/{}:1"],"Layers":["layer"]}}]"#,
            self.name
        );
        let config = format!(r#"{{"config":{{}},"seed":{}}}"#, value.seed);
        let mut tar = tar::Builder::new(std::fs::File::create(&path).unwrap());
        let files: [(&str, &[u8]); 3] = [
            ("c.json", config.as_bytes()),
            ("layer", &noise(value)),
            ("manifest.json", manifest.as_bytes()),
        ];
        for (name, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, bytes).unwrap();
        }
        drop(tar.into_inner().unwrap());
        let imported = self.objects.image_import(Source::at(path), None, objects::alone).await;
        imported.map(drop).map_err(|error| error.to_string())
    }
}
