//! What jobs left, page by page or all at once.
//!
//! Form: a token is where a page ended, so that pages stay right while more comes.
//! Invariants: nothing is left out in silence. A form without pages holds [`ALL_MAX`] things, and a job
//! with more is refused there, with the way to the pages.

use super::pipelines::bad_token;
use crate::error::Failure;
use base::protocol::TestResult;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use store::{
    Reader,
    runs::{Artifact, Job, Mark, RESULTS_PAGE},
};

/// Artifacts, or test results, of one answer without pages.
const ALL_MAX: usize = 10 * RESULTS_PAGE;

/// What a listing is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    #[serde(rename = "page-token")]
    token: String,
    /// The same in version 3.
    #[serde(rename = "page[cursor]")]
    cursor: String,
}

impl Wanted {
    /// Behind what the page begins; clients send an empty token for the first.
    pub(super) fn after<T: DeserializeOwned>(&self) -> Result<Option<Mark<T>>, Failure> {
        let token = if self.token.is_empty() { &self.cursor } else { &self.token };
        if token.is_empty() {
            return Ok(None);
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).map_err(|_| bad_token())?;
        serde_json::from_slice(&bytes).map(Some).map_err(|_| bad_token())
    }
}

/// The token of the page behind a mark.
pub(super) fn token<T: Serialize>(mark: &Mark<T>) -> String {
    // A pair of a number and a number or text is JSON.
    BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(mark).unwrap_or_default())
}

/// The mark behind a page of artifacts that may have a successor.
pub(super) fn behind(page: &[Artifact]) -> Option<Mark<String>> {
    let last = page.last().filter(|_| page.len() == RESULTS_PAGE)?;
    Some((last.node, last.path.clone()))
}

/// All artifacts of a job.
pub(super) fn artifacts(reader: &Reader<'_>, job: &Job) -> Result<Vec<Artifact>, Failure> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = reader.artifact_page(job, after.as_ref())?;
        after = behind(&page);
        all.extend(page);
        if after.is_none() {
            return Ok(all);
        }
        bound(all.len(), "artifacts")?;
    }
}

/// All test results of a job.
pub(super) fn tests(reader: &Reader<'_>, job: &Job) -> Result<Vec<TestResult>, Failure> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let (page, next) = reader.test_page(job, after.as_ref())?;
        after = next;
        all.extend(page);
        if after.is_none() {
            return Ok(all);
        }
        bound(all.len(), "tests")?;
    }
}

fn bound(count: usize, what: &str) -> Result<(), Failure> {
    if count < ALL_MAX {
        return Ok(());
    }
    Err(Failure::Invalid(format!(
        "the job has {ALL_MAX} {what} and more, too many for one answer: ask /api/v2/project/<project>/<number>/{what}, page by page"
    )))
}

#[cfg(test)]
mod tests_of_tokens {
    use super::*;

    #[test]
    fn a_token_leads_back_to_its_mark_and_others_are_refused() {
        let wanted = |token: String| Wanted { token, ..Wanted::default() };
        let mark = (3, "a/ü ?&.txt".to_owned());
        let text = token(&mark);
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        assert_eq!(wanted(text).after().unwrap(), Some(mark));
        assert_eq!(wanted(token(&(0, 7_u64))).after().unwrap(), Some((0, 7_u64)));
        assert_eq!(wanted(String::new()).after::<u64>().unwrap(), None);
        assert!(wanted("x".into()).after::<u64>().is_err());
        assert!(wanted(token(&(0, "a".to_owned()))).after::<u64>().is_err());
    }
}
