//! Runs over a time, and how they are found.

use super::*;

/// Pipelines that came at these times, each with a run; the numbers of those found between 100 and 200.
fn check_times(times: &'static [i64], expected: &'static [u64]) {
    let write = move |txn: &mut Txn<'_>| {
        for (number, at) in (1..).zip(times) {
            let mut made = Pipeline { created_at: Timestamp(*at), ..pipeline(number, "main") };
            let run = workflow(u128::from(number), &mut made);
            txn.pipeline_insert(&made, &ConfigTexts::default())?;
            txn.workflow_insert(&run)?;
        }
        Ok(())
    };
    check(write, move |reader| {
        let within = Timestamp(100)..Timestamp(200);
        for branch in [None, Some("main".to_owned())] {
            let wanted = RunsWanted {
                project: PROJECT,
                branch,
                workflow: None,
                within: within.clone(),
                before: None,
            };
            let found: Vec<u64> =
                reader.run_list(&wanted, 100)?.iter().map(|ran| ran.number.0).collect();
            assert_eq!(found, expected, "{times:?}");
        }
        Ok(())
    });
}

#[test]
fn runs_behind_a_clock_that_stood_back_are_found() {
    check_times(&[10, 110, 120], &[3, 2]);
    check_times(&[110, 120, 10, 20, 130, 210], &[5, 2, 1]);
}

#[test]
fn a_branch_is_found_without_a_look_at_all_pipelines() {
    check(
        |_| Ok(()),
        |reader| {
            let of_branch = pipelines::of_branch(Some("x"));
            let plan: String = reader
                .statement(&format!(
                    "EXPLAIN QUERY PLAN SELECT number FROM pipelines p WHERE p.project = ?1 \
                     AND p.number < ?2 AND {of_branch} ORDER BY p.number DESC LIMIT 9"
                ))?
                .query_row([Some(""), Some("1"), Some("x")], |row| row.get(3))?;
            assert!(
                plan.contains("pipelines_by_branch (project=? AND branch=? AND number<?)"),
                "{plan}"
            );
            Ok(())
        },
    );
}
