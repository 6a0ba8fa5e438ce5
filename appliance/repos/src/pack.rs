//! Packs: the files that objects travel and rest in.

pub(crate) mod receive;
pub(crate) mod set;
pub(crate) mod write;
