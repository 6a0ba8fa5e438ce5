//! Serves the dashboard with a site's past on loopback, to look at it: `cargo run -p web --example showcase`.
//!
//! Log in as `mira` with the password `correct horse`. One step keeps printing, so that live
//! pages can be watched.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool for developers")]

#[path = "../tests/web/site/site.rs"]
mod site;

use site::Site;
use std::time::Duration;
use store::access::Role;

#[tokio::main]
async fn main() {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8480".into());
    let site = Site::open(&format!("http://{address}")).await;
    site.account("mira", Role::Admin, "correct horse", false).await;
    site.account("jonas", Role::Member, "correct horse", false).await;
    site.account("anneke", Role::Viewer, "correct horse", true).await;
    let empty = std::env::args().nth(2).is_some();
    if !empty {
        let (task, _) = site::work::populate(&site).await;
        let logs = site.logs.clone();
        tokio::spawn(async move {
            let mut offset = logs.read(task, 2, 0..0).await.unwrap().size;
            for n in 0_u64.. {
                let line = format!(
                    "\x1b[32m\x1b[1m        PASS\x1b[0m [   0.0{:02}s] \x1b[35m\x1b[1mrelay-modbus\x1b[0m \x1b[36mframe::\x1b[0m\x1b[34m\x1b[1mlength_{n}\x1b[0m\n",
                    n % 90 + 4
                );
                offset = logs.append(task, 2, offset, line.as_bytes()).await.unwrap();
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        });
    }
    let listener = tokio::net::TcpListener::bind(&address).await.unwrap();
    println!("http://{address}");
    axum::serve(listener, site.faces()).await.unwrap();
}
