//! One line of the terminal: cells that can be overwritten until the line ends.

use super::{LINE_MAX, Style};
use std::fmt::Write;

const TAB: usize = 8;

/// No terminal is wider: the cursor stops at its edge. Only text itself goes on beyond.
const WIDTH: usize = 320;

/// Bytes of one line's HTML: a colour of its own for each character costs tens of bytes.
const HTML_MAX: usize = 256 << 10;

/// Styles of one line; a line with more different ones shows the last for the rest.
const STYLES_MAX: usize = 4096;

static PLAIN: Style = Style::PLAIN;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cell {
    c: char,
    /// Index into the line's styles.
    style: u16,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Line {
    cells: Vec<Cell>,
    styles: Vec<Style>,
    column: usize,
    dropped: usize,
}

impl Line {
    pub(super) fn is_empty(&self) -> bool {
        self.cells.is_empty() && self.dropped == 0
    }

    pub(super) fn put(&mut self, c: char, style: &Style) {
        if self.column >= LINE_MAX {
            self.dropped += 1;
            return;
        }
        let style = self.style(style);
        self.fill_to(self.column);
        let cell = Cell { c, style };
        match self.cells.get_mut(self.column) {
            Some(old) => *old = cell,
            None => self.cells.push(cell),
        }
        self.column += 1;
    }

    pub(super) fn tab(&mut self) {
        self.forward(TAB - self.column % TAB);
    }

    pub(super) fn forward(&mut self, columns: usize) {
        self.column = self.column.max((self.column + columns).min(WIDTH));
    }

    pub(super) fn back(&mut self, columns: usize) {
        self.column = self.column.saturating_sub(columns);
    }

    pub(super) fn rewind(&mut self) {
        self.column = 0;
    }

    pub(super) fn place_at(&mut self, column: usize) {
        self.column = column.min(WIDTH);
    }

    /// Erase in line: 0 to the end, 1 to the start, 2 all of it.
    pub(super) fn erase(&mut self, what: u16) {
        match what {
            0 => self.cells.truncate(self.column),
            1 => self.blank(self.column + 1),
            2 => self.cells.clear(),
            _ => {}
        }
    }

    /// Ends the line and gives its HTML.
    pub(super) fn take(&mut self) -> String {
        let html = self.html();
        *self = Self::default();
        html
    }

    pub(super) fn html(&self) -> String {
        let mut html = String::with_capacity(self.cells.len() + 16);
        for linked in self.cells.chunk_by(|a, b| self.look(a).link == self.look(b).link) {
            self.linked(linked, &mut html);
        }
        if html.len() > HTML_MAX {
            html.push_str("… too many colours to show");
        }
        if self.dropped > 0 {
            let _ = write!(html, "… {} more characters", self.dropped);
        }
        html
    }

    /// Neighbours with one link, or none.
    fn linked(&self, cells: &[Cell], html: &mut String) {
        let link = cells.first().and_then(|cell| self.look(cell).link.as_deref());
        if let Some(address) = link {
            html.push_str("<a href=\"");
            address.chars().for_each(|c| escape(c, html));
            html.push_str("\" rel=\"noopener noreferrer nofollow\">");
        }
        for run in cells.chunk_by(|a, b| a.style == b.style) {
            if html.len() > HTML_MAX {
                break;
            }
            self.run(run, html);
        }
        if link.is_some() {
            html.push_str("</a>");
        }
    }

    fn run(&self, run: &[Cell], html: &mut String) {
        let classes = run.first().map(|cell| self.look(cell).classes()).unwrap_or_default();
        if !classes.is_empty() {
            let _ = write!(html, "<i class=\"{classes}\">");
        }
        run.iter().for_each(|cell| escape(cell.c, html));
        if !classes.is_empty() {
            html.push_str("</i>");
        }
    }

    fn look(&self, cell: &Cell) -> &Style {
        let index = usize::from(cell.style).checked_sub(1);
        index.and_then(|index| self.styles.get(index)).unwrap_or(&PLAIN)
    }

    /// 0 is plain; others are one more than their place in `styles`.
    fn style(&mut self, style: &Style) -> u16 {
        if *style == Style::default() {
            return 0;
        }
        if self.styles.last() != Some(style) && self.styles.len() < STYLES_MAX {
            self.styles.push(style.clone());
        }
        u16::try_from(self.styles.len()).unwrap_or(0)
    }

    fn fill_to(&mut self, column: usize) {
        if self.cells.len() < column {
            self.cells.resize(column, Cell { c: ' ', style: 0 });
        }
    }

    fn blank(&mut self, end: usize) {
        self.cells.iter_mut().take(end).for_each(|cell| *cell = Cell { c: ' ', style: 0 });
    }
}

fn escape(c: char, html: &mut String) {
    match c {
        '<' => html.push_str("&lt;"),
        '>' => html.push_str("&gt;"),
        '&' => html.push_str("&amp;"),
        '"' => html.push_str("&quot;"),
        '\'' => html.push_str("&#39;"),
        c => html.push(c),
    }
}
