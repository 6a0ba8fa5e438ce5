//! One workflow: its condition, its jobs, its triggers.

use super::{Context, requires};
use crate::{
    condition::{self, Place},
    cron::Cron,
    diagnostic::Code,
    filter::{self, Rule},
    syntax::{Map, Node, Span, Value},
};

pub(crate) use super::invocation::{Call, CallKind};

/// A workflow whose condition holds.
#[derive(Debug)]
pub(crate) struct Workflow {
    pub name: String,
    pub at: Span,
    pub calls: Vec<Call>,
    pub triggers: Option<Node>,
    pub schedules: Vec<Schedule>,
    pub max_auto_reruns: u8,
}

/// A scheduled trigger written in the configuration.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    pub cron: Cron,
    pub text: String,
    pub branches: Option<Rule>,
}

const KEYS: [&str; 6] = ["jobs", "when", "unless", "triggers", "max_auto_reruns", "description"];

/// Reruns of a workflow by itself.
const AUTO_RERUNS_MAX: i64 = 5;

impl Context<'_> {
    /// Expands one workflow; `None` when its condition does not hold or it is not a map.
    pub(crate) fn workflow(&mut self, name: &str, at: Span, node: &Node) -> Option<Workflow> {
        self.report.push("workflow", name, at);
        let workflow = self.workflow_body(name, at, node);
        self.report.pop();
        workflow
    }

    fn workflow_body(&mut self, name: &str, at: Span, node: &Node) -> Option<Workflow> {
        let Some(map) = node.as_map() else {
            let message = format!("expected type: Mapping, found: {}", node.schema_name());
            self.report.error(
                Code::WrongType,
                if node.is_null() { at } else { node.at },
                message,
                "a workflow holds `jobs:`",
            );
            return None;
        };
        self.report.only(map, &KEYS, Code::UnexpectedKey);
        let holds = self.workflow_condition(map);
        let mut calls = vec![];
        for item in self.workflow_jobs(map, at) {
            self.entry(&item, &mut calls);
        }
        requires::number_duplicates(&mut calls);
        let left = &mut self.requires_left;
        requires::resolve(&format!("workflow '{name}'"), &mut calls, left, self.report);
        requires::check_cycles(name, &calls, self.report);
        let top = self.top();
        let triggers = map.get("triggers").filter(|node| !node.is_null());
        let triggers = triggers.map(|node| self.fill(node, Some(&top)));
        let schedules = triggers.as_ref().map(|node| self.schedules(node)).unwrap_or_default();
        let max_auto_reruns = self.max_auto_reruns(map);
        holds.then_some(Workflow {
            name: name.into(),
            at,
            calls,
            triggers,
            schedules,
            max_auto_reruns,
        })
    }

    fn workflow_condition(&mut self, map: &Map) -> bool {
        let top = self.top();
        let mut part = |key: &str| {
            map.get(key).map(|node| condition::holds(node, Place::Workflow, &top, self.report))
        };
        let (when, unless) = (part("when"), part("unless"));
        if let (Some(_), Some(entry)) = (when, map.entry("unless")) {
            self.report.error(
                Code::Logic,
                entry.key_at,
                "a workflow has `when` or `unless`, not both",
                "combine them: `when: {and: [a, {not: b}]}`",
            );
        }
        when.unwrap_or(true) && !unless.unwrap_or(false)
    }

    fn workflow_jobs(&mut self, map: &Map, at: Span) -> Vec<Node> {
        let Some(jobs) = map.get("jobs") else {
            self.report.error(
                Code::MissingKey,
                at,
                "required key [jobs] not found",
                "list the workflow's jobs under `jobs:`",
            );
            return vec![];
        };
        match &jobs.value {
            Value::List(items) if !items.is_empty() => items.to_vec(),
            // Older configurations write the jobs as a map.
            Value::Map(map) if !map.entries.is_empty() => map
                .entries
                .iter()
                .map(|entry| Node::map(Map { entries: vec![entry.clone()] }, entry.key_at))
                .collect(),
            _ => {
                let message = match &jobs.value {
                    Value::List(_) => "expected minimum item count: 1, found: 0".to_owned(),
                    _ => format!("expected type: JSONArray, found: {}", jobs.schema_name()),
                };
                self.report.error(Code::WrongType, jobs.at, message, "list at least one job");
                vec![]
            }
        }
    }

    fn max_auto_reruns(&mut self, map: &Map) -> u8 {
        let Some(node) = map.get("max_auto_reruns").filter(|node| !node.is_null()) else {
            return 0;
        };
        let top = self.top();
        match self.fill(node, Some(&top)).value {
            Value::Int(number @ 0..=AUTO_RERUNS_MAX) => u8::try_from(number).unwrap_or(0),
            _ => {
                self.report.error(
                    Code::Value,
                    node.at,
                    "max_auto_reruns is not a number from 1 to 5",
                    "write `max_auto_reruns: 3`",
                );
                0
            }
        }
    }

    fn schedules(&mut self, node: &Node) -> Vec<Schedule> {
        let mut found = vec![];
        for item in node.as_list().unwrap_or_default() {
            let Some(schedule) =
                item.as_map().and_then(|map| map.get("schedule")).and_then(Node::as_map)
            else {
                self.report.error(
                    Code::MissingKey,
                    item.at,
                    "required key [schedule] not found",
                    "write `- schedule: {cron: \"0 3 * * *\", filters: {branches: {only: main}}}`",
                );
                continue;
            };
            let filters =
                schedule.get("filters").and_then(Node::as_map).and_then(|map| map.get("branches"));
            if filters.is_none() {
                self.report.error(
                    Code::MissingKey,
                    item.at,
                    "required key [filters] not found",
                    "a schedule names its branches: `filters: {branches: {only: main}}`",
                );
            }
            let branches = filters.and_then(|node| filter::rule(node, self.report));
            let Some(cron) = schedule.get("cron") else {
                self.report.error(
                    Code::MissingKey,
                    item.at,
                    "required key [cron] not found",
                    "add `cron: \"0 3 * * *\"` (UTC)",
                );
                continue;
            };
            let text = cron.scalar_text().unwrap_or_default();
            match Cron::parse(&text) {
                Ok(cron) => found.push(Schedule { cron, text, branches }),
                Err(error) => self.report.error(
                    Code::Value,
                    cron.at,
                    error.to_string(),
                    "minute hour day month weekday, in UTC: `0 3 * * mon,thu`",
                ),
            }
        }
        if node.as_list().is_none() {
            self.report.error(
                Code::WrongType,
                node.at,
                format!("expected type: JSONArray, found: {}", node.schema_name()),
                "write `triggers: [schedule: {cron: \"0 3 * * *\", filters: {branches: {only: main}}}]`",
            );
        }
        found
    }
}
