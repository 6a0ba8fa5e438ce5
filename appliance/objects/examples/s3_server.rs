//! The S3 face alone on loopback, for conformance suites and load tools:
//! `cargo run -p objects --example s3_server -- <folder> <port> <access key>:<secret>:<owner>:<display>:<email> …`.

use base::secret::Secret;
use objects::{Config, Objects, Owner, Scope};
use store::{SiteKey, Store};

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().collect();
    let folder = std::path::PathBuf::from(args.get(1).expect("a folder is given"));
    let port: u16 = args.get(2).and_then(|text| text.parse().ok()).expect("a port is given");
    let store = Store::open(&store::Config::new(folder.join("store")), SiteKey::new([1; 32]))
        .expect("the store opens");
    // The conformance suite waits for access logs no longer than this.
    let log_period = std::time::Duration::from_secs(3);
    let config = Config { log_period, ..Config::new(folder.join("blobs")) };
    let objects = Objects::open(config, store).await.expect("the room opens");
    tokio::spawn(objects.clone().keep());
    for key in &args[3..] {
        let mut parts = key.split(':').map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        let (id, secret) = (next(), Secret::new(next()));
        let owner = Owner { id: next(), display: next(), email: next() };
        drop(objects.key_import(&id, &secret, owner, Scope::Owner, None).await);
    }
    let listener =
        tokio::net::TcpListener::bind(("127.0.0.1", port)).await.expect("the port is free");
    axum::serve(listener, objects::s3::router(objects)).await.expect("serving goes on");
}
