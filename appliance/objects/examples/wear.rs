//! What storing costs a disk: time, and bytes written for each byte stored, by size, in the
//! database and in files. `tests/bench/wear` runs it on a file system of its own.
//!
//! `cargo run --release -p objects --example wear -- FOLDER DEVICE`; DEVICE is a block device's
//! name below /sys/block, whose counter of written sectors is read.

#![expect(clippy::print_stdout, reason = "the table is what it is run for")]

use objects::{Config, Objects};
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use store::{SiteKey, Store};
use tokio::task::JoinSet;

/// Objects of each size.
const OBJECTS: u32 = 256;

/// Senders at once: what shares a commit shares its cost.
const SENDERS: [u32; 2] = [1, 32];

const SIZES: [usize; 7] = [1 << 10, 4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10, 256 << 10];

/// Bytes written to the device since it was made (sysfs: 512 bytes a sector).
fn written(device: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/sys/block/{device}/stat")).unwrap_or_default();
    let sectors = text.split_whitespace().nth(6).and_then(|text| text.parse::<u64>().ok());
    sectors.unwrap_or_default() * 512
}

/// Bytes that nothing compresses and that no other object has.
fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

async fn put_all(objects: &Objects, size: usize, senders: u32, first: u64) -> Duration {
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for sender in 0..senders {
        let objects = objects.clone();
        tasks.spawn(async move {
            for number in (sender..OBJECTS).step_by(senders as usize) {
                let bytes = noise(first + u64::from(number), size);
                objects
                    .put("caches", &format!("{size}/{number}"), bytes)
                    .await
                    .expect("it is stored");
            }
        });
    }
    tasks.join_all().await;
    begun.elapsed()
}

async fn measure(
    folder: &Path,
    device: &str,
    size: usize,
    senders: u32,
    inline: bool,
) -> (f64, f64) {
    let place = folder.join(format!("{size}-{senders}-{inline}"));
    let store = Store::open(&store::Config::new(place.join("store")), SiteKey::new([1; 32]))
        .expect("the store opens");
    let inline_max = if inline { size } else { 0 };
    let config = Config { inline_max, keep_free: 0, ..Config::new(place.join("blobs")) };
    let objects = Objects::open(config, store.clone()).await.expect("the room opens");
    rustix::fs::sync();
    let before = written(device);
    let took =
        put_all(&objects, size, senders, u64::from(senders) << 32 | (size as u64) << 8).await;
    drop(objects);
    // Closing copies the log home: that is a part of the cost.
    tokio::task::spawn_blocking(move || store.close()).await.expect("it ends").expect("it closes");
    rustix::fs::sync();
    let wear = (written(device) - before) as f64 / (f64::from(OBJECTS) * size as f64);
    std::fs::remove_dir_all(&place).expect("the folder goes");
    (took.as_secs_f64() * 1e3 / f64::from(OBJECTS), wear)
}

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, folder, device] = &args[..] else { panic!("give a folder and its device") };
    let folder = PathBuf::from(folder);
    println!("| size | senders | row ms | file ms | row written/stored | file written/stored |");
    println!("|---|---|---|---|---|---|");
    for size in SIZES {
        for senders in SENDERS {
            let (row, file) = (
                measure(&folder, device, size, senders, true).await,
                measure(&folder, device, size, senders, false).await,
            );
            println!(
                "| {} KiB | {senders} | {:.2} | {:.2} | {:.2} | {:.2} |",
                size >> 10,
                row.0,
                file.0,
                row.1,
                file.1
            );
        }
    }
}
