//! A plan meets a bucket whose rules were changed meanwhile.

use super::*;
use crate::{
    bucket::Versioning,
    lifecycle::{Expire, Noncurrent, Rule},
    objects::now,
    s3::matrix::site,
};

const DAYS: i64 = 86_400_000_000;

fn in_days(days: i64) -> Timestamp {
    Timestamp(now().0 + days * DAYS)
}

fn rules(newer: u32) -> Vec<Rule> {
    let noncurrent = Some(Noncurrent { days: Some(1), newer: Some(newer) });
    let expire = Some(Expire::Days(1));
    let own = Rule { enabled: true, expire, noncurrent, ..Rule::default() };
    vec![Rule { abort_days: Some(1), ..own }]
}

async fn set(objects: &Objects, rules: Vec<Rule>) -> Bucket {
    let work = move |txn: &mut Txn<'_>| {
        let mut bucket = bucket::get(txn, "ruled")?;
        (bucket.settings.lifecycle, bucket.versioning) = (rules, Versioning::On);
        bucket::save(txn, &bucket)?;
        Ok::<_, Error>(bucket)
    };
    objects.write(work).await.unwrap()
}

/// What is judged by rules that keep no older version is carried out by `then`.
async fn check(then: Option<u32>, expected: (u64, u64)) {
    let site = site().await;
    let objects = site.objects.clone();
    objects.bucket_create("ruled", "ann", crate::alone).await.unwrap();
    let bucket = set(&objects, rules(0)).await;
    for body in ["one", "two", "three", "four"] {
        objects.put("ruled", "k", body.as_bytes().to_vec()).await.unwrap();
    }
    let (id, later) = (bucket.id, in_days(9));
    let work = move |reader: &Reader<'_>| {
        let rows = reader.object_list_versions(id, "", i64::MAX, PAGE + 1)?;
        judge(&bucket, &rows, Above::default(), later)
    };
    let page = objects.read(work).await.unwrap();
    assert_eq!(page.doomed.len(), 4);
    set(&objects, then.map(rules).unwrap_or_default()).await;
    let work = move |txn: &mut Txn<'_>| carry_out(txn, "ruled", &page.doomed, later);
    let done = objects.write(work).await.unwrap();
    assert_eq!((done.current, done.noncurrent), expected, "{then:?}");
}

#[tokio::test]
async fn a_plan_is_carried_out_by_the_rules_of_then() {
    check(Some(0), (1, 3)).await;
    check(Some(2), (1, 1)).await;
    check(None, (0, 0)).await;
}

#[tokio::test]
async fn an_upload_whose_rule_was_removed_goes_on() {
    let site = site().await;
    let objects = site.objects.clone();
    objects.bucket_create("ruled", "ann", crate::alone).await.unwrap();
    let id = set(&objects, rules(0)).await.id;
    let begin = move |txn: &mut Txn<'_>| {
        txn.upload_insert(id, "k", "upload", now(), "{}")?;
        Ok::<_, Error>(txn.upload_list(id, "", 0, PAGE)?)
    };
    let begun = objects.write(begin).await.unwrap();
    for (then, gone) in [(Vec::new(), 0), (rules(0), 1), (rules(0), 0)] {
        set(&objects, then).await;
        let (ended, later) = (begun.clone(), in_days(9));
        let work = move |txn: &mut Txn<'_>| give_up(txn, "ruled", &ended, later);
        assert_eq!(objects.write(work).await.unwrap(), gone);
    }
}
