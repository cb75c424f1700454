#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# configure.sh TREE BUILD OUT... - make nginx's generated headers (OUT: ngx_auto_config.h, ngx_auto_headers.h).
#
# nginx-dev ships its headers but not these two. The packaged configure finds its parts by relative paths, so it
# runs from its own folder; --builddir keeps everything it writes in BUILD. Its flags are a bash array beside it.
# A plain nginx source tree has no such array: --with-compat is what makes the module load into a stock nginx.
set -eu

tree=$1 build=$(realpath -m "$2")
shift 2
outs=()
for out in "$@"; do
    outs+=("$(realpath -m "$out")")
done

NGX_CONF_FLAGS=(--with-compat --with-threads --with-http_ssl_module --with-http_v2_module)
if [ -e "$tree/conf_flags" ]; then
    . "$tree/conf_flags"
fi

mkdir -p "$build"
log=$build/configure.log
cd "$tree"
if ! ./configure --builddir="$build" "${NGX_CONF_FLAGS[@]}" >"$log" 2>&1; then
    echo "nginx's configure failed in $tree:" >&2
    tail -n 20 "$log" >&2
    exit 1
fi
for out in "${outs[@]}"; do
    cp "$build/$(basename "$out")" "$out"
done
