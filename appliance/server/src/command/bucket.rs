//! `appliance bucket`: make, bound, list and delete buckets.

use super::{Code, Missing, Usage, encoded, field, items, tell};
use crate::{
    cli::{BucketCommand, Remote},
    client::Client,
    output,
};
use base::units::Bytes;
use serde_json::{Value, json};

const PATH: &str = "/api/appliance/v1/bucket";

pub(crate) async fn run(command: BucketCommand) -> anyhow::Result<Code> {
    match command {
        BucketCommand::List { remote } => {
            show(items(&Client::new(&remote)?, PATH).await?, &remote);
        }
        BucketCommand::Usage { name, remote } => {
            let mut all = items(&Client::new(&remote)?, PATH).await?;
            all.retain(|bucket| bucket["name"] == *name);
            if all.is_empty() {
                return Err(Missing(format!("there is no bucket `{name}`")).into());
            }
            show(all, &remote);
        }
        BucketCommand::Create { name, owner, remote } => {
            order(&remote, PATH, &json!({ "name": name, "owner": owner })).await?;
        }
        BucketCommand::Delete { name, remote } => {
            order(&remote, &format!("{PATH}/delete"), &json!({ "name": name })).await?;
        }
        BucketCommand::Quota { size: None, objects: None, none: false, .. } => {
            return Err(
                Usage("say what may be kept with --size or --objects, or --none".into()).into()
            );
        }
        BucketCommand::Quota { name, size, objects, none: _, remote } => {
            let bytes = size.as_deref().map(bytes).transpose()?;
            let body = json!({ "name": name, "max_bytes": bytes, "max_objects": objects });
            order(&remote, &format!("{PATH}/quota"), &body).await?;
        }
        BucketCommand::Notices { name, key: true, remote } => {
            let path = format!("{PATH}/notice-key");
            let answer = Client::new(&remote)?.post(&path, &json!({ "name": name })).await?;
            if remote.json { output::json(&answer) } else { output::line(&field(&answer, "key")) }
        }
        BucketCommand::Notices { name, key: false, remote } => notices(&name, &remote).await?,
        BucketCommand::Objects { name, prefix, remote } => objects(&name, &prefix, &remote).await?,
    }
    Ok(0)
}

async fn order(remote: &Remote, path: &str, body: &Value) -> anyhow::Result<()> {
    tell(&Client::new(remote)?.post(path, body).await?, remote.json);
    Ok(())
}

async fn notices(name: &str, remote: &Remote) -> anyhow::Result<()> {
    let all = items(&Client::new(remote)?, &format!("{PATH}/{}/notice", encoded(name))).await?;
    if remote.json {
        output::json(&all.into());
        return Ok(());
    }
    let number = |one: &Value, name: &str| one[name].to_string();
    let row = |one: &Value| {
        let counts = ["waiting", "told", "lost"].map(|name| number(one, name));
        let error = one["error"].as_str().unwrap_or_default().to_owned();
        [vec![field(one, "address")], counts.to_vec(), vec![error]].concat()
    };
    let rows: Vec<_> = all.iter().map(row).collect();
    output::table(&["address", "waiting", "told", "lost", "last failure"], &rows);
    Ok(())
}

async fn objects(name: &str, prefix: &str, remote: &Remote) -> anyhow::Result<()> {
    let path = format!("{PATH}/{}/object?prefix={}", encoded(name), encoded(prefix));
    let all = items(&Client::new(remote)?, &path).await?;
    if remote.json {
        output::json(&all.into());
        return Ok(());
    }
    let rows: Vec<_> = all.iter().map(|one| vec![size(&one["size"]), field(one, "key")]).collect();
    output::table(&["size", "key"], &rows);
    Ok(())
}

fn size(value: &Value) -> String {
    value.as_u64().map_or_else(String::new, |bytes| Bytes(bytes).to_string())
}

fn show(buckets: Vec<Value>, remote: &Remote) {
    if remote.json {
        return output::json(&buckets.into());
    }
    let rows: Vec<_> = buckets.iter().map(row).collect();
    output::table(&["bucket", "owner", "objects", "size", "unfinished", "quota"], &rows);
}

fn row(bucket: &Value) -> Vec<String> {
    vec![
        field(bucket, "name"),
        field(bucket, "owner"),
        bucket["objects"].to_string(),
        size(&bucket["bytes"]),
        unfinished(bucket),
        quota(bucket),
    ]
}

/// Uploads in parts that nobody finished, and what they take of the size.
fn unfinished(bucket: &Value) -> String {
    match bucket["unfinished_uploads"].as_u64() {
        None | Some(0) => "-".to_owned(),
        Some(1) => format!("1 upload, {}", size(&bucket["unfinished_bytes"])),
        Some(several) => format!("{several} uploads, {}", size(&bucket["unfinished_bytes"])),
    }
}

fn quota(bucket: &Value) -> String {
    let bytes = Some(size(&bucket["max_bytes"])).filter(|size| !size.is_empty());
    let objects = bucket["max_objects"].as_u64().map(|objects| format!("{objects} objects"));
    let parts: Vec<String> = bytes.into_iter().chain(objects).collect();
    if parts.is_empty() { "-".to_owned() } else { parts.join(", ") }
}

/// A number of bytes, or of KiB, MiB, GiB, TiB with the letter.
fn bytes(text: &str) -> Result<u64, Usage> {
    let wrong = || Usage(format!("`{text}` is no size: write 500M or 20G"));
    let (number, shift) = match text.char_indices().next_back().ok_or_else(wrong)? {
        (at, 'k' | 'K') => (&text[..at], 10),
        (at, 'm' | 'M') => (&text[..at], 20),
        (at, 'g' | 'G') => (&text[..at], 30),
        (at, 't' | 'T') => (&text[..at], 40),
        _ => (text, 0),
    };
    let number: u64 = number.trim().parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_told_with_its_quota_and_what_is_unfinished() {
        let bare = json!({
            "name": "a", "owner": "ann", "objects": 2, "bytes": 2048,
            "unfinished_uploads": 0, "unfinished_bytes": 0, "max_objects": null, "max_bytes": null,
        });
        assert_eq!(row(&bare), ["a", "ann", "2", "2 KiB", "-", "-"]);
        let mut full = bare;
        full["unfinished_uploads"] = 3.into();
        full["unfinished_bytes"] = 1024.into();
        full["max_objects"] = 7.into();
        assert_eq!(row(&full)[4..], ["3 uploads, 1 KiB", "7 objects"]);
        full["max_bytes"] = (20_u64 << 30).into();
        assert_eq!(row(&full)[5], "20 GiB, 7 objects");
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, expected) in
            [("7", Some(7)), ("2K", Some(2048)), ("500M", Some(500 << 20)), ("1t", Some(1 << 40))]
        {
            assert_eq!(bytes(text).ok(), expected, "{text}");
        }
        for bad in ["", "M", "-1", "1.5G", "99999999999T", "5é"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }
}
