#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# sign.sh METHOD URL [BODYFILE [curl options...]], with the API key in LATCHKEY_API_KEY: a signed request.
method=$1 url=$2 body=${3:-/dev/null}; if [ $# -gt 3 ]; then shift 3; else shift $#; fi
b64() { openssl base64 -A | tr '+/' '-_' | tr -d =; }
rest=${url#*://} host=${url#*://}; host=${host%%[/?]*}; target=${rest#"$host"}; target=/${target#/}
time=$(date +%s) nonce=$(openssl rand 16 | b64) digest=$(openssl dgst -sha256 -binary "$body" | b64)
sign=$(printf '%s\n' latchkey-signature-v1 "$method" "$host" "$target" "$time" "$nonce" "$digest" |
  openssl dgst -sha256 -r -hmac "${LATCHKEY_API_KEY#lk_????????_}" | cut -c1-64)
auth="Latchkey-Signature key=${LATCHKEY_API_KEY%"${LATCHKEY_API_KEY#???????????}"}, time=$time, nonce=$nonce, body=$digest"
if [ -s "$body" ]; then set -- --data-binary "@$body" "$@"; fi
exec curl -sS -X "$method" -H "Host: $host" -H "Authorization: $auth, sign=$sign" "$@" "$url"
