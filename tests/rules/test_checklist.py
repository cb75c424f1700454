# SPDX-License-Identifier: Apache-2.0
"""docs/security-checklist.md says nothing that the tree does not: every rule once, every test named is there and is run.

Run with Debian's Python: /usr/bin/python3 -m pytest tests/rules
"""
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "security-checklist.md"
RULES = range(1, 136)
RUN_BY_PYTEST = ("rules", "cli", "attacks", "gateway", "tokens", "browser")  # the folders of tests/run.py
LINE = re.compile(r"^\| (\d+) \| ([^|]+) \| ([^|]+) \|(.*)\|$", re.M)
NAMED = re.compile(r"`([\w/.-]+\.(?:py|c))::(\w+)`")


def find_test(root, path, name):
    """None when the test is there and is run; else what is wrong."""
    file = root / "tests" / path
    if not file.is_file():
        return "no such file"
    text = file.read_text()
    if path.endswith(".py"):
        if path.split("/")[0] not in RUN_BY_PYTEST or not file.name.startswith("test_"):
            return "nothing runs this file"
        return None if re.search(rf"^def {name}\(", text, re.M) and name.startswith("test_") else "no such test"
    built, subject = file.parent / "meson.build", re.escape(file.stem.removeprefix("test_"))
    if not built.is_file() or not re.search(rf"'(?:test_)?{subject}(?:\.c)?'", built.read_text()):
        return "no meson.build has this file"
    if not re.search(rf"^static void {name}\(void \*\*\w+\)", text, re.M):
        return "no such test"
    return None if re.search(rf"\((?:{name})[,)]", text.split("const struct CMUnitTest", 1)[-1]) else "the test is never run"


def problems(text, root):
    found = []
    lines = LINE.findall(text)
    numbers = [int(number) for number, *_ in lines]
    found += [f"rule {n} is missing" for n in RULES if n not in numbers]
    found += [f"rule {n} is there {numbers.count(n)} times" for n in sorted(set(numbers)) if numbers.count(n) > 1]
    found += [f"rule {n} is none of the list" for n in numbers if n not in RULES]
    for number, _, state, tests in lines:
        if state == "held":
            if not NAMED.search(tests):
                found.append(f"rule {number} is held by no test")
        elif not re.fullmatch(r"(?:partly|not applicable yet): \S.*", state):
            found.append(f"rule {number} is in no known state: {state}")
        if tests.count("::") != len(NAMED.findall(tests)):
            found.append(f"rule {number} names a test in a way nobody can follow")
    for path, name in NAMED.findall(text):
        wrong = find_test(root, path, name)
        if wrong:
            found.append(f"{path}::{name}: {wrong}")
    return found


def test_checklist_has_every_rule_once_and_names_tests_that_are_run():
    assert problems(PAGE.read_text(), ROOT) == []


# ---- the check can fail ------------------------------------------------------------------------------------------------

RIGHT = "\n".join(f"| {n} | it is so | held | `attacks/test_a.py::test_it`<br>`unit/x/test_b.c::it_is_so` |" for n in RULES)
C = """static void it_is_so(void **state) { }
static void never_run(void **state) { }
int main(void) { const struct CMUnitTest tests[] = { cmocka_unit_test(it_is_so), }; }
"""


@pytest.fixture
def tree(tmp_path):
    for path, text in {"attacks/test_a.py": "def test_it(site):\n    pass\n", "unit/x/test_b.c": C, "unit/x/test_c.c": C,
                       "unit/x/meson.build": "foreach t : ['test_b']", "lib/test_d.py": "def test_it():\n    pass\n"}.items():
        file = tmp_path / "tests" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path


def test_right_checklist_has_no_problems(tree):
    assert problems(RIGHT, tree) == []


@pytest.mark.parametrize("old,new,said", (
    ("| 7 | it is so", "| 8 | it is so", ["rule 7 is missing", "rule 8 is there 2 times"]),
    ("| 135 |", "| 136 |", ["rule 135 is missing", "rule 136 is none of the list"]),
    ("test_a.py::test_it", "test_a.py::test_its", ["attacks/test_a.py::test_its: no such test"]),
    ("test_a.py::test_it", "test_z.py::test_it", ["attacks/test_z.py::test_it: no such file"]),
    ("attacks/test_a.py::test_it", "lib/test_d.py::test_it", ["lib/test_d.py::test_it: nothing runs this file"]),
    ("test_b.c::it_is_so", "test_b.c::never_run", ["unit/x/test_b.c::never_run: the test is never run"]),
    ("test_b.c::it_is_so", "test_b.c::it_is", ["unit/x/test_b.c::it_is: no such test"]),
    ("test_b.c::it_is_so", "test_c.c::it_is_so", ["unit/x/test_c.c::it_is_so: no meson.build has this file"]),
    ("| held | `attacks/test_a.py::test_it`<br>`unit/x/test_b.c::it_is_so` |", "| held | |", ["rule 1 is held by no test"]),
    ("| held |", "| partly: |", ["rule 1 is in no known state: partly:"]),
    ("| held |", "| done |", ["rule 1 is in no known state: done"]),
    ("`attacks/test_a.py::test_it`", "`attacks/test_a::test_it`", ["rule 1 names a test in a way nobody can follow"]),
))
def test_wrong_checklist_is_found(tree, old, new, said):
    assert problems(RIGHT.replace(old, new, 1), tree) == said


def test_line_that_is_not_held_needs_no_test(tree):
    for state in ("partly: half of it", "not applicable yet: what it is about"):
        line = RIGHT.splitlines()[0].replace("held", state).replace("`attacks/test_a.py::test_it`<br>`unit/x/test_b.c::it_is_so`", "")
        assert problems("\n".join([line] + RIGHT.splitlines()[1:]), tree) == []
