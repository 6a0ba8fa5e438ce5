//! Keeps bare Git repositories and speaks smart HTTP.
