//! Connections on which the other end is asked whether it is still there.
//!
//! Why: a machine that loses its power says nothing. Without this a log that is followed stands still
//! for ever, and nobody learns that the machine is gone.

use rustix::net::sockopt::{
    set_socket_keepalive, set_tcp_keepcnt, set_tcp_keepidle, set_tcp_keepintvl,
};
use std::{io, time::Duration};
use tokio::net::TcpStream;

/// After so much silence it is asked,
const IDLE: Duration = Duration::from_secs(20);
/// and again after this,
const AGAIN: Duration = Duration::from_secs(10);
/// so often without an answer before it counts as gone: less than a minute in all.
const TRIES: u32 = 3;

/// Connects.
pub(super) async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    set_socket_keepalive(&stream, true)?;
    set_tcp_keepidle(&stream, IDLE)?;
    set_tcp_keepintvl(&stream, AGAIN)?;
    set_tcp_keepcnt(&stream, TRIES)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::sockopt::{socket_keepalive, tcp_keepcnt, tcp_keepidle, tcp_keepintvl};

    #[tokio::test]
    async fn an_end_that_says_nothing_is_given_up_within_a_minute() {
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = server.local_addr().expect("bound").port();
        let stream = connect("127.0.0.1", port).await.expect("it listens");
        assert!(socket_keepalive(&stream).expect("a socket"));
        let (idle, again) = (tcp_keepidle(&stream), tcp_keepintvl(&stream));
        let tries = tcp_keepcnt(&stream).expect("a socket");
        let longest = idle.expect("a socket") + again.expect("a socket") * tries;
        assert!(longest <= Duration::from_secs(60), "{longest:?}");
    }
}
