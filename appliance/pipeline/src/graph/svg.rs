//! The picture: columns of boxes, curves between them, readable on light and dark ground.
//!
//! Units: pixels.

use super::{kind, layers};
use base::plan::{JobKind, WorkflowPlan};
use std::{collections::HashMap, fmt::Write as _};

const BOX_HEIGHT: usize = 36;
const ROW: usize = 52;
const GAP: usize = 64;
const MARGIN: usize = 16;
const TITLE: usize = 28;
/// Width of a character of the font; a wider one only makes the box roomy.
const CHARACTER: usize = 8;
/// Longest name shown whole; the title element holds it all.
const NAME_MAX: usize = 40;

/// A self-contained SVG of the workflow.
#[must_use]
pub fn svg(workflow: &WorkflowPlan) -> String {
    let layers = layers(workflow);
    let label = |job: usize| {
        shortened(&format!("{}{}", workflow.jobs[job].name, kind(&workflow.jobs[job].kind)))
    };
    let widths: Vec<usize> = layers
        .iter()
        .map(|jobs| {
            jobs.iter().map(|job| label(*job).chars().count() * CHARACTER + 24).max().unwrap_or(0)
        })
        .collect();
    let mut places = HashMap::new();
    let mut left = MARGIN;
    for (jobs, width) in layers.iter().zip(&widths) {
        for (row, job) in jobs.iter().enumerate() {
            places.insert(*job, (left, MARGIN + TITLE + row * ROW, *width));
        }
        left += width + GAP;
    }
    let height = MARGIN * 2 + TITLE + layers.iter().map(Vec::len).max().unwrap_or(0) * ROW;
    let mut out = head(workflow, left.saturating_sub(GAP) + MARGIN, height);
    edges(workflow, &places, &mut out);
    for job in 0..workflow.jobs.len() {
        if let Some(place) = places.get(&job) {
            node(workflow, job, *place, &label(job), &mut out);
        }
    }
    out.push_str("</svg>\n");
    out
}

fn head(workflow: &WorkflowPlan, width: usize, height: usize) -> String {
    let name = escaped(&workflow.name);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"workflow {name}\" font-family=\"system-ui, sans-serif\" font-size=\"13\" fill=\"currentColor\">\n<text x=\"{MARGIN}\" y=\"{}\" font-weight=\"600\">{name}</text>\n",
        MARGIN + 8
    )
}

type Places = HashMap<usize, (usize, usize, usize)>;

fn edges(workflow: &WorkflowPlan, places: &Places, out: &mut String) {
    let index: HashMap<&str, usize> =
        workflow.jobs.iter().enumerate().map(|(i, job)| (job.name.as_str(), i)).collect();
    for (to, job) in workflow.jobs.iter().enumerate() {
        for from in job.requires.iter().filter_map(|require| index.get(require.job.as_str())) {
            let (Some((x, y, width)), Some((to_x, to_y, _))) = (places.get(from), places.get(&to))
            else {
                continue;
            };
            let (x, y, to_y) = (x + width, y + BOX_HEIGHT / 2, to_y + BOX_HEIGHT / 2);
            let bend = GAP / 2;
            let _ = writeln!(
                out,
                "<path d=\"M{x} {y} C{} {y} {} {to_y} {to_x} {to_y}\" fill=\"none\" stroke=\"currentColor\" stroke-opacity=\"0.5\"/>",
                x + bend,
                to_x.saturating_sub(bend)
            );
        }
    }
}

fn node(
    workflow: &WorkflowPlan,
    job: usize,
    (x, y, width): (usize, usize, usize),
    label: &str,
    out: &mut String,
) {
    let dash = if matches!(workflow.jobs[job].kind, JobKind::Build { .. }) {
        ""
    } else {
        " stroke-dasharray=\"4 3\""
    };
    let name = escaped(&workflow.jobs[job].name);
    let _ = writeln!(
        out,
        "<g><title>{name}</title><rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{BOX_HEIGHT}\" rx=\"6\" fill=\"none\" stroke=\"currentColor\"{dash}/><text x=\"{}\" y=\"{}\">{}</text></g>",
        x + 12,
        y + 23,
        escaped(label)
    );
}

fn shortened(text: &str) -> String {
    match text.chars().count() > NAME_MAX {
        true => text.chars().take(NAME_MAX - 1).chain(['…']).collect(),
        false => text.to_owned(),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
