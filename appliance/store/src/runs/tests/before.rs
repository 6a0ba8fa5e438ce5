//! What a job takes from those before it: layers of workspaces, and results of tests.

use super::*;
use base::workspace::Names;

#[test]
fn layers_come_from_upstream_in_the_order_of_the_graph() {
    let run = family::workflow(uuid(9));
    let before = family::workflow(uuid(8));
    let write = move |txn: &mut Txn<'_>| {
        let mut copied = job(run, 1, &[]);
        copied.origin = Some(family::job(before, 1));
        let jobs =
            [copied, job(run, 2, &[1]), job(run, 3, &[2, 5]), job(run, 4, &[]), job(run, 5, &[])];
        for (index, job) in jobs.iter().enumerate() {
            txn.job_insert(job, None)?;
            let mut task = task(job.source(), 0, 1);
            task.node = 0;
            txn.task_save(&task)?;
            let layer = Layer {
                task: task.id,
                object: format!("layer-{}", index + 1),
                size: 1,
                created_at: Timestamp(1),
            };
            let names = Names::pack(["bin/x"]).unwrap();
            txn.layer_insert(&layer, &names)?;
            txn.layer_insert(&layer, &Names::default())?;
        }
        let before_names_were_packed =
            "UPDATE workspace_layers SET paths = '[\"bin/x\"]' WHERE object = 'layer-5'";
        txn.statement(before_names_were_packed)?.execute([])?;
        Ok(())
    };
    check(write, move |reader| {
        let found = reader.layer_list_upstream(task(family::job(run, 3), 0, 1).id)?;
        let seen: Vec<_> =
            found.iter().map(|up| (up.layer.object.as_str(), &*up.upstream)).collect();
        let expected: [(&str, &[u32]); 3] = [("layer-1", &[]), ("layer-5", &[]), ("layer-2", &[0])];
        assert_eq!(seen, expected, "the fifth ran beside the second");
        assert_eq!(found.iter().map(|up| up.job).collect::<Vec<_>>(), [0, 1, 2]);
        for upstream in &found {
            let names = reader.layer_names(&upstream.layer)?;
            assert_eq!(names, Names::pack(["bin/x"]).unwrap(), "{}", upstream.layer.object);
        }
        Ok(())
    });
}

#[test]
fn test_results_of_before_are_those_of_the_last_success_at_that_time() {
    let runs = [9, 10, 11, 12, 13].map(|number| family::workflow(uuid(number)));
    let named = move |run: usize, state: JobState, stopped: i64| Job {
        number: Some(JobNumber(run as u64 + 1)),
        name: "test".into(),
        state,
        created_at: Timestamp(100),
        stopped_at: Some(Timestamp(stopped)),
        ..job(runs[run], 1, &[])
    };
    let result = |name: &str| TestResult {
        classname: String::new(),
        name: name.into(),
        file: None,
        result: "success".into(),
        message: String::new(),
        run_time_ms: 5,
        source: String::new(),
    };
    let write = move |txn: &mut Txn<'_>| {
        let jobs = [
            (named(0, JobState::Success, 10), "first"),
            (named(1, JobState::Success, 20), "second"),
            (named(2, JobState::Failed, 30), "failed"),
            (Job { name: "other".into(), ..named(3, JobState::Success, 40) }, "other"),
            (named(4, JobState::Success, 200), "ended later"),
        ];
        for (job, name) in jobs {
            txn.job_insert(&job, None)?;
            let task = task(job.id, 0, 1);
            txn.task_save(&task)?;
            txn.tests_save(task.id, 0, &[result(name)])?;
        }
        Ok(())
    };
    check(write, move |reader| {
        let of = |number: u64, created: i64| Job {
            number: Some(JobNumber(number)),
            created_at: Timestamp(created),
            ..named(0, JobState::Running, 0)
        };
        let names = |of: &Job| {
            let found = reader.test_list_before(of)?;
            Ok::<_, Error>(found.into_iter().map(|test| test.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&of(6, 100))?, ["second"]);
        assert_eq!(names(&of(6, 200))?, ["ended later"]);
        assert_eq!(names(&of(2, 100))?, ["first"]);
        assert_eq!(names(&of(6, 5))?, [""; 0]);
        Ok(())
    });
}
