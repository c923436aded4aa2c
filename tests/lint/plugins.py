#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every bundled plugin has a manifest, a README that names each of its operators and settings, and a spec that loads it."""
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("operators", "channels", "connectors")

LUA_OPERATOR = re.compile(r'\["([a-z]\w*\.\w+)"\]\s*=\s*\{')
C_STRING = re.compile(r'"([a-z]\w*\.[A-Za-z]\w*)"')


def operators(folder, plugin_id):
    found = set()
    for file in sorted(folder.rglob("*.lua")):
        found.update(LUA_OPERATOR.findall(file.read_text(encoding="utf-8")))
    for file in sorted(folder.rglob("*.c")):  # operators, and the codes of its errors
        found.update(text for text in C_STRING.findall(file.read_text(encoding="utf-8")) if text.startswith(plugin_id + "."))
    return found


def check(folder, specs):
    name = folder.relative_to(ROOT).as_posix()
    missing = []
    manifest = {}
    try:
        manifest = json.loads((folder / "plugin.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        missing.append(f"{name}/plugin.json")
    except ValueError as error:
        missing.append(f"{name}/plugin.json: valid JSON ({error})")
    readme = folder / "README.md"
    if readme.is_file():
        text = readme.read_text(encoding="utf-8")
        for operator in sorted(operators(folder, manifest.get("id", folder.name))):
            if operator not in text:
                missing.append(f"{name}/README.md: the operator {operator}")
        for setting in manifest.get("configSchema", {}).get("properties", {}):
            if f"`{setting}`" not in text and f"{setting}:" not in text:
                missing.append(f"{name}/README.md: the setting {setting}")
    else:
        missing.append(f"{name}/README.md")
    if name not in specs:
        missing.append(f"tests/plugins/{name}_spec.lua")
    return missing


def main():
    tests = ROOT / "tests/plugins"
    specs = {str(file.relative_to(tests)).removesuffix("_spec.lua") for file in tests.rglob("*_spec.lua")}
    folders = [folder for kind in KINDS for folder in sorted((ROOT / kind).iterdir()) if folder.is_dir()]
    missing = [line for folder in folders for line in check(folder, specs)]
    for line in missing:
        print("missing:", line)
    print(f"{len(folders)} plugins, {len(missing)} things missing")
    return 1 if missing or not folders else 0


if __name__ == "__main__":
    sys.exit(main())
