//! Decides: which job may start, who holds it, what follows its end.
