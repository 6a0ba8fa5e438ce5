//! A processed job to a [`JobSpec`].

use super::{
    environment, executor,
    reader::{Reader, wrong_type},
    step,
};
use crate::{
    definition::JOB,
    diagnostic::Code,
    expand::job::Expanded,
    report::{Calls, Report},
    syntax::Value,
    template::BROKEN,
};
use base::plan::JobSpec;

/// Default working directory; `~` is the user's home.
const WORKING_DIRECTORY: &str = "~/project";

/// Copies of one job side by side; the original's largest plans allow as many.
const PARALLELISM_MAX: i64 = 1024;

/// Checks the job and reads it; `None` after an error.
pub(crate) fn read(job: &Expanded, report: &mut Report) -> Option<JobSpec> {
    let before = report.errors();
    let mut map = Reader::of(&job.node, report)?;
    map.only(&JOB);
    let executor = executor::read(map.map, map.at, map.report);
    let environment = environment::read(map.get("environment"), map.report);
    let working_directory = map.text("working_directory");
    let shell = map.text("shell");
    let resource_class = map.text("resource_class");
    let parallelism = parallelism(&mut map);
    let cache_retention_days = retention(&mut map);
    cloud_only(&mut map);
    let steps = steps(&mut map, parallelism, &job.calls);
    let executor = executor?;
    let spec = JobSpec {
        executor: executor.executor,
        resource_class: resource_class.or(executor.resource_class),
        parallelism,
        environment,
        working_directory: working_directory.unwrap_or_else(|| WORKING_DIRECTORY.into()),
        shell: shell.or(executor.shell),
        steps,
        cache_retention_days,
    };
    (map.report.errors() == before).then_some(spec)
}

fn steps(map: &mut Reader<'_>, parallelism: u32, calls: &[Calls]) -> Vec<base::plan::Step> {
    let Some(node) = map.require("steps") else { return vec![] };
    let Some(items) = node.as_list() else {
        wrong_type(node, "JSONArray", map.report);
        return vec![];
    };
    debug_assert_eq!(items.len(), calls.len(), "each step came through one chain of calls");
    let steps = items.iter().zip(calls);
    let read = |(item, calls)| map.report.within(calls, |r| step::read(item, parallelism, r));
    steps.filter_map(read).collect()
}

fn parallelism(map: &mut Reader<'_>) -> u32 {
    match map.get("parallelism").map(|node| (&node.value, node)) {
        None => 1,
        Some((Value::Int(number @ 1..=PARALLELISM_MAX), _)) => u32::try_from(*number).unwrap_or(1),
        Some((_, node)) if node.as_text() == Some(BROKEN) => 1,
        Some((_, node)) => {
            map.report.error(
                Code::Value,
                node.at,
                format!("parallelism is not a whole number from 1 to {PARALLELISM_MAX}"),
                "write `parallelism: 4`; a parameter used here must be of type integer",
            );
            1
        }
    }
}

fn retention(map: &mut Reader<'_>) -> Option<u8> {
    let node = map.get("retention")?;
    let mut inner = Reader::of(node, map.report)?;
    inner.only(&["caches"]);
    let at = inner.get("caches").map_or(node.at, |node| node.at);
    let text = inner.text("caches")?;
    let days = text
        .strip_suffix('d')
        .filter(|digits| !digits.starts_with('0'))
        .and_then(|d| d.parse::<u8>().ok());
    let days = days.filter(|days| (1..=30).contains(days));
    if days.is_none() {
        inner.report.error(
            Code::Value,
            at,
            "does not match pattern ^([1-9]|[12][0-9]|30)d$",
            "write 1d to 30d",
        );
    }
    days
}

fn cloud_only(map: &mut Reader<'_>) {
    if map.boolean("circleci_ip_ranges") {
        map.report.warn(
            Code::NoEffect,
            map.at,
            "`circleci_ip_ranges` has no effect here",
            "jobs leave through this appliance's own address; remove the key",
        );
    }
}
