//! What a run sees of its inputs, and where it can write.

use super::support::{DONE, Real, files, said};
use gradus_core::domain::printed::Printed;
use gradus_core::domain::units::Bytes;
use gradus_core::ports::runner::Runner as _;
use gradus_core::ports::runner::{Input, RunFile, Scratch};
use gradus_core::testing::runner_contract::Deed;
use gradus_core::testing::runner_contract::{Bench as _, run};
use std::sync::Arc;

fn input(at: &str, all: &[(&str, &str)]) -> Input {
    let file = |(path, text): &(&str, &str)| RunFile {
        path: path.parse().unwrap(),
        bytes: Arc::new(text.as_bytes().to_vec()),
    };
    Input { at: at.parse().unwrap(), files: all.iter().map(file).collect() }
}

#[test]
fn inputs_are_read_and_never_written() {
    let Some(real) = Real::new() else { return };
    let script = "cat /app/program/lib/x /mnt/in/data.csv; /app/program/go; pwd
        for w in 'echo x > /mnt/in/data.csv' 'rm /mnt/in/data.csv' 'touch /mnt/in/new' 'chmod 777 /mnt/in' \
            'mv /app/program/go /app/program/gone' 'echo x >> /app/program/go'; do sh -c \"$w\" 2>/dev/null && echo \"did $w\"; done
        cp -r /mnt/in /out/copy";
    let ran = real.sh(script, |run| {
        run.program.inputs = vec![
            input("/app/program", &[("go", "#!/bin/sh\necho went\n"), ("lib/x", "library\n")]),
            input("/mnt/in", &[("data.csv", "1,2\n")]),
            input("/mnt/none", &[]),
        ];
        run.program.workdir = Some("/app/program".parse().unwrap());
    });
    assert_eq!(ran.ended, DONE, "{}", said(&ran));
    assert_eq!(said(&ran), "library\n1,2\nwent\n/app/program\n");
    assert_eq!(files(&ran), [("copy/data.csv".to_owned(), "1,2\n".to_owned())]);
}

#[test]
fn each_mount_has_the_flags_it_should() {
    let Some(real) = Real::new() else { return };
    let ran = real.sh("cat /proc/mounts", |run| {
        run.program.inputs = vec![input("/mnt/in", &[("a", "")])];
        run.program.printed = Arc::new(Printed::new(Bytes(64 << 10)));
        run.program.scratch = vec![Scratch { at: "/tmp".parse().unwrap(), bytes: Bytes(1 << 20), files: 10 }];
    });
    let mounts = said(&ran);
    let line =
        |at: &str| mounts.lines().find(|line| line.split(' ').nth(1) == Some(at)).unwrap_or_else(|| panic!("{at}"));
    let flags = |at: &str| line(at).split(' ').nth(3).unwrap().split(',').map(ToOwned::to_owned).collect::<Vec<_>>();
    for (at, all) in [
        ("/", &["ro"][..]),
        ("/mnt/in", &["ro", "nosuid", "nodev"]),
        ("/out", &["rw", "nosuid", "nodev", "noexec"]),
        ("/tmp", &["rw", "nosuid", "nodev"]),
        ("/dev/shm", &["rw", "nosuid", "nodev"]),
        ("/etc/hosts", &["ro"]),
    ] {
        for flag in all {
            assert!(flags(at).iter().any(|has| has == flag), "{at} is not {flag}: {}", line(at));
        }
    }
    assert!(!flags("/tmp").contains(&"noexec".to_owned()));
}

#[test]
fn there_is_no_other_place_to_write_to() {
    let Some(real) = Real::new() else { return };
    // Every folder that there is, tried; /proc is the process's own.
    let script = "find / -xdev -type d 2>/dev/null > /out/.all; cut -d' ' -f2 /proc/mounts >> /out/.all
        while read d; do touch \"$d/.probe\" 2>/dev/null && echo \"$d\" && rm \"$d/.probe\"; done < /out/.all; rm /out/.all; exit 0";
    let ran = real.sh(script, |_| {});
    assert_eq!(ran.ended, DONE);
    let mut written: Vec<_> = String::from_utf8_lossy(&ran.stdout).lines().map(ToOwned::to_owned).collect();
    written.sort();
    written.dedup();
    assert_eq!(written, ["/dev/shm", "/out"]);
}

#[test]
fn places_in_each_other_are_our_own_mistake() {
    let Some(real) = Real::new() else { return };
    let mut asked = run(&real, Deed::Exit(0));
    asked.program.inputs = vec![input("/out/in", &[])];
    let failed = real.wait(real.runner.run(asked)).unwrap_err();
    assert!(failed.to_string().contains("places in each other"), "{failed}");
    let mut asked = run(&real, Deed::Exit(0));
    asked.program.environment = vec![("A=B".to_owned(), String::new())];
    assert!(real.wait(real.runner.run(asked)).is_err());
}
