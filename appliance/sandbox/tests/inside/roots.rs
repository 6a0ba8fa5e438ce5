//! Where a job's files come from, and how they are looked at from outside.

use crate::support::{LIMIT, Place, create, run};
use rustix::process::{Pid, Signal};
use sandbox::{Bind, Error, Event, Root, Sandbox};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
};

/// A root that borrows the host's programs, in two layers.
fn layers(place: &Place) -> Vec<PathBuf> {
    let [bottom, top] = ["bottom", "top"].map(|name| place.folder.path().join("layers").join(name));
    for folder in ["etc", "usr", "home/ci"] {
        fs::create_dir_all(bottom.join(folder)).expect("a folder");
    }
    for name in ["bin", "lib", "lib64", "sbin"] {
        symlink(format!("usr/{name}"), bottom.join(name)).expect("a link");
    }
    fs::write(
        bottom.join("etc/passwd"),
        "root:x:0:0::/root:/bin/sh\nci:x:1000:1000::/home/ci:/bin/bash\n",
    )
    .expect("written");
    fs::write(bottom.join("etc/old"), "old").expect("written");
    rustix::fs::chown(bottom.join("home/ci"), Some(rustix::fs::Uid::from_raw(1000)), None)
        .expect("changed");
    fs::create_dir_all(top.join("etc")).expect("a folder");
    fs::write(top.join("etc/new"), "new").expect("written");
    fs::set_permissions(top.join("etc/new"), fs::Permissions::from_mode(0o600)).expect("rights");
    let hidden = (rustix::fs::FileType::CharacterDevice, rustix::fs::Mode::empty());
    rustix::fs::mknodat(rustix::fs::CWD, top.join("etc/old"), hidden.0, hidden.1, 0)
        .expect("a whiteout");
    // A hostile image: its mount points lead to the host's.
    symlink("/tmp/elsewhere", top.join("proc")).expect("a link");
    vec![bottom, top]
}

pub(super) fn an_image_root_belongs_to_the_job(place: &mut Place) {
    let lowers = layers(place);
    let mut spec = place.spec();
    spec.root = Root::Layers { lowers: lowers.clone() };
    let host_usr =
        Bind { source: "/usr".into(), target: "/usr".into(), read_only: true, map_ids: false };
    spec.binds.push(host_usr.clone());
    let mut sandbox = create(&spec);
    let user = sandbox.user("ci").expect("known");
    assert_eq!((user.uid, user.gid, user.home.as_str()), (1000, 1000, "/home/ci"));
    assert!(matches!(sandbox.user("nobody-here"), Err(Error::Invalid { field: "user", .. })));
    let script = "test ! -e /etc/old && cat /etc/new && stat -c '%u %a' /etc/new && stat -c %u /home/ci && \
        echo more >>/etc/passwd && chown 1000 /etc/new && rm -rf /home/ci && test -e /proc/self/status && ls -d /root 2>/dev/null";
    let ran = run(&mut sandbox, script, LIMIT);
    assert_eq!(ran.output, "new0 600\n1000\n", "{ran:?}");
    sandbox.destroy().expect("removed");
    assert_eq!(fs::metadata(lowers[1].join("etc/new")).expect("the layer's file").uid(), 0);
    assert!(lowers[0].join("home/ci").exists(), "layers stay as they were");
    let mut spec = place.spec();
    spec.root = Root::Directory { path: lowers[0].clone() };
    spec.binds.push(host_usr);
    let mut sandbox = create(&spec);
    assert!(run(&mut sandbox, "cat /etc/old && test ! -e /etc/new", LIMIT).held());
}

pub(super) fn binds_are_as_writable_as_told(place: &mut Place) {
    let mut spec = place.spec();
    let folder = place.folder.path().join("bound");
    fs::create_dir(&folder).expect("a folder");
    fs::write(folder.join("file"), "content").expect("written");
    let bind = |target: &str, read_only, map_ids| Bind {
        source: folder.clone(),
        target: target.into(),
        read_only,
        map_ids,
    };
    spec.binds = vec![
        bind("/bound/ro", true, false),
        bind("/bound/plain", false, false),
        bind("/bound/mapped", false, true),
    ];
    spec.binds.push(Bind {
        source: folder.join("file"),
        target: "/usr/local/bin/one-file".into(),
        read_only: true,
        map_ids: true,
    });
    let mut sandbox = create(&spec);
    let check = |sandbox: &mut Sandbox, script: &str, held: bool| {
        let ran = run(sandbox, script, LIMIT);
        assert_eq!(ran.held(), held, "{script}: {ran:?}");
    };
    check(&mut sandbox, "cat /bound/ro/file /usr/local/bin/one-file", true);
    check(&mut sandbox, "touch /bound/ro/x || echo x >/usr/local/bin/one-file", false);
    check(&mut sandbox, "touch /bound/plain/x", false);
    check(
        &mut sandbox,
        "touch /bound/mapped/made && test $(stat -c %u /bound/mapped/made) = 0",
        true,
    );
    assert_eq!(
        fs::metadata(folder.join("made")).expect("made inside").uid(),
        0,
        "and root's outside"
    );
}

pub(super) fn files_are_looked_at_within_the_root(place: &mut Place) {
    let outside = place.folder.path().join("outside-file");
    fs::write(&outside, "outside").expect("written");
    let mut sandbox = create(&place.spec());
    let script = format!(
        "ln -s {} /tmp/absolute; ln -s ../../../../../..{0} /tmp/relative; mkfifo /tmp/pipe; echo inside >/tmp/plain; \
            ln -s /proc/1/environ /tmp/environ",
        outside.display()
    );
    assert!(run(&mut sandbox, &script, LIMIT).held());
    for name in ["/tmp/absolute", "/tmp/relative", "/proc/1/root/etc/shadow", "/proc/self/exe"] {
        assert!(sandbox.open(Path::new(name)).is_err(), "{name}");
    }
    // Opened by the host's root, these would tell what the job itself may not know.
    for name in ["/tmp/environ", "/proc/1/environ", "/proc/kallsyms", "/sys/kernel/notes"] {
        assert!(sandbox.open(Path::new(name)).is_err(), "{name}");
    }
    let mut text = String::new();
    std::io::Read::read_to_string(
        &mut sandbox.open(Path::new("/tmp/plain")).expect("a file"),
        &mut text,
    )
    .expect("text");
    assert_eq!(text, "inside\n");
    assert!(sandbox.open(Path::new("/tmp/pipe")).is_ok(), "opening never waits");
    assert!(
        sandbox.exists(Path::new("/etc/hosts")) && !sandbox.exists(Path::new("/etc/appliance"))
    );
    let init = Pid::from_raw(sandbox.init_pid()).expect("a process");
    rustix::process::kill_process(init, Signal::KILL).expect("killed");
    assert_eq!(sandbox.next_event(Some(LIMIT)).expect("told"), Some(Event::Lost));
    assert!(matches!(sandbox.signal_all(9), Err(Error::Lost)));
    assert!(sandbox.open(Path::new("/tmp/plain")).is_ok(), "its files can still be kept");
}
