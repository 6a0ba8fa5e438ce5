//! The `aws-chunked` body: chunks with or without signatures, and trailers.
//!
//! Form: `<hex>[;chunk-signature=<hex>]\r\n<bytes>\r\n` …, ended by a chunk of size 0 and, if
//! announced, trailer lines. Pure: bytes in, events out.
//! Bounds: a line has at most [`LINE_MAX`] bytes, trailers [`TRAILERS_MAX`] lines.
//! On failure: the S3 error that tells what is wrong; bytes given out before must not be used.

use super::error::{Code, S3Error};
use crate::{digest, sigv4::SigningKey};
use bytes::{Buf, Bytes, BytesMut};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Longer than any chunk header or trailer line of a client.
const LINE_MAX: usize = 4096;

/// A request has one checksum and one signature as trailers.
const TRAILERS_MAX: usize = 16;

/// Checks the chain of chunk signatures.
pub(crate) struct Chain {
    pub(crate) key: SigningKey,
    pub(crate) date: String,
    /// As it stands in the credential.
    pub(crate) scope: String,
    /// That of the request, then of each chunk.
    pub(crate) previous: String,
}

impl Chain {
    fn sign(&self, kind: &str, hash: &str) -> String {
        let empty = if kind == "PAYLOAD" {
            format!("{}\n", digest::hex(&Sha256::digest(b"")))
        } else {
            String::new()
        };
        self.key.sign(&format!(
            "AWS4-HMAC-SHA256-{kind}\n{}\n{}\n{}\n{empty}{hash}",
            self.date, self.scope, self.previous
        ))
    }

    fn check(&mut self, kind: &str, hash: &[u8], given: &str) -> Result<(), S3Error> {
        let expected = self.sign(kind, &digest::hex(hash));
        if expected.as_bytes().ct_eq(given.as_bytes()).into() {
            self.previous = expected;
            return Ok(());
        }
        Err(Code::SignatureDoesNotMatch.into())
    }
}

enum State {
    Header,
    Data { left: u64 },
    DataEnd,
    Trailers,
    Done,
}

/// Reads the body as it comes.
pub(crate) struct Decoder {
    state: State,
    buffer: BytesMut,
    chain: Option<Chain>,
    /// Hash of the current chunk and the signature it must have.
    chunk: Option<(Sha256, String)>,
    trailers: Vec<(String, String)>,
    with_trailers: bool,
    last: bool,
}

impl Decoder {
    /// `chain` when chunks are signed.
    pub(crate) fn new(chain: Option<Chain>, with_trailers: bool) -> Self {
        Self {
            state: State::Header,
            buffer: BytesMut::new(),
            chain,
            chunk: None,
            trailers: Vec::new(),
            with_trailers,
            last: false,
        }
    }

    /// Takes bytes of the wire.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The body came to its proper end.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// The trailers, once done.
    pub(crate) fn trailers(&self) -> &[(String, String)] {
        &self.trailers
    }

    /// The next plain bytes; `None` when more of the wire is needed or all is done.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, S3Error> {
        loop {
            match self.state {
                State::Done => return Ok(None),
                State::Data { left } => return Ok(self.data(left)),
                State::Header => {
                    let Some(line) = self.line()? else { return Ok(None) };
                    self.header(&line)?;
                }
                State::DataEnd => {
                    if self.buffer.len() < 2 {
                        return Ok(None);
                    }
                    self.chunk_end()?;
                }
                State::Trailers => {
                    let Some(line) = self.line()? else { return Ok(None) };
                    self.trailer(&line)?;
                }
            }
        }
    }

    fn line(&mut self) -> Result<Option<String>, S3Error> {
        let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") else {
            return if self.buffer.len() > LINE_MAX { Err(malformed()) } else { Ok(None) };
        };
        if end > LINE_MAX {
            return Err(malformed());
        }
        let line = self.buffer.split_to(end);
        self.buffer.advance(2);
        String::from_utf8(line.to_vec()).map(Some).map_err(|_| malformed())
    }

    fn header(&mut self, line: &str) -> Result<(), S3Error> {
        let (size, extension) = line.split_once(';').unwrap_or((line, ""));
        let left = u64::from_str_radix(size.trim(), 16).map_err(|_| malformed())?;
        if self.chain.is_some() {
            let signature =
                extension.trim().strip_prefix("chunk-signature=").ok_or_else(malformed)?;
            self.chunk = Some((Sha256::new(), signature.to_owned()));
        }
        self.last = left == 0;
        match (self.last, self.with_trailers) {
            (false, _) => self.state = State::Data { left },
            (true, false) => self.state = State::DataEnd,
            (true, true) => {
                self.check_chunk()?;
                self.state = State::Trailers;
            }
        }
        Ok(())
    }

    fn data(&mut self, left: u64) -> Option<Bytes> {
        if self.buffer.is_empty() {
            return None;
        }
        let take = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
        let bytes = self.buffer.split_to(take).freeze();
        if let Some((hash, _)) = &mut self.chunk {
            hash.update(&bytes);
        }
        let left = left - take as u64;
        self.state = if left == 0 { State::DataEnd } else { State::Data { left } };
        Some(bytes)
    }

    fn chunk_end(&mut self) -> Result<(), S3Error> {
        if self.buffer.split_to(2).as_ref() != b"\r\n" {
            return Err(malformed());
        }
        self.check_chunk()?;
        self.state = if self.last { State::Done } else { State::Header };
        Ok(())
    }

    fn check_chunk(&mut self) -> Result<(), S3Error> {
        match (&mut self.chain, self.chunk.take()) {
            (Some(chain), Some((hash, given))) => chain.check("PAYLOAD", &hash.finalize(), &given),
            _ => Ok(()),
        }
    }

    fn trailer(&mut self, line: &str) -> Result<(), S3Error> {
        if line.is_empty() {
            return self.end_trailers();
        }
        let (name, value) = line.split_once(':').ok_or(Code::MalformedTrailerError)?;
        if self.trailers.len() >= TRAILERS_MAX {
            return Err(Code::MalformedTrailerError.into());
        }
        self.trailers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        Ok(())
    }

    fn end_trailers(&mut self) -> Result<(), S3Error> {
        let is_signature = |(name, _): &(String, String)| name == "x-amz-trailer-signature";
        let signature =
            self.trailers.iter().find(|one| is_signature(one)).map(|(_, value)| value.clone());
        self.trailers.retain(|one| !is_signature(one));
        if let Some(chain) = &mut self.chain {
            let given = signature.ok_or(Code::MalformedTrailerError)?;
            let lines: String =
                self.trailers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
            chain.check("TRAILER", &Sha256::digest(lines), &given)?;
        }
        self.state = State::Done;
        Ok(())
    }
}

fn malformed() -> S3Error {
    Code::InvalidRequest.says("The chunked body is not well formed.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(wire: &[u8], step: usize, trailers: bool) -> Result<(Vec<u8>, bool), Code> {
        let mut decoder = Decoder::new(None, trailers);
        let mut plain = Vec::new();
        for part in wire.chunks(step.max(1)) {
            decoder.feed(part);
            while let Some(bytes) = decoder.next().map_err(|error| error.code)? {
                plain.extend_from_slice(&bytes);
            }
        }
        Ok((plain, decoder.is_done()))
    }

    #[test]
    fn chunks_and_trailers_are_read_at_any_cut_of_the_wire() {
        let wire = b"4\r\nWiki\r\n5\r\npedia\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n";
        for step in 1..wire.len() {
            assert_eq!(decode(wire, step, true), Ok((b"Wikipedia".to_vec(), true)));
        }
    }

    #[test]
    fn a_cut_body_is_not_done_and_a_broken_one_is_refused() {
        assert_eq!(decode(b"4\r\nWi", 9, false), Ok((b"Wi".to_vec(), false)));
        assert_eq!(decode(b"zz\r\n", 9, false), Err(Code::InvalidRequest));
        assert_eq!(decode(b"1\r\naXX", 9, false), Err(Code::InvalidRequest));
        assert_eq!(decode(&[b'1'; LINE_MAX + 1], 9000, false), Err(Code::InvalidRequest));
    }

    /// The example of the S3 API reference, "Transferring Payload in Multiple Chunks".
    #[test]
    fn signatures_chain_as_in_the_reference() {
        let scope = crate::sigv4::scope("20130524", "us-east-1");
        let key = SigningKey::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", &scope);
        let previous = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
        let chain = |previous: &str| Chain {
            key: key.clone(),
            date: "20130524T000000Z".into(),
            scope: scope.clone(),
            previous: previous.into(),
        };
        let mut wire = b"10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n".to_vec();
        wire.extend([b'a'; 65536]);
        wire.extend(b"\r\n400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n");
        wire.extend([b'a'; 1024]);
        wire.extend(b"\r\n0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n");
        let run = |wire: &[u8], previous: &str| {
            let mut decoder = Decoder::new(Some(chain(previous)), false);
            decoder.feed(wire);
            let mut size = 0;
            while let Some(bytes) = decoder.next().map_err(|error| error.code)? {
                size += bytes.len();
            }
            Ok((size, decoder.is_done()))
        };
        assert_eq!(run(&wire, previous), Ok((66560, true)));
        wire[100] ^= 1;
        assert_eq!(run(&wire, previous), Err(Code::SignatureDoesNotMatch));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(wire in proptest::collection::vec(any::<u8>(), 0..200), step in 1usize..50) {
            drop(decode(&wire, step, true));
        }
    }
}
