//! How a character looks, as a closed set of classes.
//!
//! Source: ECMA-48 SGR and XTerm's 256 colours.

use std::{fmt::Write, sync::Arc};

/// The look of a character.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Style {
    /// Index into the 256 colours.
    pub foreground: Option<u8>,
    /// Index into the 256 colours.
    pub background: Option<u8>,
    flags: u8,
    /// http or https address; shared by all that it marks.
    pub(super) link: Option<Arc<str>>,
}

const BOLD: u8 = 1;
const DIM: u8 = 2;
const ITALIC: u8 = 4;
const UNDERLINE: u8 = 8;
const REVERSE: u8 = 16;
const STRIKE: u8 = 32;

const FLAG_CLASSES: [(u8, &str); 6] = [
    (BOLD, "bold"),
    (DIM, "dim"),
    (ITALIC, "ita"),
    (UNDERLINE, "und"),
    (REVERSE, "rev"),
    (STRIKE, "str"),
];

impl Style {
    /// No colour, no link.
    pub(super) const PLAIN: Self =
        Self { foreground: None, background: None, flags: 0, link: None };

    /// Applies the parameters of one SGR sequence.
    pub(super) fn select(&mut self, parameters: &[u16]) {
        let mut rest = parameters;
        if rest.is_empty() {
            self.reset();
        }
        while let Some((&first, tail)) = rest.split_first() {
            rest = match first {
                38 => extended(tail, &mut self.foreground),
                48 => extended(tail, &mut self.background),
                _ => {
                    self.simple(first);
                    tail
                }
            };
        }
    }

    fn reset(&mut self) {
        *self = Self { link: self.link.take(), ..Self::default() };
    }

    fn simple(&mut self, code: u16) {
        let low = u8::try_from(code).unwrap_or(u8::MAX);
        match low {
            0 => self.reset(),
            1 => self.flags |= BOLD,
            2 => self.flags |= DIM,
            3 => self.flags |= ITALIC,
            4 | 21 => self.flags |= UNDERLINE,
            7 => self.flags |= REVERSE,
            9 => self.flags |= STRIKE,
            22 => self.flags &= !(BOLD | DIM),
            23 => self.flags &= !ITALIC,
            24 => self.flags &= !UNDERLINE,
            27 => self.flags &= !REVERSE,
            29 => self.flags &= !STRIKE,
            30..=37 => self.foreground = Some(low - 30),
            39 => self.foreground = None,
            40..=47 => self.background = Some(low - 40),
            49 => self.background = None,
            90..=97 => self.foreground = Some(low - 90 + 8),
            100..=107 => self.background = Some(low - 100 + 8),
            _ => {}
        }
    }

    /// Class names, empty for plain text.
    pub(super) fn classes(&self) -> String {
        let mut classes = String::new();
        if let Some(colour) = self.foreground {
            let _ = write!(classes, "f{colour} ");
        }
        if let Some(colour) = self.background {
            let _ = write!(classes, "b{colour} ");
        }
        for (flag, class) in FLAG_CLASSES {
            if self.flags & flag != 0 {
                let _ = write!(classes, "{class} ");
            }
        }
        classes.truncate(classes.trim_end().len());
        classes
    }
}

/// `5;n` or `2;r;g;b` after 38 or 48; returns what follows.
fn extended<'a>(tail: &'a [u16], colour: &mut Option<u8>) -> &'a [u16] {
    match *tail {
        [5, index, ref rest @ ..] => {
            *colour = u8::try_from(index).ok();
            rest
        }
        [2, r, g, b, ref rest @ ..] => {
            let channel = |value: u16| u8::try_from(value).unwrap_or(u8::MAX);
            *colour = Some(nearest([r, g, b].map(channel)));
            rest
        }
        _ => &[],
    }
}

/// The steps of the 6×6×6 cube.
const CUBE: [u8; 6] = [0, 95, 135, 175, 215, 255];

/// Red, green and blue of a colour from 16 up.
#[must_use]
pub(super) fn rgb(index: u8) -> [u8; 3] {
    if index >= 232 {
        return [8 + 10 * (index - 232); 3];
    }
    let cube = index.saturating_sub(16);
    [cube / 36, cube / 6 % 6, cube % 6].map(|step| CUBE[usize::from(step)])
}

/// The nearest of the colours 16 to 255; the first 16 are the theme's and not used.
#[must_use]
pub(super) fn nearest(wanted: [u8; 3]) -> u8 {
    let distance = |index: u8| -> u32 {
        let channels = rgb(index).into_iter().zip(wanted);
        channels.map(|(a, b)| u32::from(a.abs_diff(b)).pow(2)).sum()
    };
    (16..=255).min_by_key(|index| distance(*index)).expect("the range is not empty")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_colour_is_nearest_to_itself() {
        for index in 16..=255u8 {
            assert_eq!(rgb(nearest(rgb(index))), rgb(index), "{index}");
        }
    }
}
