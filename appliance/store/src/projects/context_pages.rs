//! Contexts and their variables page by page: a site may have hundreds of both.
//!
//! Invariant: what one call reads and opens is bounded by its `limit`.

use super::{Context, VariableInfo, contexts, variables::masked};
use crate::{Reader, error::Error};
use base::{ids::ContextId, time::Timestamp};
use rusqlite::params;

/// A context as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextLine {
    /// Which.
    pub context: Context,
    /// Name of its owner.
    pub org: String,
    /// How many variables it has.
    pub variables: u64,
    /// Not every project of its owner may use it.
    pub restricted: bool,
}

impl Reader<'_> {
    /// Contexts of all organisations whose name holds `part`, by organisation and name, behind `after`,
    /// at most `limit`.
    pub fn context_page(
        &self,
        after: (&str, &str),
        part: &str,
        limit: u32,
    ) -> Result<Vec<ContextLine>, Error> {
        let mut list = self.statement(
            "SELECT c.id, c.org, c.name, c.created_at, o.name, \
             (SELECT count(*) FROM context_variables v WHERE v.context = c.id), \
             EXISTS (SELECT 1 FROM context_restrictions r WHERE r.context = c.id) \
             OR EXISTS (SELECT 1 FROM context_expressions e WHERE e.context = c.id) \
             FROM orgs o JOIN contexts c ON c.org = o.id \
             WHERE (o.name, c.name) > (?1, ?2) AND instr(lower(c.name), lower(?3)) > 0 \
             ORDER BY o.name, c.name LIMIT ?4",
        )?;
        let rows = list.query_map(params![after.0, after.1, part, limit], |row| {
            Ok(ContextLine {
                context: contexts::context(row)?,
                org: row.get(4)?,
                variables: row.get(5)?,
                restricted: row.get(6)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many variables a context has.
    pub fn context_variable_count(&self, id: ContextId) -> Result<u64, Error> {
        let mut count =
            self.statement("SELECT count(*) FROM context_variables WHERE context = ?1")?;
        Ok(count.query_row([id.0], |row| row.get(0))?)
    }

    /// What may be shown of a context's variables, by name, behind `after`, at most `limit`.
    pub fn context_variable_page(
        &self,
        id: ContextId,
        after: &str,
        limit: u32,
    ) -> Result<Vec<VariableInfo>, Error> {
        let mut list = self.statement(
            "SELECT name, value, created_at, updated_at FROM context_variables \
             WHERE context = ?1 AND name > ?2 ORDER BY name LIMIT ?3",
        )?;
        let mut rows = list.query(params![id.0, after, limit])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let (name, sealed): (String, Vec<u8>) = (row.get(0)?, row.get(1)?);
            let masked = masked(&self.key().open_text(&contexts::place(id, &name), &sealed)?);
            let (created_at, updated_at) = (Timestamp(row.get(2)?), Timestamp(row.get(3)?));
            found.push(VariableInfo { name, masked, created_at, updated_at });
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Config, SiteKey, Store, Txn, error::Error};
    use base::{secret::Secret, time::Timestamp};

    const AT: Timestamp = Timestamp(7);

    fn fill(txn: &mut Txn<'_>) -> Result<(), Error> {
        for (org, names) in [("beta", ["one", "two"]), ("Acme", ["Deploy", "build"])] {
            let id = txn.org_ensure(org, AT)?.id;
            names.iter().try_for_each(|name| txn.context_create(id, name, AT).map(drop))?;
        }
        let acme = txn.org_ensure("acme", AT)?.id;
        let deploy = txn.context_by_name(acme, "Deploy")?.expect("made above").id;
        for name in ["A", "B", "C"] {
            txn.context_variable_set(deploy, name, &Secret::new("value-1234"), AT)?;
        }
        txn.context_expression_add(deploy, "x", AT).map(drop)
    }

    #[tokio::test]
    async fn contexts_and_variables_come_in_pages() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&Config::new(folder.path()), SiteKey::new([7; 32])).unwrap();
        store.write(fill).await.unwrap();
        let page = async |after: (&'static str, &'static str), part: &'static str, limit| {
            let read = move |reader: &crate::Reader<'_>| reader.context_page(after, part, limit);
            let lines = store.read(read).await.unwrap();
            lines
                .iter()
                .map(|line| format!("{}/{}", line.org, line.context.name))
                .collect::<Vec<_>>()
        };
        assert_eq!(page(("", ""), "", 3).await, ["Acme/Deploy", "Acme/build", "beta/one"]);
        assert_eq!(page(("Acme", "build"), "", 3).await, ["beta/one", "beta/two"]);
        assert_eq!(page(("", ""), "DEP", 3).await, ["Acme/Deploy"]);
        let read = |reader: &crate::Reader<'_>| {
            let line = reader.context_page(("", ""), "", 1)?.remove(0);
            let id = line.context.id;
            let names = reader.context_variable_page(id, "A", 1)?;
            Ok::<_, Error>((line, reader.context_variable_count(id)?, names))
        };
        let (line, count, variables) = store.read(read).await.unwrap();
        assert!(line.restricted && line.variables == 3 && count == 3);
        let names: Vec<_> =
            variables.iter().map(|one| (one.name.as_str(), one.masked.as_str())).collect();
        assert_eq!(names, [("B", "xxxx1234")]);
    }
}
