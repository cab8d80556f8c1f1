//! What a run finds when it looks around: no network, no privileges, no neighbour, nothing of the host's.

use super::super::gpu::Gpu;
use super::support::{DONE, Real, build, said, seconds, slow};
use gradus_core::domain::units::Bytes;
use gradus_core::ports::runner::{Ended, RefusalCode, Run, Runner as _};
use gradus_core::testing::runner_contract::{Bench as _, Deed, run};
use std::collections::BTreeMap;

#[test]
fn there_is_no_network() {
    let Some(real) = Real::new() else { return };
    let script = "ls /sys/class/net; cat /proc/net/route | wc -l
        for to in 169.254.169.254 172.17.0.1 8.8.8.8; do nc -w 2 $to 80 < /dev/null && echo reached $to; done
        nslookup example.com > /dev/null && echo resolved
        ping -c 1 -W 1 127.0.0.1 > /dev/null && echo raw
        wget -T 2 -q -O - http://169.254.169.254/latest/meta-data/ && echo metadata
        find / -name '*.sock' -o -type s 2>/dev/null | grep -v ^/proc; exit 0";
    let ran = real.sh(script, |_| {});
    assert_eq!(ran.ended, DONE);
    assert_eq!(String::from_utf8_lossy(&ran.stdout), "lo\n1\n", "{}", said(&ran));
}

#[test]
fn no_forbidden_call_is_let_through() {
    let Some(real) = Real::new() else { return };
    let ran = real.sh("exec hostile calls", |_| {});
    let text = said(&ran);
    let answers: BTreeMap<_, _> = text.lines().filter_map(|line| line.split_once(' ')).collect();
    assert!(answers.len() > 30, "{text}");
    for (call, answer) in &answers {
        let expected = match *call {
            "unix" => "allowed",
            // Linux in user mode takes it for a call of 64 bits.
            "int80" if slow() > 1 => continue,
            "int80" => "killed",
            "clone3" => "ENOSYS",
            _ => "EPERM",
        };
        assert_eq!(*answer, expected, "{call}: {text}");
    }
}

#[test]
fn a_process_has_no_privileges_and_gains_none() {
    let Some(real) = Real::new() else { return };
    let script = "id; cat /proc/self/status; su root -c id; cat /etc/shadow; ulimit -c; ulimit -n; exit 0";
    let ran = real.sh(script, |_| {});
    let text = said(&ran);
    for line in [
        "CapInh:\t0000000000000000",
        "CapPrm:\t0000000000000000",
        "CapEff:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        "CapAmb:\t0000000000000000",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let ours = (real.uid..real.uid + 4)
        .any(|uid| text.starts_with(&format!("uid={uid}")) && text.contains(&format!(" gid={uid}")));
    assert!(ours && !text.contains("uid=0"), "{text}");
}

#[test]
fn the_machine_is_neither_seen_nor_changed() {
    let Some(real) = Real::new() else { return };
    let script = "for w in /proc/sys/kernel/hostname /proc/sys/kernel/core_pattern /proc/sysrq-trigger /proc/sys/vm/drop_caches \
            /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/kernel/mm/ksm/run /etc/passwd /x; do
            (echo 1 > $w) 2>/dev/null && echo wrote $w; done
        for r in /proc/kcore /proc/keys /proc/timer_list /proc/1/root/etc/shadow /dev/mem /dev/vda /dev/kmsg; do
            head -c 1 $r 2>/dev/null | grep -q . && echo read $r; done
        for p in /proc/[0-9]*; do p=${p#/proc/}; [ $p -gt 60 ] && echo process $p; done
        hostname; ls /sys/fs/cgroup | grep -c gradus; grep -c gradus /proc/self/cgroup /proc/self/mountinfo; exit 0";
    let ran = real.sh(script, |_| {});
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    // Podman gives no namespace of control groups with version 1 of these: a run reads its own id there.
    let podman = real.runner.shared.engine.podman;
    let shown = |line: &&str| line.contains("mountinfo") || (podman && line.starts_with("/proc/self/cgroup:"));
    let hidden = text.lines().filter(|line| !shown(line)).collect::<Vec<_>>();
    let expected = ["run", "0", "/proc/self/cgroup:0"];
    assert_eq!(hidden, expected[..if podman { 2 } else { 3 }], "{text} {}", said(&ran));
}

#[test]
fn the_environment_and_the_descriptors_are_what_was_given() {
    let Some(real) = Real::new() else { return };
    let image = build("ENV SECRET=1 LD_PRELOAD=/x.so\nENV HOME=/image").unwrap();
    let script = "env | sort; ls /proc/self/fd | wc -l; readlink /proc/self/fd/0";
    let ran = real.sh(script, |run| {
        run.program.image = image.clone().into();
        run.program.environment = vec![("TASK".to_owned(), "a b=c".to_owned())];
    });
    let text = said(&ran);
    let (shown, rest): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.contains('='));
    let names = shown.iter().filter_map(|line| line.split('=').next());
    // What Podman sets.
    let podmans = |name: &str| real.runner.shared.engine.podman && matches!(name, "container" | "TERM" | "SECRET");
    let names: Vec<_> = names.filter(|name| !podmans(name)).collect();
    assert_eq!(names, ["HOME", "HOSTNAME", "PATH", "PWD", "SHLVL", "TASK"], "{text}");
    assert!(shown.contains(&"TASK=a b=c") && shown.contains(&"HOSTNAME=run") && shown.contains(&"PATH=/bin"), "{text}");
    assert!(!text.contains("/image") && !text.contains("/x.so"), "{text}");
    // 0, 1, 2, and the folder that `ls` has open.
    assert_eq!(rest, ["4", "/dev/null"], "{text}");
}

#[test]
fn an_image_that_asks_for_more_is_refused_or_gets_nothing() {
    let Some(real) = Real::new() else { return };
    let volume = build("VOLUME /data").unwrap();
    let ran = real.sh("echo", |run| run.program.image = volume.clone().into());
    let Ended::Refused { code: RefusalCode::ImageRefused, text } = ran.ended else { panic!("{:?}", ran.ended) };
    assert!(text.contains("VOLUME /data"), "{text}");
    // A user and a program of its own: the first has no say, the second is what runs.
    let own = build("USER root\nWORKDIR /mnt\nENTRYPOINT [\"sh\",\"-c\",\"id -u; pwd\"]").unwrap();
    let ran = real.sh("", |run| {
        run.program.image = own.clone().into();
        run.program.command = None;
    });
    let (user, folder) = (said(&ran).lines().next().and_then(|uid| uid.parse().ok()), said(&ran));
    assert!(
        user.is_some_and(|uid| (real.uid..real.uid + 4).contains(&uid)) && folder.ends_with("\n/mnt\n"),
        "{folder}"
    );
}

#[test]
fn two_runs_do_not_see_each_other() {
    use gradus_core::ports::runner::Runner as _;
    use gradus_core::testing::runner_contract::{Deed, run};
    let Some(real) = Real::new() else { return };
    let asked = |script: &str| {
        let mut asked = run(&real, Deed::Exit(0));
        asked.program.command = Some(["sh", "-c", script].map(ToOwned::to_owned).into());
        asked.limits.wall = seconds(20);
        asked
    };
    // Each leaves a mark everywhere, waits for the other to have done so, and looks for what is not its own.
    let script = |me: &str| {
        format!(
            "echo {me} > /out/{me}; echo {me} > /dev/shm/{me}; touch /dev/mqueue/{me}; id -u; sleep 2
            ls /out /dev/shm /dev/mqueue | grep -v : | sort -u; ps | grep -c 'sleep 2'"
        )
    };
    let (one, two) = real.runtime.block_on(async {
        tokio::join!(real.runner.run(asked(&script("one"))), real.runner.run(asked(&script("two"))))
    });
    let mut users = std::collections::BTreeSet::new();
    for (ran, me) in [(one.unwrap(), "one"), (two.unwrap(), "two")] {
        let text = said(&ran);
        let lines: Vec<_> = text.lines().filter(|line| !line.is_empty()).collect();
        assert!(users.insert(lines[0].to_owned()), "both are {users:?}");
        assert_eq!(lines[1], me, "{text}");
        assert!(!text.contains(if me == "one" { "two" } else { "one" }), "{text}");
    }
}

#[test]
fn two_runs_never_have_one_gpu() {
    let gpu = |id: &str, gib: u64| Gpu { id: id.to_owned(), memory: Bytes(gib << 30) };
    let gpus = vec![gpu("big", 80), gpu("a", 16), gpu("b", 24)];
    let Some(real) = Real::with(|settings| settings.gpus = Some(gpus)) else { return };
    let shared = &real.runner.shared;
    if shared.engine.podman {
        return eprintln!("skipped: Podman gives none");
    }
    let asked = |gpus: u32| Run { gpus, ..run(&real, Deed::Exit(0)) };
    let taken = |run: &Run| shared.begin(run).unwrap().map(|taken| taken.gpus);
    let first = asked(2);
    assert_eq!(taken(&first).unwrap(), ["a", "b"]);
    let big = asked(1);
    assert_eq!(taken(&big).unwrap(), ["big"]);
    assert!(taken(&asked(1)).unwrap_err().contains("which others have"));
    *shared.wanted.lock().unwrap() = None;
    shared.end(first.id);
    let more = |gib: u64| Run { gpu_memory: Bytes(gib << 30), ..asked(1) };
    assert_eq!(taken(&more(20)).unwrap(), ["b"]);
    assert!(taken(&more(20)).is_err(), "the one that is free has less");
    let small = asked(1);
    assert_eq!(taken(&small).unwrap(), ["a"]);
    // One that needs the big one is next to have it, and what nobody has is told.
    *shared.wanted.lock().unwrap() = None;
    assert!(taken(&more(60)).is_err());
    shared.end(big.id);
    assert!(taken(&asked(1)).is_err(), "it is kept");
    shared.end(small.id);
    assert_eq!(taken(&asked(1)).unwrap(), ["a"], "the others are not");
    assert_eq!(taken(&more(60)).unwrap(), ["big"]);
    assert!(taken(&more(100)).unwrap_err().contains("more memory than the server has"));
}

#[test]
fn pinned_runs_stay_on_cpus_of_their_own() {
    let Some(real) = Real::new() else { return };
    let asked = |pinned: bool| {
        let mut asked = run(&real, Deed::Exit(0));
        let script = "sleep 1; sed -n 's/Cpus_allowed_list:.//p' /proc/self/status";
        asked.program.command = Some(["sh", "-c", script].map(ToOwned::to_owned).into());
        Run { pinned, ..asked }
    };
    let all = real.runner.shared.cpus.len();
    if all < 2 {
        return eprintln!("skipped: this machine has one CPU");
    }
    let (one, two, third) = real.runtime.block_on(async {
        let (runner, third) = (&real.runner, asked(false));
        tokio::join!(runner.run(asked(true)), runner.run(asked(true)), runner.run(third))
    });
    let [one, two, third] = [one, two, third].map(|ran| said(&ran.unwrap()).trim().to_owned());
    assert!(one.parse::<usize>().is_ok() && two.parse::<usize>().is_ok() && one != two, "{one} {two}");
    assert!(third.contains(['-', ',']), "{third}");
    // What is more than there are is told, and holds nothing.
    let mut big = asked(true);
    big.limits.cpus = gradus_core::domain::units::MilliCpus(1000 * (all as u64 + 1));
    let ran = real.wait(real.runner.run(big)).unwrap();
    let Ended::Refused { code: RefusalCode::Busy, text } = ran.ended else { panic!("{ran:?}") };
    assert!(text.contains("more CPUs to itself than the server has"), "{text}");
    real.nothing_is_left();
}

#[test]
fn a_run_has_the_network_that_it_names_and_no_other() {
    let Some(real) = Real::new() else { return };
    let name = format!("gradus-test-{}", std::process::id());
    let docker = |args: &[&str]| {
        std::process::Command::new("docker").args(args).env("DOCKER_HOST", super::support::host()).output()
    };
    let made = docker(&["network", "create", "--internal", &name]);
    if !made.is_ok_and(|output| output.status.success()) {
        return eprintln!("skipped: the engine makes no network here");
    }
    let asked = |network: Option<&str>| {
        let mut asked = run(&real, Deed::Exit(0));
        asked.program.command = Some(["sh", "-c", "grep -c : /proc/net/dev"].map(ToOwned::to_owned).into());
        Run { network: network.map(ToOwned::to_owned), ..asked }
    };
    let interfaces =
        |network| said(&real.wait(real.runner.run(asked(network))).unwrap()).trim().parse::<u32>().unwrap();
    let (without, with) = (interfaces(None), interfaces(Some(&name)));
    let gone = real.wait(real.runner.run(asked(Some("gradus-test-no-such"))));
    docker(&["network", "rm", &name]).unwrap();
    assert_eq!(with, without + 1);
    assert!(gradus_core::ports::chain(&gone.unwrap_err()).contains("gradus-test-no-such"));
    real.nothing_is_left();
}

/// There is none here: the engine's words for that are ours to pass on, and nobody's fault who hands in.
#[test]
fn what_the_engine_does_not_have_is_a_trouble_of_ours() {
    let Some(real) = Real::with(|settings| settings.gpus = Some(vec![Gpu { id: "0".to_owned(), memory: Bytes(0) }]))
    else {
        return;
    };
    let has = real.runtime.block_on(real.runner.shared.engine.info()).unwrap().runtimes.unwrap().contains_key("nvidia");
    if has || real.runner.shared.engine.podman {
        return eprintln!("skipped: this engine has GPUs, or never");
    }
    let told = |change: &dyn Fn(&mut Run)| {
        let mut asked = run(&real, Deed::Exit(0));
        change(&mut asked);
        let error = real.wait(real.runner.run(asked)).unwrap_err();
        real.nothing_is_left();
        gradus_core::ports::chain(&error)
    };
    let said = told(&|run| run.gpus = 1);
    assert!(said.contains("could not select device driver"), "{said}");
    let said = told(&|run| run.runtime = Some("no-such".to_owned()));
    assert!(said.contains("no-such"), "{said}");
}
