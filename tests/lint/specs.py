#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every function of ctx has a spec that runs in the sandbox: for each that lua/types declares (the documents are made from them), a
tests/lua/api_*_spec.lua has a block describe("ctx.<name>"), and no block names one that is gone."""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main():
    declared = set()
    for file in (ROOT / "lua/types").glob("*.d.lua"):
        for name in re.findall(r"^function ([\w.]+)\(", file.read_text(encoding="utf-8"), re.M):
            declared.add(name.removeprefix("ctx."))
    told = {}
    for file in sorted((ROOT / "tests/lua").glob("api_*_spec.lua")):
        text = file.read_text(encoding="utf-8")
        blocks = list(re.finditer(r'^describe\("ctx\.([\w.]+)"', text, re.M))
        for block, following in zip(blocks, [*blocks[1:], None]):
            told[block[1]] = text[block.end() : following.start() if following else None]
    wrong = [f'ctx.{name}: no describe("ctx.{name}") in tests/lua/api_*_spec.lua' for name in sorted(declared - set(told))]
    wrong += [f"ctx.{name}: a spec, but no such function in lua/types" for name in sorted(set(told) - declared - {"account"})]
    wrong += [f"ctx.{name}: a describe without any it()" for name, body in sorted(told.items()) if "it(" not in body and "specs(" not in body]
    for line in wrong:
        print(line)
    print(f"{len(declared)} functions, {len(wrong)} mistakes")
    return 1 if wrong or not declared else 0


if __name__ == "__main__":
    sys.exit(main())
