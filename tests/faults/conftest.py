# SPDX-License-Identifier: Apache-2.0
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "lib")]

HEAD = ["fault", "store", "operations", "errors", "longest ms", "back in ms", "lost logins", "resurrected", "lost changes",
        "let in", "thrown out"]


def pytest_terminal_summary(terminalreporter):
    """The table of all scenes: `longest` is the longest time a node had without a login or logout that was acknowledged,
    `back in` what it took from the end of the fault to the next one, `let in` and `thrown out` are checks that were wrong."""
    import scene
    if not scene.rows:
        return
    table = [HEAD, *[[str(cell) for cell in row] for row in scene.rows]]
    widths = [max(len(row[i]) for row in table) for i in range(len(HEAD))]
    table.insert(1, ["-" * width for width in widths])
    terminalreporter.write_line("")
    for row in table:
        cells = [cell.ljust(width) if i < 2 else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths))]
        terminalreporter.write_line(f"| {' | '.join(cells)} |")
