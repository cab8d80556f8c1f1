#!/usr/bin/env bash
# Builds the image that the example with programs runs them in, Debian's python3 with numpy, tags it
# `gradus-example-python:1` and prints its id. Nothing is fetched if an image of the same recipe is there.
#
# Needs root, the engine's command line `docker`, debootstrap, and the Debian mirror that apt uses.
set -euo pipefail
suite=bookworm
packages=python3-minimal,python3-numpy
tag=gradus-example-python:1

name="gradus-test-python:$(sha256sum < "$0" | cut -c1-32)"
if ! docker image inspect "$name" > /dev/null 2>&1; then
  if ! command -v debootstrap > /dev/null; then
    echo "debootstrap is missing; install the package debootstrap" >&2
    exit 1
  fi
  mirror="$(apt-get indextargets --format '$(SITE)' 'Codename: bookworm' 2> /dev/null | head -n 1)"
  # shellcheck disable=SC2016
  mirror="${mirror:-$(apt-get indextargets --format '$(SITE)' | grep -v security | sort -u | head -n 1)}"
  work="$(mktemp -d)"
  trap 'rm -rf "$work"' EXIT
  debootstrap --variant=minbase --include="$packages" "$suite" "$work/root" "$mirror" >&2
  # What a run does not need.
  rm -rf "$work"/root/var/{lib/apt/lists,cache,log}/* "$work"/root/usr/share/{doc,man,info,locale,lintian}/* \
    "$work"/root/usr/lib/python3/dist-packages/numpy/{tests,*/tests}
  tar --sort=name --mtime=@0 --numeric-owner --exclude=./dev/* --exclude=./proc/* --exclude=./sys/* -C "$work/root" -c . |
    docker import --change 'ENV PATH=/usr/local/bin:/usr/bin:/bin' - "$name" > /dev/null
fi
docker tag "$name" "$tag"
docker image inspect --format '{{.Id}}' "$name"
