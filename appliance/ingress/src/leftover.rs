//! Reads what is left of a request that was answered before its end.
//!
//! Why: a request that is refused by its header is answered while its body is still on the way.
//! To drop the body then is to reset the HTTP/2 stream, or to close the HTTP/1.1 connection over
//! unread bytes, and curl tells of a broken connection instead of the answer (RFC 9112 section
//! 9.6, RFC 9113 section 8.1).
//! Invariants: at most [`limits::LEFTOVER_BYTES`] and [`limits::LEFTOVER`] for one request; a
//! client that waits for `100 Continue` is not read from, because it may never send its body.

use crate::limits;
use http::{Request, header};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::runtime::Handle;

/// A request's body that is read on for a while after it was dropped.
#[derive(Debug)]
pub struct Leftover {
    /// Always there but in `drop`.
    body: Option<Incoming>,
    reads_on: bool,
}

/// The same request with such a body.
pub(crate) fn of(request: Request<Incoming>) -> Request<Leftover> {
    let reads_on = !request.headers().contains_key(header::EXPECT);
    request.map(|body| Leftover { body: Some(body), reads_on })
}

impl Body for Leftover {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.body.as_mut().map_or(Poll::Ready(None), |body| Pin::new(body).poll_frame(context))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Leftover {
    fn drop(&mut self) {
        let Some(body) = self.body.take().filter(|body| self.reads_on && !body.is_end_stream())
        else {
            return;
        };
        // While the program ends there is nobody left to read for.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(tokio::time::timeout(limits::LEFTOVER, read_on(body)));
        }
    }
}

/// Until the end, an error, or enough.
async fn read_on(mut body: Incoming) {
    let mut left = limits::LEFTOVER_BYTES;
    while let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let Some(rest) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { return };
        left = rest;
    }
}
