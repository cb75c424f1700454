#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""symbols.py VERSION HEADER... - the symbol map of liblatchkey: what the installed headers declare, and nothing else.

Made from the headers, so that the two cannot differ; a name that is not in a header is not part of the library.
"""
import re
import sys

COMMENT = re.compile(r"/\*.*?\*/", re.S)
DIRECTIVE = re.compile(r"^[ \t]*#(?:.*\\\n)*.*$", re.M)
FUNCTION = re.compile(r"^(?:LK_CHECKED |const |struct |_Atomic )*[a-z_0-9]+ (?:LK_CHECKED )?\**(lk_[a-z0-9_]+)\(", re.M)
INLINE = re.compile(r"^(?:LK_CHECKED )?static inline .*$", re.M)


def declared(path):
    with open(path, encoding="utf-8") as header:
        text = header.read()
    for noise in (COMMENT, DIRECTIVE, INLINE):
        text = noise.sub("", text)
    return FUNCTION.findall(text)


def main():
    version, headers = sys.argv[1], sys.argv[2:]
    names = sorted({name for header in headers for name in declared(header)})
    print(f"LATCHKEY_{version} {{")
    print("  global:")
    for name in names:
        print(f"    {name};")
    print("  local:\n    *;\n};")


if __name__ == "__main__":
    main()
