//! A planned workflow as a picture: text, DOT and SVG.
//!
//! The layers are the longest way from a root; within a layer jobs keep the configuration's order.

mod svg;

use base::plan::{JobKind, WorkflowPlan};
use std::{collections::HashMap, fmt::Write as _};

pub use svg::svg;

/// Jobs by layer: a job stands one layer below its lowest requirement.
fn layers(workflow: &WorkflowPlan) -> Vec<Vec<usize>> {
    let index: HashMap<&str, usize> =
        workflow.jobs.iter().enumerate().map(|(i, job)| (job.name.as_str(), i)).collect();
    let mut depth = vec![0; workflow.jobs.len()];
    // A plan has no cycle, so as many rounds as jobs are enough; usually two are.
    for _ in 0..workflow.jobs.len() {
        let mut changed = false;
        for (i, job) in workflow.jobs.iter().enumerate() {
            let above = job
                .requires
                .iter()
                .filter_map(|r| index.get(r.job.as_str()))
                .map(|t| depth[*t] + 1)
                .max();
            if above.is_some_and(|above| above > depth[i]) {
                depth[i] = above.unwrap_or(0);
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
    let mut layers = vec![vec![]; depth.iter().max().map_or(0, |max| max + 1)];
    depth.iter().enumerate().for_each(|(job, layer)| layers[*layer].push(job));
    layers
}

fn kind(kind: &JobKind) -> &'static str {
    match kind {
        JobKind::Build { .. } => "",
        JobKind::Approval => " (approval)",
        JobKind::NoOp => " (no-op)",
    }
}

/// One line for each job, indented by layer, with what it waits for.
#[must_use]
pub fn text(workflow: &WorkflowPlan) -> String {
    let mut out = format!("{}\n", workflow.name);
    for (layer, jobs) in layers(workflow).iter().enumerate() {
        for job in jobs.iter().map(|job| &workflow.jobs[*job]) {
            let _ = write!(out, "{}{}{}", "  ".repeat(layer + 1), job.name, kind(&job.kind));
            let requires: Vec<&str> =
                job.requires.iter().map(|require| require.job.as_str()).collect();
            let arrow = if requires.is_empty() {
                String::new()
            } else {
                format!("  ← {}", requires.join(", "))
            };
            let _ = writeln!(out, "{arrow}");
        }
    }
    out
}

/// For Graphviz.
#[must_use]
pub fn dot(workflow: &WorkflowPlan) -> String {
    let quoted = |text: &str| {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " "))
    };
    let mut out = format!(
        "digraph {} {{\n  rankdir=LR;\n  node [shape=box, style=rounded];\n",
        quoted(&workflow.name)
    );
    for job in &workflow.jobs {
        let style = if matches!(job.kind, JobKind::Build { .. }) {
            ""
        } else {
            " [style=\"rounded,dashed\"]"
        };
        let _ = writeln!(out, "  {}{style};", quoted(&job.name));
        for require in &job.requires {
            let _ = writeln!(out, "  {} -> {};", quoted(&require.job), quoted(&job.name));
        }
    }
    out.push_str("}\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::{
        plan::{PlannedJob, Requirement},
        state::JobState,
    };

    fn workflow() -> WorkflowPlan {
        let job = |name: &str, requires: &[&str]| PlannedJob {
            name: name.into(),
            kind: JobKind::NoOp,
            requires: requires
                .iter()
                .map(|job| Requirement { job: (*job).into(), any_of: vec![JobState::Success] })
                .collect(),
            contexts: vec![],
            serial_group: None,
            serial_end: None,
        };
        WorkflowPlan {
            name: "w<&>".into(),
            jobs: vec![job("c", &["a", "b"]), job("a", &[]), job("b", &["a"])],
            max_auto_reruns: 0,
        }
    }

    #[test]
    fn a_job_stands_below_all_that_it_requires() {
        assert_eq!(layers(&workflow()), vec![vec![1], vec![2], vec![0]]);
        assert_eq!(
            text(&workflow()),
            "w<&>\n  a (no-op)\n    b (no-op)  ← a\n      c (no-op)  ← a, b\n"
        );
    }

    #[test]
    fn pictures_escape_names() {
        assert!(dot(&workflow()).contains("\"a\" -> \"c\";"));
        let picture = svg(&workflow());
        assert!(picture.contains("w&lt;&amp;&gt;") && !picture.contains("w<&>"));
        assert_eq!(picture.matches("<rect").count(), 3);
        assert_eq!(picture.matches("<path").count(), 3);
    }
}
