#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Check what the compiler cannot: that the tree keeps to its own order.

    tests/rules/check_tree.py [--list] [ROOT]

Each finding is one line `file:line: what is wrong` and one line with the cure. Exit 0: none; 1: some; 2: usage.
The rules read text only; nothing is built or run.
"""
import os
import re
import sys
from typing import Dict, Iterator, List, NamedTuple, Optional, Set


class Finding(NamedTuple):
    path: str
    line: int
    message: str
    cure: str


# --- the order of the layers --------------------------------------------------------------------------------------

# Lower numbers first. A layer may include what is below it and itself. Layers of one number never include each
# other: carrier, credential and store are axes that only the guard sees together.
RANK = {
    'base': 0,
    'crypto': 1, 'shm': 1, 'sql': 1, 'words': 1,
    'keyring': 2,
    'settings': 3,
    'carrier': 4, 'credential': 4, 'store': 4, 'account': 4,
    'guard': 5,
    'service': 6,
    'nginx': 7, 'cli': 7,
}

# Pairs of one number that are meant: the table names its entries by a keyed hash.
ALSO = {('shm', 'crypto')}

# Which layer a public header belongs to: the one whose folder implements it. `words` are the types that the axes
# share without having each other: what a session and a cut-off are.
HEADER_LAYER = {
    'status': 'base', 'bytes': 'base', 'base64url': 'base', 'secret': 'base', 'env': 'base', 'json': 'base',
    'reason': 'base', 'victim': 'base',
    'session': 'words', 'cutoff': 'words', 'device': 'words',
    'memory': 'shm',
    'keyring': 'keyring', 'keys': 'keyring',
    'settings': 'settings',
    'credential': 'credential', 'proof': 'credential', 'store': 'store', 'account': 'account', 'third_party': 'account',
    'guard': 'guard', 'trust': 'guard', 'explain': 'guard',
    'service': 'service', 'data': 'service',
}

# Libraries that have one home, so that a change of library is a change of one folder.
LIBRARY_HOMES = [
    (re.compile(r'openssl/|sodium'), {'crypto', 'keyring'}, 'offer what is needed in src/crypto and include that'),
    (re.compile(r'argon2\.h'), {'crypto'}, 'use crypto/password.h'),
    (re.compile(r'sqlite3\.h'), {'sql'}, 'use sql/sql.h'),
    (re.compile(r'lmdb\.h|hiredis'), {'store'}, 'use latchkey/store.h'),
    (re.compile(r'curl/'), {'guard'}, 'use latchkey/trust.h'),
    (re.compile(r'ngx_'), {'nginx'}, 'the core knows no server: hand the bytes over in nginx/'),
]

# --- calls that are not made --------------------------------------------------------------------------------------

COMPARES = 'memcmp bcmp strcmp strncmp strcasecmp strncasecmp'.split()
SECRET_LAYERS = {'crypto', 'keyring', 'credential'}

BANNED: Dict[str, str] = {}
for _names, _cure in [
    ('strcpy stpcpy strcat sprintf vsprintf gets', 'use lk_buf, which has a ceiling'),
    ('strtok', 'use lk_words_next or lk_view_find: strtok keeps its place in a global'),
    ('alloca strdupa strndupa', 'use a bounded array or lk_alloc: alloca has no failure but a crash'),
    ('setlocale newlocale uselocale localeconv nl_langinfo strcoll strxfrm strcasecmp strncasecmp strtod strtof atof',
     'the answer would follow the locale: use latchkey/bytes.h'),
    ('isalnum isalpha isdigit islower isupper isprint ispunct isspace isxdigit iscntrl tolower toupper',
     'ctype follows the locale and is undefined for negative char: compare ranges'),
    ('atoi atol atoll', 'use lk_parse_i64: ato* takes anything and tells nothing'),
    ('rand srand random srandom drand48', 'use lk_random'),
    ('system popen', 'a shell reads its arguments as a language: use posix_spawn or execv with an argument list'),
    ('tmpnam tempnam mktemp', 'use mkstemp: the name may be taken before the file is made'),
    ('gmtime localtime ctime asctime', 'they answer from one static buffer: use gmtime_r'),
]:
    for _name in _names.split():
        BANNED[_name] = _cure

# What comes through lk_env, so that a test can stop the clock and fail the n-th allocation. Only src/base/env.c
# has the originals. It holds for the core; the command and the nginx module use their host's ways.
THROUGH_ENV = {
    'malloc': 'use lk_alloc', 'calloc': 'use lk_alloc', 'realloc': 'use lk_alloc and copy', 'strdup': 'use lk_copy_text',
    'strndup': 'use lk_copy_text', 'asprintf': 'use lk_buf_add_printf', 'time': 'use lk_now_s',
    'gettimeofday': 'use lk_now_ms', 'getrandom': 'use lk_random', 'RAND_bytes': 'use lk_random',
    'randombytes_buf': 'use lk_random',
}

# Exceptions, each with its reason. (rule, file, word)
EXCEPTIONS: Dict[tuple, str] = {
}

BAD_NAMES = re.compile(r'(?:^|/)(?:util|utils|misc|common|helper|helpers)\.[ch]$')

# --- reading ------------------------------------------------------------------------------------------------------

C_FOLDERS = ('src', 'include', 'nginx', 'cli')
SPDX_SUFFIXES = ('.c', '.h', '.py', '.sh', '.sql', '.js', '.css', '.sed')
SKIP_FOLDERS = {'build', 'node_modules', '__pycache__', 'seeds'}


def without_comments(text: str, keep_strings: bool) -> str:
    """C text with comments (and strings) as blanks; lines and columns stay where they are."""
    def blank(match: 're.Match[str]') -> str:
        piece = match.group(0)
        if keep_strings and piece[0] in '"\'':
            return piece
        return re.sub(r'[^\n]', ' ', piece)
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


class Tree:
    """The files of a source tree, read once."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.files: List[str] = []
        self._texts: Dict[str, str] = {}
        for folder, below, names in os.walk(root):
            below[:] = sorted(d for d in below if not d.startswith('.') and d not in SKIP_FOLDERS
                              and not os.path.exists(os.path.join(folder, d, 'build.ninja')))
            for name in sorted(names):
                self.files.append(os.path.relpath(os.path.join(folder, name), root))

    def text(self, path: str) -> str:
        if path not in self._texts:
            with open(os.path.join(self.root, path), encoding='utf-8', errors='replace') as f:
                self._texts[path] = f.read()
        return self._texts[path]

    def has(self, path: str) -> bool:
        return os.path.exists(os.path.join(self.root, path))

    def c_files(self) -> Iterator[str]:
        for path in self.files:
            if path.endswith(('.c', '.h')) and path.split(os.sep)[0] in C_FOLDERS:
                yield path

    def code(self, path: str) -> str:
        return without_comments(self.text(path), keep_strings=False)


def layer_of(path: str) -> Optional[str]:
    parts = path.split(os.sep)
    if parts[0] == 'src' and len(parts) > 2:
        return parts[1]
    if parts[0] == 'include' and len(parts) == 3:
        return HEADER_LAYER.get(parts[2][:-2])
    return parts[0] if parts[0] in ('nginx', 'cli') else None


def line_of(text: str, offset: int) -> int:
    return text.count('\n', 0, offset) + 1


def lines_matching(text: str, pattern: str) -> Iterator['tuple[int, re.Match[str]]']:
    for match in re.finditer(pattern, text, flags=re.M):
        yield line_of(text, match.start()), match


# --- the rules ----------------------------------------------------------------------------------------------------

def included_layer(name: str) -> Optional[str]:
    """The layer an include name leads to; None for system headers and generated files."""
    if name.startswith('latchkey/'):
        return HEADER_LAYER.get(name[len('latchkey/'):-len('.h')], '')
    return name.split('/')[0] if name.split('/')[0] in RANK else None


def may_include(layer: str, other: str) -> bool:
    return layer == other or RANK[other] < RANK[layer] or (layer, other) in ALSO


def includes_point_one_way(tree: Tree) -> Iterator[Finding]:
    for path in tree.c_files():
        layer = layer_of(path)
        text = without_comments(tree.text(path), keep_strings=True)
        if layer is None and path.startswith('src' + os.sep):
            continue
        if layer is None or layer not in RANK:
            yield Finding(path, 1, 'this file belongs to no known layer',
                          'name its layer in RANK or HEADER_LAYER of tests/rules/check_tree.py')
            continue
        for line, match in lines_matching(text, r'^[ \t]*#[ \t]*include[ \t]*[<"]([^>"\n]+)[>"]'):
            other = included_layer(match.group(1))
            if other == '':
                yield Finding(path, line, f'{match.group(1)} belongs to no known layer',
                              'name its layer in HEADER_LAYER of tests/rules/check_tree.py')
            elif other is not None and not may_include(layer, other):
                yield Finding(path, line, f'{layer} must not include {match.group(1)}, which belongs to {other}',
                              'move what is shared down to a layer that both may include, or up to the guard')


def libraries_stay_at_home(tree: Tree) -> Iterator[Finding]:
    for path in tree.c_files():
        text = without_comments(tree.text(path), keep_strings=True)
        for line, match in lines_matching(text, r'^[ \t]*#[ \t]*include[ \t]*[<"]([^>"\n]+)[>"]'):
            for pattern, homes, cure in LIBRARY_HOMES:
                if pattern.match(match.group(1)) and layer_of(path) not in homes:
                    yield Finding(path, line, f'{match.group(1)} is included outside {", ".join(sorted(homes))}', cure)


def calls_in(code: str, names: Set[str]) -> Iterator['tuple[int, str]']:
    for line, match in lines_matching(code, r'(?<![\w.])(?<!->)(\w+)\s*\('):
        if match.group(1) in names:
            yield line, match.group(1)


def no_banned_calls(tree: Tree) -> Iterator[Finding]:
    for path in tree.c_files():
        for line, name in calls_in(tree.code(path), set(BANNED)):
            if ('call', path, name) not in EXCEPTIONS:
                yield Finding(path, line, f'{name} is not called here', BANNED[name])


def secrets_are_not_compared_byte_by_byte(tree: Tree) -> Iterator[Finding]:
    for path in tree.c_files():
        if layer_of(path) not in SECRET_LAYERS:
            continue
        for line, name in calls_in(tree.code(path), set(COMPARES)):
            yield Finding(path, line, f'{name} stops at the first difference and tells how far a guess was right',
                          'use lk_secret_equal, or lk_view_equal for what is no secret')


def clock_and_memory_come_through_the_environment(tree: Tree) -> Iterator[Finding]:
    for path in tree.c_files():
        if not path.startswith('src' + os.sep) or path == os.path.join('src', 'base', 'env.c'):
            continue
        for line, name in calls_in(tree.code(path), set(THROUGH_ENV)):
            if ('env', path, name) not in EXCEPTIONS:
                yield Finding(path, line, f'{name} goes past lk_env, so a test cannot stop or fail it', THROUGH_ENV[name])


def enum_members(tree: Tree) -> Set[str]:
    """All members of enums that start with LK_; those made by a macro (LK_REASON_##name) as their prefix."""
    found: Set[str] = set()
    for path in tree.c_files():
        code = tree.code(path)
        for _, match in lines_matching(code, r'\benum\b\s*\w*\s*\{([^}]*)\}'):
            found.update(re.findall(r'\bLK_[A-Z0-9_]+', match.group(1)))
        found.update(re.findall(r'\b(LK_[A-Z0-9_]+_)##', code))
    return found


def switches(code: str) -> Iterator['tuple[int, list[str], int]']:
    """(line, labels of this switch alone, line of its default or 0), innermost ones too."""
    stack: List[dict] = []
    depth = 0
    pending: Optional[int] = None
    for match in re.finditer(r'\bswitch\b|\bcase\b\s+([^:;{}?]+):|\bdefault\b\s*:|[{}]', code):
        word = match.group(0)
        if word == 'switch':
            pending = line_of(code, match.start())
        elif word == '{':
            depth += 1
            if pending is not None:
                stack.append({'line': pending, 'depth': depth, 'labels': [], 'default': 0})
                pending = None
        elif word == '}':
            if stack and stack[-1]['depth'] == depth:
                done = stack.pop()
                yield done['line'], done['labels'], done['default']
            depth -= 1
        elif stack and word.startswith('case'):
            stack[-1]['labels'].append(match.group(1).strip())
        elif stack:
            stack[-1]['default'] = line_of(code, match.start())


def switches_over_our_enums_have_no_default(tree: Tree) -> Iterator[Finding]:
    members = enum_members(tree)
    prefixes = tuple(m for m in members if m.endswith('_'))
    for path in tree.c_files():
        for _, labels, default_line in switches(tree.code(path)):
            ours = [x for x in labels if x in members or (prefixes and x.startswith(prefixes))]
            if default_line and ours:
                yield Finding(path, default_line, f'a switch with case {ours[0]} has a default',
                              'name all members instead, so that a new one is a compile error; answer after the switch')


def every_file_has_its_licence(tree: Tree) -> Iterator[Finding]:
    for path in tree.files:
        text = tree.text(path) if path.endswith(SPDX_SUFFIXES) else ''
        if text and 'SPDX-License-Identifier: Apache-2.0' not in '\n'.join(text.split('\n', 3)[:3]):
            yield Finding(path, 1, 'the SPDX line is missing in the first three lines',
                          'begin with a comment: SPDX-License-Identifier: Apache-2.0')


def every_c_file_is_built(tree: Tree) -> Iterator[Finding]:
    for path in tree.c_files():
        if not path.endswith('.c'):
            continue
        parts = path.split(os.sep)
        listed = False
        for depth in range(len(parts) - 1, 0, -1):
            build = os.path.join(*parts[:depth], 'meson.build')
            relative = '/'.join(parts[depth:])
            if tree.has(build):
                text = re.sub(r'#[^\n]*', '', tree.text(build))
                listed = listed or f"'{relative}'" in text
        if not listed:
            yield Finding(path, 1, 'no meson.build lists this file, so nothing compiles it',
                          f'add it to {os.path.join(*parts[:-1], "meson.build")} or remove it')


def names_say_what_is_inside(tree: Tree) -> Iterator[Finding]:
    for path in tree.files:
        if BAD_NAMES.search(path):
            yield Finding(path, 1, 'the name says nothing about what is inside', 'name the file after its one idea')


def nothing_is_left_for_later(tree: Tree) -> Iterator[Finding]:
    word = 'TO' + 'DO'
    for path in tree.files:
        if not path.endswith(SPDX_SUFFIXES):
            continue
        for line, _ in lines_matching(tree.text(path), rf'\b(?:{word}|FIX' + r'ME|XX' + r'X)\b'):
            yield Finding(path, line, 'a note to do something later is no part of the product', 'do it, or file it')


# --- members of the axes ------------------------------------------------------------------------------------------

def page_missing(tree: Tree, where: str, line: int, what: str, page: str) -> Iterator[Finding]:
    if not tree.has(page):
        yield Finding(where, line, f'{what} has no page', f'write {page}')


def every_store_is_registered_tested_and_described(tree: Tree) -> Iterator[Finding]:
    registry = os.path.join('src', 'store', 'store.c')
    if not tree.has(registry):
        return
    code = tree.code(registry)
    registered = {m.group(1): line for line, m in lines_matching(code, r'&\s*lk__store_(\w+)')}
    contract = ''.join(tree.text(p) for p in tree.files if p.startswith(os.path.join('tests', 'contract') + os.sep))
    for name, line in registered.items():
        # redis, redis_sentinel and redis_cluster are one store in three arrangements, with one page.
        page = os.path.join('docs', 'stores', name.split('_')[0] + '.md')
        yield from page_missing(tree, registry, line, f'the store {name}', page)
        if not re.search(rf'\b{name}\b', contract):
            yield Finding(registry, line, f'the store {name} is not run by the contract suite',
                          f'add it to tests/contract, which runs the same suite over every store')
    for path in tree.c_files():
        for line, match in lines_matching(tree.code(path), r'^(?:const\s+)?lk_store_ops\s+lk__store_(\w+)\s*='):
            if match.group(1) not in registered:
                yield Finding(path, line, f'the store {match.group(1)} is not in the registry',
                              f'add &lk__store_{match.group(1)} to the members of {registry}')


def every_kind_and_carrier_is_described(tree: Tree) -> Iterator[Finding]:
    header = os.path.join('include', 'latchkey', 'credential.h')
    if not tree.has(header):
        return
    for line, match in lines_matching(tree.code(header), r'\bLK_(KIND|CARRIER)_([A-Z_]+)\b'):
        name = match.group(2).lower().replace('_', '-')
        if name != 'count':
            yield from page_missing(tree, header, line, f'the {match.group(1).lower()} {name}',
                                    os.path.join('docs', 'formats', name + '.md'))


def every_reason_is_described(tree: Tree) -> Iterator[Finding]:
    header = os.path.join('include', 'latchkey', 'reason.h')
    page = os.path.join('docs', 'formats', 'reasons.md')
    if not tree.has(header):
        return
    words = [(line, m.group(1)) for line, m in
             lines_matching(without_comments(tree.text(header), keep_strings=True), r'\bX\(\w+,\s*"(\w+)"\)')]
    if words and not tree.has(page):
        yield Finding(header, words[0][0], 'the reason words have no page', f'write {page}')
        return
    for line, word in words:
        if not re.search(rf'\b{word}\b', tree.text(page)):
            yield Finding(header, line, f'the reason {word} is not in {page}', 'describe it there')


RULES = [
    includes_point_one_way,
    libraries_stay_at_home,
    no_banned_calls,
    secrets_are_not_compared_byte_by_byte,
    clock_and_memory_come_through_the_environment,
    switches_over_our_enums_have_no_default,
    every_file_has_its_licence,
    every_c_file_is_built,
    names_say_what_is_inside,
    nothing_is_left_for_later,
    every_store_is_registered_tested_and_described,
    every_kind_and_carrier_is_described,
    every_reason_is_described,
]


def check(root: str) -> List[Finding]:
    tree = Tree(root)
    return sorted({f for rule in RULES for f in rule(tree)})


def main(arguments: List[str]) -> int:
    if arguments == ['--list']:
        print('\n'.join(rule.__name__.replace('_', ' ') for rule in RULES))
        return 0
    if len(arguments) > 1 or any(a.startswith('-') for a in arguments):
        print(__doc__, file=sys.stderr)
        return 2
    root = arguments[0] if arguments else os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')
    findings = check(os.path.normpath(root))
    for f in findings:
        print(f'{f.path}:{f.line}: {f.message}\n    cure: {f.cure}')
    return 1 if findings else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
