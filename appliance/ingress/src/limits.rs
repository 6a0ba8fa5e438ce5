//! Bounds on what one peer, and all peers together, may take.
//!
//! Source: the slow-client and stream-flood classes of HTTP/1.1 (RFC 9112) and HTTP/2 (RFC 9113);
//! the numbers are ours.

use std::time::Duration;

/// Connections at one time. Each costs some tens of kilobytes; a browser opens six at most.
pub const CONNECTIONS_MAX: usize = 1024;

/// Of one peer, so that none has them all. Many browsers behind one address fit.
pub const CONNECTIONS_OF_ONE: usize = CONNECTIONS_MAX / 4;

/// From accept to the end of the TLS handshake; a radio link with one second of round trip fits
/// three times.
pub const HANDSHAKE: Duration = Duration::from_secs(10);

/// From the first byte of a request to the end of its header.
pub const HEADER_READ: Duration = Duration::from_secs(15);

/// Without a request under way over HTTP/2; a browser opens the next connection for the next page.
pub const REST: Duration = Duration::from_secs(60);

/// Of waiting for a peer to take bytes of an answer, until [`TAKE_LEAST`] of them are taken.
pub const TAKE_WINDOW: Duration = Duration::from_secs(120);

/// Bytes that a peer takes in [`TAKE_WINDOW`]: 273 in a second, a quarter of the slowest radio
/// modem in use.
pub const TAKE_LEAST: usize = 32 << 10;

/// Header bytes of one request: cookies and presigned queries fit many times.
pub const HEADER_BYTES: usize = 32 << 10;

/// Requests in flight on one HTTP/2 connection.
pub const STREAMS_MAX: u32 = 128;

/// Streams that a peer may reset before it has read an answer (the rapid-reset attack).
pub const RESETS_MAX: usize = 64;

/// After this long without an answer to a ping an HTTP/2 peer is gone.
pub const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Bytes that are still read of a request that was answered before its end: what a client has on
/// the way at once, not a large upload.
pub const LEFTOVER_BYTES: usize = 512 << 10;

/// How long they are waited for, and how long a peer is that was told to go.
pub const LEFTOVER: Duration = Duration::from_secs(5);
