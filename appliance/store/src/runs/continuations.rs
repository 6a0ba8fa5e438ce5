//! Setup pipelines and their continuation.
//!
//! Invariants: a key is the pipeline's identifier sealed under the site key, so nothing is stored
//! that a thief of the database could continue with; whether it was used is told by the pipeline's
//! state, which leaves `setup` once and for good.

use crate::{
    Reader, Txn,
    error::Error,
    runs::pipelines::{ConfigTexts, Pipeline, join, unless_empty},
};
use base::{ids::PipelineId, secret::Secret, state::PipelineState, time::Timestamp};
use rusqlite::{OptionalExtension, params};
use uuid::Uuid;

/// What a sealed identifier is good for.
const PLACE: &str = "continuation";

impl Reader<'_> {
    /// A key that continues this pipeline. Each call makes another; all of them fit.
    pub fn continuation_key(&self, id: PipelineId) -> Result<Secret, Error> {
        self.key().seal_hex(PLACE, id.0.as_bytes())
    }

    /// The pipeline that a key continues; `None` when this site did not make the key.
    pub fn continuation_pipeline(&self, key: &str) -> Option<PipelineId> {
        let plain = self.key().open_hex(PLACE, key)?;
        Uuid::from_slice(&plain).ok().map(PipelineId)
    }

    /// Whether a pipeline goes on, or failed to go on, from a setup.
    pub fn pipeline_was_continued(&self, id: PipelineId) -> Result<bool, Error> {
        let mut find = self.statement("SELECT setup IS NOT NULL FROM pipelines WHERE id = ?1")?;
        Ok(find.query_row(params![id.0], |row| row.get(0)).optional()?.unwrap_or(false))
    }
}

impl Txn<'_> {
    /// Puts a pipeline into another state.
    pub fn pipeline_state_set(
        &self,
        id: PipelineId,
        state: PipelineState,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.statement("UPDATE pipelines SET state = ?2, updated_at = ?3 WHERE id = ?1")?
            .execute(params![id.0, state.as_str(), now.0])?;
        Ok(())
    }

    /// Gives a setup pipeline the configuration that continues it: `of` has its new state, errors
    /// and workflows. The configuration that it had becomes its setup.
    pub fn pipeline_continue(&self, of: &Pipeline, texts: &ConfigTexts) -> Result<(), Error> {
        let put =
            |text: &Option<String>| text.as_deref().map(|text| self.text_put(text)).transpose();
        let (config, compiled) = (put(&texts.source)?, put(&texts.compiled)?);
        let errors = unless_empty("pipeline errors", &of.errors, of.errors.is_empty())?;
        self.statement(
            "UPDATE pipelines SET setup = config, compiled_setup = compiled, config = ?2, \
             compiled = ?3, state = ?4, errors = ?5, workflows = ?6, updated_at = ?7 WHERE id = ?1",
        )?
        .execute(params![
            of.id.0,
            config,
            compiled,
            of.state.as_str(),
            errors,
            join(&of.workflows),
            of.updated_at.0,
        ])?;
        Ok(())
    }
}
