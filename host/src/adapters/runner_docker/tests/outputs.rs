//! Outputs that are meant to hurt whoever reads them.

use super::support::{DONE, Real, files, flaw, limit, mib, said, seconds};
use gradus_core::domain::report::LimitKind;
use gradus_core::ports::runner::{Ended, Flaw, Output};
use std::time::Instant;

#[test]
fn what_is_no_plain_file_is_refused_where_it_is() {
    let Some(real) = Real::new() else { return };
    for (script, expected, at) in [
        ("ln -s /etc/shadow /out/link", Flaw::Link, "link"),
        ("ln -s . /out/loop", Flaw::Link, "loop"),
        ("mkdir -p /out/a/b; ln -s ../../../etc /out/a/b/up", Flaw::Link, "a/b/up"),
        ("ln -s nowhere /out/dangling", Flaw::Link, "dangling"),
        ("echo x > /out/one; ln /out/one /out/two", Flaw::HardLink, "one"),
        ("mkdir /out/d; mkfifo /out/d/pipe", Flaw::Special, "d/pipe"),
        ("hostile socket /out/socket", Flaw::Special, "socket"),
        ("hostile sparse /out/sparse 1500000", Flaw::TooBig, "sparse"),
        (r#"mkdir "/out/$(printf 'a\nb')""#, Flaw::Name, "a\u{fffd}b"),
        (r#"echo > "/out/$(printf 'a\\b')""#, Flaw::Name, "a\\b"),
        (r#"echo > "/out/$(printf 'a\033[31mb')""#, Flaw::Name, "a\u{fffd}[31mb"),
        (r#"echo > "/out/$(printf 'a\377b')""#, Flaw::NotUtf8, "a\u{fffd}b"),
        (r#"mkdir /out/d; echo > "/out/d/$(printf '\300\257')""#, Flaw::NotUtf8, "d/\u{fffd}\u{fffd}"),
    ] {
        let ran = real.sh(script, |_| {});
        assert_eq!(flaw(&ran), (expected, at.to_owned()), "{script}");
    }
    // Beyond any place's size, the kernel says no.
    let ran = real.sh("hostile sparse /out/sparse 1100000000000", |_| {});
    assert_eq!((ran.ended.clone(), files(&ran)[0].1.len()), (Ended::Signal { signal: 25 }, 0));
    let ran = real.sh("hostile sparse /out/sparse 30000000", |run| run.limits.output = mib(32));
    assert_eq!(flaw(&ran), (Flaw::Sparse, "sparse".to_owned()));
}

#[test]
fn deep_and_long_paths_are_refused() {
    let Some(real) = Real::new() else { return };
    let ran = real.sh("cd /out; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18; do mkdir d; cd d; done", |_| {});
    assert_eq!(flaw(&ran).0, Flaw::Path);
    let ran = real
        .sh("n=$(head -c 250 /dev/zero | tr '\\0' n); cd /out; mkdir $n; cd $n; mkdir $n; cd $n; echo > $n", |_| {});
    let (kind, at) = flaw(&ran);
    assert!(kind == Flaw::Path && at.chars().count() <= 101, "{at}");
    // Within the bounds, all is taken, also what nobody but its owner may read, and the folder's own mode is no matter.
    let script = "mkdir -p /out/a/b; echo x > /out/a/b/c; echo > /out/ü; chmod 000 /out/a/b/c /out/a/b /out";
    let ran = real.sh(script, |_| {});
    let names: Vec<_> = files(&ran).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a/b/c", "ü"]);
}

#[test]
fn a_device_cannot_be_made_and_the_folder_cannot_be_replaced() {
    let Some(real) = Real::new() else { return };
    let ran =
        real.sh("mknod /out/null c 1 3; mv /out /out2; rmdir /out; ln -sfn /etc /out; rm -rf /out; exit 0", |_| {});
    assert_eq!(ran.ended, DONE);
    assert!(said(&ran).contains("Operation not permitted") && said(&ran).contains("Read-only"), "{}", said(&ran));
    // `ln` put its link into the folder, and `rm` took it away.
    assert_eq!(files(&ran), []);
}

#[test]
fn nothing_in_the_output_place_can_be_executed() {
    let Some(real) = Real::new() else { return };
    let ran = real.sh("cp /bin/busybox /out/x; chmod 755 /out/x; /out/x true", |run| run.limits.output = mib(8));
    assert!(said(&ran).contains("Permission denied"), "{}", said(&ran));
}

#[test]
fn very_many_files_are_collected_in_time() {
    let Some(real) = Real::new() else { return };
    let ran = real.sh("mkdir /out/d; hostile files 10000 /out/d; echo 1 > /out/d/7", |run| {
        run.limits.files = 10_001;
        run.limits.output = mib(8);
    });
    assert_eq!(ran.ended, DONE);
    let files = files(&ran);
    assert_eq!(files.len(), 10_000);
    assert_eq!(files.iter().filter(|(_, text)| !text.is_empty()).count(), 1);
    // A hundred thousand, where ten thousand are allowed.
    let since = Instant::now();
    let ran = real.sh("hostile files 100000 /out; sleep 100", |run| run.limits.files = 10_000);
    assert_eq!(limit(&ran).0, LimitKind::Files);
    assert!(since.elapsed().as_secs() < 8);
    // And where they are.
    let ran = real.sh("hostile files 100000 /out", |run| {
        run.limits.files = 100_000;
        run.limits.wall = seconds(30);
    });
    assert_eq!(ran.ended, DONE);
    let Output::Parts(parts) = ran.output else { panic!() };
    assert_eq!(parts.len(), 100_000);
}

#[test]
fn a_big_output_lies_in_a_file_and_has_the_same_rules() {
    let Some(real) = Real::with(|settings| settings.output_in_memory = mib(4)) else { return };
    let big = |run: &mut gradus_core::ports::runner::Run| {
        run.limits.output = mib(96);
        run.limits.memory = mib(32);
    };
    // More than the run's memory: it does not count as such.
    let ran = real.sh("head -c 90000000 /dev/zero | tr '\\0' x > /out/big; mkdir /out/d; echo y > /out/d/small", big);
    assert_eq!(ran.ended, DONE, "{}", said(&ran));
    let sizes: Vec<_> = files(&ran).into_iter().map(|(name, text)| (name, text.len())).collect();
    assert_eq!(sizes, [("big".to_owned(), 90_000_000), ("d/small".to_owned(), 2)]);
    let ran = real.sh("hostile fill /out/flood; sleep 100", big);
    let (kind, used, allowed) = limit(&ran);
    assert_eq!((kind, allowed), (LimitKind::Output, 96 << 20));
    // The file system ends not far beyond it.
    assert!(used < 140 << 20, "{used}");
    let ran = real.sh("hostile files 1000 /out; sleep 100", big);
    assert_eq!(limit(&ran).0, LimitKind::Files);
    let ran = real.sh("ln -s / /out/link", big);
    assert_eq!(flaw(&ran), (Flaw::Link, "link".to_owned()));
    let ran = real.sh("hostile sparse /out/sparse 50000000", big);
    assert_eq!(flaw(&ran).0, Flaw::Sparse);
    let ran = real.sh("cat /proc/mounts", big);
    let line = said(&ran).lines().find(|line| line.contains(" /out ")).map(ToOwned::to_owned).unwrap();
    assert!(line.contains(" ext4 ") && ["nosuid", "nodev", "noexec"].iter().all(|word| line.contains(word)), "{line}");
}
