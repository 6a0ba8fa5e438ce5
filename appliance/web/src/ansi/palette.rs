//! The 256 colours as classes, made readable on the log's background.
//!
//! Why not as they come: a terminal's dark blue on black cannot be read by many. A colour of text
//! is moved towards white until its contrast reaches [`CONTRAST`]; hue is kept.
//! Source: WCAG 2.2 for luminance and contrast.

use super::style::rgb;
use std::{fmt::Write, sync::LazyLock};

/// What WCAG asks of text, level AA.
const CONTRAST: f64 = 4.5;

/// `--log` in the style sheet.
const BACKGROUND: [u8; 3] = [0x10, 0x15, 0x1a];

/// The sixteen named colours, chosen for this background.
const NAMED: [[u8; 3]; 16] = [
    [0x7d, 0x8a, 0x97],
    [0xff, 0x7b, 0x72],
    [0x56, 0xd3, 0x64],
    [0xe3, 0xb3, 0x41],
    [0x79, 0xb8, 0xff],
    [0xd2, 0xa8, 0xff],
    [0x4f, 0xd1, 0xc5],
    [0xd8, 0xdf, 0xe6],
    [0x97, 0xa3, 0xaf],
    [0xff, 0xa1, 0x98],
    [0x7e, 0xe7, 0x87],
    [0xf2, 0xcc, 0x60],
    [0xa5, 0xd0, 0xff],
    [0xe2, 0xc5, 0xff],
    [0x8b, 0xea, 0xdf],
    [0xff, 0xff, 0xff],
];

static CSS: LazyLock<String> = LazyLock::new(build);

/// One class for each colour of text (`f…`) and of background (`b…`).
#[must_use]
pub(crate) fn css() -> &'static str {
    &CSS
}

fn build() -> String {
    let mut css = String::with_capacity(14 << 10);
    for index in 0..=255 {
        let back = colour(index);
        let text = if contrast(back, [0; 3]) >= CONTRAST { "000" } else { "fff" };
        let _ = write!(css, ".b{index}{{background:{};color:#{text}}}", hex(back));
    }
    for index in 0..=255 {
        let _ = write!(css, ".f{index}{{color:{}}}", hex(readable(colour(index))));
    }
    css
}

fn colour(index: u8) -> [u8; 3] {
    NAMED.get(usize::from(index)).copied().unwrap_or_else(|| rgb(index))
}

fn hex([r, g, b]: [u8; 3]) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

fn readable(mut colour: [u8; 3]) -> [u8; 3] {
    while contrast(colour, BACKGROUND) < CONTRAST {
        colour = colour.map(|channel| channel + (255 - channel).div_ceil(12));
    }
    colour
}

pub(crate) fn contrast(a: [u8; 3], b: [u8; 3]) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

fn luminance(colour: [u8; 3]) -> f64 {
    let [r, g, b] = colour.map(|channel| {
        let share = f64::from(channel) / 255.0;
        if share <= 0.04045 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
    });
    0.2126 * r + 0.7152 * g + 0.0722 * b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_colour_of_text_can_be_read() {
        for index in 0..=255 {
            let shown = readable(colour(index));
            assert!(contrast(shown, BACKGROUND) >= CONTRAST, "{index}: {shown:?}");
        }
        assert!((contrast([0; 3], [255; 3]) - 21.0).abs() < 0.01);
    }

    #[test]
    fn there_is_a_class_for_each_colour() {
        assert_eq!(css().matches("{color:").count(), 256);
        assert_eq!(css().matches("{background:").count(), 256);
        assert!(css().len() < 20 << 10);
    }
}
