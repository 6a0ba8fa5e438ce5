//! The client against answers as a broken or strange other side gives them.

use super::*;
use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixListener,
};

/// What the client makes of an answer with a body of so many bytes, of which so many come.
async fn asked(announced: usize, sent: usize) -> Result<Bytes, Trouble> {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    let other = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.is_empty()), "the head of a request");
        let mut to = &stream;
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {announced}\r\n\r\n");
        to.write_all(head.as_bytes()).unwrap();
        // The client hangs up on what is too long.
        let _ = to.write_all(&vec![b'0'; sent]);
    });
    let client = Client::over_unix(socket);
    let answer = client.post("list", "/", &serde_json::json!({}), ANSWER_WAIT).await;
    other.join().unwrap();
    answer
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_no_reason_to_ask_again() {
    assert_eq!(asked(ANSWER_MAX, ANSWER_MAX).await.unwrap().len(), ANSWER_MAX);
    let more = ANSWER_MAX + 1;
    let Err(Trouble::Rejected { message }) = asked(more, more).await else { panic!("taken") };
    assert_eq!(message, "could not list: the answer is longer than 16 MiB");
    assert!(matches!(asked(100, 10).await, Err(Trouble::Link { .. })), "it broke off");
}
