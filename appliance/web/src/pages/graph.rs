//! A workflow's jobs as a drawn graph: layers from left to right, edges as curves.
//!
//! Why on the server: the picture is there without a script, at once, and the same everywhere.
//! Invariants: pure; every edge leads from a lower to a higher layer (the plan has no cycle; an
//! edge of one that had is left out); the order within a layer is that of the configuration,
//! moved towards the middle of what a job requires, so that edges cross little.
//! Units: SVG user units, one to a CSS pixel.

use super::{assets, look::Look};
use base::time::Timestamp;
use maud::{Markup, html};

/// A picture of more jobs shows nothing to anybody, and takes long; they stand in the list.
pub(super) const JOBS_MAX: usize = 2000;

/// A layer is as wide as its longest name asks, within these bounds.
const WIDTH_MIN: usize = 184;
const WIDTH_MAX: usize = 312;
const NODE_HEIGHT: usize = 38;
const GAP_X: usize = 32;
const GAP_Y: usize = 12;
const MARGIN: usize = 4;

/// Beside a name: the sign before it; behind it the note, which changes while a job runs.
const SIGN: usize = 35;
const NOTE: usize = 62;

/// Of a letter on average; of a name that is longer than its box the whole is in the title.
const LETTER: usize = 7;

/// Passes over the layers; more change nothing that is seen.
const PASSES: usize = 4;

/// One job.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// Shown.
    pub name: String,
    /// Its state.
    pub look: Look,
    /// Its state for readers.
    pub word: &'static str,
    /// For example a duration.
    pub note: String,
    /// From when the note counts on in the browser.
    pub since: Option<Timestamp>,
    /// Where a click leads.
    pub link: Option<String>,
    /// Places of required jobs in the list.
    pub requires: Vec<usize>,
}

/// Where each node stands: layer and place within it, how wide each layer is, and how many places
/// there are.
#[derive(Debug, PartialEq, Eq)]
struct Layout {
    places: Vec<(usize, usize)>,
    widths: Vec<usize>,
    rows: usize,
}

impl Layout {
    /// Of a place, or of the first beyond all.
    fn corner(&self, (layer, row): (usize, usize)) -> (usize, usize) {
        let before: usize = self.widths.iter().take(layer).map(|width| width + GAP_X).sum();
        (MARGIN + before, MARGIN + row * (NODE_HEIGHT + GAP_Y))
    }
}

/// The longest way from a root; what is part of a cycle stays where it was first seen.
fn layers(nodes: &[Node]) -> Vec<usize> {
    let mut layer = vec![0; nodes.len()];
    for _ in 0..nodes.len() {
        let mut changed = false;
        for (index, node) in nodes.iter().enumerate() {
            let required = node.requires.iter().filter_map(|on| layer.get(*on));
            let wanted = required.map(|on| on + 1).max().unwrap_or(0).min(nodes.len());
            if wanted > layer[index] {
                layer[index] = wanted;
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    layer
}

fn layout(nodes: &[Node]) -> Layout {
    let layer = layers(nodes);
    let count = layer.iter().max().map_or(0, |last| last + 1);
    let mut columns: Vec<Vec<usize>> = vec![Vec::new(); count];
    for (index, layer) in layer.iter().enumerate() {
        columns[*layer].push(index);
    }
    columns.retain(|column| !column.is_empty());
    let mut places = placed(&columns, nodes.len());
    for _ in 0..PASSES {
        for column in columns.iter_mut().skip(1) {
            column.sort_by_key(|index| middle(&nodes[*index], &places));
        }
        places = placed(&columns, nodes.len());
    }
    let rows = columns.iter().map(Vec::len).max().unwrap_or(0);
    let widths = columns.iter().map(|column| width(column.iter().map(|at| &nodes[*at]))).collect();
    Layout { places, widths, rows }
}

/// What the longest name of a layer asks.
fn width<'a>(nodes: impl Iterator<Item = &'a Node>) -> usize {
    let letters = nodes.map(|node| node.name.chars().count()).max().unwrap_or(0);
    (SIGN + letters * LETTER + NOTE).clamp(WIDTH_MIN, WIDTH_MAX)
}

fn placed(columns: &[Vec<usize>], count: usize) -> Vec<(usize, usize)> {
    let mut places = vec![(0, 0); count];
    for (layer, column) in columns.iter().enumerate() {
        for (row, index) in column.iter().enumerate() {
            places[*index] = (layer, row);
        }
    }
    places
}

/// Mean row of what a node requires, in thousandths.
fn middle(node: &Node, places: &[(usize, usize)]) -> usize {
    let rows: Vec<usize> =
        node.requires.iter().filter_map(|on| places.get(*on)).map(|place| place.1).collect();
    if rows.is_empty() { 0 } else { rows.iter().sum::<usize>() * 1000 / rows.len() }
}

/// The picture; scrolls sideways when it is wide.
#[must_use]
pub(super) fn draw(name: &str, nodes: &[Node]) -> Markup {
    let layout = layout(nodes);
    let (right, bottom) = layout.corner((layout.widths.len(), layout.rows));
    let (width, height) = (right - GAP_X + MARGIN, bottom - GAP_Y + MARGIN);
    html! {
        div.graph tabindex="0" role="group" aria-label=(format!("Graph of {name}")) {
            svg width=(width) height=(height) viewBox=(format!("0 0 {width} {height}")) {
                g.edges aria-hidden="true" {
                    @for (index, node) in nodes.iter().enumerate() {
                        @for on in &node.requires {
                            @if let Some(line) = edge(&layout, *on, index) {
                                path.(nodes[*on].look.class()) d=(line) {}
                            }
                        }
                    }
                }
                @for (node, place) in nodes.iter().zip(&layout.places) { (draw_node(node, &layout, *place)) }
            }
        }
    }
}

fn edge(layout: &Layout, from: usize, to: usize) -> Option<String> {
    let (from, to) = (*layout.places.get(from)?, *layout.places.get(to)?);
    if from.0 >= to.0 {
        return None;
    }
    let ((x1, y1), (x2, y2)) = (layout.corner(from), layout.corner(to));
    let (x1, y1, y2) = (x1 + layout.widths[from.0], y1 + NODE_HEIGHT / 2, y2 + NODE_HEIGHT / 2);
    let bend = x2 - GAP_X / 2;
    // Straight through the layers between, then one bend just before the target.
    Some(format!("M{x1} {y1}H{}C{bend} {y1} {bend} {y2} {x2} {y2}", x2 - GAP_X))
}

fn draw_node(node: &Node, layout: &Layout, place: (usize, usize)) -> Markup {
    let ((x, y), width) = (layout.corner(place), layout.widths[place.0]);
    let inside = html! {
        title { (node.name) ": " (node.word) @if !node.note.is_empty() && node.since.is_none() { ", " (node.note) } }
        rect width=(width) height=(NODE_HEIGHT) rx="8" {}
        svg.state.(node.look.class()) x="11" y=(NODE_HEIGHT / 2 - 8) width="16" height="16" {
            use href=(assets::icon(node.look.class())) {}
        }
        text x=(SIGN) y=(NODE_HEIGHT / 2 + 5) { (shortened(&node.name, width)) }
        text.note x=(width - 11) y=(NODE_HEIGHT / 2 + 5) text-anchor="end" data-since=[node.since] { (node.note) }
    };
    html! {
        @let class = format!("node {}", node.look.class());
        @let at = format!("translate({x} {y})");
        @match &node.link {
            Some(link) => a class=(class) transform=(at) href=(link) { (inside) },
            None => g class=(class) transform=(at) { (inside) },
        }
    }
}

/// Cut in the middle: variants of one job differ at their ends.
fn shortened(name: &str, width: usize) -> String {
    let (room, count) = ((width - SIGN - NOTE) / LETTER, name.chars().count());
    if count <= room {
        return name.to_owned();
    }
    let head = room / 2;
    let tail = count - (room - 1 - head);
    name.chars().take(head).chain(['…']).chain(name.chars().skip(tail)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn node(requires: &[usize]) -> Node {
        Node {
            name: "job".into(),
            look: Look::Good,
            word: "Success",
            note: String::new(),
            since: None,
            link: None,
            requires: requires.to_vec(),
        }
    }

    /// Required places of each node, and the layer and row that each gets.
    fn check(requires: &[&[usize]], expected: &[(usize, usize)]) {
        let nodes: Vec<Node> = requires.iter().map(|on| node(on)).collect();
        assert_eq!(layout(&nodes).places, expected, "{requires:?}");
    }

    #[test]
    fn a_job_stands_right_of_all_it_requires() {
        check(&[], &[]);
        check(&[&[]], &[(0, 0)]);
        check(&[&[], &[0], &[1]], &[(0, 0), (1, 0), (2, 0)]);
        check(&[&[], &[0], &[0], &[1, 2]], &[(0, 0), (1, 0), (1, 1), (2, 0)]);
        check(&[&[], &[0], &[0, 1]], &[(0, 0), (1, 0), (2, 0)]);
    }

    #[test]
    fn the_order_in_a_layer_follows_what_is_required() {
        check(&[&[], &[], &[1], &[0]], &[(0, 0), (0, 1), (1, 1), (1, 0)]);
    }

    #[test]
    fn a_cycle_or_a_stray_edge_is_drawn_without_harm() {
        for requires in [vec![vec![1], vec![0]], vec![vec![0]], vec![vec![7]]] {
            let nodes: Vec<Node> = requires.iter().map(|on| node(on)).collect();
            assert!(draw("broken", &nodes).into_string().starts_with("<div class=\"graph\""));
        }
    }

    /// Name and width of its box → what stands in it.
    fn check_name(name: &str, width: usize, expected: &str) {
        assert_eq!(shortened(name, width), expected, "{name} in {width}");
    }

    #[test]
    fn names_are_cut_in_the_middle() {
        check_name("unit-tests", WIDTH_MIN, "unit-tests");
        check_name("build-macos-14-arm", WIDTH_MIN, "build-…4-arm");
        check_name("build-linux-arm64-1.95", WIDTH_MAX, "build-linux-arm64-1.95");
        let long = "integration-tests-with-postgres-16";
        check_name(long, WIDTH_MAX, "integration-tes…th-postgres-16");
        check_name("prüfung-für-größe", WIDTH_MIN, "prüfun…größe");
    }

    #[test]
    fn a_layer_is_as_wide_as_its_longest_name_within_bounds() {
        let named = |name: &str, requires: &[usize]| Node { name: name.into(), ..node(requires) };
        let nodes = [
            named("lint", &[]),
            named("test-linux-1.95", &[0]),
            named("test-windows-1.95", &[0]),
            named("integration-tests-with-postgres-16", &[1, 2]),
        ];
        let layout = layout(&nodes);
        assert_eq!(layout.widths, [WIDTH_MIN, 216, WIDTH_MAX]);
        assert_eq!(layout.corner((2, 1)), (4 + 184 + 32 + 216 + 32, 4 + 38 + 12));
        let drawn = draw("w", &nodes).into_string();
        assert!(drawn.contains(">test-windows-1.95</text>"), "{drawn}");
        assert!(drawn.contains("<title>integration-tests-with-postgres-16: Success"), "{drawn}");
    }

    #[test]
    fn the_time_of_a_job_that_runs_counts_on() {
        let ended = Node { note: "42s".into(), ..node(&[]) };
        let running = Node { since: Some(Timestamp(0)), ..ended.clone() };
        let drawn = draw("w", &[ended]).into_string();
        assert!(!drawn.contains("data-since") && drawn.contains("Success, 42s</title>"), "{drawn}");
        let drawn = draw("w", &[running]).into_string();
        assert!(drawn.contains("data-since=\"1970-01-01T00:00:00"), "{drawn}");
        assert!(drawn.contains("Success</title>"), "a title stands still: {drawn}");
    }

    proptest! {
        /// No two jobs share a place, and every edge goes to the right.
        #[test]
        fn every_job_has_a_place_of_its_own(edges in prop::collection::vec((0usize..20, 0usize..20), 0..60)) {
            let mut nodes = vec![node(&[]); 20];
            for (a, b) in edges {
                if a != b {
                    nodes[a.max(b)].requires.push(a.min(b));
                }
            }
            let layout = layout(&nodes);
            let mut places = layout.places.clone();
            places.sort_unstable();
            places.dedup();
            prop_assert_eq!(places.len(), nodes.len());
            for (index, node) in nodes.iter().enumerate() {
                for on in &node.requires {
                    prop_assert!(layout.places[*on].0 < layout.places[index].0);
                }
            }
        }
    }
}
