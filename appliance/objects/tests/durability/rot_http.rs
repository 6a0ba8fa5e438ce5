//! Rot that a client meets on a plain HTTP/1.1 connection, where nobody asks for more than was promised.

use crate::{
    load::{Value, noise, open},
    rot::only_file,
};
use objects::Objects;
use std::{os::unix::fs::FileExt, path::Path, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const SIZE: usize = 5 << 20;
const LARGE: Value = Value { seed: 5, size: SIZE };

async fn listen(objects: &Objects) -> u16 {
    let app = axum::Router::new().nest("/s3", objects::s3::router(objects.clone()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(axum::serve(listener, app).into_future());
    port
}

/// The status line and the bytes of the body that came before the connection ended.
async fn get(objects: &Objects, port: u16, more: &str) -> (String, Vec<u8>) {
    let minute = Duration::from_secs(60);
    let at = objects.presign(&http::Method::GET, "caches", "large", minute, "");
    let request = format!(
        "GET {} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{more}\r\n",
        at.url.expose()
    );
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A connection that is reset gives what came until then.
    drop(socket.read_to_end(&mut answer).await);
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    (head.lines().next().unwrap_or_default().to_owned(), answer.split_off(end + 4))
}

fn rot(dir: &Path) {
    let path = only_file(&dir.join("blobs")).unwrap();
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.write_all_at(b"rotten", SIZE as u64 / 2).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotten_file_is_cut_before_its_last_byte_and_kept_from_further_readers() {
    let dir = tempfile::tempdir().unwrap();
    let (objects, _store) = open(dir.path(), None).await.unwrap();
    objects.put("caches", "large", noise(LARGE)).await.unwrap();
    let port = listen(&objects).await;
    for _ in 0..16 {
        let (status, body) = get(&objects, port, "").await;
        assert!(status.contains("200") && body == noise(LARGE), "{status}: {}", body.len());
    }
    rot(dir.path());
    let mut cut = 0;
    // One of eight is compared; other tests of this process share the count.
    for _ in 0..64 {
        let (_, body) = get(&objects, port, "").await;
        cut += usize::from(body.len() < SIZE);
    }
    assert!(cut >= 1, "every read looked whole");
    objects.look_at_suspects().await.unwrap();
    assert_eq!(objects.rotten().await.unwrap().len(), 1);
    let (status, _) = get(&objects, port, "").await;
    assert!(status.contains("500"), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_parts_alone_has_the_whole_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let (objects, _store) = open(dir.path(), None).await.unwrap();
    objects.put("caches", "large", noise(LARGE)).await.unwrap();
    let port = listen(&objects).await;
    rot(dir.path());
    for _ in 0..64 {
        let (status, body) = get(&objects, port, "range: bytes=0-99\r\n").await;
        assert!(status.contains("206") && body == noise(LARGE)[..100], "{status}");
    }
    objects.look_at_suspects().await.unwrap();
    assert_eq!(objects.rotten().await.unwrap(), [], "no part that was read is wrong");
    objects.look_at_samples(u64::MAX).await.unwrap();
    assert_eq!(objects.rotten().await.unwrap().len(), 1);
}
