-- A context with rows here is open to these projects alone. The project is no reference: a context
-- must not open to all when the project that had it goes.
CREATE TABLE context_restrictions (
    context BLOB NOT NULL REFERENCES contexts ON DELETE CASCADE,
    project BLOB NOT NULL,
    PRIMARY KEY (context, project)
) STRICT, WITHOUT ROWID;
