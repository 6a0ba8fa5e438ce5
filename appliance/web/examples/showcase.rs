//! Serves the dashboard with a site's past on loopback, to look at it: `cargo run -p web --example showcase`.
//!
//! Log in as `mira` with the password `correct horse`. One step keeps printing, so that live
//! pages can be watched. Some names are as long as they may be.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool for developers")]

#[path = "../tests/web/site/site.rs"]
mod site;

use base::{secret::Secret, time::Timestamp};
use site::Site;
use std::time::Duration;
use store::access::Role;

/// Names, keys and values that try every table.
async fn extremes(site: &Site) {
    let long = "a-login-that-is-as-long-as-a-login-may-be-sixty-four-characters-x";
    site.account(&long[..64], Role::Member, "correct horse", false).await;
    let project = format!("acme/{}", "firmware-of-the-northern-substations-".repeat(2) + "x");
    site.project(&project).await;
    site.objects.bucket_create("spare", "mira", objects::alone).await.unwrap();
    for key in ["a/../b.txt", "plan\u{202e}gpj.exe", "notes.md", &"x".repeat(900)] {
        site.objects.put("spare", key, b"bytes".to_vec()).await.unwrap();
    }
    let fill = move |txn: &mut store::Txn<'_>| {
        let org = txn.org_ensure("acme", site::now())?.id;
        for number in 0..70 {
            let context = txn.context_create(org, &format!("team-{number:02}"), site::now())?;
            let name = format!("A_{}", "VERY_LONG_".repeat(9));
            txn.context_variable_set(context.id, &name, &Secret::new("secret-value"), site::now())?;
        }
        txn.context_create(org, &"production".repeat(9), site::now())?;
        let deed = store::access::NewAudit {
            actor: long[..64].to_owned(),
            address: Some("2001:db8:1234:5678:9abc:def0:1234:5678".into()),
            action: "project.settings".into(),
            subject: format!("project {project}"),
            detail: None,
        };
        txn.audit_append(site::now(), &deed)?;
        let bucket = txn.bucket_get("spare")?.unwrap().id;
        txn.upload_insert(bucket, &"big/".repeat(60), &"u".repeat(64), Timestamp(1), "{}").map(drop)
    };
    site.store.write(fill).await.unwrap();
}

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
        extremes(&site).await;
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
