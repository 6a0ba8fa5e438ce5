//! Environment variables of a project or context: set, replaced and removed, never read again.

use super::{moment, visit::Visit};
use crate::{api::check_value, error::Failure};
use base::{secret::Secret, time::Timestamp};
use maud::{Markup, html};
use serde::Deserialize;
use store::projects::VariableInfo;

/// A variable's value is an environment value: the kernel takes no more in one.
const VALUE_MAX: usize = 128 << 10;

/// Variables of a project or context, as their list shows them.
pub(super) struct Held<'a> {
    /// Takes both deeds.
    pub(super) action: &'a str,
    pub(super) variables: &'a [VariableInfo],
    pub(super) may: bool,
    /// Why only administrators may, if so; shown in the place of the deeds.
    pub(super) closed: Option<&'a str>,
    pub(super) now: Timestamp,
}

/// The list, and a form for one more.
pub(super) fn list(held: &Held<'_>, visit: &Visit) -> Markup {
    let Held { action, variables, closed, now, .. } = *held;
    let may = held.may && closed.is_none();
    html! {
        section.panel {
            h2 { "Environment variables" }
            p.faint { "Values are encrypted, given to jobs alone, and masked in their output. They cannot be read again." }
            @if let Some(why) = closed { p.faint { (why) } }
            @if variables.is_empty() { p { "None yet." } } @else {
                div.scroll { table.wide {
                    thead { tr { th { "Name" } th { "Value" } th { "Updated" } th { span.sr { "Remove" } } } }
                    tbody { @for variable in variables {
                        tr {
                            td { code { (variable.name) } }
                            td data-th="Value" { code.faint { (variable.masked) } }
                            td data-th="Updated" { (moment::ago(variable.updated_at, now)) }
                            td.right { @if may {
                                form method="post" action=(format!("{action}/remove")) {
                                    input type="hidden" name="name" value=(variable.name);
                                    button.danger type="submit" aria-label=(format!("Remove {}", variable.name)) { "Remove" }
                                }
                            } }
                        }
                    } }
                } }
            }
            @if may {
                form.inline method="post" action=(action) autocomplete="off" {
                    label { "Name" input name="name" value=[visit.typed(action, "name")] required pattern="[A-Za-z_][A-Za-z0-9_]*" maxlength="200" spellcheck="false" autocapitalize="none"; }
                    label { "Value" input type="password" name="value" required autocomplete="new-password"; }
                    button type="submit" { "Add environment variable" }
                }
            }
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Assignment {
    name: String,
    value: Secret,
}

impl Assignment {
    /// Name and value, when the name is one and the value fits.
    pub(super) fn judged(self) -> Result<(String, Secret), Failure> {
        let mut letters = self.name.chars();
        let begins = letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
        if !begins
            || self.name.len() > 200
            || !letters.all(|c| c.is_ascii_alphanumeric() || c == '_')
        {
            return Err(Failure::Invalid(
                "a variable's name has letters, digits and `_`, and does not begin with a digit"
                    .into(),
            ));
        }
        if self.value.expose().len() > VALUE_MAX {
            return Err(Failure::Invalid("a variable's value is at most 128 KiB".into()));
        }
        check_value(&self.name, &self.value)?;
        Ok((self.name, self.value))
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Named {
    pub(super) name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_names_fit_a_shell() {
        for (name, fits) in
            [("TOKEN_1", true), ("_x", true), ("1x", false), ("a-b", false), ("", false)]
        {
            let given = Assignment { name: name.into(), value: Secret::new("v") };
            assert_eq!(given.judged().is_ok(), fits, "{name}");
        }
    }
}
