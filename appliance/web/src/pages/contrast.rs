//! Text of the style sheet can be read: every pair of colours has the contrast that WCAG 2.2 asks for
//! (level AA: 4.5 for text, 3 for signs and for edges of controls), in both themes.

use crate::ansi::palette::contrast;
use std::collections::BTreeMap;

const SHEET: &str = include_str!("../../assets/style.css");

type Rgb = [u8; 3];

/// Both themes' colours of a value: `light-dark(#…, #…)`, or one for both.
fn pair(value: &str) -> Option<[Rgb; 2]> {
    let inner = value.strip_prefix("light-dark(").and_then(|rest| rest.strip_suffix(')'));
    match inner.map(|inner| inner.split_once(',')) {
        Some(Some((light, dark))) => Some([rgb(light)?, rgb(dark)?]),
        Some(None) => None,
        None => rgb(value).map(|both| [both; 2]),
    }
}

fn rgb(text: &str) -> Option<Rgb> {
    let digits = text.trim().strip_prefix('#')?;
    let part = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    Some([part(0)?, part(2)?, part(4)?])
}

/// The variables of the first block, by name.
fn palette() -> BTreeMap<&'static str, [Rgb; 2]> {
    let block = SHEET.split(":root {").nth(1).unwrap().split('}').next().unwrap();
    let lines = block.lines().filter_map(|line| line.trim().strip_prefix("--")?.split_once(':'));
    lines
        .filter_map(|(name, value)| Some((name, pair(value.trim().trim_end_matches(';'))?)))
        .collect()
}

/// So much of `over` on `under`, as `color-mix` with transparent lies on it.
fn mixed(over: Rgb, share: f64, under: Rgb) -> Rgb {
    let part = |at: usize| {
        let sum = f64::from(over[at]) * share + f64::from(under[at]) * (1.0 - share);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 255")]
        let byte = sum.round() as u8;
        byte
    };
    [part(0), part(1), part(2)]
}

const STATES: [&str; 6] = ["good", "bad", "error", "run", "hold", "idle"];

#[test]
fn text_is_readable_in_both_themes() {
    let colours = palette();
    let check = |what: String, [text, under]: [[Rgb; 2]; 2], least: f64| {
        for theme in 0..2 {
            let found = contrast(text[theme], under[theme]);
            let name = ["light", "dark"][theme];
            assert!(found >= least, "{what}, {name}: {found:.2} is less than {least}");
        }
    };
    let grounds = ["bg", "surface", "raised"];
    for under in grounds {
        for text in ["text", "faint", "accent"].into_iter().chain(STATES) {
            check(format!("{text} on {under}"), [colours[text], colours[under]], 4.5);
        }
        check(format!("edges on {under}"), [colours["line-strong"], colours[under]], 2.5);
    }
    for state in STATES {
        // Badges and alerts: the state's colour, thinned.
        let [surface, colour] = [colours["surface"], colours[state]];
        let badge = [0, 1].map(|theme| mixed(colour[theme], 0.11, surface[theme]));
        check(format!("badge of {state}"), [colour, badge], 4.5);
    }
    for text in ["log-text", "log-line"] {
        check(format!("{text} in a log"), [colours[text], colours["log"]], 4.5);
    }
    let white = [[0xff; 3]; 2];
    check("text of a primary button".into(), [white, colours["accent-solid"]], 4.5);
    check("edges of controls".into(), [colours["line-strong"], colours["surface"]], 3.0);
}

/// Rules that set both colours themselves.
#[test]
fn texts_with_a_ground_of_their_own_are_readable() {
    let colours = palette();
    let mut seen = 0;
    for rule in SHEET.split('}') {
        let value = |name: &str| {
            let body = rule.rsplit('{').next().unwrap_or_default();
            let mut parts = body.split(';').filter_map(|part| part.trim().split_once(':'));
            let found = parts.find(|(key, _)| key.trim() == name)?.1.trim();
            let variable = found.strip_prefix("var(--").and_then(|rest| rest.strip_suffix(')'));
            variable.map_or_else(|| pair(found), |variable| colours.get(variable).copied())
        };
        let (Some(text), Some(under)) = (value("color"), value("background")) else { continue };
        for theme in 0..2 {
            let found = contrast(text[theme], under[theme]);
            assert!(found >= 4.5, "{rule}: {found:.2}");
        }
        seen += 1;
    }
    assert!(seen > 10, "{seen} rules were read");
}
