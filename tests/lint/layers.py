#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Layers of engine/: includes point downwards only, each outside library has one owner, every header compiles alone."""
import os
import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENGINE = ROOT / "engine"

# The layer and what it may include besides itself.
LAYERS = {
    "base": [],
    "data": ["base"],
    "lang": ["data", "base"],
    "io": ["data", "base"],
    "plugin": ["lang", "io", "data", "base"],
    "run": ["plugin", "lang", "io", "data", "base"],
    "app": ["run", "plugin", "lang", "io", "data", "base"],
}
# The public header of C plugins: for the plugin layer and what is above it.
PUBLIC = {"plugin", "run", "app"}

# Headers of an outside library, and the files that may include them.
OWNERS = [
    (r"sqlite3\.h", r"io/store\w*\.[ch]"),
    (r"curl/.*", r"io/http_client\w*\.[ch]"),
    (r"yaml\.h", r"data/yaml\.c"),
    (r"jansson\.h", r"data/(value|json)\.c"),
    (r"pcre2\.h", r"data/regex\.c"),
    (r"(event2/.*|event\.h|evhttp\.h)", r"io/(loop|http_server)\w*\.c"),
    (r"(lua|lauxlib|lualib|luaconf)\.h", r"plugin/lua_\w+\.[ch]"),
    (r"(uthash|utlist|utarray)\.h", r"base/map\.c"),
    (r"mosquitto\.h", r"io/bus_mqtt\w*\.c"),
    (r"nats.*\.h", r"io/bus_nats\.c"),
]

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def check_includes(problems):
    library_headers = {}
    includes = []
    for path in sorted(ENGINE.rglob("*.[ch]")):
        rel = path.relative_to(ENGINE).as_posix()
        layer = rel.split("/")[0] if "/" in rel else "app"
        if layer == "include":
            continue
        if layer not in LAYERS:
            problems.append(f"engine/{rel}: \"{layer}\" is no layer; known: {' '.join(LAYERS)}")
            continue
        for match in INCLUDE.finditer(path.read_text(encoding="utf-8")):
            kind, name = match.groups()
            where = f"engine/{rel}"
            if kind == "<":
                for header, owner in OWNERS:
                    if re.fullmatch(header, name):
                        if not re.fullmatch(owner, rel):
                            problems.append(f"{where}: <{name}> belongs to engine/{owner}")
                        if rel.endswith(".h"):
                            library_headers[rel] = name
                continue
            target = name.split("/")[0]
            includes.append((rel, layer, name))
            if target == "perigee":
                if layer not in PUBLIC:
                    problems.append(f"{where}: \"{name}\" is for the plugin layer and above")
            elif "/" not in name or target not in LAYERS:
                problems.append(f"{where}: \"{name}\" must be written \"layer/file.h\"")
            elif target != layer and target not in LAYERS[layer]:
                problems.append(f"{where}: {layer} must not include {target} (\"{name}\")")
    # Types of an outside library stay in the folder that owns it.
    for rel, layer, name in includes:
        if name in library_headers and name.split("/")[0] != layer:
            problems.append(f"engine/{rel}: \"{name}\" shows {library_headers[name]} outside its folder")


def check_header(command, header):
    result = subprocess.run(command + [str(header)], capture_output=True, text=True)
    first = next((line for line in result.stderr.splitlines() if "error" in line), result.stderr[:200])
    return None if result.returncode == 0 else f"{header.relative_to(ROOT)} does not compile alone: {first}"


def check_headers(problems):
    flags = subprocess.run(["pkg-config", "--cflags", "lua5.4"], capture_output=True, text=True).stdout
    command = ["gcc", "-fsyntax-only", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror",
               f"-I{ENGINE}", f"-I{ENGINE}/include", *shlex.split(flags), "-x", "c"]
    headers = sorted(ENGINE.rglob("*.h"))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        problems.extend(filter(None, pool.map(lambda h: check_header(command, h), headers)))
    return len(headers)


def main():
    problems = []
    check_includes(problems)
    count = check_headers(problems)
    for problem in problems:
        print(problem)
    print(f"{count} headers, {len(problems)} problems")
    return 1 if problems else 0


sys.exit(main())
