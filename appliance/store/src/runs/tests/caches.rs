//! Caches by key, prefix, time and level.

use super::{
    super::caches::{Cache, CacheInsert},
    *,
};

#[test]
fn a_cache_key_is_taken_once_and_the_newest_match_is_found() {
    let cache = |key: &str, at: i64| Cache {
        project: PROJECT,
        key: key.into(),
        trust: Trust::Unprotected,
        object: format!("o{at}"),
        size: 1,
        paths: vec!["~/.cargo".into()],
        job: JobNumber(1),
        created_at: Timestamp(at),
        expires_at: Timestamp(at + 100),
    };
    let write = move |txn: &mut Txn<'_>| {
        let stored =
            |replaced: Option<&str>| CacheInsert::Stored { replaced: replaced.map(str::to_owned) };
        assert_eq!(txn.cache_insert(&cache("v1-a", 10))?, stored(None));
        assert_eq!(txn.cache_insert(&cache("v1-b", 5))?, stored(None));
        assert_eq!(txn.cache_insert(&cache("v2", 50))?, stored(None));
        assert_eq!(txn.cache_insert(&cache("v1-a", 20))?, CacheInsert::Taken);
        let expired = txn.cache_insert(&cache("v1-b", 105))?;
        assert_eq!(expired, stored(Some("o5")), "the old one has expired, and is told");
        Ok(())
    };
    check(write, |reader| {
        let find = |prefix: &str, now| {
            let found = reader.cache_find(PROJECT, Trust::Unprotected, prefix, Timestamp(now))?;
            Ok::<_, Error>(found.map(|found| found.object))
        };
        assert_eq!(find("v1-", 106)?.as_deref(), Some("o105"));
        assert_eq!(find("v1-", 60)?.as_deref(), Some("o10"), "the newer one is of a wrong clock");
        assert_eq!(find("v1-a", 60)?.as_deref(), Some("o10"));
        let exact = reader.cache_get(PROJECT, Trust::Unprotected, "v1-a", Timestamp(60))?;
        assert_eq!(exact.map(|found| found.paths), Some(vec!["~/.cargo".to_owned()]));
        assert_eq!(find("v1-a", 110)?, None);
        assert_eq!(find("w", 60)?, None);
        assert_eq!(reader.cache_list_expired(Timestamp(120), 9)?.len(), 1);
        Ok(())
    });
}

#[test]
fn caches_past_their_day_go_and_so_do_those_of_a_clock_that_was_far_ahead() {
    const DAY: i64 = 24 * 3600 * 1_000_000;
    let cache = |key: &str, at: i64| Cache {
        project: PROJECT,
        key: key.into(),
        trust: Trust::Unprotected,
        object: key.into(),
        size: 1,
        paths: vec![],
        job: JobNumber(1),
        created_at: Timestamp(at * DAY),
        expires_at: Timestamp((at + 15) * DAY),
    };
    let write = move |txn: &mut Txn<'_>| {
        for (key, at) in [("old", 80), ("older", 70), ("good", 90), ("ahead", 27_000)] {
            txn.cache_insert(&cache(key, at))?;
        }
        let now = Timestamp(100 * DAY);
        let mut gone = txn.cache_remove_expired(now, 2)?;
        gone.extend(txn.cache_remove_expired(now, 2)?);
        gone.sort();
        assert_eq!(gone, ["ahead", "old", "older"]);
        assert!(txn.cache_remove_expired(now, 2)?.is_empty());
        Ok(())
    };
    check(write, |reader| {
        let found = reader.cache_find(PROJECT, Trust::Unprotected, "", Timestamp(100 * DAY))?;
        assert_eq!(found.map(|found| found.key).as_deref(), Some("good"));
        Ok(())
    });
}

/// What each level finds.
fn found(reader: &Reader<'_>, trust: Trust, key: &str) -> Result<Option<String>, Error> {
    let found = reader.cache_find(PROJECT, trust, key, Timestamp(60))?;
    Ok(found.map(|cache| cache.object))
}

#[test]
fn a_protected_job_finds_what_protected_jobs_saved_and_others_find_both() {
    let cache = |key: &str, trust: Trust, at: i64| Cache {
        project: PROJECT,
        key: key.into(),
        trust,
        object: format!("{trust:?}-{at}"),
        size: 1,
        paths: vec![],
        job: JobNumber(1),
        created_at: Timestamp(at),
        expires_at: Timestamp(at + 100),
    };
    let write = move |txn: &mut Txn<'_>| {
        let fresh = CacheInsert::Stored { replaced: None };
        for (key, trust, at) in [
            ("both", Trust::Protected, 10),
            ("both", Trust::Unprotected, 5),
            ("poisoned", Trust::Unprotected, 20),
            ("upper", Trust::Protected, 30),
        ] {
            assert_eq!(txn.cache_insert(&cache(key, trust, at))?, fresh, "{key} {trust:?}");
        }
        Ok(())
    };
    check(write, move |reader| {
        let of = |name: &str| Some(name.to_owned());
        let (upper, lower) = (Trust::Protected, Trust::Unprotected);
        assert_eq!(found(reader, upper, "poisoned")?, None);
        assert_eq!(found(reader, lower, "poisoned")?, of("Unprotected-20"));
        assert_eq!(found(reader, upper, "both")?, of("Protected-10"));
        for key in ["both", "bo"] {
            assert_eq!(found(reader, lower, key)?, of("Unprotected-5"), "its own of that key");
        }
        assert_eq!(found(reader, lower, "upper")?, of("Protected-30"));
        let own = |trust| reader.cache_get(PROJECT, trust, "upper", Timestamp(60));
        assert!(own(lower)?.is_none() && own(upper)?.is_some(), "each level writes its own");
        Ok(())
    });
}

#[test]
fn a_job_is_trusted_as_its_pipeline_and_one_without_is_not() {
    let write = |txn: &mut Txn<'_>| {
        for (number, trust) in [(1, Trust::Protected), (2, Trust::Unprotected)] {
            let mut made = Pipeline { trust, ..pipeline(number, "main") };
            let workflow = workflow(u128::from(number), &mut made);
            txn.pipeline_insert(&made, &ConfigTexts::default())?;
            txn.workflow_insert(&workflow)?;
            assert_eq!(txn.pipeline_get(made.id)?, Some(made));
        }
        Ok(())
    };
    check(write, |reader| {
        let of = |number: u128| reader.job_trust(family::job(family::workflow(uuid(number)), 1));
        assert_eq!(of(1)?, Trust::Protected);
        assert_eq!(of(2)?, Trust::Unprotected);
        assert_eq!(of(3)?, Trust::Unprotected);
        Ok(())
    });
}
