# SPDX-License-Identifier: Apache-2.0
"""Each rule of check_tree.py fires on a small wrong tree, at the right line, and is silent on a right one.

Run with Debian's Python: /usr/bin/python3 -m pytest tests/rules
"""
import os
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import check_tree  # noqa: E402

SPDX = '/* SPDX-License-Identifier: Apache-2.0 */\n'

# A tree with nothing wrong in it; each test below spoils one thing.
RIGHT = {
    'include/latchkey/status.h': SPDX + 'typedef enum lk_status { LK_OK = 0, LK_MISS, LK_FAULT } lk_status;\n',
    'include/latchkey/reason.h': SPDX + '#define LK_REASONS(X) \\\n    X(NONE, "") \\\n    X(EXPIRED, "expired")\n'
                                 '#define X(name, word) LK_REASON_##name,\n'
                                 'typedef enum lk_reason { LK_REASONS(X) } lk_reason;\n#undef X\n',
    'include/latchkey/credential.h': SPDX + 'typedef enum lk_kind { LK_KIND_SESSION_ID, LK_KIND_COUNT } lk_kind;\n'
                                     'typedef enum lk_carrier { LK_CARRIER_COOKIE, LK_CARRIER_COUNT } lk_carrier;\n',
    'include/latchkey/store.h': SPDX + '#include <latchkey/status.h>\n',
    'src/base/meson.build': "lk_base = static_library('lk_base', files('status.c', 'env.c'))\n",
    'src/base/status.c': SPDX + '#include <latchkey/status.h>\n'
                         'int f(lk_status s) { switch (s) { case LK_OK: return 0; case LK_MISS: case LK_FAULT: return 1; }\n'
                         ' return 2; }\n',
    'src/base/env.c': SPDX + 'void *g(void) { return calloc(1, time(0)); }\n',
    'src/crypto/meson.build': "lk_crypto = static_library('lk_crypto', files('mac.c'))\n",
    'src/crypto/mac.c': SPDX + '#include <openssl/sha.h>\n#include <latchkey/status.h>\n',
    'src/store/meson.build': "lk_store = static_library('lk_store', files('store.c', 'memory.c'))\n",
    'src/store/store.c': SPDX + '#include <latchkey/store.h>\nstatic const lk_store_ops *const members[] = {\n'
                         '    &lk__store_memory,\n};\n',
    'src/store/memory.c': SPDX + '#include "crypto/mac.h"\nconst lk_store_ops lk__store_memory = {0};\n',
    'tests/contract/run.py': '# SPDX-License-Identifier: Apache-2.0\nSTORES = ["memory"]\n',
    'docs/stores/memory.md': '# memory\n',
    'docs/formats/session-id.md': '# session id\n',
    'docs/formats/cookie.md': '# cookie\n',
    'docs/formats/reasons.md': 'expired: the credential is over\n',
}


@pytest.fixture
def findings(tmp_path):
    """A function: the right tree with CHANGES in it (None removes a file), checked; gives (place, message)."""
    def run(changes):
        for path, text in {**RIGHT, **changes}.items():
            if text is None:
                continue
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return [(f'{f.path}:{f.line}', f.message, f.cure) for f in check_tree.check(str(tmp_path))]
    return run


def only(found, place, *words):
    """FOUND is one finding, at PLACE, with all WORDS in its message."""
    assert len(found) == 1, found
    assert found[0][0] == place
    for word in words:
        assert word in found[0][1]
    assert found[0][2]


def test_a_right_tree_has_no_findings(findings):
    assert findings({}) == []


@pytest.mark.parametrize('path,include,other', [
    ('src/crypto/mac.c', '"store/store.h"', 'store'),
    ('src/crypto/mac.c', '<latchkey/store.h>', 'store'),
    ('src/crypto/mac.c', '"shm/table.h"', 'shm'),
    ('src/crypto/mac.c', '  "sql/sql.h"', 'sql'),
    ('src/store/memory.c', '"carrier/carrier.h"', 'carrier'),
    ('src/store/memory.c', '<latchkey/credential.h>', 'credential'),
    ('src/store/memory.c', '<latchkey/account.h>', 'account'),
    ('src/store/memory.c', '"guard/guard_internal.h"', 'guard'),
    ('src/base/status.c', '"crypto/mac.h"', 'crypto'),
    ('include/latchkey/store.h', '<latchkey/guard.h>', 'guard'),
    ('include/latchkey/status.h', '<latchkey/session.h>', 'words'),
])
def test_an_include_against_the_order_is_found(findings, path, include, other):
    found = findings({path: RIGHT[path] + f'\n#include {include}\n'})
    only(found, f'{path}:{RIGHT[path].count(chr(10)) + 2}', 'must not include', other)


@pytest.mark.parametrize('path,include', [
    ('src/store/memory.c', '"crypto/shorthash.h"'),
    ('src/store/memory.c', '"shm/table.h"'),
    ('src/store/memory.c', '<latchkey/settings.h>'),
    ('src/store/memory.c', '<latchkey/session.h>'),
    ('src/store/memory.c', '"store/record.h"'),
    ('src/store/memory.c', '"step.sql.inc"'),
    ('src/store/memory.c', '<string.h>'),
])
def test_an_include_along_the_order_is_fine(findings, path, include):
    assert findings({path: RIGHT[path] + f'#include {include}\n'}) == []


def test_the_table_may_use_the_keyed_hash(findings):
    assert findings({'src/shm/meson.build': "files('table.c')\n",
                     'src/shm/table.c': SPDX + '#include "crypto/shorthash.h"\n'}) == []


def test_a_commented_include_is_none(findings):
    assert findings({'src/base/status.c': RIGHT['src/base/status.c'] + '/*\n#include "store/store.h"\n*/\n'}) == []


def test_a_layer_that_nobody_named_is_found(findings):
    found = findings({'src/extra/meson.build': "files('x.c')\n", 'src/extra/x.c': SPDX})
    only(found, 'src/extra/x.c:1', 'no known layer')


def test_a_public_header_that_nobody_named_is_found(findings):
    found = findings({'include/latchkey/extra.h': SPDX, 'src/store/memory.c': RIGHT['src/store/memory.c'] +
                      '#include <latchkey/extra.h>\n'})
    assert [f[0] for f in found] == ['include/latchkey/extra.h:1', 'src/store/memory.c:4']


@pytest.mark.parametrize('path,include', [
    ('src/store/memory.c', '<openssl/sha.h>'),
    ('src/store/memory.c', '<sodium.h>'),
    ('src/store/memory.c', '<sodium/utils.h>'),
    ('src/store/memory.c', '<sqlite3.h>'),
    ('src/crypto/mac.c', '<lmdb.h>'),
    ('src/store/memory.c', '<argon2.h>'),
    ('src/store/memory.c', '<ngx_http.h>'),
])
def test_a_library_outside_its_home_is_found(findings, path, include):
    found = findings({path: RIGHT[path] + f'#include {include}\n'})
    only(found, f'{path}:{RIGHT[path].count(chr(10)) + 1}', 'outside')


@pytest.mark.parametrize('call', ['strcpy(a, b)', 'sprintf (a, "x")', 'gets(a)', 'alloca(3)', 'localeconv()', 'atoi(a)',
                                  'strtok(a, b)', 'isdigit(c)', 'strcasecmp(a, b)', 'system(a)', 'rand()', 'localtime(t)'])
def test_a_banned_call_is_found(findings, call):
    text = RIGHT['src/store/memory.c'] + f'\nvoid h(void) {{ {call}; }}\n'
    only(findings({'src/store/memory.c': text}), 'src/store/memory.c:5', call.split('(')[0].strip())


@pytest.mark.parametrize('line', ['/* strcpy(a, b) would do */', 'const char *s = "strcpy(a)";', 'h->time(1);',
                                  'my_strcpy(a, b);', 'strcpy_s x;', 'o.gets(1);', '// gets(a)'])
def test_what_only_looks_like_a_call_is_none(findings, line):
    assert findings({'src/store/memory.c': RIGHT['src/store/memory.c'] + line + '\n'}) == []


@pytest.mark.parametrize('name', ['memcmp', 'strcmp', 'strncmp', 'bcmp'])
def test_a_compare_that_stops_early_is_found_where_secrets_are(findings, name):
    line = f'int h(void) {{ return {name}(a, b, 3); }}\n'
    only(findings({'src/crypto/mac.c': RIGHT['src/crypto/mac.c'] + line}), 'src/crypto/mac.c:4', name)


def test_a_compare_elsewhere_is_fine(findings):
    assert findings({'src/store/memory.c': RIGHT['src/store/memory.c'] + 'int h(void) { return memcmp(a, b, 3); }\n'}) == []


@pytest.mark.parametrize('call', ['malloc(3)', 'strdup(a)', 'time(NULL)', 'getrandom(a, 1, 0)'])
def test_going_past_the_environment_is_found(findings, call):
    text = RIGHT['src/store/memory.c'] + f'void h(void) {{ {call}; }}\n'
    only(findings({'src/store/memory.c': text}), 'src/store/memory.c:4', 'lk_env')


@pytest.mark.parametrize('label', ['LK_MISS', 'LK_REASON_EXPIRED', 'LK_KIND_SESSION_ID'])
def test_a_default_beside_our_enum_is_found(findings, label):
    text = RIGHT['src/store/memory.c'] + f'int h(int s)\n{{\n    switch (s) {{\n    case {label}:\n        return 0;\n' \
        '    default:\n        return 1;\n    }\n}\n'
    only(findings({'src/store/memory.c': text}), 'src/store/memory.c:9', 'default', label)


def test_a_default_of_an_inner_switch_over_characters_is_fine(findings):
    text = RIGHT['src/store/memory.c'] + 'int h(int s)\n{\n    switch (s) {\n    case LK_OK:\n        switch (c) {\n' \
        "        case 'a':\n            return 1;\n        default:\n            return 2;\n        }\n" \
        '    case LK_MISS:\n        return 0;\n    }\n    return 1;\n}\n'
    assert findings({'src/store/memory.c': text}) == []


@pytest.mark.parametrize('path', ['src/base/env.c', 'tests/contract/run.py', 'include/latchkey/status.h'])
def test_a_file_without_its_licence_is_found(findings, path):
    only(findings({path: RIGHT[path].split('\n', 1)[1]}), f'{path}:1', 'SPDX')


def test_a_c_file_that_nothing_builds_is_found(findings):
    only(findings({'src/base/lost.c': SPDX}), 'src/base/lost.c:1', 'meson.build')


def test_a_c_file_named_in_a_comment_only_is_found(findings):
    build = RIGHT['src/base/meson.build'] + "# 'lost.c' comes back\n"
    only(findings({'src/base/lost.c': SPDX, 'src/base/meson.build': build}), 'src/base/lost.c:1', 'meson.build')


def test_a_c_file_listed_one_folder_up_is_fine(findings):
    assert findings({'src/base/deep/x.c': SPDX, 'src/base/meson.build': RIGHT['src/base/meson.build'] +
                     "more = files('deep/x.c')\n"}) == []


def test_a_name_that_says_nothing_is_found(findings):
    found = findings({'src/base/util.c': SPDX, 'src/base/meson.build': RIGHT['src/base/meson.build'] + "files('util.c')\n"})
    only(found, 'src/base/util.c:1', 'name')


def test_a_note_for_later_is_found(findings):
    text = RIGHT['src/base/env.c'] + '/* TO' + 'DO: more */\n'
    only(findings({'src/base/env.c': text}), 'src/base/env.c:3', 'later')


def test_a_store_without_a_page_is_found(findings):
    only(findings({'docs/stores/memory.md': None}), 'src/store/store.c:4', 'memory', 'page')


def test_a_store_without_a_contract_run_is_found(findings):
    found = findings({'tests/contract/run.py': '# SPDX-License-Identifier: Apache-2.0\nSTORES = []\n'})
    only(found, 'src/store/store.c:4', 'memory', 'contract')


def test_a_store_that_is_not_registered_is_found(findings):
    text = RIGHT['src/store/memory.c'] + 'const lk_store_ops lk__store_tape = {0};\n'
    only(findings({'src/store/memory.c': text}), 'src/store/memory.c:4', 'tape', 'registry')


@pytest.mark.parametrize('page', ['session-id', 'cookie'])
def test_a_kind_or_carrier_without_a_page_is_found(findings, page):
    found = findings({f'docs/formats/{page}.md': None})
    only(found, 'include/latchkey/credential.h:' + ('2' if page == 'session-id' else '3'), page, 'page')


def test_a_reason_that_is_not_described_is_found(findings):
    only(findings({'docs/formats/reasons.md': 'nothing\n'}), 'include/latchkey/reason.h:4', 'expired')


def test_a_build_directory_is_not_looked_into(findings):
    assert findings({'out/build.ninja': '', 'out/x.c': 'no licence\n', 'build/x.c': 'no licence\n'}) == []


def run_script(*arguments):
    return subprocess.run([os.path.join(HERE, 'check_tree.py'), *arguments], capture_output=True, text=True, timeout=60)


def test_the_script_prints_place_and_cure_and_answers_by_exit_code(tmp_path, findings):
    assert findings({'src/base/lost.c': SPDX})
    done = run_script(str(tmp_path))
    assert done.returncode == 1
    assert done.stdout.startswith('src/base/lost.c:1: no meson.build lists this file')
    assert '\n    cure: add it to src/base/meson.build' in done.stdout
    (tmp_path / 'src/base/lost.c').unlink()
    assert run_script(str(tmp_path)).returncode == 0
    assert run_script('--what').returncode == 2
    assert 'includes point one way' in run_script('--list').stdout
