//! An engine that runs as a user without rights (Docker's rootless mode), seen from a server that is root: who it is, whom
//! its containers' users are on this machine, and which group is its own.
//!
//! It follows the mounts of this machine (its launcher asks for `rslave`), so that places of ours reach it. All of this is told
//! by the process at the other end of the socket.

use super::folder::Owner;
use super::systemd::Systemd;
use std::fs;
use std::ops::RangeInclusive;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Such an engine.
#[derive(Debug, Clone)]
pub(super) struct Rootless {
    /// The user that it runs as.
    pub(super) by: Owner,
    /// What user 0 of a container would be on this machine if it came before the others.
    pub(super) zero: Owner,
    /// Who makes its groups.
    pub(super) systemd: Systemd,
}

impl Rootless {
    /// The engine that is the process `pid` of the user `by`, whose containers have `users`.
    ///
    /// # Errors
    /// What is missing, and what to do.
    pub(super) fn of(pid: i32, by: Owner, users: &RangeInclusive<u32>) -> Result<Self, String> {
        let proc = format!("/proc/{pid}");
        let read = |file: &str| {
            fs::read_to_string(format!("{proc}/{file}"))
                .map_err(|error| format!("the engine's {proc}/{file} cannot be read: {error}"))
        };
        // Its number may be another's by now.
        if user_of(&read("status")?) != Some(by.user) {
            return Err("the engine has ended meanwhile".to_owned());
        }
        if let Some(other) = other_of_group(&read_names("/etc/passwd")?, &read_names("/etc/group")?, by) {
            return Err(format!(
                "the engine's group {} is also that of `{other}`, who would reach what programs read and write: give the \
                 engine a user with a group of its own",
                by.group
            ));
        }
        let offset = |map: &str, ids: &str| {
            outside(&read(map)?, users).ok_or_else(|| {
                let (first, last) = (users.start(), users.end());
                format!(
                    "the engine's user has no {ids} ids for {first} to {last}: give it 65536 in /etc/sub{ids}, and start \
                     the engine anew"
                )
            })
        };
        let zero = Owner { user: offset("uid_map", "uid")?, group: offset("gid_map", "gid")? };
        if zero.user == 0 || zero.group == 0 {
            return Err(
                "who listens at the engine's socket is not the engine: name the socket that it made itself".to_owned()
            );
        }
        let base = manager(&read("cgroup")?, by.user).ok_or(
            "the engine is none of its user's services, so that there is nobody to make its control groups: start it with \
             `systemctl --user`",
        )?;
        Ok(Self { by, zero, systemd: Systemd::User { user: by, base } })
    }

    /// Whether it can pass `path`, and all folders above it.
    ///
    /// # Errors
    /// Which it cannot, and what to do.
    pub(super) fn passes(&self, path: &Path) -> Result<(), String> {
        let Owner { user, group } = self.by;
        for above in path.ancestors() {
            let about = above.metadata().map_err(|error| format!("cannot look at {}: {error}", above.display()))?;
            let needs = if about.uid() == user {
                0o100
            } else if about.gid() == group {
                0o010
            } else {
                0o001
            };
            if about.mode() & needs == 0 {
                let above = above.display();
                return Err(format!(
                    "the engine's user {user} cannot reach {}: `chgrp {group} {above}` and `chmod 710 {above}` let it pass, \
                     and look at nothing",
                    path.display()
                ));
            }
        }
        Ok(())
    }
}

/// Whose process it is, by the kernel's words for its status.
fn user_of(status: &str) -> Option<u32> {
    status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_whitespace().next()?.parse().ok()
}

fn read_names(path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{path} cannot be read: {error}"))
}

/// Who else has the group of `by`, by the texts of `/etc/passwd` and `/etc/group`.
fn other_of_group<'t>(users: &'t str, groups: &'t str, by: Owner) -> Option<&'t str> {
    let fields = |line: &'t str| line.split(':').collect::<Vec<_>>();
    let is = |field: Option<&&str>, number: u32| field.is_some_and(|field| field.parse() == Ok(number));
    let own: Vec<&str> = users
        .lines()
        .map(fields)
        .filter(|user| is(user.get(2), by.user))
        .filter_map(|user| user.first().copied())
        .collect();
    let by_group =
        users.lines().map(fields).filter(|user| is(user.get(3), by.group)).filter_map(|user| user.first().copied());
    let members = groups.lines().map(fields).filter(|group| is(group.get(2), by.group));
    let members = members.flat_map(|group| group.get(3).copied().unwrap_or_default().split(','));
    by_group.chain(members).find(|name| !name.is_empty() && !own.contains(name))
}

/// What is to be added to each of `users` to have its number outside, by the kernel's `map`.
fn outside(map: &str, users: &RangeInclusive<u32>) -> Option<u32> {
    map.lines().find_map(|line| {
        let numbers: Vec<u32> = line.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
        let [inside, outside, count] = *numbers else { return None };
        let last = inside.checked_add(count.checked_sub(1)?)?;
        (inside <= *users.start() && *users.end() <= last).then(|| outside.checked_sub(inside))?
    })
}

/// The group of the manager of `user`, below the mount of cgroup v2, by the kernel's list of the groups of a process.
fn manager(groups: &str, user: u32) -> Option<PathBuf> {
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let name = format!("user@{user}.service");
    let at = path.split('/').position(|part| part == name)?;
    Some(path.split('/').take(at + 1).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_outside_are_those_of_the_map() {
        let map = "         0       1000          1\n         1     100000      65536\n";
        assert_eq!(outside(map, &(60_578..=61_183)), Some(99_999));
        assert_eq!(outside(map, &(0..=0)), Some(1_000));
        for users in [0..=1, 60_000..=65_537, 65_537..=65_538] {
            assert_eq!(outside(map, &users), None, "{users:?}");
        }
        for map in ["", "0 1000", "a b c", "0 1 0", "4294967295 1 4294967295"] {
            assert_eq!(outside(map, &(1..=2)), None, "{map}");
        }
    }

    #[test]
    fn who_shares_the_engines_group_is_found() {
        let users =
            "root:x:0:0:root:/root:/bin/sh\nengine:x:1000:1000::/home/engine:/bin/sh\neve:x:1001:100::/:/bin/sh\n";
        let by = |group| Owner { user: 1000, group };
        let groups = "users:x:100:\nengine:x:1000:engine\nlab:x:200:engine,ada\n";
        assert_eq!(other_of_group(users, groups, by(1000)), None);
        assert_eq!(other_of_group(users, groups, by(100)), Some("eve"));
        assert_eq!(other_of_group(users, groups, by(200)), Some("ada"));
        assert_eq!(other_of_group("", "x\n:::\n", by(200)), None);
    }

    #[test]
    fn the_group_of_the_users_manager_is_found() {
        assert_eq!(user_of("Name:\tdockerd\nUid:\t1000\t1000\t1000\t1000\n"), Some(1000));
        assert_eq!(user_of("Name:\tUid:\n"), None);
        let groups = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/docker.service\n";
        let base = Path::new("user.slice/user-1000.slice/user@1000.service");
        assert_eq!(manager(groups, 1000).as_deref(), Some(base));
        assert_eq!(manager(groups, 100), None);
        assert_eq!(manager("0::/system.slice/docker.service\n", 1000), None);
        assert_eq!(manager("2:cpu:/user@1000.service\n", 1000), None);
    }

    #[test]
    fn a_folder_that_it_cannot_pass_is_told() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let above = dir.path().join("data");
        fs::create_dir(&above).unwrap();
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let about = above.metadata().unwrap();
        set(dir.path(), 0o711);
        let (nobody, group) = (about.uid() + 1, about.gid());
        for (by, mode, good) in [
            (Owner { user: nobody, group: group + 1 }, 0o701, true),
            (Owner { user: nobody, group: group + 1 }, 0o710, false),
            (Owner { user: nobody, group }, 0o710, true),
            (Owner { user: nobody, group }, 0o701, false),
            (Owner { user: about.uid(), group }, 0o011, false),
        ] {
            set(&above, mode);
            let engine = Rootless { by, zero: Owner::default(), systemd: Systemd::System };
            let told = engine.passes(&above);
            assert_eq!(told.is_ok(), good, "{by:?} {mode:o} {told:?}");
            assert!(good || told.unwrap_err().contains("chmod 710"));
        }
    }
}
