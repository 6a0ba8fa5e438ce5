//! One step's output while it grows.

use super::{
    Key, LogError, Shared,
    frame::{self, FRAME, Frame, count_lines},
    read,
    seal::{SEGMENT_PACKED, SEGMENT_SIZE},
};
use base::protocol::Refusal;
use tokio::sync::{Mutex, watch};

/// Less than this is compressed in place: handing it to another thread would take longer.
const INLINE_PACK: usize = 4 << 10;

/// A step's output and those who wait for more of it.
#[derive(Debug)]
pub(crate) struct Slot {
    /// `None` until it is needed: then read from what is sealed and from the ring.
    pub(crate) step: Mutex<Option<Step>>,
    news: watch::Sender<News>,
}

/// What followers wait for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct News {
    /// Bytes so far.
    pub(crate) total: u64,
    /// The end is committed; what remains to read is in the store.
    pub(crate) ended: bool,
}

impl Default for Slot {
    fn default() -> Self {
        Self { step: Mutex::new(None), news: watch::Sender::new(News::default()) }
    }
}

impl Slot {
    /// Tells followers how far the output goes.
    pub(crate) fn grown(&self, total: u64) {
        self.news.send_modify(|news| news.total = news.total.max(total));
    }

    /// Tells followers that nothing comes any more.
    pub(crate) fn end(&self) {
        self.news.send_modify(|news| news.ended = true);
    }

    pub(crate) fn news(&self) -> watch::Receiver<News> {
        self.news.subscribe()
    }
}

/// What is known of a step's output.
#[derive(Debug, Default, Clone)]
pub(crate) struct Step {
    /// The step is over; nothing is taken any more.
    pub(crate) ended: bool,
    /// Bytes that are durable.
    pub(crate) sealed: u64,
    /// Line breaks in them.
    pub(crate) sealed_lines: u64,
    /// Follow what is sealed.
    pub(crate) frames: Vec<Frame>,
    /// Follow the frames; less than [`FRAME`] bytes between appends.
    pub(crate) open: Vec<u8>,
    /// There is a ring to remove at the end.
    pub(crate) has_ring: bool,
    /// It begins here,
    pub(crate) ring_from: u64,
    /// and ends here.
    pub(crate) in_ring: u64,
}

impl Step {
    /// The step's state, read when it is not in memory.
    pub(crate) async fn load<'a>(
        place: &'a mut Option<Self>,
        shared: &Shared,
        key: Key,
    ) -> Result<&'a mut Self, LogError> {
        let step = match place.take() {
            Some(step) => step,
            None => read::load(shared, key).await?,
        };
        Ok(place.insert(step))
    }

    /// Bytes in unsealed frames.
    fn framed(&self) -> u64 {
        self.frames.iter().map(|frame| u64::from(frame.info.size)).sum()
    }

    /// Offset of the first byte of `open`.
    pub(crate) fn open_from(&self) -> u64 {
        self.sealed + self.framed()
    }

    /// Bytes so far: the offset wanted next.
    pub(crate) fn total(&self) -> u64 {
        self.open_from() + self.open.len() as u64
    }

    /// Line breaks so far.
    pub(crate) fn lines(&self) -> u64 {
        let framed: u64 = self.frames.iter().map(|frame| u64::from(frame.info.lines)).sum();
        self.sealed_lines + framed + count_lines(&self.open)
    }

    /// Takes what is new of `bytes`; returns the offset wanted next.
    pub(crate) fn accept(&mut self, offset: u64, bytes: &[u8]) -> Result<u64, Refusal> {
        let total = self.total();
        if offset > total {
            return Err(Refusal::Gap { expected: total });
        }
        let known = usize::try_from(total - offset).unwrap_or(usize::MAX);
        if let Some(new) = bytes.get(known..) {
            self.open.extend_from_slice(new);
        }
        Ok(self.total())
    }

    /// Compresses every full frame of the open part.
    pub(crate) async fn pack_full(&mut self) -> Result<(), LogError> {
        while self.open.len() >= FRAME {
            self.pack(FRAME).await?;
        }
        Ok(())
    }

    /// Compresses all of the open part.
    pub(crate) async fn pack_all(&mut self) -> Result<(), LogError> {
        self.pack_full().await?;
        if self.open.is_empty() { Ok(()) } else { self.pack(self.open.len()).await }
    }

    /// Compresses the first `length` open bytes; they stay open when that fails or is cut short.
    async fn pack(&mut self, length: usize) -> Result<(), LogError> {
        let frame = if length <= INLINE_PACK {
            frame::pack(&self.open[..length])
        } else {
            let text = self.open[..length].to_vec();
            tokio::task::spawn_blocking(move || frame::pack(&text))
                .await
                .map_err(|stopped| LogError::Compress(std::io::Error::other(stopped)))?
        };
        self.frames.push(frame.map_err(LogError::Compress)?);
        self.open.drain(..length);
        Ok(())
    }

    pub(crate) fn segment_is_full(&self) -> bool {
        self.framed() >= SEGMENT_SIZE || self.packed() >= SEGMENT_PACKED
    }

    /// Compressed bytes in unsealed frames.
    pub(crate) fn packed(&self) -> usize {
        self.frames.iter().map(|frame| frame.packed.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, proptest};

    #[tokio::test]
    async fn frames_are_cut_at_their_size_and_lines_are_counted() {
        let mut step = Step::default();
        let text = b"0123456789abcde\n".repeat(FRAME / 16 + 10);
        step.accept(0, &text).unwrap();
        step.pack_full().await.unwrap();
        assert_eq!((step.frames.len(), step.open.len()), (1, 160));
        assert_eq!(step.lines(), FRAME as u64 / 16 + 10);
        step.pack_all().await.unwrap();
        assert_eq!((step.open_from(), step.total()), (text.len() as u64, text.len() as u64));
    }

    proptest! {
        #[test]
        fn whatever_is_repeated_the_output_is_whole(
            text in proptest::collection::vec(any::<u8>(), 1..2000),
            sends in proptest::collection::vec((0usize..2000, 1usize..400), 1..60),
        ) {
            let mut step = Step::default();
            for (from, length) in sends {
                let from = from.min(text.len());
                let end = (from + length).min(text.len());
                let before = step.total();
                match step.accept(from as u64, &text[from..end]) {
                    Ok(total) => assert_eq!(total, before.max(end as u64)),
                    Err(refusal) => assert_eq!(refusal, Refusal::Gap { expected: before }),
                }
                assert_eq!(step.open, text[..step.open.len()]);
            }
        }
    }
}
