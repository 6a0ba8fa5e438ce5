//! Whether an orb may enter the store.

use crate::{error::Error, registry::Registry};
use pipeline::{Code, Diagnostic, Severity, validate_orb};

/// Checks a packed orb as if it were used. An orb that it needs and that is not kept yet is a
/// warning: bundles come in any order, and the use tells it again.
///
/// # Errors
/// When the store cannot be read.
pub fn check(registry: &Registry, file: &str, text: &str) -> Result<Vec<Diagnostic>, Error> {
    let mut found = validate_orb(text, file, &registry.load_for(text)?);
    for diagnostic in &mut found {
        if diagnostic.code == Code::Orb && diagnostic.message.starts_with("Cannot find ") {
            diagnostic.severity = Severity::Warning;
        }
    }
    Ok(found)
}
