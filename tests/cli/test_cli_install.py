# SPDX-License-Identifier: Apache-2.0
"""What `meson install` puts where, and that other programs can use the library."""
import os
import re
import shutil
import subprocess

import pytest

from conftest import BUILD, ROOT, Latchkey

PROGRAM = r"""
#include <latchkey/guard.h>
#include <latchkey/memory.h>
#include <stdio.h>

/* Opens all a gateway stands on and asks it about a request that shows nothing. */
int main(int argc, char **argv)
{
    const lk_env *env = lk_env_system();
    lk_guard_parts parts = {.env = env};
    lk_settings settings;
    lk_keyring *ring = NULL;
    lk_table *table = NULL;
    lk_store *store = NULL;
    lk_guard *guard = NULL;
    lk_identity who;
    lk_note note = {""};
    bool joined;
    lk_settings_init(&settings);
    if (argc != 2 || lk_settings_read(env, argv[1], &settings, &note) != LK_OK ||
        lk_keyring_open(env, settings.keys, true, &ring, &note) != LK_OK ||
        lk_table_open(env, NULL, settings.memory_size, &table, &joined, &note) != LK_OK ||
        lk_store_open(env, settings.store, table, &store, &note) != LK_OK) {
        fprintf(stderr, "%s\n", note.text);
        return 1;
    }
    parts.settings = &settings;
    parts.ring = ring;
    parts.table = table;
    parts.store = store;
    if (lk_guard_open(parts, &guard, &note) != LK_OK)
        return 1;
    lk_presented nothing = {0};
    lk_rule rule = {.mode = LK_MODE_REQUIRED};
    lk_guard_check(guard, &nothing, &rule, &who);
    printf("%d %s\n", lk_identity_http_status(&who), lk_reason_word(who.reason));
    lk_guard_close(guard);
    lk_store_close(store);
    lk_table_close(table);
    lk_keyring_free(ring);
    return 0;
}
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Installed below a directory, as a packager does it."""
    root = tmp_path_factory.mktemp("destdir")
    subprocess.run(["meson", "install", "-C", str(BUILD), "--no-rebuild", "--destdir", str(root)], check=True,
                   capture_output=True)
    return root


def files(root):
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}


def one(root, pattern):
    found = [path for path in root.rglob(pattern)]
    assert len(found) == 1, (pattern, found)
    return found[0]


def test_command_module_library_and_manual_are_installed(installed):
    for pattern in ("bin/latchkey", "ngx_http_latchkey_module.so", "liblatchkey.so.0", "liblatchkey.a", "latchkey.pc",
                    "latchkey.1", "latchkey-store.1", "latchkey.conf.5", "latchkey.7", "bash-completion/completions/latchkey"):
        one(installed, pattern)


def test_every_public_header_is_installed_and_reads_alone(installed, tmp_path):
    folder = one(installed, "latchkey/guard.h").parent
    wanted = {path.name for path in (ROOT / "include" / "latchkey").glob("*.h")}
    assert {path.name for path in folder.iterdir()} == wanted
    for name in sorted(wanted):
        for compiler, language in (("gcc", "c"), ("g++", "c++")):
            if shutil.which(compiler) is None:
                continue
            subprocess.run([compiler, "-fsyntax-only", "-Wall", "-Werror", "-x", language, "-I",
                            str(folder.parent), "-"], input=f"#include <latchkey/{name}>\n".encode(), check=True)


def exported(library):
    lines = subprocess.run(["nm", "-D", "--defined-only", str(library)], check=True, capture_output=True, text=True).stdout
    return {line.split()[2].split("@")[0] for line in lines.splitlines() if line.split()[1] in "TDBR"}


def test_library_shows_the_functions_of_its_headers_and_nothing_else(installed):
    shown = {name for name in exported(one(installed, "liblatchkey.so.0").resolve()) if not name.startswith("LATCHKEY_")}
    headers = sorted(one(installed, "latchkey/guard.h").parent.iterdir())
    text = "".join(re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.S) for header in headers)
    assert shown <= set(re.findall(r"\b(lk_\w+)\(", text))
    listed = subprocess.run(["python3", str(ROOT / "src" / "symbols.py"), "0", *map(str, headers)], check=True,
                            capture_output=True, text=True).stdout
    assert shown == set(re.findall(r"^    (lk_\w+);", listed, re.M)), "a header declares what nobody defines"


def build(installed, tmp_path, *how):
    (tmp_path / "program.c").write_text(PROGRAM)
    pc = one(installed, "latchkey.pc")
    env = {**os.environ, "PKG_CONFIG_PATH": str(pc.parent), "PKG_CONFIG_SYSROOT_DIR": str(installed)}
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", *how, "latchkey"], env=env, check=True, capture_output=True,
                           text=True).stdout.split()
    # The dependencies are not below DESTDIR: only our own paths are.
    flags = [flag.replace(str(installed), "", 1) if not re.search(r"^-[IL].*(include|lib|lib/[^/]+)$", flag) else flag
             for flag in flags]
    sanitized = "libasan" in subprocess.run(["ldd", str(BUILD / "latchkey")], capture_output=True, text=True, check=True).stdout
    extra = ["-fsanitize=address,undefined"] if sanitized else []
    subprocess.run(["gcc", *extra, "-o", str(tmp_path / "program"), str(tmp_path / "program.c"), *flags], check=True)
    return subprocess.run([str(tmp_path / "program"), str(Latchkey(tmp_path).conf)], check=True, capture_output=True, text=True,
                          env={**os.environ, "LD_LIBRARY_PATH": str(one(installed, "liblatchkey.so.0").parent)}).stdout


def test_program_links_the_shared_library(installed, tmp_path):
    assert build(installed, tmp_path) == "401 no_credential\n"
    needed = subprocess.run(["readelf", "-d", str(tmp_path / "program")], capture_output=True, text=True, check=True).stdout
    assert "liblatchkey.so.0" in needed


def test_program_links_the_static_library(installed, tmp_path):
    for shared in installed.rglob("liblatchkey.so*"):
        if shared.name == "liblatchkey.so":
            shared.rename(shared.with_name("away.so"))
            try:
                assert build(installed, tmp_path, "--static") == "401 no_credential\n"
            finally:
                shared.with_name("away.so").rename(shared)
    needed = subprocess.run(["readelf", "-d", str(tmp_path / "program")], capture_output=True, text=True, check=True).stdout
    assert "liblatchkey" not in needed


def test_manual_pages_can_be_read(installed):
    for name in ("latchkey.1", "latchkey-store.1", "latchkey.conf.5", "latchkey.7"):
        page = one(installed, name).read_text()
        assert ".SH NAME" in page and ".SH SEE ALSO" in page


def test_installed_command_works(installed):
    done = subprocess.run([str(one(installed, "bin/latchkey")), "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("latchkey ")
