# SPDX-License-Identifier: Apache-2.0
"""The stores that nodes share, measured through the library, each with a real server: bench_lookups, bench_revoke and
bench_many print JSON, this makes tables of it."""
import json
import subprocess
import tempfile
from pathlib import Path

import run
from servers_gate import STORES

LOOKUPS_TARGET = 0.60
REVOKE_TARGET_MS = 50


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


def bench_revoke(build, args):
    with tempfile.TemporaryDirectory(prefix="latchkey-bench-") as root:
        rows = measure(build / "bench" / "bench_revoke", args,
                       lambda server: [patient(server.url), f"{root}/{server.name}-keys", str(args.revocations)])
    print(f"\n{'revocation to three nodes, ms':22} {'rounds':>6} {'p50':>8} {'p99':>8} {'longest':>8}  target of p99")
    for r in rows:
        for what, label in (("sessions", "sessions"), ("tokens", "tokens"), ("all", "both")):
            of = r[what]
            target = f"<= {REVOKE_TARGET_MS}  {run.met(of['p99_ms'], REVOKE_TARGET_MS, False)}" if what == "all" else ""
            print(f"{r['store']:11} {label:10} {of['rounds']:6} {of['p50_ms']:8.2f} {of['p99_ms']:8.2f} {of['max_ms']:8.2f}  "
                  f"{target}".rstrip())
        if r["unknown"]:
            print(f"{r['store']:11} {r['unknown']} checks of these could not be answered")
    return rows


def bytes_of(name, server):
    """What the store NAME takes, as its server says."""
    if name == "sqlite":
        return sum(path.stat().st_size for path in Path(server.path).parent.glob(f"{server.path.name}*"))
    if name == "redis":
        return int(server.server.info("memory")["used_memory"])
    if name == "postgres":
        return int(server.sql("SELECT coalesce(pg_total_relation_size(to_regclass('latchkey_session')), 0)"))
    table = server.server.data / "latchkey" / "latchkey_session.ibd"
    return table.stat().st_size if table.exists() else 0


def fill_and_sweep(program, name, sessions):
    """Run bench_many with the store NAME, and look at its size when it is full."""
    label, kind, _ = STORES[name]
    with kind() as server:
        empty = bytes_of(name, server) if server.nodes else 0
        with subprocess.Popen([program, patient(server.url), str(sessions), "hold"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as process:
            if process.stdout.readline() != "filled\n":
                raise SystemExit(f"{label}: bench_many ended early")
            full = bytes_of(name, server)
            row = json.loads(process.communicate("go on\n")[0])
    return dict(row, store=label, bytes=(full - empty) / row["sessions"])


def bench_many(build, args):
    rows = []
    for name in args.stores.split(","):
        rows.append(fill_and_sweep(build / "bench" / "bench_many", name, args.sessions))
        run.progress(len(rows), len(args.stores.split(",")))
    print(f"\n{'many sessions':13} {'sessions':>9} {'bytes each':>10} {'made/s':>8} {'list of 20':>10} {'sweep: worst pause':>19} "
          f"{'removed/s':>10} {'worst look-up':>14} {'without sweep':>14}")
    for r in rows:
        sweep = r["sweep"]
        print(f"{r['store']:13} {r['sessions']:9,} {r['bytes']:10.0f} {r['made_per_s']:8,.0f} "
              f"{r['list_us']:7,.0f} us {sweep['worst_ms']:16.1f} ms {sweep['removed'] / sweep['seconds']:10,.0f} "
              f"{r['meanwhile']['worst_ms']:11.1f} ms {r['alone']['worst_ms']:11.1f} ms")
    return rows
