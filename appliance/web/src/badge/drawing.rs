//! The picture of a badge. Pure.
//!
//! Why lengths are told: the one who looks has other fonts than we; `textLength` fits what they draw
//! into the field that was measured here.

use super::Status;
use maud::{Markup, html};

/// Pixels of a character, about, at this size.
const CHARACTER: usize = 7;

/// Left and right of a text.
const SPACE: usize = 6;

/// What the left field of a shield says.
const LABEL: &str = "build";

/// How it looks, as the original names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Two fields, as most badges have them.
    Shield,
    /// One field.
    Svg,
}

impl Style {
    /// The one of that name; the original draws `svg` for all that it does not know.
    pub(super) fn named(name: Option<&str>) -> Self {
        match name {
            Some("shield") => Self::Shield,
            _ => Self::Svg,
        }
    }
}

impl Status {
    const fn word(self) -> &'static str {
        match self {
            Self::Passing => "passing",
            Self::Failing => "failing",
            Self::Canceled => "canceled",
            Self::None => "no status",
        }
    }

    /// Dark enough for white letters upon it.
    const fn colour(self) -> &'static str {
        match self {
            Self::Passing => "#1e7a3c",
            Self::Failing => "#b3261e",
            Self::Canceled | Self::None => "#5f6368",
        }
    }
}

/// The whole picture.
pub(super) fn draw(style: Style, status: Status) -> String {
    let word = status.word();
    let label = match style {
        Style::Shield => field(LABEL),
        Style::Svg => 0,
    };
    let (told, width) = (format!("{LABEL}: {word}"), label + field(word));
    let picture = html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(width) height="20" role="img" aria-label=(told) {
            title { (told) }
            clipPath id="r" { rect width=(width) height="20" rx="3" {} }
            g clip-path="url(#r)" {
                rect width=(label) height="20" fill="#3c4043" {}
                rect x=(label) width=(width - label) height="20" fill=(status.colour()) {}
            }
            g fill="#fff" font-family="Verdana,Geneva,DejaVu Sans,sans-serif" font-size="11" {
                @if label > 0 { (text(0, LABEL)) }
                (text(label, word))
            }
        }
    };
    picture.into_string()
}

const fn field(word: &str) -> usize {
    word.len() * CHARACTER + 2 * SPACE
}

fn text(x: usize, word: &str) -> Markup {
    html! { text x=(x + SPACE) y="14" textLength=(word.len() * CHARACTER) { (word) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_badge_says_its_word_in_fields_that_fit() {
        let picture = draw(Style::Shield, Status::Passing);
        assert!(picture.starts_with("<svg xmlns") && picture.contains(">passing</text>"));
        // Five and seven letters, each field with its spaces.
        assert!(
            picture.contains(r#"width="108""#) && picture.contains(">build</text>"),
            "{picture}"
        );
        let picture = draw(Style::named(Some("other")), Status::None);
        assert!(picture.contains(r#"aria-label="build: no status""#), "{picture}");
        assert!(
            !picture.contains(">build</text>") && picture.contains(r#"width="75""#),
            "{picture}"
        );
    }
}
