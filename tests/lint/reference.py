#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""C registration, type files and documents name the same functions of ctx: docs/plugin-reference.md is what script/generate-plugin-reference makes
of lua/types today, it has each name that engine/plugin/lua_api.c lists, and docs/plugins.md mentions each of them."""
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main():
    wrong = []
    made = subprocess.run([sys.executable, "-B", ROOT / "script/generate-plugin-reference", "-"], capture_output=True, text=True, check=True).stdout
    page = (ROOT / "docs/plugin-reference.md").read_text(encoding="utf-8")
    if made != page:
        wrong.append("docs/plugin-reference.md is old: run script/generate-plugin-reference")
    source = (ROOT / "engine/plugin/lua_api.c").read_text(encoding="utf-8")
    names = re.findall(r'"([\w.]+)"', source[source.index("peri_lua_api_names[]") : source.index("NULL,\n};")])
    guide = (ROOT / "docs/plugins.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"^### ctx\.([\w.]+)\(", page, re.M)) | set(re.findall(r"^`ctx\.([\w.]+)` is a value", page, re.M))
    for name in names:
        last = name.split(".")[-1]
        if name not in shown:
            wrong.append(f"docs/plugin-reference.md lacks ctx.{name}")
        if f"ctx.{name}" not in guide and f".{last}" not in guide and f"|{last}" not in guide:
            wrong.append(f"docs/plugins.md lacks ctx.{name}")
    for name in sorted(shown - set(names)):
        wrong.append(f"docs/plugin-reference.md has ctx.{name}, which engine/plugin/lua_api.c does not list")
    for line in wrong:
        print(line)
    print(f"{len(names)} functions, {len(wrong)} mistakes")
    return 1 if wrong or not names else 0


if __name__ == "__main__":
    sys.exit(main())
