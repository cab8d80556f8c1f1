#!/usr/bin/env bash
# Runs a script on a machine of its own: Debian with systemd and cgroup v2, Docker as the distribution sets it up, and a
# second one without root, at /run/user/1000/docker.sock. It is Linux in user mode, so that it needs neither a hypervisor
# nor anything of this machine's, and is slow. The folder of this clone, and CARGO_TARGET_DIR, are seen there at their paths.
#
# Needs debootstrap, user-mode-linux (Debian's packages), mkfs.ext4, root, and a mirror of Debian's for the first time.
# $1: the script, which root runs in the folder of this clone. Its output is ours, and so is its exit code.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
clone="$(cd "$here/../.." && pwd)"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/gradus-machine"
digest="$( (cat "$0"; dpkg-query -W user-mode-linux) | sha256sum | cut -c1-16)"
image="$cache/$digest.img"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

build() {
  local root="$work/root"
  debootstrap --variant=minbase --include="$(tr '\n' , << 'LIST' | sed 's/,$//'
systemd
systemd-sysv
dbus
dbus-user-session
docker.io
rootlesskit
uidmap
slirp4netns
iptables
iproute2
e2fsprogs
mount
kmod
procps
psmisc
util-linux
busybox-static
gcc
libc6-dev
strace
python3
LIST
)" bookworm "$root" http://deb.debian.org/debian > "$cache/log" 2>&1
  cp -a /usr/lib/uml/modules/. "$root/lib/modules/"
  for modules in "$root"/lib/modules/*; do chroot "$root" depmod "${modules##*/}"; done
  printf '%s\n' overlay loop tun fuse > "$root/etc/modules-load.d/machine.conf"
  echo '/dev/ubda / ext4 noatime 0 1' > "$root/etc/fstab"
  echo machine > "$root/etc/hostname"
  echo '127.0.0.1 localhost machine' > "$root/etc/hosts"
  # Its kernel has no tables for networks, which no run has.
  mkdir -p "$root/etc/docker"
  echo '{ "bridge": "none", "iptables": false }' > "$root/etc/docker/daemon.json"
  chroot "$root" useradd --create-home --uid 1000 --shell /bin/bash engine
  mkdir -p "$root/var/lib/systemd/linger" "$root/home/engine/.config/systemd/user/default.target.wants"
  touch "$root/var/lib/systemd/linger/engine"
  cat > "$root/home/engine/.config/systemd/user/docker.service" << 'UNIT'
[Unit]
StartLimitIntervalSec=0
[Service]
Environment=PATH=/usr/share/docker.io/contrib:/usr/sbin:/usr/bin:/sbin:/bin
ExecStart=/usr/share/docker.io/contrib/dockerd-rootless.sh --iptables=false --bridge=none
Type=notify
NotifyAccess=all
Delegate=yes
KillMode=mixed
TimeoutStartSec=300
Restart=on-failure
RestartSec=2
UNIT
  ln -s ../docker.service "$root/home/engine/.config/systemd/user/default.target.wants/docker.service"
  chroot "$root" chown -R engine:engine /home/engine/.config
  mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
  ln -s ../script.service "$root/etc/systemd/system/multi-user.target.wants/script.service"
  cat > "$root/etc/systemd/system/script.service" << 'UNIT'
[Unit]
After=docker.service user@1000.service
[Service]
Type=oneshot
TimeoutStartSec=infinity
ExecStart=/usr/local/sbin/script
UNIT
  # The folders of the host's are named on the kernel's command line.
  cat > "$root/usr/local/sbin/script" << 'SCRIPT'
#!/bin/bash
for word in $(< /proc/cmdline); do case "$word" in gradus.*) declare "${word#gradus.}";; esac; done
see() { mkdir -p "$1"; mount -t hostfs none "$1" -o "$1"; }
for folder in ${folders//:/ }; do see "$folder"; done
mkdir -p /shared
mount -t hostfs none /shared -o "$shared"
chmod 666 /dev/net/tun /dev/fuse
for _ in {1..300}; do [ -S /run/user/1000/docker.sock ] && [ -S /run/docker.sock ] && break; sleep 1; done
cd "$clone"
bash /shared/script > /shared/output 2>&1 < /dev/null
echo $? > /shared/code
sync
poweroff -f
SCRIPT
  chmod 755 "$root/usr/local/sbin/script"
  truncate -s 16G "$work/image"
  mkfs.ext4 -q -F -E lazy_itable_init=1 -d "$root" "$work/image"
  rm -rf "$root"
  cp --sparse=always "$work/image" "$image.new"
  mv "$image.new" "$image"
}

mkdir -p "$cache"
[ -e "$image" ] || build
mkdir "$work/shared"
printf '%s\n' "$1" > "$work/shared/script"
touch "$work/shared/output"
# Its disk is a copy that keeps only what differs.
linux.uml umid="gradus-$$" mem=4G "ubd0=$work/cow,$image" root=/dev/ubda rw con=null con0=fd:0,fd:1 quiet \
  gradus.shared="$work/shared" gradus.clone="$clone" gradus.folders="$clone${CARGO_TARGET_DIR:+:$CARGO_TARGET_DIR}" \
  < /dev/null > "$work/console" 2>&1 &
machine=$!
trap 'kill "$machine" 2> /dev/null || true; rm -rf "$work"' EXIT
tail --pid="$machine" -n +1 -f "$work/shared/output"
if [ ! -e "$work/shared/code" ]; then
  echo 'the machine ended before its script:' >&2
  tail -n 20 "$work/console" >&2
  exit 1
fi
exit "$(< "$work/shared/code")"
