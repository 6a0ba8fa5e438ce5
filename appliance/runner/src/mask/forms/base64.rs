//! Values in base64: whole, within more, and broken into lines.
//!
//! Why pieces: what encodes does so three bytes at a time, so that a value inside something longer
//! shows as one of three texts, without a character or two at either end that its neighbours decide.
//! A break between lines comes behind a multiple of four characters of everything. Pieces of each
//! text that begin at every such place, and where the value itself begins and ends, therefore cover
//! each line however long lines are (76 characters of `base64`, 64 of `openssl` and of keys), and
//! whatever stands before and after a line. A part that is shorter than a piece is found together
//! with the line beside it.
//! Cost: one piece for each byte of a value. Of a long value in one line, a token that is worth nothing
//! without all of its parts, a piece in each [`SPARSE`] characters is hidden instead: every job has such
//! tokens, and some thousand forms take longer to prepare than a short job runs.

use base64::{Engine, engine::general_purpose::STANDARD};

/// Characters of a piece: three quarters of as many bytes of the value, which no other output has.
const PIECE: usize = 12;

/// Characters of base64 between two places at which a line may break.
const STEP: usize = 4;

/// A line has more bytes, or its pieces are not sparse.
const LONG: usize = 64;

/// Characters from one sparse piece to the next: each line of the tools' has one.
const SPARSE: usize = 36;

/// Bytes in the lines of the `base64` command and of `openssl`.
const LINES: [usize; 2] = [57, 48];

/// Every form of `value`, in the alphabet for addresses as well where that makes another.
pub(super) fn of(value: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = standard(value);
    let others: Vec<_> = forms.iter().filter_map(|form| for_addresses(form)).collect();
    forms.extend(others);
    forms
}

fn standard(value: &[u8]) -> Vec<Vec<u8>> {
    let is_token = value.len() > LONG && !value.contains(&b'\n');
    let step = if is_token { SPARSE } else { STEP };
    let mut forms = vec![STANDARD.encode(value).into_bytes()];
    // The last line of a value that stands alone, with what fills it up; a short one is found with
    // the line before it.
    let lasts = LINES.iter().filter_map(|line| value.chunks(*line).next_back());
    let lasts = lasts.map(|last| STANDARD.encode(last).into_bytes());
    forms.extend(lasts.filter(|last| last.len() >= PIECE));
    for before in 0..3 {
        let (text, first) = aligned(value, before);
        forms.extend(pieces(&text, first, step));
        forms.extend(broken(&text, first));
        forms.push(text);
    }
    forms
}

/// The same with `-` and `_`; `None` where it has neither `+` nor `/`.
fn for_addresses(form: &[u8]) -> Option<Vec<u8>> {
    let other = |byte: &u8| match byte {
        b'+' => b'-',
        b'/' => b'_',
        byte => *byte,
    };
    form.iter().any(|byte| matches!(byte, b'+' | b'/')).then(|| form.iter().map(other).collect())
}

/// The characters of base64 that `value` alone decides when `before` other bytes (modulo three)
/// stand in front of it, and how many stand before these.
fn aligned(value: &[u8], before: usize) -> (Vec<u8>, usize) {
    let mut shifted = vec![0; before];
    shifted.extend_from_slice(value);
    let encoded = STANDARD.encode(&shifted).into_bytes();
    let first = (before * 8).div_ceil(6);
    let end = shifted.len() * 8 / 6;
    (encoded[first.min(end)..end].to_vec(), first)
}

/// Where a line may break within a text before which `first` characters stand.
fn breaks(first: usize, length: usize) -> impl Iterator<Item = usize> {
    (0..length).skip((STEP - first % STEP) % STEP).step_by(STEP)
}

/// Pieces of `text` that begin at breaks, `step` characters from each other. Those at every break cover every
/// part between two breaks that is as long as a piece.
fn pieces(text: &[u8], first: usize, step: usize) -> Vec<Vec<u8>> {
    let Some(last) = text.len().checked_sub(PIECE) else { return Vec::new() };
    let starts = breaks(first, last).step_by(step / STEP).chain([0, last]);
    starts.map(|start| text[start..start + PIECE].to_vec()).collect()
}

/// Breaks that leave less than a piece on one side, with what stands on both.
fn broken(text: &[u8], first: usize) -> Vec<Vec<u8>> {
    let around = |at: usize| {
        let (left, right) = (&text[(at + 1).saturating_sub(PIECE)..at], &text[at..]);
        [left, b"\n", &right[..right.len().min(PIECE - 1)]].concat()
    };
    breaks(first, text.len())
        .filter(|at| *at > 0 && (*at < PIECE || text.len() - at < PIECE))
        .map(around)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_found_at_every_alignment() {
        for before in 0..6 {
            let text = format!("{}hunter2-and-more{}", "x".repeat(before), "tail");
            let encoded = STANDARD.encode(text);
            let form = aligned(b"hunter2-and-more", before % 3).0;
            let form = String::from_utf8(form).unwrap();
            assert!(encoded.contains(&form), "{form} in {encoded}");
        }
    }

    /// Each character of `text` in lines of `width`, with the number of its line.
    fn lines(text: &str, width: usize) -> String {
        let lines: Vec<&str> =
            text.as_bytes().chunks(width).map(|l| std::str::from_utf8(l).unwrap()).collect();
        lines.join("\n") + "\n"
    }

    /// Marks what `forms` cover of `text`.
    fn covered(forms: &[Vec<u8>], text: &[u8]) -> Vec<bool> {
        let mut covered = vec![false; text.len()];
        for form in forms {
            for start in 0..text.len().saturating_sub(form.len() - 1) {
                if text[start..].starts_with(form) {
                    covered[start..start + form.len()].fill(true);
                }
            }
        }
        covered
    }

    fn check(value: &str, width: usize, before: usize, after: usize) {
        let whole = format!("{}{value}{}", "u".repeat(before), "z".repeat(after));
        let text = lines(&STANDARD.encode(&whole), width);
        let covered = covered(&of(value.as_bytes()), text.as_bytes());
        let (from, to) = ((before * 8).div_ceil(6), (before + value.len()) * 8 / 6);
        for character in from..to {
            let at = character + character / width;
            assert!(covered[at], "{value} {width} {before} {after}: {at} of {text}");
        }
    }

    #[test]
    fn no_decided_character_of_a_line_is_shown_wherever_it_breaks() {
        let long: String = ('!'..='~').collect();
        let key = format!("{long}\n{long}");
        let values = ["hunter2", "a token of 20 bytes.", &long[..40], &long[..LONG], &key];
        for value in values {
            for width in [76, 64] {
                for before in 0..60 {
                    check(value, width, before, 0);
                    check(value, width, before, 3);
                }
            }
        }
    }

    #[test]
    fn of_a_long_token_a_third_of_each_line_is_hidden() {
        let token: String = ('!'..='~').chain('0'..='z').chain('A'..='~').collect();
        let forms = of(token.as_bytes());
        assert!(forms.len() < token.len(), "{} forms", forms.len());
        for (width, before) in
            [76, 64].into_iter().flat_map(|width| (0..60).map(move |b| (width, b)))
        {
            let text = lines(&STANDARD.encode(format!("{}{token}", "u".repeat(before))), width);
            let covered = covered(&forms, text.as_bytes());
            let whole = covered.chunks(width + 1).filter(|line| line.len() > width).skip(2);
            assert!(whole.clone().count() > 1);
            for line in whole {
                let hidden = line.iter().filter(|hidden| **hidden).count();
                assert!(hidden >= PIECE, "{hidden} of {width} at {before}");
            }
        }
    }
}
