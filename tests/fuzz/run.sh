#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Build the fuzz targets with clang and run each for SECONDS, one after the other.
#
#   tests/fuzz/run.sh SECONDS [TARGET...]
#
# LATCHKEY_FUZZ_DIR (default: build-fuzz in the root) keeps the build, the corpus that was found and the inputs
# that ended a target. Exit 0: no findings; 1: findings, each named with the way to replay it; 2: usage, build.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
dir=${LATCHKEY_FUZZ_DIR:-$root/build-fuzz}

case ${1:-} in
'' | *[!0-9]*)
    sed -n '3,8s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
seconds=$1
shift

if [ ! -f "$dir/build/build.ninja" ]; then
    CC=clang meson setup "$dir/build" "$root" -Dfuzz=true -Dtests=true -Dnginx=false -Dbuildtype=debugoptimized \
        -Db_sanitize=address,undefined -Db_lundef=false \
        -Dc_args='-fsanitize=fuzzer-no-link -fno-sanitize-recover=undefined' >"$dir.setup.log" 2>&1 || {
        cat "$dir.setup.log" >&2
        exit 2
    }
fi
known=$(sed -n "s/^  '\([a-z0-9]*\)': .*/\1/p" "$root/tests/fuzz/meson.build")
[ $# -gt 0 ] || set -- $known

found=0
for target in "$@"; do
    ninja -C "$dir/build" "tests/fuzz/fuzz_$target" >"$dir/build.log" 2>&1 || {
        cat "$dir/build.log" >&2
        exit 2
    }
    mkdir -p "$dir/corpus/$target" "$dir/findings"
    echo "fuzz $target: $seconds s"
    # The first folder takes what is new; the seeds are only read.
    if "$dir/build/tests/fuzz/fuzz_$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 \
        -max_len=20000 -print_final_stats=1 -artifact_prefix="$dir/findings/$target-" \
        "$dir/corpus/$target" "$root/tests/fuzz/seeds/$target" >"$dir/$target.log" 2>&1; then
        sed -n 's/^stat::number_of_executed_units: */    runs: /p; s/^.*DONE *cov: \([0-9]*\).*corp: \([0-9]*\).*/    edges: \1, inputs kept: \2/p' \
            "$dir/$target.log"
    else
        found=1
        grep -E 'must hold|ERROR|runtime error|SUMMARY|Test unit written' "$dir/$target.log" || tail -n 20 "$dir/$target.log"
        echo "    replay: $dir/build/tests/fuzz/fuzz_$target FILE"
    fi
done
exit $found
