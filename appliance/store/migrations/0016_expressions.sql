-- What must hold of a job that a context is given to, each of them.
CREATE TABLE context_expressions (
    context    BLOB NOT NULL REFERENCES contexts ON DELETE CASCADE,
    id         BLOB NOT NULL,
    expression TEXT NOT NULL,
    PRIMARY KEY (context, id)
) STRICT, WITHOUT ROWID;
