//! Long texts that repeat from run to run, kept once by their hash.
//!
//! A text is never changed; it goes some time after the last row that names it.
//! Why in two steps: which are named is known by all runs, seconds of reading where there are a hundred
//! thousand, and nobody's commit may wait for that. So a reader looks ([`Reader::texts_unused`]), and the
//! writer removes what no pipeline or workflow names that was told since ([`Txn::texts_forget`]): none
//! comes into being, nor goes on with another configuration, without its event in the same transaction.

use super::family;
use crate::{Reader, Txn, error::Error};
use base::{
    event::Event,
    ids::{Cursor, PipelineId, WorkflowId},
};
use rusqlite::{OptionalExtension, Row, params};
use sha2::{Digest, Sha256};
use std::collections::HashSet;

/// Texts removed in one transaction: others write between two.
const AT_ONCE: usize = 5_000;

/// Texts that no row named when they were looked for.
#[derive(Debug)]
pub struct UnusedTexts {
    hashes: Vec<Hash>,
    /// The last event then.
    as_of: Cursor,
}

impl UnusedTexts {
    /// In pieces that bound their transactions.
    pub fn pieces(self) -> impl Iterator<Item = Self> {
        let Self { hashes, as_of } = self;
        let pieces: Vec<_> = hashes.chunks(AT_ONCE).map(<[Hash]>::to_vec).collect();
        pieces.into_iter().map(move |hashes| Self { hashes, as_of })
    }
}

/// 16 bytes of SHA-256: to find another text for a given hash is out of reach, and two texts made
/// to collide would only harm the one who made both.
pub(crate) type Hash = [u8; 16];

fn hash(body: &str) -> Hash {
    let digest = Sha256::digest(body.as_bytes());
    std::array::from_fn(|index| digest[index])
}

impl Txn<'_> {
    pub(crate) fn text_put(&self, body: &str) -> Result<Hash, Error> {
        let hash = hash(body);
        self.statement("INSERT OR IGNORE INTO texts (hash, body) VALUES (?1, ?2)")?
            .execute(params![hash, body])?;
        Ok(hash)
    }

    /// Removes texts but for those that are named again since they were looked for.
    pub fn texts_forget(&self, unused: &UnusedTexts) -> Result<usize, Error> {
        let named = self.texts_named_since(unused.as_of)?;
        let mut remove = self.statement("DELETE FROM texts WHERE hash = ?1")?;
        let mut gone = 0;
        for hash in unused.hashes.iter().filter(|hash| !named.contains(*hash)) {
            gone += remove.execute([hash])?;
        }
        Ok(gone)
    }
}

impl Reader<'_> {
    /// Texts that no row names; reads all runs, so ask seldom.
    pub fn texts_unused(&self) -> Result<UnusedTexts, Error> {
        let mut list = self.statement(
            "SELECT hash FROM texts WHERE hash NOT IN (SELECT vcs FROM pipelines \
             UNION SELECT config FROM pipelines WHERE config IS NOT NULL \
             UNION SELECT compiled FROM pipelines WHERE compiled IS NOT NULL \
             UNION SELECT setup FROM pipelines WHERE setup IS NOT NULL \
             UNION SELECT compiled_setup FROM pipelines WHERE compiled_setup IS NOT NULL \
             UNION SELECT ref_a FROM runs WHERE kind = 1 AND ref_a IS NOT NULL)",
        )?;
        let hashes = list.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(UnusedTexts { hashes, as_of: self.event_last()? })
    }

    fn texts_named_since(&self, as_of: Cursor) -> Result<HashSet<Hash>, Error> {
        let (mut named, mut after) = (HashSet::new(), as_of);
        loop {
            let page = self.event_list(after, crate::events::PAGE_MAX)?;
            let Some(last) = page.last() else { return Ok(named) };
            after = last.cursor;
            for told in page {
                match told.event {
                    Event::PipelineCreated { pipeline, .. }
                    | Event::PipelineChanged { pipeline, .. } => {
                        named.extend(self.texts_of_pipeline(pipeline)?);
                    }
                    Event::WorkflowCreated { workflow, .. } => {
                        named.extend(self.texts_of_jobs(workflow)?);
                    }
                    _ => {}
                }
            }
        }
    }

    fn texts_of_pipeline(&self, id: PipelineId) -> Result<Vec<Hash>, Error> {
        let mut find = self.statement(
            "SELECT vcs, config, compiled, setup, compiled_setup FROM pipelines WHERE id = ?1",
        )?;
        let all = |row: &Row<'_>| (0..5).map(|column| row.get(column)).collect();
        let found: Option<Vec<Option<Hash>>> = find.query_row([id.0], all).optional()?;
        Ok(found.into_iter().flatten().flatten().collect())
    }

    fn texts_of_jobs(&self, of: WorkflowId) -> Result<Vec<Hash>, Error> {
        let (first, last) = family::jobs_range(of);
        let mut list = self.statement(
            "SELECT ref_a FROM runs WHERE id BETWEEN ?1 AND ?2 AND kind = 1 AND ref_a IS NOT NULL",
        )?;
        let rows = list.query_map(params![first, last], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(crate) fn text_get(&self, hash: &Hash) -> Result<Option<String>, Error> {
        let mut find = self.statement("SELECT body FROM texts WHERE hash = ?1")?;
        Ok(find.query_row(params![hash], |row| row.get(0)).optional()?)
    }
}
