//! What runs in a sandbox, what ends it, and what is left of it.

use crate::support::{LIMIT, Place, chain, create, exec, run, text, until};
use rustix::process::{Pid, Signal, kill_process};
use sandbox::{Error, Event, Root, Sandbox, Spec, Status, User, sweep};
use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Starts this test again as a supervisor that is to be killed.
pub(super) const SUPERVISE: &str = "--supervise";

pub(super) fn programs_run_as_told_and_their_ends_are_told(place: &mut Place) {
    let mut sandbox = create(&place.spec());
    let check = |sandbox: &mut Sandbox, script: &str, status: Status, output: &str| {
        let ran = run(sandbox, script, LIMIT);
        assert_eq!((ran.status, ran.output.trim()), (Some(status), output), "{script}");
    };
    check(&mut sandbox, "exit 7", Status::Code(7), "");
    check(&mut sandbox, "kill -TERM $$", Status::Signal(15), "");
    check(&mut sandbox, "echo out; echo err >&2; hostname", Status::Code(0), "out\nerr\njob");
    check(&mut sandbox, "cat /etc/hostname; grep -c job /etc/hosts", Status::Code(0), "job\n1");
    check(&mut sandbox, "test $(ps -o sid= -p $$) = $$ && echo leads", Status::Code(0), "leads");
    let output = tempfile::tempfile().expect("a file");
    let user =
        User { uid: 1234, gid: 77, groups: vec![5, 6], home: "/tmp/h".into(), name: "ci".into() };
    let mut told =
        exec("bash", &["-c", "id -u; id -g; id -G; pwd; touch here; echo $HOME"], user, &output);
    (told.cwd, told.create_cwd) = ("/tmp/h/project".into(), true);
    let child = sandbox.spawn(told).expect("started");
    assert_eq!(sandbox.wait(&child, Some(LIMIT)).expect("alive"), Some(Status::Code(0)));
    assert_eq!(text(&output), "1234\n77\n77 5 6\n/tmp/h/project\n/tmp/h\n");
    // The end of one program while another is asked for is kept.
    let output = tempfile::tempfile().expect("a file");
    let first = sandbox.spawn(exec("true", &[], User::default(), &output)).expect("started");
    let second = sandbox.spawn(exec("false", &[], User::default(), &output)).expect("started");
    let mut ends = Vec::new();
    while ends.len() < 2 {
        ends.extend(sandbox.next_event(Some(LIMIT)).expect("alive"));
    }
    assert!(ends.contains(&Event::Exited { pid: first.pid, status: Status::Code(0) }), "{ends:?}");
    assert!(ends.contains(&Event::Exited { pid: second.pid, status: Status::Code(1) }), "{ends:?}");
    assert_eq!(sandbox.next_event(Some(Duration::ZERO)).expect("alive"), None);
}

pub(super) fn a_failed_start_names_its_step(place: &mut Place) {
    let mut sandbox = create(&place.spec());
    let output = tempfile::tempfile().expect("a file");
    let mut check = |program: &str, cwd: &str, stage: &str, errno: i32| {
        let mut told = exec(program, &[], User::default(), &output);
        told.cwd = cwd.into();
        match sandbox.spawn(told) {
            Err(Error::Start { stage: found, source, .. }) => {
                assert_eq!(
                    (found.as_str(), source.raw_os_error()),
                    (stage, Some(errno)),
                    "{program} in {cwd}"
                );
            }
            other => panic!("{program} in {cwd}: {other:?}"),
        }
    };
    check("/no/such/program", "/", "exec", 2);
    check("no-such-program", "/", "exec", 2);
    check("/etc/hostname", "/", "exec", 13);
    check("true", "/no/such/folder", "working directory", 2);
    let mut spec = place.spec();
    spec.id = "../escape".into();
    assert!(matches!(Sandbox::create(&spec), Err(Error::Invalid { field: "id", .. })));
    let mut spec = place.spec();
    spec.root = Root::Directory { path: "/no/such/root".into() };
    let error = Sandbox::create(&spec).expect_err("no root");
    assert!(chain(&error).contains("/no/such/root"), "{}", chain(&error));
    assert!(!spec.scratch.exists(), "a failed creation leaves nothing");
}

fn groups_of(spec: &Spec) -> Vec<PathBuf> {
    spec.cgroup_base
        .places
        .iter()
        .map(|place| place.dir.join(&spec.id))
        .filter(|dir| dir.exists())
        .collect()
}

/// A job can stop a process of its own between fork and exec: again and again, so that it is given up, or
/// once, so that it goes on.
pub(super) fn a_program_that_is_stopped_before_its_exec_holds_nothing_up(place: &mut Place) {
    let mut sandbox = create(&place.spec());
    let output = tempfile::tempfile().expect("a file");
    let stop = exec(
        "bash",
        &["-c", "while :; do kill -STOP -1; done 2>/dev/null"],
        User::default(),
        &output,
    );
    let stopper = sandbox.spawn(stop).expect("started");
    for _ in 0..20 {
        let begun = Instant::now();
        match sandbox.spawn(exec("true", &[], User::default(), &output)) {
            Ok(child) => {
                sandbox.signal_session(child.pid, 9).expect("init answers");
            }
            Err(error) => assert!(chain(&error).contains("timed out"), "{}", chain(&error)),
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    }
    sandbox.signal_session(stopper.pid, 9).expect("alive");
    sandbox.signal_all(18).expect("alive");
    assert_eq!(run(&mut sandbox, "echo on", LIMIT).output, "on\n");
}

pub(super) fn an_init_that_does_not_answer_is_given_up(place: &mut Place) {
    let mut sandbox = create(&place.spec());
    sandbox.set_answer_max(Duration::from_millis(300));
    let init = Pid::from_raw(sandbox.init_pid()).expect("a process");
    kill_process(init, Signal::STOP).expect("stopped");
    let output = tempfile::tempfile().expect("a file");
    let late = sandbox.spawn(exec("true", &[], User::default(), &output));
    assert!(matches!(late, Err(Error::Lost)), "{late:?}");
    sandbox.destroy().expect("removed all the same");
}

/// Frozen by somebody else, in a hierarchy of version 1, it outlives its kill as one does that is stuck
/// in the kernel.
pub(super) fn an_init_that_does_not_end_is_left_behind(place: &mut Place) {
    let freezer = Path::new("/sys/fs/cgroup/freezer").join(format!("stuck-{}", std::process::id()));
    if fs::create_dir(&freezer).is_err() || !freezer.join("freezer.state").exists() {
        return println!("skipped: no freezer of version 1 here");
    }
    let spec = place.spec();
    let sandbox = create(&spec);
    let init = sandbox.init_pid();
    let id = |name: &str| (name == spec.id).then(|| name.to_owned());
    fs::write(freezer.join("cgroup.procs"), init.to_string()).expect("moved");
    fs::write(freezer.join("freezer.state"), "FROZEN").expect("frozen");
    let begun = Instant::now();
    let destroyed = sandbox.destroy();
    let took = begun.elapsed();
    let alive = Path::new("/proc").join(init.to_string()).exists();
    fs::write(freezer.join("freezer.state"), "THAWED").expect("thawed");
    until("init is gone", || fs::remove_dir(&freezer).is_ok());
    assert!(alive && took < LIMIT, "alive {alive}, {took:?}, {destroyed:?}");
    sweep(place.folder.path(), &place.base, id).expect("swept");
    assert!(!spec.scratch.exists(), "{destroyed:?}");
}

pub(super) fn nothing_is_left_on_the_host(place: &mut Place) {
    let mounts =
        || fs::read_to_string(format!("/proc/{}/mounts", std::os::unix::process::parent_id()));
    let before = mounts().expect("the host's mounts");
    let spec = place.spec();
    let mut sandbox = create(&spec);
    assert_eq!(groups_of(&spec).len(), spec.cgroup_base.places.len());
    assert!(
        run(
            &mut sandbox,
            "mkdir -p /etc/deep/er; echo x >/etc/deep/er/file; chmod 0 /etc/deep; sleep 1000 & ",
            LIMIT
        )
        .held()
    );
    let usage = sandbox.usage();
    sandbox.destroy().expect("removed");
    assert!(usage.memory_peak.is_some() && usage.cpu.is_some(), "{usage:?}");
    assert!(!spec.scratch.exists() && groups_of(&spec).is_empty());
    assert!(!Path::new("/etc/deep").exists());
    // Nobody else's mounts are compared: only what names this test's folder.
    let ours = |text: &str| text.lines().filter(|line| line.contains(&spec.id)).count();
    assert_eq!((ours(&before), ours(&mounts().expect("the host's mounts"))), (0, 0));
}

/// A supervisor of its own process: makes a sandbox, tells its init, and waits to be killed.
pub(super) fn supervise(folder: &str) {
    let spec: Spec =
        serde_json::from_slice(&fs::read(Path::new(folder).join("spec")).expect("the spec"))
            .expect("the spec");
    let mut sandbox = create(&spec);
    let output = tempfile::tempfile().expect("a file");
    let args = ["-c", "setsid sleep 4321 & sleep 4321 & (trap '' TERM; sleep 4321)"];
    sandbox.spawn(exec("bash", &args, User::default(), &output)).expect("started");
    println!("{}", sandbox.init_pid());
    let _killed_before = sandbox.next_event(None);
}

/// A program that makes the sandbox of `spec` as a supervisor does, called by `before`.
fn supervisor_of(place: &Place, spec: &Spec, before: &[&str]) -> Command {
    let folder = place.folder.path().join("killed");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("spec"), serde_json::to_vec(spec).expect("JSON")).expect("written");
    let program = std::env::current_exe().expect("this program");
    let mut words = before.iter().map(AsRef::as_ref).chain([program.as_os_str()]);
    #[expect(
        clippy::disallowed_methods,
        reason = "a supervisor that can be killed is a process of its own"
    )]
    let mut command = Command::new(words.next().expect("a program"));
    command.args(words).arg(SUPERVISE).arg(folder);
    command
}

/// How many dead sandboxes are swept away.
fn swept(place: &Place) -> usize {
    let id = |name: &str| name.starts_with("test-").then(|| name.to_owned());
    sweep(place.folder.path(), &place.base, id).expect("swept")
}

pub(super) fn a_killed_supervisor_takes_everything_with_it(place: &mut Place) {
    let spec = place.spec();
    let mut supervisor =
        supervisor_of(place, &spec, &[]).stdout(Stdio::piped()).spawn().expect("a supervisor");
    let mut told = String::new();
    BufReader::new(supervisor.stdout.take().expect("piped"))
        .read_line(&mut told)
        .expect("its first line");
    let init = PathBuf::from("/proc").join(told.trim());
    assert!(init.exists(), "{told}");
    assert_eq!(swept(place), 0, "a living sandbox is left alone");
    assert!(spec.scratch.exists());
    supervisor.kill().expect("killed");
    supervisor.wait().expect("reaped");
    until("init is gone", || !init.exists());
    assert_eq!(swept(place), 1);
    assert!(!spec.scratch.exists() && groups_of(&spec).is_empty());
    assert_eq!(swept(place), 0);
}

/// Its init has not yet asked to die with it, and must find by itself that it is alone.
pub(super) fn a_supervisor_killed_at_the_birth_of_its_init_takes_it_along(place: &mut Place) {
    let slowly = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=prctl", "-e"];
    let delay = ["inject=prctl:delay_enter=500000:when=1"];
    let spec = place.spec();
    let mut command = supervisor_of(place, &spec, &[&slowly[..], &delay].concat());
    let Ok(mut tracer) = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn() else {
        return println!("skipped: no strace here");
    };
    let child = |of: u32| {
        let children = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).ok()?;
        children.split_whitespace().next()?.parse::<u32>().ok()
    };
    let mut family = None;
    until("init is born", || {
        let supervisor = child(tracer.id());
        family = supervisor.and_then(|supervisor| Some((supervisor, child(supervisor)?)));
        family.is_some()
    });
    let (supervisor, init) = family.expect("found just now");
    let supervisor = i32::try_from(supervisor).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(supervisor, Signal::KILL).expect("killed");
    let alone = Path::new("/proc").join(init.to_string());
    until("init is gone", || !alone.exists());
    // It ends with the last that it traces.
    tracer.wait().expect("reaped");
    assert_eq!(swept(place), 1);
}

pub(super) fn a_stopped_step_spares_daemons(place: &mut Place) {
    let mut sandbox = create(&place.spec());
    let output = tempfile::tempfile().expect("a file");
    let script =
        "trap '' TERM; setsid sleep 4321 & sleep 1234 & echo ready; while :; do sleep 1234; done";
    let child =
        sandbox.spawn(exec("bash", &["-c", script], User::default(), &output)).expect("started");
    until("the step runs", || text(&output).contains("ready"));
    let alive = |sandbox: &mut Sandbox, seconds: &str| {
        run(sandbox, &format!("pgrep -xf 'sleep {seconds}'"), LIMIT).held()
    };
    until("its children run", || alive(&mut sandbox, "4321") && alive(&mut sandbox, "1234"));
    assert!(sandbox.signal_session(child.pid, 15).expect("alive") >= 2);
    assert_eq!(
        sandbox.wait(&child, Some(Duration::from_millis(50))).expect("alive"),
        None,
        "it ignores TERM"
    );
    sandbox.signal_session(child.pid, 9).expect("alive");
    assert_eq!(sandbox.wait(&child, Some(LIMIT)).expect("alive"), Some(Status::Signal(9)));
    until("its children are gone", || !alive(&mut sandbox, "1234"));
    assert!(alive(&mut sandbox, "4321"), "a daemon left the session");
    sandbox.signal_all(9).expect("alive");
    until("the daemon is gone", || !alive(&mut sandbox, "4321"));
}
