//! Whether an orb may enter the store.

use crate::{error::Error, intake::Candidate, registry::Registry};
use pipeline::{Code, Diagnostic, Severity, validate_orb};

/// Checks a packed orb as if it were used. An orb that it needs and that is not kept yet is a
/// warning: bundles come in any order, and the use tells it again.
///
/// # Errors
/// When the store cannot be read.
pub fn check(registry: &Registry, file: &str, text: &str) -> Result<Vec<Diagnostic>, Error> {
    Ok(as_used(validate_orb(text, file, &registry.load_for(text)?)))
}

/// The same of what was read, with the places of its own files.
///
/// # Errors
/// When the store cannot be read.
pub fn check_candidate(
    registry: &Registry,
    candidate: &Candidate,
) -> Result<Vec<Diagnostic>, Error> {
    Ok(as_used(candidate.validate(&registry.load_for(&candidate.text)?)))
}

fn as_used(mut found: Vec<Diagnostic>) -> Vec<Diagnostic> {
    for diagnostic in &mut found {
        if diagnostic.code == Code::Orb && diagnostic.message.starts_with("Cannot find ") {
            diagnostic.severity = Severity::Warning;
        }
    }
    found
}
