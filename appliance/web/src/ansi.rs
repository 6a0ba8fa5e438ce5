//! Terminal output turned into HTML lines.
//!
//! Why: builds colour their output and redraw progress bars. What is shown must look like the
//! terminal and must never be markup: every character that a build printed is escaped here, and
//! the only tags are `<i class=…>` with classes from a closed set and `<a>` with an http address.
//! Understood: SGR (16, 256 and 24-bit colours, bold, dim, italic, underline, reverse, strike),
//! `\r`, `\b`, erase in line, OSC 8 links. Every other control sequence is dropped.
//! Invariants: pure; memory is bounded by [`LINE_MAX`] per line, and the page by a small multiple of
//! what was printed; a sequence or a UTF-8 character
//! cut by the end of a chunk goes on with the next; 24-bit colours are shown as the nearest of the
//! 256, because the content security policy forbids inline style.

mod escape;
mod line;
pub(crate) mod palette;
mod style;

pub use style::Style;

use escape::{Escape, Parser};
use line::Line;

/// Characters kept of one line; more is dropped and told. A minified file printed by mistake
/// must not stop the browser.
pub const LINE_MAX: usize = 8 << 10;

/// A terminal that only ever writes lines. Feed it bytes, take HTML lines.
#[derive(Debug, Clone, Default)]
pub struct Terminal {
    parser: Parser,
    style: Style,
    line: Line,
}

impl Terminal {
    /// Takes bytes and returns the lines that they completed, as HTML without the line end.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut done = Vec::new();
        for byte in bytes {
            match self.parser.step(*byte) {
                None => {}
                Some(Escape::Print('\n')) => done.push(self.line.take()),
                Some(escape) => self.apply(escape),
            }
        }
        done
    }

    /// The line that is not complete yet, as HTML; `None` when it is empty.
    #[must_use]
    pub fn rest(&self) -> Option<String> {
        (!self.line.is_empty()).then(|| self.line.html())
    }

    fn apply(&mut self, escape: Escape) {
        match escape {
            Escape::Print('\r') => self.line.rewind(),
            Escape::Print('\x08') => self.line.back(1),
            Escape::Print('\t') => self.line.tab(),
            Escape::Print(c) if c.is_control() => {}
            Escape::Print(c) => self.line.put(c, &self.style),
            Escape::Csi { parameters, end } => self.control(&parameters, end),
            Escape::Link(address) => self.style.link = address.map(Into::into),
        }
    }

    fn control(&mut self, parameters: &[u16], end: char) {
        let first = parameters.first().copied().unwrap_or(0);
        match end {
            'm' => self.style.select(parameters),
            'K' => self.line.erase(first),
            'G' => self.line.place_at(usize::from(first.max(1)) - 1),
            'D' => self.line.back(usize::from(first.max(1))),
            'C' => self.line.forward(usize::from(first.max(1))),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn html(input: &[u8]) -> String {
        let mut terminal = Terminal::default();
        let mut lines = terminal.feed(input);
        lines.extend(terminal.rest());
        lines.join("\n")
    }

    fn check(input: &str, expected: &str) {
        assert_eq!(html(input.as_bytes()), expected, "{input:?}");
    }

    #[test]
    fn markup_is_text() {
        check(
            "<script>alert('x')&\"</script>",
            "&lt;script&gt;alert(&#39;x&#39;)&amp;&quot;&lt;/script&gt;",
        );
    }

    #[test]
    fn colours_become_classes() {
        check("\x1b[31mred\x1b[0m plain", r#"<i class="f1">red</i> plain"#);
        check("\x1b[1;92;44mx\x1b[m", r#"<i class="f10 b4 bold">x</i>"#);
        check("\x1b[38;5;208mx", r#"<i class="f208">x</i>"#);
        check("\x1b[38:5:208mx", r#"<i class="f208">x</i>"#);
        check("\x1b[38;2;255;0;0mx", r#"<i class="f196">x</i>"#);
        check("\x1b[38:2::255:0:0mx", r#"<i class="f196">x</i>"#);
        check("\x1b[48;2;8;8;8mx", r#"<i class="b232">x</i>"#);
        check("\x1b[31;7mx", r#"<i class="f1 rev">x</i>"#);
        check("\x1b[2;3;4;9mx\x1b[22;23;24;29my", r#"<i class="dim ita und str">x</i>y"#);
        check("\x1b[31mx\x1b[39my", r#"<i class="f1">x</i>y"#);
    }

    #[test]
    fn colour_goes_on_over_lines() {
        check("\x1b[32ma\nb\x1b[0m\nc", "<i class=\"f2\">a</i>\n<i class=\"f2\">b</i>\nc");
    }

    #[test]
    fn progress_bars_overwrite_their_line() {
        check("10%\r55%\r100%\ndone", "100%\ndone");
        check("long text\rshort", "shorttext");
        check("long text\r\x1b[Kshort", "short");
        check("abc\x08\x08X", "aXc");
        check("ab\x1b[2Kc", "  c");
        check("windows\r\nend", "windows\nend");
        check("abc\x1b[1Gx\x1b[3Gy", "xby");
    }

    #[test]
    fn tabs_reach_the_next_stop() {
        check("a\tb", "a       b");
    }

    #[test]
    fn links_lead_to_the_web_alone() {
        check(
            "\x1b]8;;https://a.site/?x=1&y=\"2\x07text\x1b]8;;\x07 after",
            r#"<a href="https://a.site/?x=1&amp;y=&quot;2" rel="noopener noreferrer nofollow">text</a> after"#,
        );
        check("\x1b]8;;javascript:alert(1)\x1b\\text\x1b]8;;\x1b\\", "text");
    }

    #[test]
    fn other_sequences_are_dropped() {
        check("\x1b]0;title\x07a\x1b[?25lb\x1b[2Jc\x1b(Bd\x1bPq#\x1b\\e\x07\x00", "abcde");
        check("bad \u{fffd}", "bad \u{fffd}");
        assert_eq!(html(b"bad \xff utf"), "bad \u{fffd} utf");
    }

    #[test]
    fn a_line_without_end_is_bounded_and_told() {
        let text = html("x".repeat(LINE_MAX + 10).as_bytes());
        assert!(text.ends_with("… 10 more characters"), "{}", &text[text.len() - 40..]);
    }

    #[test]
    fn a_little_output_never_becomes_a_large_page() {
        let link = format!("\x1b]8;;http://{}\x07", "&".repeat(2000));
        let colours = link + &"\x1b[1;31ma\x1b[1;32mb".repeat(4000);
        let page = html(colours.as_bytes());
        assert!(page.len() < colours.len() * 4, "{} of {}", page.len(), colours.len());
        assert_eq!(page.matches("<a ").count(), 1);
        let moves = "\x1b[9999Cx\n".repeat(1000);
        assert!(html(moves.as_bytes()).len() < moves.len() * 40);
        assert!(html("\x1b[9999C\n".repeat(1000).as_bytes()).len() < 2000);
    }

    #[test]
    fn an_empty_line_stays() {
        check("a\n\nb\n", "a\n\nb");
    }

    proptest! {
        /// Whatever a build prints, no tag but ours comes out, and cuts change nothing.
        #[test]
        fn output_is_never_markup(input in prop::collection::vec(hostile(), 0..60), cut in 0usize..200) {
            let bytes = input.concat();
            let whole = html(&bytes);
            let bare = whole
                .replace("</i>", "").replace("</a>", "")
                .split("<i class=\"").collect::<Vec<_>>().join("")
                .split("<a href=\"").collect::<Vec<_>>().join("");
            prop_assert!(!bare.contains('<'), "{whole}");
            let (head, tail) = bytes.split_at(cut.min(bytes.len()));
            let mut terminal = Terminal::default();
            let mut lines = terminal.feed(head);
            lines.extend(terminal.feed(tail));
            lines.extend(terminal.rest());
            prop_assert_eq!(lines.join("\n"), whole);
        }
    }

    fn hostile() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            Just(b"<b onclick=x>".to_vec()),
            Just(b"\x1b[".to_vec()),
            Just(b"\x1b]8;;https://x\"<>\x07".to_vec()),
            Just(b"31;38;5;".to_vec()),
            Just(b"m".to_vec()),
            Just("é€\u{1f600}".as_bytes().to_vec()),
            Just(b"\r\n\t\x08".to_vec()),
            prop::collection::vec(any::<u8>(), 0..8),
        ]
    }
}
