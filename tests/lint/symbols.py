#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""No function that other files can see is defined twice, and no struct tag means two things in two headers.

The layers are static libraries: of two functions with one name the linker takes whichever it meets first, and says
nothing."""
import pathlib
import re
import sys

ENGINE = pathlib.Path("engine")
FUNCTION = re.compile(r"^(?!static\b|typedef\b|#|extern\b)[a-z][\w\s\*]*?\b(peri_\w+|pattern_\w+|rule_\w+)\((?:[^;{}]*)\)\s*\{", re.M)
STRUCT = re.compile(r"^struct (peri_\w+) \{", re.M)


def duplicates(files, regex):
    places = {}
    for path in files:
        for name in regex.findall(path.read_text(encoding="utf-8")):
            places.setdefault(name, set()).add(str(path))
    return {name: found for name, found in places.items() if len(found) > 1}


def main():
    found = duplicates(sorted(ENGINE.rglob("*.c")), FUNCTION)
    found.update(duplicates(sorted(ENGINE.rglob("*.h")), STRUCT))
    for name, places in sorted(found.items()):
        print(f"{name} is defined in {' and '.join(sorted(places))}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
