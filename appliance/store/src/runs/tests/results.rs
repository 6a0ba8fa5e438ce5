//! Results of jobs that have more than one page of them.

use super::*;
const PAGE: usize = RESULTS_PAGE;

/// More than a page and less than two, over two nodes.
const COUNT: usize = PAGE + 5_000;

fn result(name: String, result: &str) -> TestResult {
    TestResult {
        classname: String::new(),
        name,
        file: None,
        result: result.into(),
        message: String::new(),
        run_time_ms: 5,
        source: String::new(),
    }
}

/// A job that succeeded, of two nodes.
fn of_two(txn: &mut Txn<'_>, number: u128) -> Result<[TaskId; 2], Error> {
    let job = Job {
        number: Some(JobNumber(1)),
        name: "test".into(),
        state: JobState::Success,
        stopped_at: Some(Timestamp(10)),
        ..job(family::workflow(uuid(number)), 1, &[])
    };
    txn.job_insert(&job, None)?;
    let nodes = [task(job.id, 0, 1), task(job.id, 1, 1)];
    nodes.iter().try_for_each(|task| txn.task_save(task))?;
    Ok(nodes.map(|task| task.id))
}

#[test]
fn artifacts_are_read_page_by_page_and_none_is_lost() {
    let path = |index: usize| format!("out/{index:05}");
    let write = move |txn: &mut Txn<'_>| {
        let nodes = of_two(txn, 9)?;
        (0..COUNT).try_for_each(|index| {
            txn.artifact_save(nodes[index * 2 / COUNT], &path(index), "object", 1)
        })
    };
    check(write, move |reader| {
        let job = job(family::workflow(uuid(9)), 1, &[]);
        let first = reader.artifact_page(&job, None)?;
        let last = first.last().map(|last| (last.node, last.path.clone()));
        let second = reader.artifact_page(&job, last.as_ref())?;
        let all: Vec<String> = first.iter().chain(&second).map(|one| one.path.clone()).collect();
        assert_eq!(all, (0..COUNT).map(path).collect::<Vec<_>>());
        assert_eq!((first.len(), reader.artifact_count(&job)?), (PAGE, COUNT as u64));
        let end = (1, path(COUNT - 1));
        assert_eq!(reader.artifact_page(&job, Some(&end))?, []);
        let found = reader.artifact_get(&job, second[0].task, &second[0].path)?;
        assert_eq!(found.as_ref(), Some(&second[0]));
        assert_eq!(reader.artifact_get(&job, second[0].task, "none")?, None);
        Ok(())
    });
}

#[test]
fn test_results_are_read_page_by_page_and_all_of_them_time_the_next_run() {
    let write = move |txn: &mut Txn<'_>| {
        let nodes = of_two(txn, 9)?;
        for part in 0..COUNT / 1000 {
            let names = (0..1000).map(|index| format!("{:05}", part * 1000 + index));
            let word = |name: &String| if name.ends_with("00") { "failure" } else { "success" };
            let tests: Vec<_> = names.map(|name| result(name.clone(), word(&name))).collect();
            txn.tests_save(nodes[part * 2000 / COUNT], part as u64, &tests)?;
        }
        Ok(())
    };
    check(write, move |reader| {
        let of = Job {
            number: Some(JobNumber(2)),
            name: "test".into(),
            created_at: Timestamp(100),
            ..job(family::workflow(uuid(9)), 1, &[])
        };
        let (mut all, next) = reader.test_page(&of, None)?;
        assert_eq!(all.len(), PAGE);
        let (rest, end) = reader.test_page(&of, next.as_ref())?;
        all.extend(rest);
        let names: Vec<String> = all.iter().map(|test| test.name.clone()).collect();
        assert_eq!(names, (0..COUNT).map(|index| format!("{index:05}")).collect::<Vec<_>>());
        assert_eq!(end, None);
        let tally = TestTally { count: COUNT as u64, failed: COUNT as u64 / 100 };
        assert_eq!(reader.test_tally(&of)?, tally);
        assert_eq!(reader.test_list_before(&of)?.len(), COUNT);
        Ok(())
    });
}
