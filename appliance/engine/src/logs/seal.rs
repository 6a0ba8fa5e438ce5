//! From frames to segments that survive.
//!
//! A segment's key is made of what it holds, so that a repeated seal replaces the object that a
//! cut left without a row.

use super::{
    Key, LogError, Shared,
    frame::{self, Frame},
    slot::Step,
};
use base::ids::TaskId;
use store::{
    Txn,
    logs::{LogSegment, SegmentBytes},
};

/// Bytes of output in one segment: seldom enough a commit, soon enough that little is sent again
/// after a restart.
pub(crate) const SEGMENT_SIZE: u64 = 4 << 20;

/// Compressed bytes at which a segment is sealed early, so that output that does not compress
/// fills no memory.
pub(crate) const SEGMENT_PACKED: usize = 1 << 20;

/// Up to here the bytes are in the row: one commit, no file. Most logs are that small.
const ROW_MAX: usize = 8 << 10;

/// The bucket of logs.
pub(crate) const BUCKET: &str = "logs";

/// The unsealed rest of a step's output; nothing when there is none.
#[derive(Debug, Default)]
#[must_use = "save it in the transaction of the step's end"]
pub struct Tail {
    segment: Option<LogSegment>,
}

impl Tail {
    /// Writes it in the transaction of the step's end.
    ///
    /// # Errors
    /// As every write.
    pub fn save(&self, txn: &Txn<'_>) -> Result<(), store::Error> {
        self.segment.as_ref().map_or(Ok(()), |segment| txn.log_segment_save(segment))
    }
}

fn object_key(key: Key, offset: u64) -> String {
    let TaskId(task) = key.task;
    format!("{task}/{}/{offset}", key.step)
}

/// The unsealed frames as a segment with its bytes in it.
fn segment(key: Key, step: &Step) -> LogSegment {
    let frames = &step.frames;
    let sum = |number: fn(&Frame) -> u32| frames.iter().map(|frame| u64::from(number(frame))).sum();
    let bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.packed.iter().copied()).collect();
    LogSegment {
        task: key.task,
        step: key.step,
        offset: step.sealed,
        line: step.sealed_lines,
        size: sum(|frame| frame.info.size),
        lines: sum(|frame| frame.info.lines),
        frames: frame::write_index(frames.iter().map(|frame| frame.info)),
        bytes: SegmentBytes::Here(bytes),
    }
}

/// Moves large bytes to the bucket of logs; durable when this returns.
async fn store_bytes(shared: &Shared, key: Key, segment: &mut LogSegment) -> Result<(), LogError> {
    let SegmentBytes::Here(bytes) = &mut segment.bytes else { return Ok(()) };
    let object = object_key(key, segment.offset);
    shared.objects.put(BUCKET, &object, std::mem::take(bytes)).await?;
    segment.bytes = SegmentBytes::Object(object);
    Ok(())
}

/// Seals all frames; they leave memory.
pub(crate) async fn seal(shared: &Shared, key: Key, step: &mut Step) -> Result<(), LogError> {
    let mut segment = segment(key, step);
    store_bytes(shared, key, &mut segment).await?;
    let (size, lines) = (segment.size, segment.lines);
    shared.store.write(move |txn| txn.log_segment_save(&segment).map_err(LogError::from)).await?;
    step.frames.clear();
    step.sealed += size;
    step.sealed_lines += lines;
    Ok(())
}

/// Everything that is not sealed, ready for the transaction of the step's end.
pub(crate) async fn prepare(shared: &Shared, key: Key, step: &mut Step) -> Result<Tail, LogError> {
    step.pack_all().await?;
    if step.frames.is_empty() {
        return Ok(Tail::default());
    }
    let mut segment = segment(key, step);
    if step.packed() > ROW_MAX {
        store_bytes(shared, key, &mut segment).await?;
    }
    Ok(Tail { segment: Some(segment) })
}
