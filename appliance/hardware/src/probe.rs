//! Whether small packets still reach a peer whose large ones get no answer.
//!
//! The way: a connection is opened to the address that the stalled one already uses; the opening
//! packets are small. Opened or refused, the peer answered; nothing is sent and it is closed.
//! Only addresses that this machine has a connection with are ever asked.
//! Units: [`ANSWER_WITHIN`] for the answer; one question at a time.

use crate::slow::Slow;
use std::{
    io,
    net::{SocketAddr, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A satellite's round trip is below a second; twice that, with one retransmission.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// The prober.
pub(crate) struct Probe {
    target: Arc<Mutex<Option<SocketAddr>>>,
    slow: Slow<Option<(SocketAddr, bool)>>,
}

impl Probe {
    pub(crate) fn start() -> io::Result<Self> {
        let target = Arc::new(Mutex::new(None));
        let asked = Arc::clone(&target);
        let slow = Slow::start("probe", move || {
            let peer = asked.lock().unwrap_or_else(PoisonError::into_inner).take()?;
            Some((peer, answers(peer)))
        })?;
        Ok(Self { target, slow })
    }

    /// Asks whether `peer` answers small packets; [`Probe::take`] tells later.
    pub(crate) fn ask(&mut self, peer: SocketAddr) {
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = Some(peer);
        self.slow.ask();
    }

    /// The answer that has come, if one has.
    pub(crate) fn take(&mut self) -> Option<(SocketAddr, bool)> {
        self.slow.take(Instant::now()).flatten()
    }
}

fn answers(peer: SocketAddr) -> bool {
    match TcpStream::connect_timeout(&peer, ANSWER_WITHIN) {
        Ok(_) => true,
        Err(error) => error.kind() == io::ErrorKind::ConnectionRefused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_and_a_closed_port_both_answer() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap();
        assert!(answers(open));
        drop(listener);
        assert!(answers(open));
    }
}
