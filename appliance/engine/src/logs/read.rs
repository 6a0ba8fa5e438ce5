//! Reading output by byte or by line, while it grows and after.
//!
//! Only the frames that a range touches are read and decompressed.

use super::{
    Key, LogError, Logs, Shared,
    frame::{self, FrameInfo, count_lines},
    ring, seal,
    slot::Step,
};
use base::ids::TaskId;
use bytes::Bytes;
use std::{ops::Range, sync::Arc};
use store::logs::{LogSegment, SegmentBytes};

/// Bytes in one answer.
pub const READ_MAX: u64 = 1 << 20;

/// A piece of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Of its first byte.
    pub offset: u64,
    /// The output.
    pub bytes: Vec<u8>,
    /// Bytes there are so far.
    pub size: u64,
    /// Nothing is added any more.
    pub ended: bool,
}

/// A piece of output in whole lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lines {
    /// Number of the first, from 0.
    pub first: u64,
    /// The output; the last line may still grow, and is cut at [`READ_MAX`].
    pub chunk: Chunk,
    /// Line breaks there are so far.
    pub total: u64,
}

/// The state of a step that is not in memory: what is sealed, and what the ring adds.
pub(crate) async fn load(shared: &Shared, key: Key) -> Result<Step, LogError> {
    let (extent, ended) = shared
        .store
        .read(move |reader| {
            let extent = reader.log_extent(key.task, key.step)?;
            let step = reader.step_get(key.task, key.step)?;
            let over = reader.task_get(key.task)?.is_some_and(|task| task.stopped_at.is_some());
            let ended = over || step.is_some_and(|step| step.stopped_at.is_some());
            Ok::<_, LogError>((extent, ended))
        })
        .await?;
    let (sealed, sealed_lines) = (extent.size, extent.lines);
    let mut step = Step { ended, sealed, sealed_lines, ..Step::default() };
    if !ended {
        ring::read_into(shared, key, &mut step).await;
    }
    Ok(step)
}

/// A frame and where to find it.
struct Located {
    info: FrameInfo,
    offset: u64,
    line: u64,
    from: Source,
}

enum Source {
    Packed(Bytes),
    Object { key: Arc<str>, at: u64 },
}

/// Everything needed to read a step: its frames in order, then its open bytes.
struct View {
    key: Key,
    frames: Vec<Located>,
    step: Step,
}

impl View {
    /// What is needed to read from offset `from` on.
    async fn of(shared: &Shared, key: Key, from: u64) -> Result<Self, LogError> {
        let slot = shared.slots().get(&key).map(Arc::clone);
        let in_memory = match slot {
            Some(slot) => slot.step.lock().await.clone(),
            None => None,
        };
        let step = match in_memory {
            Some(step) => step,
            None => load(shared, key).await?,
        };
        let mut view = Self { key, frames: Vec::new(), step };
        // Who follows the end needs no row.
        if from < view.step.sealed {
            view.add_sealed(shared).await?;
        }
        view.add_unsealed();
        Ok(view)
    }

    async fn add_sealed(&mut self, shared: &Shared) -> Result<(), LogError> {
        let key = self.key;
        let segments: Vec<LogSegment> = shared
            .store
            .read(move |reader| reader.log_segment_list(key.task, key.step).map_err(LogError::from))
            .await?;
        // A segment sealed since the state was copied is in the copy's frames.
        let sealed = self.step.sealed;
        segments
            .into_iter()
            .filter(|segment| segment.offset < sealed)
            .try_for_each(|segment| self.add_segment(segment))
    }

    fn add_segment(&mut self, segment: LogSegment) -> Result<(), LogError> {
        let (step, offset) = (self.key.step, segment.offset);
        let infos = frame::read_index(&segment.frames, || LogError::Damaged { step, offset })?;
        let (data, object) = match segment.bytes {
            SegmentBytes::Here(data) => (Bytes::from(data), None),
            SegmentBytes::Object(name) => (Bytes::new(), Some(Arc::<str>::from(name))),
        };
        let (mut at, mut offset, mut line) = (0_u64, segment.offset, segment.line);
        for info in infos {
            let end = at + u64::from(info.packed);
            let from = match &object {
                Some(key) => Source::Object { key: Arc::clone(key), at },
                None => {
                    Source::Packed(part(&data, at, end).ok_or(LogError::Damaged { step, offset })?)
                }
            };
            self.frames.push(Located { info, offset, line, from });
            (at, offset, line) = (end, offset + u64::from(info.size), line + u64::from(info.lines));
        }
        Ok(())
    }

    fn add_unsealed(&mut self) {
        let (mut offset, mut line) = (self.step.sealed, self.step.sealed_lines);
        for frame in &self.step.frames {
            let from = Source::Packed(frame.packed.clone());
            self.frames.push(Located { info: frame.info, offset, line, from });
            offset += u64::from(frame.info.size);
            line += u64::from(frame.info.lines);
        }
    }

    async fn text(&self, shared: &Shared, frame: &Located) -> Result<Vec<u8>, LogError> {
        let packed = match &frame.from {
            Source::Packed(bytes) => bytes.clone(),
            Source::Object { key, at } => {
                let range = *at..*at + u64::from(frame.info.packed);
                object_bytes(shared, key, range).await?
            }
        };
        let info = frame.info;
        let damaged = LogError::Damaged { step: self.key.step, offset: frame.offset };
        let text = tokio::task::spawn_blocking(move || frame::unpack(info, &packed)).await;
        text.ok().flatten().ok_or(damaged)
    }

    /// The bytes of `range`, as far as there are any and at most [`READ_MAX`].
    async fn bytes(&self, shared: &Shared, range: Range<u64>) -> Result<Chunk, LogError> {
        let size = self.step.total();
        let start = range.start.min(size);
        let end = range.end.clamp(start, size).min(start + READ_MAX);
        let mut bytes = Vec::new();
        for frame in &self.frames {
            let frame_end = frame.offset + u64::from(frame.info.size);
            if frame.offset < end && frame_end > start {
                let text = self.text(shared, frame).await?;
                bytes.extend_from_slice(overlap(&text, frame.offset, start..end));
            }
        }
        bytes.extend_from_slice(overlap(&self.step.open, self.step.open_from(), start..end));
        Ok(Chunk { offset: start, bytes, size, ended: self.step.ended })
    }

    /// Where line `line` begins; the end of the output when there are fewer.
    async fn line_offset(&self, shared: &Shared, line: u64) -> Result<u64, LogError> {
        if line == 0 {
            return Ok(0);
        }
        let holds = |frame: &&Located| frame.line + u64::from(frame.info.lines) >= line;
        if let Some(frame) = self.frames.iter().find(holds) {
            let text = self.text(shared, frame).await?;
            return Ok(frame.offset + after_break(&text, line - frame.line));
        }
        let breaks = self.step.lines() - count_lines(&self.step.open);
        Ok(self.step.open_from() + after_break(&self.step.open, line - breaks))
    }
}

/// The place after the `nth` line break, from 1; the end when there are fewer.
fn after_break(text: &[u8], nth: u64) -> u64 {
    let nth = usize::try_from(nth).unwrap_or(usize::MAX);
    let found = memchr::memchr_iter(b'\n', text).nth(nth.saturating_sub(1));
    found.map_or(text.len(), |place| place + 1) as u64
}

/// The part of `text`, which begins at `offset`, that lies in `range`.
fn overlap(text: &[u8], offset: u64, range: Range<u64>) -> &[u8] {
    let place =
        |at: u64| usize::try_from(at.saturating_sub(offset)).unwrap_or(usize::MAX).min(text.len());
    let (from, to) = (place(range.start), place(range.end));
    text.get(from..to).unwrap_or_default()
}

fn part(data: &Bytes, from: u64, to: u64) -> Option<Bytes> {
    let (from, to) = (usize::try_from(from).ok()?, usize::try_from(to).ok()?);
    (from <= to && to <= data.len()).then(|| data.slice(from..to))
}

async fn object_bytes(shared: &Shared, key: &str, range: Range<u64>) -> Result<Bytes, LogError> {
    use futures_util::TryStreamExt;
    let found = shared.objects.get(seal::BUCKET, key, Some(range)).await?;
    let gathered = found.bytes.try_fold(Vec::new(), |mut all, next| async move {
        all.extend_from_slice(&next);
        Ok(all)
    });
    Ok(gathered.await?.into())
}

impl Logs {
    /// Output of a step in `range`, as far as it is there, at most [`READ_MAX`] bytes.
    ///
    /// # Errors
    /// When kept output cannot be read.
    pub async fn read(
        &self,
        task: TaskId,
        step: u32,
        range: Range<u64>,
    ) -> Result<Chunk, LogError> {
        let view = View::of(&self.shared, Key { task, step }, range.start).await?;
        view.bytes(&self.shared, range).await
    }

    /// Lines `first` and following of a step, `count` of them, at most [`READ_MAX`] bytes.
    ///
    /// # Errors
    /// When kept output cannot be read.
    pub async fn read_lines(
        &self,
        task: TaskId,
        step: u32,
        first: u64,
        count: u64,
    ) -> Result<Lines, LogError> {
        let view = View::of(&self.shared, Key { task, step }, 0).await?;
        let total = view.step.lines();
        let start = view.line_offset(&self.shared, first.min(total)).await?;
        let end = match first.saturating_add(count) {
            past if past > total => view.step.total(),
            line => view.line_offset(&self.shared, line).await?,
        };
        let chunk = view.bytes(&self.shared, start..end).await?;
        Ok(Lines { first: first.min(total), chunk, total })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(range: Range<u64>, expected: &str) {
        assert_eq!(overlap(b"abcdef", 10, range), expected.as_bytes());
    }

    #[test]
    fn a_range_is_cut_to_what_a_frame_holds() {
        check(10..16, "abcdef");
        check(0..12, "ab");
        check(14..99, "ef");
        check(16..20, "");
        check(0..10, "");
    }

    #[test]
    fn lines_begin_after_their_break() {
        assert_eq!(after_break(b"a\nb\nc", 1), 2);
        assert_eq!(after_break(b"a\nb\nc", 2), 4);
        assert_eq!(after_break(b"a\nb\nc", 3), 5);
    }
}
