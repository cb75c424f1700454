#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Put the scripts into C: scripts.py LIB SCRIPT... writes the source to standard output.

Each is LIB and SCRIPT together, with the SHA-1 that Redis knows it by.
"""
import hashlib
import os
import sys


def text_of(path: str) -> str:
    """The lines of a script without comments and blanks at their ends, which every server would have to store."""
    lines = [line.split(' -- ')[0].rstrip() for line in open(path, encoding='ascii') if not line.startswith('--')]
    return '\n'.join(line for line in lines if line) + '\n'


def c_string(text: str) -> str:
    return '\n'.join('    "' + line.replace('\\', '\\\\').replace('"', '\\"') + '\\n"' for line in text.splitlines())


def main(lib: str, *scripts: str) -> None:
    print('/* Made by src/store/redis/scripts.py. */\n#include "store/redis/redis_inner.h"')
    for number, path in enumerate(scripts):
        name = os.path.splitext(os.path.basename(path))[0]
        text = text_of(lib) + text_of(path)
        print(f'\nconst lk__redis_script lk__redis_lua_{name} = {{')
        print(f'    .name = "{name}",\n    .text =\n{c_string(text)},\n    .len = {len(text)},')
        print(f'    .sha = "{hashlib.sha1(text.encode()).hexdigest()}",\n    .number = {number},\n}};')


main(*sys.argv[1:])
