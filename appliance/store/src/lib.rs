//! Keeps what must not be lost in SQLite and what may be lost in sled.
