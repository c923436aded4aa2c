#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# luacheck over all Lua, and its picture of the restricted states against the list that the program makes them from.
set -eu
cd "$(dirname "$0")/../.."
if ! command -v luacheck >/dev/null; then
    echo "luacheck is not installed (package lua-check): skipped"
    exit 0
fi

offered=$(sed -nE 's/^ *\{"(\w*)", "(\w+)".*/\2/p' engine/plugin/lua_vm_open.c | sort -u)
known=$(sed -n '/^stds.perigee/,/^}/p' .luacheckrc | grep -oE '"\w+"' | tr -d '"' | sort -u)
if [ "$offered" != "$known" ]; then
    echo ".luacheckrc (>) does not list what engine/plugin/lua_vm_open.c (<) offers:"
    diff <(echo "$offered") <(echo "$known") | grep '^[<>]'
    exit 1
fi

folders=()
for folder in operators channels connectors lua templates docs/examples tests/lua tests/plugins tests/hostile tests/benign; do
    if [ -d "$folder" ]; then
        folders+=("$folder")
    fi
done
luacheck --quiet --no-color "${folders[@]}"
