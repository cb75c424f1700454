# SPDX-License-Identifier: Apache-2.0
"""The stores that nodes share, measured through the library, each with a real server: bench_lookups, bench_revoke and
bench_many print JSON, this makes tables of it."""
import json
import subprocess

import run
from servers_gate import STORES

LOOKUPS_TARGET = 0.60


def measure(program, args, arguments):
    """What PROGRAM measures in each store; ARGUMENTS gives its command line for a server."""
    rows = []
    for name in args.stores.split(","):
        label, kind, _ = STORES[name]
        with kind() as server:
            out = subprocess.run([program, *arguments(server)], check=True, stdout=subprocess.PIPE, text=True).stdout
        rows.append(dict(json.loads(out), store=label))
        run.progress(len(rows), len(args.stores.split(",")))
    return rows


def patient(url):
    """What is measured here is how long things take: the deadline must not end a program on a busy machine."""
    return url + "?deadline=10s"


def client_arguments(server):
    """The URL, and for servers what their own client libraries want to know."""
    if not server.nodes:
        return [patient(server.url)]
    return [patient(server.url), "127.0.0.1", str(server.port), server.login.user, server.login.password, "latchkey"]


def bench_lookups(build, args):
    rows = measure(build / "bench" / "bench_lookups", args, client_arguments)
    print(f"\n{'batches of 32 look-ups, one thread':34} {'library/s':>10} {'raw/s':>10} {'ratio':>6} {'target':>8}")
    for r in rows:
        print(f"{r['store']:34} {r['library_per_s']:10,} {r['raw_per_s']:10,} {r['ratio']:6.2f} {f'>= {LOOKUPS_TARGET}':>8}  "
              f"{run.met(r['ratio'], LOOKUPS_TARGET, True):8} {r['raw']}".rstrip())
    return rows
