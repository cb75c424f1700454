#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Turn pages, catalogues, the style sheet and the logo into one C file.

What would only be noticed on somebody's screen is an error here: a catalogue without a key that another one or
a page has, a page that includes what is not there, a block that is not closed, a script or an inline style.
"""
import hashlib
import json
import pathlib
import re
import sys

TAG = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")


def fail(message):
    sys.exit(f"embed.py: {message}")


def c_string(data):
    """A C string literal, a line of the source to a line of the literal."""
    lines = []
    for line in data.splitlines(keepends=True) or [b""]:
        text = "".join(
            f"\\{chr(b)}" if b in b'"\\' else chr(b) if 0x20 <= b < 0x7F and b != 0x3F else f"\\{b:03o}" for b in line
        )
        lines.append(f'    "{text}"')
    return "\n".join(lines)


def include(name, pages, depth=0):
    if name not in pages:
        fail(f"there is no page {name}")
    if depth > 4:
        fail(f"{name} includes itself")

    def replace(match):
        tag = match.group(1)
        return include(tag[2:].strip(), pages, depth + 1) if tag.startswith("> ") else match.group(0)

    return TAG.sub(replace, pages[name])


def check_page(name, text, keys):
    open_blocks = []
    for tag in TAG.findall(text):
        if tag.startswith("#"):
            open_blocks.append(tag[1:].split()[0])
        elif tag.startswith("/"):
            if not open_blocks or open_blocks.pop() != tag[1:]:
                fail(f"{name}: {{{{{tag}}}}} closes nothing")
        elif tag.startswith("t.") and tag[2:] not in keys:
            fail(f"{name}: no catalogue has {tag[2:]}")
    if open_blocks:
        fail(f"{name}: {open_blocks[-1]} is not closed")
    if re.search(r"<script|<style|\sstyle=|\son[a-z]+=", text):
        fail(f"{name}: the pages have no scripts and no inline styles")


def used_keys(pages):
    return {tag[2:] for text in pages.values() for tag in TAG.findall(text) if tag.startswith("t.")}


def main(out, *inputs):
    paths = [pathlib.Path(p) for p in inputs]
    pages = {p.stem: p.read_text(encoding="utf-8") for p in paths if p.suffix == ".html"}
    catalogues = {p.stem: json.loads(p.read_text(encoding="utf-8")) for p in paths if p.suffix == ".json"}
    style = next(p.read_bytes() for p in paths if p.suffix == ".css")
    logo = next(p.read_bytes() for p in paths if p.suffix == ".svg")
    keys = set(catalogues["en"])
    for language, texts in catalogues.items():
        if set(texts) != keys:
            fail(f"{language}: the keys differ from those of en: {sorted(set(texts) ^ keys)}")
    unused = {k for k in keys - used_keys(pages) if not k.startswith(("problem.", "rule."))}
    if unused:
        fail(f"no page uses {sorted(unused)}")

    c = ["/* Made by web/embed.py. */", '#include "service/web.h"', ""]
    c.append("const lk__web_page lk__web_pages[] = {")
    for name in sorted(pages):
        text = include(name, pages)
        check_page(name, text, keys)
        data = text.encode("utf-8")
        c.append(f'    {{"{name}", {len(data)},\n{c_string(data)}}},')
    c.append("    {0},\n};\n")
    for symbol, language in (("EN", "en"), ("ZH_CN", "zh-CN")):
        c.append(f"static const lk__web_text texts_{symbol}[] = {{")
        for key in sorted(keys):
            c.append(f'    {{"{key}",\n{c_string(catalogues[language][key].encode("utf-8"))}}},')
        c.append("};\n")
    c.append(f"const size_t lk__web_texts_n = {len(keys)};")
    c.append("const lk__web_text *const lk__web_texts[LK_LANGUAGE_COUNT] = {texts_EN, texts_ZH_CN};\n")
    c.append("const lk__web_asset lk__web_assets[] = {")
    for name, suffix, media, data in (
        ("style", "css", "text/css; charset=utf-8", style),
        ("logo", "svg", "image/svg+xml", logo),
    ):
        digest = hashlib.sha256(data).hexdigest()[:16]
        c.append(f'    {{"{name}-{digest}.{suffix}", "{media}", {len(data)},\n{c_string(data)}}},')
    c.append("};")
    pathlib.Path(out).write_text("\n".join(c) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
