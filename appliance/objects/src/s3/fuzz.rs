//! Mutated input never panics, never hangs, and never means two things.
//!
//! `APPLIANCE_FUZZ_SECONDS` is the time of each target (default 0.3), `APPLIANCE_FUZZ_SEED` picks
//! another sequence. A failure prints its input.

use super::{
    auth, call,
    chunked::Decoder,
    complete, copy, cors, dates, delete, lifecycle, lock, logging, notification,
    policy::{Asked, Policy},
    post_policy::PostPolicy,
    range, tags, xml,
};
use crate::{
    query::Query,
    sigv4::{Canonical, encode_value},
};
use base::time::Timestamp;
use std::time::{Duration, Instant};

/// No input of a few kilobytes may take longer, on a busy machine and without optimisation.
const SLOWEST: Duration = Duration::from_secs(5);

const LONGEST: usize = 8 << 10;

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides.max(1) as u64).unwrap_or(0)
    }
}

const WORDS: [&[u8]; 28] = [
    b"\r\n",
    b";chunk-signature=",
    b"0",
    b"ffffffffffffffff",
    b"-1",
    b"=",
    b"&",
    b"%",
    b"%00",
    b"%ff",
    b"../",
    b"/",
    b"\0",
    b"<a>",
    b"</a>",
    b"<![CDATA[",
    b"]]>",
    b"&#x10ffff;",
    b"&amp;",
    b"<Rule>",
    b"\"",
    b"[",
    b"{",
    b"$",
    b"*",
    b"?",
    b"bytes=",
    "\u{10ffff}".as_bytes(),
];

fn mutated(seed: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = seed[..seed.len().min(LONGEST)].to_vec();
    for _ in 0..=dice.roll(4) {
        let at = dice.roll(bytes.len() + 1);
        let end = (at + dice.roll(24)).min(bytes.len());
        match dice.roll(5) {
            0 => drop(bytes.drain(at..end)),
            1 => {
                let copy = bytes[at..end].to_vec();
                let to = dice.roll(bytes.len() + 1);
                bytes.splice(to..to, copy).for_each(drop);
            }
            2 if at < bytes.len() => bytes[at] = u8::try_from(dice.roll(256)).unwrap_or(0),
            3 => bytes.splice(at..at, WORDS[dice.roll(WORDS.len())].iter().copied()).for_each(drop),
            _ => {
                bytes.splice(at..end, WORDS[dice.roll(WORDS.len())].iter().copied()).for_each(drop)
            }
        }
    }
    bytes
}

fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Feeds mutations of the seeds, and of what they became, to `target`.
fn fuzz(name: &str, seeds: &[&[u8]], mut target: impl FnMut(&[u8])) {
    let mut dice = Dice(setting("APPLIANCE_FUZZ_SEED", 0x5eed_u64) | 1);
    let end = Instant::now() + Duration::from_secs_f64(setting("APPLIANCE_FUZZ_SECONDS", 0.3));
    let mut pool: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.to_vec()).collect();
    let mut count = 0_u64;
    while Instant::now() < end {
        let input = mutated(&pool[dice.roll(pool.len())], &mut dice);
        let mut once = || {
            let start = Instant::now();
            let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| target(&input)));
            (run.is_ok(), start.elapsed())
        };
        let (fine, mut took) = once();
        let shown = String::from_utf8_lossy(&input);
        assert!(fine, "{name} fails on {shown:?}");
        // On a busy machine any input may have waited; one that is slow is so each time.
        for _ in 0..4 {
            if took < SLOWEST {
                break;
            }
            took = once().1;
        }
        assert!(took < SLOWEST, "{name} takes {took:?} on {shown:?}");
        count += 1;
        // A small pool of descendants reaches what one mutation cannot.
        let place = seeds.len() + dice.roll(64);
        if place < pool.len() {
            pool[place] = input;
        } else {
            pool.push(input);
        }
    }
    println!("{name}: {count} inputs");
}

#[test]
fn signatures_and_canonical_forms() {
    let seeds: [&[u8]; 3] = [
        b"X-Amz-Credential=AK%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&a=%20b&c",
        b"AK/20130524/us-east-1/s3/aws4_request",
        b"prefix=a%2Fb&list-type=2&continuation-token=%C3%BC",
    ];
    fuzz("signature", &seeds, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let query = Query::parse(&text);
        let canonical = |query: &Query| {
            let headers = [("host", text.clone())];
            Canonical { method: "GET", path: bytes, query, headers: &headers, payload: "x" }.text()
        };
        // What was read and is written again reads the same: client and server sign one text.
        let written: Vec<String> = query
            .iter()
            .map(|(name, value)| format!("{}={}", encode_value(name), encode_value(value)))
            .collect();
        assert_eq!(Query::parse(&written.join("&")), query);
        let mut turned = Query::default();
        let pairs: Vec<_> = query.iter().collect();
        pairs.into_iter().rev().for_each(|(name, value)| turned.push(name, value));
        assert_eq!(canonical(&query), canonical(&turned));
        auth::credential(&text);
        dates::parse_any(&text);
        dates::parse_day(&text);
    });
}

fn decode(wire: &[u8], step: usize, trailers: bool) -> Option<(Vec<u8>, bool)> {
    let mut decoder = Decoder::new(None, trailers);
    let mut plain = Vec::new();
    for part in wire.chunks(step.max(1)) {
        decoder.feed(part);
        while let Some(bytes) = decoder.next().ok()? {
            plain.extend_from_slice(&bytes);
        }
    }
    Some((plain, decoder.is_done()))
}

#[test]
fn chunked_bodies() {
    let seeds: [&[u8]; 2] = [
        b"4\r\nWiki\r\n5\r\npedia\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n",
        b"400;chunk-signature=00\r\nab\r\n0;chunk-signature=ff\r\n\r\n",
    ];
    let mut step = 0;
    fuzz("chunked", &seeds, |wire| {
        step = step % 17 + 1;
        for trailers in [true, false] {
            let (whole, cut) = (decode(wire, wire.len(), trailers), decode(wire, step, trailers));
            if let (Some(whole), Some(cut)) = (whole, cut) {
                assert_eq!(whole, cut);
            }
        }
    });
}

#[test]
fn documents() {
    let seeds: [&[u8]; 8] = [
        b"<BucketLoggingStatus><LoggingEnabled><TargetBucket>b</TargetBucket><TargetPrefix>p</TargetPrefix><TargetGrants><Grant><Permission>READ</Permission></Grant></TargetGrants><TargetObjectKeyFormat><PartitionedPrefix><PartitionDateSource>EventTime</PartitionDateSource></PartitionedPrefix></TargetObjectKeyFormat></LoggingEnabled></BucketLoggingStatus>",
        b"<NotificationConfiguration><QueueConfiguration><Queue>arn:appliance:webhook:::http://h/a</Queue><Event>s3:ObjectCreated:*</Event><Filter><S3Key><FilterRule><Name>prefix</Name><Value>x</Value></FilterRule></S3Key></Filter></QueueConfiguration></NotificationConfiguration>",
        b"<LifecycleConfiguration><Rule><ID>a</ID><Status>Enabled</Status><Filter><And><Prefix>x</Prefix><Tag><Key>k</Key><Value>v</Value></Tag></And></Filter><Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>",
        b"<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin></CORSRule></CORSConfiguration>",
        b"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>",
        b"<Delete><Object><Key>a&amp;b&#x41;</Key><ETag>x</ETag><Size>1</Size></Object></Delete>",
        b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>",
        b"<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>",
    ];
    fuzz("document", &seeds, |bytes| {
        let Some(root) = xml::parse(bytes) else { return };
        drop((lifecycle::rules(&root), cors::rules(&root), lock::default_of(&root)));
        drop((delete::listed(&root), complete::listed(&root), notification::rules(&root)));
        drop(logging::wanted(&root));
        if let Ok(tags) = tags::from_xml(&root, 10) {
            let again = xml::parse(tags::to_xml(&tags).as_bytes());
            // Characters that XML cannot carry are written all the same, as on S3.
            if let Some(again) = again {
                assert_eq!(tags::from_xml(&again, 10).ok(), Some(tags));
            }
        }
    });
}

#[test]
fn policies() {
    let seeds: [&[u8]; 2] = [
        br#"{"expiration":"2026-12-01T00:00:00Z","conditions":[{"bucket":"b"},["starts-with","$key","u/"],["content-length-range",1,9]]}"#,
        br#"{"Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"s3:Get*","Resource":"arn:aws:s3:::b/*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}]}"#,
    ];
    let fields = [("key".to_owned(), "u/a".to_owned())];
    fuzz("policy", &seeds, |bytes| {
        if let Ok(policy) = PostPolicy::parse(bytes) {
            drop(policy.check(&fields, "b", Timestamp(0)));
        }
        let text = String::from_utf8_lossy(bytes);
        if let Ok(policy) = Policy::parse(&text) {
            let value = |_: &str| Some(vec!["10.1.1.1".to_owned(), text.clone().into_owned()]);
            let (owner, action, resource) = ("ann", "s3:GetObject", "b/k");
            for service in [None, Some("logging.s3.amazonaws.com")] {
                let asked = Asked { owner, service, action, resource, value: &value };
                std::hint::black_box(policy.decide(&asked));
            }
            std::hint::black_box((policy.is_public(), policy.is_about("b")));
        }
    });
}

#[test]
fn ranges_keys_and_sources() {
    let seeds: [&[u8]; 4] = [b"bytes=0-9", b"bytes=-5", b"/bucket/a/../b%00", b"/b/k?versionId=1"];
    fuzz("range", &seeds, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        for size in [0, 1, 10, u64::MAX] {
            if let range::Asked::Part(part) = range::parse(Some(&text), size) {
                assert!(part.start < part.end && part.end <= size);
            }
        }
        if let Ok((bucket, key)) = call::place(bytes, None) {
            assert!(key.len() <= 1024 && !bucket.contains('\0') && !key.contains('\0'));
        }
        std::hint::black_box(call::host_bucket(&text, &["s3.site".to_owned()]));
        drop((copy::source(&text), tags::from_header(&text)));
    });
}

#[test]
fn manifests() {
    let seeds: [&[u8]; 3] = [
        br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000","size":2},"layers":[],"subject":{"mediaType":"x","digest":"sha256:1111111111111111111111111111111111111111111111111111111111111111","size":1},"annotations":{"a":"b"}}"#,
        br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"x","digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000","size":2,"platform":{"os":"linux","architecture":"amd64"}}]}"#,
        b"host:5000/ns/app:tag@sha256:00",
    ];
    fuzz("manifest", &seeds, |bytes| {
        for told in [None, Some("application/vnd.oci.image.index.v1+json")] {
            if let Ok(record) = crate::oci::record::read(bytes, told) {
                let digests = record.manifests.iter().chain(&record.blobs).chain(&record.subject);
                for digest in digests {
                    assert!(crate::oci::reference::hex_of(digest).is_some(), "{digest}");
                }
            }
        }
        let text = String::from_utf8_lossy(bytes);
        if let Ok(reference) = text.parse::<crate::oci::Reference>() {
            let again: crate::oci::Reference = reference.to_string().parse().unwrap();
            assert_eq!(again.to_string(), reference.to_string(), "one name, one key");
        }
    });
}
