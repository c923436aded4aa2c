#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What no file of the tree may hold: forbidden functions, ends of the process outside main, missing licence lines, tabs,
blanks at line ends."""
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Function and what to use instead.
FORBIDDEN = {
    "strcpy": "peri_strdup or memcpy with a length", "sprintf": "snprintf", "vsprintf": "vsnprintf", "gets": "fgets", "strtok": "strsep",
    "atoi": "peri_parse_i64", "atol": "peri_parse_i64", "atoll": "peri_parse_i64", "atof": "strtod and a check",
    "localtime": "lang/tz.h", "localtime_r": "lang/tz.h", "mktime": "lang/tz.h", "gmtime": "base/timefmt.h",
    "asctime": "base/timefmt.h", "ctime": "base/timefmt.h", "tmpnam": "mkstemp", "tempnam": "mkstemp", "mktemp": "mkstemp",
    "alloca": "malloc", "scanf": "peri_parse_i64", "rand": "peri_random", "srand": "peri_random", "random": "peri_random",
    "inet_ntoa": "inet_ntop", "inet_addr": "inet_pton", "gethostbyname": "getaddrinfo",
}
# Tests and fuzzers may.
FORBIDDEN_IN_ENGINE = {
    "strcat": "struct peri_buf", "strncat": "struct peri_buf", "strncpy": "memcpy and a NUL", "system": "fork and execve",
    "popen": "fork and execve", "sleep": "peri_loop_after", "usleep": "peri_loop_after",
}
ENDS = {"exit", "_exit", "_Exit", "quick_exit", "abort"}
ENDS_ALLOWED = {"engine/main.c"}

SPDX_NAMES = {"CMakeLists.txt", "packages.txt"}
SPDX_SUFFIXES = {".c", ".h", ".S", ".lua", ".py", ".sh", ".cmake", ".js", ".css"}
TEXT_SUFFIXES = SPDX_SUFFIXES | {".md", ".json", ".yaml", ".yml", ".txt", ".html", ".scd", ".service", ".sql"}
# Inputs of tests may be as odd as they need to be.
ODD = re.compile(r"^tests/(.*/)?(corpus|fixtures|data)/")

COMMENT_OR_STRING = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
CALL = re.compile(r"(?<![\w.>])([A-Za-z_]\w*)\s*\(")


def files():
    try:
        listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"], capture_output=True)
    except FileNotFoundError:  # an unpacked archive on a machine without git
        listed = subprocess.CompletedProcess([], 1, b"", b"")
    if listed.returncode == 0:
        names = [n for n in listed.stdout.decode().split("\0") if n]
    else:  # an unpacked archive
        names = [p.relative_to(ROOT).as_posix() for p in ROOT.rglob("*") if p.is_file()]
        names = [n for n in names if not n.startswith(("build/", ".git/")) and "__pycache__" not in n]
    return sorted(n for n in set(names) if (ROOT / n).is_file() and not (ROOT / n).is_symlink())


def blank_out(match):
    return re.sub(r"[^\n]", " ", match.group())


def check_calls(name, text, problems):
    code = COMMENT_OR_STRING.sub(blank_out, text)
    engine = name.startswith(("engine/", "operators/", "connectors/", "channels/"))
    for number, line in enumerate(code.split("\n"), 1):
        for match in CALL.finditer(line):
            function = match.group(1)
            instead = FORBIDDEN.get(function) or (FORBIDDEN_IN_ENGINE.get(function) if engine else None)
            if instead:
                problems.append(f"{name}:{number}: {function}() is not used here; use {instead}")
            if engine and function in ENDS and name not in ENDS_ALLOWED:
                problems.append(f"{name}:{number}: {function}(): only main ends the process; return a status")


def check_text(name, text, problems):
    path = Path(name)
    makefile = path.name in {"Makefile", "rules"} and path.suffix == ""
    for number, line in enumerate(text.split("\n"), 1):
        if line.endswith("\r"):
            problems.append(f"{name}:{number}: the line ends in CR LF")
        elif line != line.rstrip():
            problems.append(f"{name}:{number}: blanks at the end of the line")
        if "\t" in line and not makefile and not name.endswith(".scd"):  # scdoc wants them
            problems.append(f"{name}:{number}: a tab")
    if text and not text.endswith("\n"):
        problems.append(f"{name}: the last line does not end")


def check_licence(name, text, problems):
    path = Path(name)
    script = text.startswith("#!")
    if path.name in SPDX_NAMES or path.suffix in SPDX_SUFFIXES or script:
        head = "\n".join(text.split("\n")[:3])
        if "SPDX-License-Identifier:" not in head:
            problems.append(f"{name}: no SPDX-License-Identifier in the first lines")


def main():
    problems = []
    names = files()
    for name in names:
        path = Path(name)
        if ODD.match(name) or "/vendor/" in name or ".min." in path.name:
            continue
        data = (ROOT / name).read_bytes()
        if path.suffix not in TEXT_SUFFIXES and path.name not in SPDX_NAMES and not data.startswith(b"#!"):
            continue
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            problems.append(f"{name}: not UTF-8 at byte {error.start}")
            continue
        check_text(name, text, problems)
        check_licence(name, text, problems)
        if path.suffix in {".c", ".h"}:
            check_calls(name, text, problems)
    for problem in problems:
        print(problem)
    print(f"{len(names)} files, {len(problems)} problems")
    return 1 if problems else 0


sys.exit(main())
