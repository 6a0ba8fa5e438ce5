//! The forms in which a secret value may come to light.
//!
//! Why: tools print values encoded: a Basic header is base64, a query string is percent-encoded,
//! an API answer is JSON, a trace quotes for the shell. A value is hidden in each of these.
//! Limits: a form that is neither of these (reversed, hashed, compressed) is not found; masking
//! guards against accidents, not against the author of the job.

mod base64;
mod quoted;
mod url;

/// Shorter values are too common in ordinary output to be hidden.
const SHORTEST: usize = 4;

/// Every form of `value`; none when it is not secret.
pub(super) fn of(value: &str) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    if !is_secret(value) {
        return forms;
    }
    forms.push(value.as_bytes().to_vec());
    forms.extend(
        value.lines().map(str::trim_end).filter(|l| is_secret(l)).map(|l| l.as_bytes().to_vec()),
    );
    if !value.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        forms.extend(quoted::of(value).map(String::into_bytes));
        forms.extend(url::of(value).into_iter().map(String::into_bytes));
    }
    forms.extend(base64::of(value.as_bytes()));
    forms.retain(|form| form.len() >= SHORTEST);
    forms
}

fn is_secret(value: &str) -> bool {
    value.chars().count() >= SHORTEST
        && !["true", "True", "TRUE", "false", "False", "FALSE"].contains(&value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_boolean_values_have_no_form() {
        for value in ["", "abc", "true", "False"] {
            assert!(of(value).is_empty(), "{value}");
        }
    }
}
