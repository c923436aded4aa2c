# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the scripts here share. To be sourced from the root of the tree.

say() {
    printf '%s\n' "$*" >&2
}

die() {
    say "error: $*"
    exit 1
}

# packages SECTION...: the names in these sections of packages.txt.
packages() {
    local line section='' wanted
    while read -r line; do
        line=${line%%#*}
        line=${line%%[[:space:]]*}
        case $line in
        '') ;;
        \[*\]) section=${line#\[} section=${section%\]} ;;
        *) for wanted in "$@"; do [ "$section" != "$wanted" ] || printf '%s\n' "$line"; done ;;
        esac
    done < script/packages.txt
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo > /dev/null && sudo -n true 2> /dev/null; then
        sudo -n "$@"
    else
        return 1
    fi
}

# install_missing SECTION...: installs what is not there, without asking. Nothing missing: one call of dpkg-query.
install_missing() {
    local names installed name missing=()
    if ! command -v dpkg-query > /dev/null; then
        say "packages: this is no Debian, so it is up to you that these are there: $(packages "$@" | tr '\n' ' ')"
        return 0
    fi
    mapfile -t names < <(packages "$@")
    installed=" $(dpkg-query -W -f='${Package}=${db:Status-Status} ' "${names[@]}" 2> /dev/null || true)"
    for name in "${names[@]}"; do
        case $installed in
        *" $name=installed "*) ;;
        *) missing+=("$name") ;;
        esac
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "packages: installing ${missing[*]}"
    as_root true || die "these packages are missing and only root (or sudo without password) can install them: ${missing[*]}"
    # A source of packages that does not answer is no reason to give up: the others may have everything.
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq > /dev/null || say "packages: apt-get update had errors, going on"
    as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends \
        -o Dpkg::Use-Pty=0 "${missing[@]}" > /dev/null || die "apt-get could not install: ${missing[*]}"
}

# build PRESET [TARGET...]: configures and builds; the compiler's words are shown only when it fails.
build() {
    local preset=$1 log=build/$1.log
    shift
    mkdir -p build
    say "configure: preset $preset"
    cmake --preset "$preset" > "$log" 2>&1 || { cat "$log" >&2; die "cmake could not configure"; }
    say "build: build/$preset"
    cmake --build "build/$preset" ${1:+--target "$@"} >> "$log" 2>&1 || { cat "$log" >&2; die "the build failed, see $log"; }
}
