//! Bodies of requests and answers: bytes in memory, and files in pieces.
//!
//! Why: an artifact may be larger than the memory of the machine; it passes through in pieces of
//! a quarter megabyte.
//! Invariants: a file body is exactly as long as announced, or the exchange breaks.

use crate::control_plane::Trouble;
use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use std::{
    fs::File,
    io::{self, Read, Seek, Write},
    path::Path,
};

/// One read of a file.
const PIECE: usize = 256 << 10;

/// Any body that the client sends.
pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// No content.
pub(super) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// Content in memory.
pub(super) fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// The `size` bytes from `offset` on of the file at `path`.
pub(super) fn file(path: &Path, offset: u64, size: u64) -> Body {
    let pieces = Pieces { file: open(path, offset).map(|file| file.take(size)) };
    StreamBody::new(stream::iter(pieces)).boxed_unsync()
}

fn open(path: &Path, offset: u64) -> io::Result<File> {
    let mut file = File::open(path)?;
    file.seek(io::SeekFrom::Start(offset))?;
    Ok(file)
}

struct Pieces {
    file: io::Result<io::Take<File>>,
}

impl Iterator for Pieces {
    type Item = io::Result<Frame<Bytes>>;

    fn next(&mut self) -> Option<Self::Item> {
        let file = match &mut self.file {
            Ok(file) => file,
            Err(error) => {
                return Some(Err(io::Error::new(error.kind(), "the file could not be opened")));
            }
        };
        let mut piece = Vec::with_capacity(PIECE);
        match file.by_ref().take(PIECE as u64).read_to_end(&mut piece) {
            Ok(0) => None,
            Ok(_) => Some(Ok(Frame::data(piece.into()))),
            Err(error) => Some(Err(error)),
        }
    }
}

/// Why an answer could not be kept.
pub(super) enum SaveError {
    /// The connection broke.
    Read(hyper::Error),
    /// The file could not be written.
    Write(io::Error),
}

impl SaveError {
    /// As the trouble of `attempt`, which was to fill `path`.
    pub(super) fn told_as(self, attempt: &str, path: &Path) -> Trouble {
        match self {
            Self::Read(source) => {
                Trouble::Link { attempt: attempt.to_owned(), source: source.into() }
            }
            Self::Write(source) => {
                Trouble::File { attempt: format!("write {}", path.display()), source }
            }
        }
    }
}

/// Writes an answer's content to a new file at `path`, replacing what was there.
pub(super) async fn save(mut body: Incoming, path: &Path) -> Result<(), SaveError> {
    let mut file = File::create(path).map_err(SaveError::Write)?;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(SaveError::Read)?;
        if let Some(bytes) = frame.data_ref() {
            file.write_all(bytes).map_err(SaveError::Write)?;
        }
    }
    Ok(())
}
