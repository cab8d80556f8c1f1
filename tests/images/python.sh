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
  # shellcheck disable=SC2016
  sites() { apt-get indextargets --format '$(SITE)' 'Origin: Debian' 'Component: main' "$@" || true; }
  mapfile -t mirrors < <(sites "Codename: $suite"; sites | grep -v security || true)
  if [ "${#mirrors[@]}" = 0 ]; then
    echo "apt knows no Debian mirror; run apt-get update" >&2
    exit 1
  fi
  # debootstrap asks the environment for a proxy, and not apt.
  eval "$(apt-config shell http_proxy Acquire::http::Proxy https_proxy Acquire::https::Proxy)"
  [ "${http_proxy:-}" != DIRECT ] || unset http_proxy
  [ "${https_proxy:-}" != DIRECT ] || unset https_proxy
  [ -z "${http_proxy:-}" ] || export http_proxy
  [ -z "${https_proxy:-}" ] || export https_proxy

  work="$(mktemp -d)"
  trap 'rm -rf "$work"' EXIT
  debootstrap --variant=minbase --include="$packages" "$suite" "$work/root" "${mirrors[0]}" >&2
  # What a run does not need.
  rm -rf "$work"/root/var/{lib/apt/lists,cache,log}/* "$work"/root/usr/share/{doc,man,info,locale,lintian}/* \
    "$work"/root/usr/lib/python3/dist-packages/numpy/{tests,*/tests}
  # A file first: what tar could not finish must not be there under a name that says it is whole.
  tar --sort=name --mtime=@0 --numeric-owner --exclude='./dev/*' --exclude='./proc/*' --exclude='./sys/*' \
    -C "$work/root" -cf "$work/root.tar" .
  docker import --change 'ENV PATH=/usr/local/bin:/usr/bin:/bin' "$work/root.tar" "$name" > /dev/null
fi
docker tag "$name" "$tag"
docker image inspect --format '{{.Id}}' "$name"
