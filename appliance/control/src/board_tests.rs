//! Whose turn it is, and the board's invariants under random sequences.

use super::*;
use proptest::prelude::*;
use uuid::Uuid;

const LIMITS: Limits = Limits { slots: 4, per_project: 3 };

fn project(number: u128) -> ProjectId {
    ProjectId(Uuid::from_u128(number))
}

fn waiting(task: u128, of: u128) -> Waiting {
    Waiting {
        task: TaskId(Uuid::from_u128(task)),
        job: JobId(Uuid::from_u128(task)),
        project: project(of),
        class: None,
        serial: None,
        lock: JobId(Uuid::from_u128(task)),
        jobs_max: None,
        since: Timestamp(0),
    }
}

fn plain() -> Serves {
    Serves { plain: true, ..Serves::default() }
}

fn runner() -> RunnerId {
    RunnerId(Uuid::from_u128(99))
}

fn take(board: &mut Board, serves: &Serves, limits: Limits) -> Option<u128> {
    let next = board.next(serves, limits)?;
    let key = (next.project, next.task);
    board.lease(key, runner(), Fence(1), Timestamp(0), Timestamp(30)).unwrap();
    Some(key.1.0.as_u128())
}

fn check(tasks: &[(u128, u128)], limits: Limits, expected: &[u128]) {
    let mut board = Board::default();
    for (task, of) in tasks {
        board.wait(waiting(*task, *of));
    }
    let order: Vec<u128> = std::iter::from_fn(|| take(&mut board, &plain(), limits)).collect();
    assert_eq!(order, expected);
}

#[test]
fn projects_take_turns_and_the_oldest_task_of_each_goes_first() {
    check(&[(3, 1), (1, 1), (2, 1), (9, 2)], LIMITS, &[1, 9, 2, 3]);
}

#[test]
fn slots_and_the_projects_share_are_bounds() {
    check(&[(1, 1), (2, 1), (3, 1), (4, 1)], LIMITS, &[1, 2, 3]);
    check(&[(1, 1), (2, 2), (3, 3)], Limits { slots: 2, per_project: 2 }, &[1, 2]);
    check(&[(1, 1)], Limits { slots: 0, per_project: 2 }, &[]);
}

#[test]
fn of_two_idle_projects_the_one_served_longest_ago_goes_first() {
    let mut board = Board::default();
    board.wait(waiting(1, 1));
    assert_eq!(take(&mut board, &plain(), LIMITS), Some(1));
    board.release(TaskId(Uuid::from_u128(1)));
    board.wait(waiting(2, 1));
    board.wait(waiting(3, 2));
    assert_eq!(take(&mut board, &plain(), LIMITS), Some(3));
}

#[test]
fn a_class_is_served_by_its_own_runners_only() {
    let mut board = Board::default();
    board.wait(Waiting { class: Some("acme/lab".into()), ..waiting(1, 1) });
    let lab = Serves { classes: ["acme/lab".to_owned()].into(), plain: false };
    assert_eq!(board.next(&plain(), LIMITS), None);
    let held = board.explain(TaskId(Uuid::from_u128(1)), LIMITS, [&plain()].into_iter());
    assert_eq!(held.unwrap().to_string(), "held: no runner serves the class acme/lab");
    assert!(board.next(&lab, LIMITS).is_some());
}

#[test]
fn a_serial_group_is_one_jobs_until_that_job_ends() {
    let group = Some(SerialGroup { org: "acme".into(), name: "deploy".into() });
    let mut board = Board::default();
    board.wait(Waiting { serial: group.clone(), ..waiting(1, 1) });
    board.wait(Waiting { serial: group, ..waiting(2, 2) });
    assert_eq!(take(&mut board, &plain(), LIMITS), Some(1));
    assert_eq!(take(&mut board, &plain(), LIMITS), None);
    board.release(TaskId(Uuid::from_u128(1)));
    assert_eq!(take(&mut board, &plain(), LIMITS), None, "between two attempts the group is kept");
    assert_eq!(board.overdue(Timestamp(0).plus(SERIAL_WAIT_MAX)), [TaskId(Uuid::from_u128(2))]);
    board.serial_free(JobId(Uuid::from_u128(1)));
    assert_eq!(take(&mut board, &plain(), LIMITS), Some(2));
}

#[test]
fn jobs_of_one_lock_have_a_serial_group_together() {
    let group = Some(SerialGroup { org: "acme".into(), name: "deploy".into() });
    let lock = JobId(Uuid::from_u128(9));
    let mut board = Board::default();
    for task in [1, 3] {
        board.wait(Waiting { serial: group.clone(), lock, ..waiting(task, 1) });
    }
    board.wait(Waiting { serial: group, ..waiting(2, 2) });
    let next = |board: &mut Board| take(board, &plain(), LIMITS);
    assert_eq!((next(&mut board), next(&mut board), next(&mut board)), (Some(1), Some(3), None));
    board.release(TaskId(Uuid::from_u128(1)));
    board.release(TaskId(Uuid::from_u128(3)));
    assert_eq!((next(&mut board), board.serial_has(lock)), (None, true));
    board.serial_free(lock);
    assert_eq!(next(&mut board), Some(2));
}

#[test]
fn a_clock_that_is_set_ends_no_lease_and_no_wait() {
    let group = Some(SerialGroup { org: "acme".into(), name: "deploy".into() });
    let mut board = Board::default();
    board.wait(Waiting { serial: group.clone(), ..waiting(1, 1) });
    board.wait(Waiting { serial: group, ..waiting(2, 2) });
    take(&mut board, &plain(), LIMITS);
    let (years, lease) = (Timestamp(0).plus(SERIAL_WAIT_MAX * 99_999), Duration::from_secs(30));
    board.grace(years, lease);
    assert_eq!((board.expired(years), board.overdue(years)), (vec![], vec![]));
    assert_eq!(board.deadline(), Some(years.plus(lease)));
    let late = years.plus(SERIAL_WAIT_MAX);
    assert_eq!((board.expired(late).len(), board.overdue(late).len()), (1, 1));
    // As after a commit that the disk held up: leases are whole again, and waits go on.
    board.unheard(late, lease);
    assert_eq!((board.expired(late).len(), board.overdue(late).len()), (0, 1));
}

#[test]
fn a_clock_that_is_set_back_changes_no_wait() {
    let mut board = Board::default();
    let group = Some(SerialGroup { org: "acme".into(), name: "deploy".into() });
    board.wait(Waiting { serial: group.clone(), ..waiting(1, 1) });
    board.wait(Waiting { serial: group, ..waiting(2, 2) });
    take(&mut board, &plain(), LIMITS);
    let (lease, overdue) = (board.deadline().unwrap(), Timestamp(0).plus(SERIAL_WAIT_MAX));
    let (back, hour) = (|at: Timestamp| Timestamp(at.0 - 3_600_000_000), Duration::from_secs(3600));
    board.set_back(hour);
    assert_eq!(board.deadline(), Some(back(lease)));
    assert_eq!(board.expired(back(lease)).len(), 1);
    assert_eq!(board.expired(Timestamp(back(lease).0 - 1)), vec![]);
    assert_eq!(board.overdue(back(overdue)).len(), 1);
    assert_eq!(board.overdue(Timestamp(back(overdue).0 - 1)), vec![]);
}

#[test]
fn a_waiting_task_is_found_between_two_others_whatever_its_project() {
    let mut board = Board::default();
    for (task, of) in [(10, 1), (21, 2), (22, 2), (30, 1)] {
        board.wait(waiting(task, of));
    }
    let id = |number| TaskId(Uuid::from_u128(number));
    let first = |from, to| board.waiting_in(id(from)..=id(to)).map(|found| found.task);
    assert_eq!(first(20, 29), Some(id(21)));
    assert_eq!(first(30, 99), Some(id(30)));
    assert_eq!(first(31, 40), None);
}

#[test]
fn what_is_held_says_why() {
    let limits = Limits { slots: 2, per_project: 1 };
    let mut board = Board::default();
    for (task, of) in [(1, 1), (2, 1), (3, 2), (4, 3)] {
        board.wait(waiting(task, of));
    }
    take(&mut board, &plain(), limits);
    take(&mut board, &plain(), limits);
    let explain = |task| {
        let held = board.explain(TaskId(Uuid::from_u128(task)), limits, [&plain()].into_iter());
        held.map(|held| held.to_string())
    };
    assert_eq!(explain(2).as_deref(), Some("held: project slots 1 of 1"));
    assert_eq!(explain(4).as_deref(), Some("held: slots 2 of 2"));
    assert_eq!(explain(1), None, "a leased task is not held");
}

#[test]
fn a_projects_own_bound_holds_what_waits_and_says_so() {
    let mut board = Board::default();
    for task in 1..=3 {
        board.wait(Waiting { jobs_max: Some(1), ..waiting(task, 1) });
    }
    let next = |board: &mut Board| take(board, &plain(), LIMITS);
    assert_eq!((next(&mut board), next(&mut board)), (Some(1), None));
    let held = board.explain(TaskId(Uuid::from_u128(2)), LIMITS, [&plain()].into_iter());
    assert_eq!(held.unwrap().to_string(), "held: project slots 1 of 1");
    board.bound(project(1), Some(2));
    assert_eq!((next(&mut board), next(&mut board)), (Some(2), None));
    board.bound(project(1), None);
    assert_eq!(next(&mut board), Some(3));
}

#[test]
fn a_lease_is_renewed_by_its_holder_only() {
    let mut board = Board::default();
    board.wait(waiting(1, 1));
    take(&mut board, &plain(), LIMITS);
    let task = TaskId(Uuid::from_u128(1));
    let stranger = RunnerId(Uuid::from_u128(98));
    assert_eq!(board.renew(task, Fence(2), Some(runner()), Timestamp(60)), Verdict::Lost);
    assert_eq!(board.renew(task, Fence(1), Some(stranger), Timestamp(60)), Verdict::Lost);
    assert_eq!(board.expired(Timestamp(30)), [task]);
    assert_eq!(board.renew(task, Fence(1), Some(runner()), Timestamp(60)), Verdict::Keep);
    assert_eq!(board.expired(Timestamp(30)), []);
    assert_eq!(board.deadline(), Some(Timestamp(60)));
    board.stop(task);
    assert_eq!(board.renew(task, Fence(1), Some(runner()), Timestamp(60)), Verdict::Cancel);
}

proptest! {
    #[test]
    fn no_bound_is_ever_passed_and_nothing_starves(
        steps in proptest::collection::vec((0u8..3, 1u128..5), 1..200),
    ) {
        let mut board = Board::default();
        let mut made = 0;
        for (action, of) in steps {
            match action {
                0 => { made += 1; board.wait(waiting(made, of)); }
                1 => { take(&mut board, &plain(), LIMITS); }
                _ => {
                    let first = board.leases().next().map(|lease| lease.waiting.task);
                    first.map(|task| board.release(task));
                }
            }
            prop_assert!(board.leased() <= LIMITS.slots);
            prop_assert!(board.leased_by_project().values().all(|used| *used <= LIMITS.per_project));
            let both = board.waiting().any(|waiting| board.lease_of(waiting.task).is_some());
            prop_assert!(!both);
        }
        for _ in 0..made {
            let all: Vec<TaskId> = board.leases().map(|lease| lease.waiting.task).collect();
            for task in all { board.release(task); }
            take(&mut board, &plain(), LIMITS);
        }
        prop_assert_eq!(board.waiting().count(), 0);
    }
}
