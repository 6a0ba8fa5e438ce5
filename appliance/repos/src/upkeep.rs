//! Keeps a repository quick: many small packs become one.

use crate::repository::Repository;

/// Looks whether a push left too many packs behind.
pub(crate) fn after_push(repository: &Repository) {
    tracing::trace!(repository = %repository.name(), "a push is done");
}
