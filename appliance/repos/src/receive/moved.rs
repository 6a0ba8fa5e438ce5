//! Whether references have moved when their writing failed.
//!
//! Why: the last sync comes after the rename. When it fails, every reader sees the new references
//! already, and whoever acts on them must be told; only their being durable is in doubt.

use crate::{error::Error, refs::RefTable};

/// The words for the client when all moved, but may be lost with the power.
pub(super) const DOUBT: &str =
    "it has moved, but the disk of the server did not confirm it; tell its operator, then fetch";

/// `None` when `next` is the truth and durable; the error when it is only what `read` finds in the
/// place of `before`.
pub(super) fn doubt(
    written: Result<(), Error>,
    before: &RefTable,
    next: &RefTable,
    read: impl FnOnce() -> Result<RefTable, Error>,
) -> Result<Option<Error>, Error> {
    let Err(error) = written else { return Ok(None) };
    match read() {
        Ok(found) if found == *next && next != before => Ok(Some(error)),
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(branches: &[&str]) -> RefTable {
        let id = "1111111111111111111111111111111111111111";
        let text: String = branches.iter().map(|b| format!("{id} refs/heads/{b}\n")).collect();
        RefTable::parse(text.as_bytes()).unwrap()
    }

    fn failed() -> Error {
        Error::file("sync", "x")(std::io::Error::other("gone"))
    }

    fn check(
        written: Result<(), Error>,
        found: Result<RefTable, Error>,
        expected: Result<bool, ()>,
    ) {
        let told = doubt(written, &table(&["a"]), &table(&["a", "b"]), || found);
        assert_eq!(told.map(|doubt| doubt.is_some()).map_err(drop), expected);
    }

    #[test]
    fn what_readers_see_decides_whether_references_have_moved() {
        check(Ok(()), Err(failed()), Ok(false));
        check(Err(failed()), Ok(table(&["a", "b"])), Ok(true));
        check(Err(failed()), Ok(table(&["a"])), Err(()));
        check(Err(failed()), Err(failed()), Err(()));
    }
}
