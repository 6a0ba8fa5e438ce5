//! Pipeline parameters: those that the configuration declares, with the values of one trigger.

use crate::{
    diagnostic::Code,
    parameter::{self, Owner},
    report::Report,
    request::{Request, parameter_node},
    scope::{Arguments, NOWHERE, Scope},
    syntax::Map,
};
use base::trigger::ParameterValue;
use indexmap::IndexMap;
use std::sync::Arc;

/// Pipeline parameters of one trigger, and the lengths of their names and values, as on API v2.
const PARAMETERS_MAX: usize = 100;
const PARAMETER_NAME_MAX: usize = 128;
const PARAMETER_VALUE_MAX: usize = 512;

/// Pipeline parameters with the values of this trigger.
pub(super) fn bind(root: &Map, request: &Request, is_2_1: bool, report: &mut Report) -> Arguments {
    let node = root.get("parameters").filter(|_| is_2_1);
    let scope = Scope { pipeline: &request.values, declared: None, parameters: None, matrix: None };
    let declared = parameter::declare(node, Owner::Pipeline, Some(&scope), report);
    check_given(&request.parameters, report);
    let given: Vec<_> = request
        .parameters
        .iter()
        .map(|(name, value)| (Arc::from(name.as_str()), NOWHERE, parameter_node(value)))
        .collect();
    parameter::bind(&declared, &given, &[], NOWHERE, report)
}

fn check_given(given: &IndexMap<String, ParameterValue>, report: &mut Report) {
    let mut limit = |message: String, hint: &str| {
        report.error(Code::PipelineParameter, NOWHERE, message, hint);
    };
    if given.len() > PARAMETERS_MAX {
        let message = format!(
            "{} pipeline parameters given, at most {PARAMETERS_MAX} are allowed",
            given.len()
        );
        limit(message, "give fewer with this trigger");
    }
    for (name, value) in given {
        let shown: String = name.chars().take(40).collect();
        if name.chars().count() > PARAMETER_NAME_MAX {
            let message = format!(
                "pipeline parameter {shown}…: the name is longer than {PARAMETER_NAME_MAX} characters"
            );
            limit(message, "shorten the name");
        }
        if matches!(value, ParameterValue::String(text) if text.chars().count() > PARAMETER_VALUE_MAX)
        {
            let message = format!(
                "pipeline parameter {shown}: the value is longer than {PARAMETER_VALUE_MAX} characters"
            );
            limit(message, "shorten the value, or keep it in a file of the repository");
        }
    }
}
