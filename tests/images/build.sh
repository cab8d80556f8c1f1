#!/usr/bin/env bash
# Builds the image that tests run programs in, and prints its id: Debian's static busybox and a helper of our own, from
# scratch, without a registry. What is there already under the digest of what it is made of is not made again.
#
# Needs the engine's command line `docker`, `busybox` (package busybox-static), and `cc` with a static C library.
# $1: further instructions for the image, one a line, such as `VOLUME /data`.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
busybox="$(command -v busybox)"
changes=('ENV PATH=/bin')
mapfile -t more < <(printf '%s' "${1:-}")
for change in "${more[@]}"; do changes+=("$change"); done
digest="$( (cat "$busybox" "$here/hostile.c" "$0"; printf '%s\n' "${changes[@]}") | sha256sum | cut -c1-32)"
name="gradus-test:$digest"

build() {
  work="$(mktemp -d)"
  trap 'rm -rf "$work"' EXIT
  mkdir -p "$work"/root/{bin,etc,tmp,out,mnt/in,proc,sys,dev}
  cp "$busybox" "$work/root/bin/busybox"
  for applet in $("$busybox" --list); do
    [ "$applet" = busybox ] || ln -s busybox "$work/root/bin/$applet"
  done
  cc -O1 -static -pthread -Wall -Werror -o "$work/root/bin/hostile" "$here/hostile.c"
  chmod 0755 "$work/root/bin/hostile" "$work/root/bin/busybox"
  echo 'root:x:0:0:root:/:/bin/sh' > "$work/root/etc/passwd"
  tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$work/root" -cf "$work/root.tar" .
  arguments=()
  for change in "${changes[@]}"; do arguments+=(--change "$change"); done
  docker import "${arguments[@]}" "$work/root.tar" "$name" > /dev/null
}

docker image inspect "$name" > /dev/null 2>&1 || build
docker image inspect --format '{{.Id}}' "$name"
