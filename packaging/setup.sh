#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Install the Debian packages that a make target needs, and only those.
#
#   packaging/setup.sh build|run|lab|test|bench
#
# What apt installs it also starts (nginx on port 80, for one); a policy-rc.d prevents that while this script runs and
# what was there before is put back. Without root or sudo nothing is tried: the one line to run is printed instead.
set -euo pipefail

build=(gcc libc6-dev make meson ninja-build pkg-config python3 nginx nginx-dev libssl-dev libsodium-dev libjansson-dev
       liblmdb-dev libsqlite3-dev libpq-dev libmariadb-dev libhiredis-dev libcurl4-openssl-dev libargon2-dev libunistring-dev libcrack2-dev cracklib-runtime scdoc)
run=("${build[@]}")
lab=("${build[@]}" postgresql redis-server redis-sentinel)
test=("${build[@]}" openssl libcmocka-dev python3-pytest python3-hypothesis python3-jwcrypto python3-authlib jose
      curl chromium haproxy iproute2 postgresql mariadb-server redis-server redis-sentinel redis-tools)
bench=("${build[@]}" libjwt-dev librhonabwy-dev libcjose-dev libjose-dev wrk curl postgresql mariadb-server redis-server redis-sentinel redis-tools)

case "${1:-}" in
build) wanted=("${build[@]}") ;;
run) wanted=("${run[@]}") ;;
lab) wanted=("${lab[@]}") ;;
test | bench)
    [ "$1" = test ] && wanted=("${test[@]}") || wanted=("${bench[@]}")
    command -v node >/dev/null 2>&1 || wanted+=(nodejs)
    command -v npm >/dev/null 2>&1 || wanted+=(npm)
    ;;
*)
    echo "usage: packaging/setup.sh build|run|lab|test|bench" >&2
    exit 2
    ;;
esac

missing=()
for package in "${wanted[@]}"; do
    dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

line="apt-get install --no-install-recommends ${missing[*]}"
sudo=()
if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null 2>&1 && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
        sudo=(sudo)
    else
        printf 'latchkey needs packages that are not installed. As root, run:\n\n  %s\n\nthen try again.\n' "$line" >&2
        exit 1
    fi
fi
echo "installing for 'make $1': ${missing[*]}"

policy=/usr/sbin/policy-rc.d
kept=""
put_back() {
    if [ -n "$kept" ]; then
        "${sudo[@]}" mv "$kept" "$policy"
    else
        "${sudo[@]}" rm -f "$policy"
    fi
}
if [ -e "$policy" ]; then
    kept="$policy.before-latchkey"
    "${sudo[@]}" mv "$policy" "$kept"
fi
trap put_back EXIT
printf '#!/bin/sh\n# Put here by latchkey while it installs packages: nothing is started.\nexit 101\n' | "${sudo[@]}" tee "$policy" >/dev/null
"${sudo[@]}" chmod 755 "$policy"

log=$(mktemp)
install() {
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >"$log" 2>&1
}
"${sudo[@]}" apt-get update -q >"$log" 2>&1 || { cat "$log" >&2; echo "apt-get update failed (above): is this machine online?" >&2; exit 1; }
install || { tail -n 40 "$log" >&2; echo "apt-get install failed (above)" >&2; exit 1; }
rm -f "$log"
