//! A pipeline's configuration, as it was found and as it was processed. Pure.

use maud::{Markup, PreEscaped, html};
use store::runs::ConfigTexts;

/// All texts of a pipeline, each below its name.
pub(super) fn list(texts: Option<&ConfigTexts>) -> Markup {
    let empty = ConfigTexts::default();
    html! {
        @for (title, text) in parts(texts.unwrap_or(&empty)) {
            section {
                h2 { (title) }
                @match text {
                    Some(text) => pre.source tabindex="0" {
                        @for line in text.lines() { span.line { (line) (PreEscaped("\n")) } }
                    },
                    None => p.faint { "There is none." },
                }
            }
        }
    }
}

/// Each text with what it is: a setup configuration stands before what it generated.
fn parts(texts: &ConfigTexts) -> Vec<(&'static str, Option<&str>)> {
    let ConfigTexts { source, compiled, setup, compiled_setup } = texts;
    let named = match setup {
        None => vec![("As found at the commit", source), ("As processed", compiled)],
        Some(_) => vec![
            ("Setup configuration, as found at the commit", setup),
            ("Setup configuration, as processed", compiled_setup),
            ("Continuation, as the setup generated it", source),
            ("Continuation, as processed", compiled),
        ],
    };
    named.into_iter().map(|(title, text)| (title, text.as_deref())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Source and setup configuration → titles and texts.
    fn check(source: Option<&str>, setup: Option<&str>, expected: &[(&str, Option<&str>)]) {
        let processed = |text: Option<&str>| text.map(|text| format!("{text}, processed"));
        let texts = ConfigTexts {
            source: source.map(str::to_owned),
            compiled: processed(source),
            setup: setup.map(str::to_owned),
            compiled_setup: processed(setup),
        };
        assert_eq!(parts(&texts), expected);
    }

    #[test]
    fn a_continuation_is_not_taken_for_what_stands_at_the_commit() {
        check(None, None, &[("As found at the commit", None), ("As processed", None)]);
        let plain = [("As found at the commit", Some("a")), ("As processed", Some("a, processed"))];
        check(Some("a"), None, &plain);
        check(
            Some("a"),
            Some("s"),
            &[
                ("Setup configuration, as found at the commit", Some("s")),
                ("Setup configuration, as processed", Some("s, processed")),
                ("Continuation, as the setup generated it", Some("a")),
                ("Continuation, as processed", Some("a, processed")),
            ],
        );
    }
}
