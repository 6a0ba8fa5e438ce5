//! Whether a job may have the contexts that it asks for.
//!
//! Why twice: asked when the job is reached, so that it does not wait for nothing; and again when it is
//! handed out, because contexts and their restrictions may have changed meanwhile.
//! Invariants: projects are alternatives, expressions must all hold, and a context that has both asks
//! for both; an expression that cannot be decided refuses.

use super::Turn;
use crate::compile::values_of;
use pipeline::{Ruling, Values, rule};
use store::{Error, projects::Project, runs::Job};

impl Turn<'_, '_, '_> {
    /// Why a job may not have one of its contexts, and what to do; `None` when it may have all.
    pub(super) fn context_refusal(
        &self,
        job: &Job,
        project: &Project,
    ) -> Result<Option<String>, Error> {
        for name in &job.contexts {
            if let Some(why) = self.refusal_of(name, job, project)? {
                return Ok(Some(format!("context `{name}` {why}, then rerun the workflow")));
            }
        }
        Ok(None)
    }

    fn refusal_of(
        &self,
        name: &str,
        job: &Job,
        project: &Project,
    ) -> Result<Option<String>, Error> {
        let Some(context) = self.txn.context_by_name(project.org, name)? else {
            return Ok(Some(format!("does not exist in {}: create it", project.repo.org())));
        };
        if !self.txn.context_allows(context.id, project.id)? {
            return Ok(Some("is restricted to other projects: let this one use it".to_owned()));
        }
        let expressions = self.txn.context_expression_list(context.id)?;
        if expressions.is_empty() {
            return Ok(None);
        }
        let values = self.values(job, project)?;
        Ok(expressions.iter().find_map(|one| closed(&one.text, &rule(&one.text, &values))))
    }

    /// The values of a job's pipeline, as its configuration saw them.
    fn values(&self, job: &Job, project: &Project) -> Result<Values, Error> {
        let missing = |what: &str| Error::Missing(format!("{what} of job {}", job.id));
        let workflow = self.txn.workflow_get(job.workflow())?.ok_or_else(|| missing("workflow"))?;
        let pipeline =
            self.txn.pipeline_get(workflow.pipeline)?.ok_or_else(|| missing("pipeline"))?;
        Ok(values_of(&pipeline, &project.repo))
    }
}

/// Why a ruling keeps a context closed.
fn closed(text: &str, ruling: &Ruling) -> Option<String> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match ruling {
        Ruling::Holds => None,
        Ruling::False => Some(format!(
            "is restricted by `{text}`, which is false for this pipeline: run it where that holds, or change the restriction"
        )),
        Ruling::Undecided(why) => Some(format!(
            "is restricted by `{text}`, which cannot be decided ({why}): change the restriction"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ruling: &Ruling, expected: Option<&str>) {
        assert_eq!(closed("a ==\n\t\"b\"", ruling).as_deref(), expected, "{ruling:?}");
    }

    #[test]
    fn a_refusal_names_the_expression_and_what_to_do() {
        check(&Ruling::Holds, None);
        check(
            &Ruling::False,
            Some(
                "is restricted by `a == \"b\"`, which is false for this pipeline: run it where that holds, or change the restriction",
            ),
        );
        check(
            &Ruling::Undecided("this pipeline has no `a`".into()),
            Some(
                "is restricted by `a == \"b\"`, which cannot be decided (this pipeline has no `a`): change the restriction",
            ),
        );
    }
}
