#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Run every test and end with one line that counts them.

    tests/run.py BUILD SANITIZED [STEP...]

BUILD is the release build (command line and module as users get them), SANITIZED the one under ASan and UBSan with
the unit tests. A step whose log holds no count counts as one test. Logs stay in SANITIZED/test-logs.
"""
import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def steps(build, sanitized):
    """Name, command, environment. Ordered from quick to slow."""
    python = ["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    san = {"LATCHKEY_BUILD": str(sanitized)}
    rel = {"LATCHKEY_BUILD": str(build)}
    return [
        ("rules", python + ["tests/rules"], rel),
        ("tree", ["/usr/bin/python3", "tests/rules/check_tree.py"], rel),
        ("units", ["meson", "test", "-C", str(sanitized), "--no-rebuild", "--print-errorlogs", "--num-processes", "2"],
         {"ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0", "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"}),
        ("command line", python + ["tests/cli"], rel),
        ("attacks", python + ["tests/attacks"], rel),
        ("gateway", python + ["tests/gateway"], san),
        ("moves", python + ["tests/move"], rel),
        ("tokens", python + ["tests/tokens"], dict(rel, LATCHKEY_SANITIZED=str(sanitized))),
        ("faults", ["tests/faults/run"], san),
        ("browser", python + ["tests/browser"], rel),
    ]


def count(name, log, sanitized, code):
    """Passed and failed tests of one step, from what its runner printed."""
    text = log.read_text(errors="replace")
    passed = failed = 0
    if name == "units":
        text = (Path(sanitized) / "meson-logs" / "testlog.txt").read_text(errors="replace")
        passed = sum(int(n) for n in re.findall(r"\[  PASSED  \] (\d+) test", text))
        failed = sum(int(n) for n in re.findall(r"\[  FAILED  \] (\d+) test", text))
    else:
        for n in re.findall(r"(\d+) passed", text)[-1:]:
            passed = int(n)
        failed = sum(int(n) for n in re.findall(r"(\d+) (?:failed|error)", text)[-2:])
        skipped = sum(int(n) for n in re.findall(r"(\d+) skipped", text)[-1:])
        failed += skipped  # a test that did not run proves nothing
    if code == 0 and passed == 0 and failed == 0:
        passed = 1
    if code != 0 and failed == 0:
        failed = 1
    return passed, failed


def run(name, command, env, log):
    environment = dict(os.environ, PYTHONDONTWRITEBYTECODE="1", **env)
    with log.open("wb") as out:
        return subprocess.run(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=out,
                              stderr=subprocess.STDOUT, check=False).returncode


def main():
    if len(sys.argv) < 3:
        print(__doc__)
        return 2
    build, sanitized = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    logs = sanitized / "test-logs"
    logs.mkdir(parents=True, exist_ok=True)
    total_passed = total_failed = 0
    for name, command, env in steps(build, sanitized):
        if len(sys.argv) > 3 and name not in sys.argv[3:]:
            continue
        log = logs / (name.replace(" ", "-") + ".log")
        started = time.monotonic()
        print(f"{name:14}", end=" ", flush=True)
        code = run(name, command, env, log)
        passed, failed = count(name, log, sanitized, code)
        total_passed += passed
        total_failed += failed
        print(f"{passed:5} passed {failed:3} failed  {time.monotonic() - started:6.1f} s", flush=True)
        tables = [line for line in log.read_text(errors="replace").splitlines() if line.startswith("| ")]
        if tables:
            print("\n".join(tables), flush=True)
        if failed:
            tail = log.read_text(errors="replace").splitlines()[-120:]
            print("\n".join("    " + line for line in tail), flush=True)
    print(f"\n{total_passed} passed, {total_failed} failed")
    return 1 if total_failed else 0


if __name__ == "__main__":
    sys.exit(main())
