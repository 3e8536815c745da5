#!/usr/bin/env bash
# Fetch the real MicroPython that the tests of boards run on. See --help.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: scripts/get-micropython.sh FOLDER

Unpacks Debian 13's MicroPython 1.25 for this machine's 32-bit processor (i386 on a PC, armhf on ARM: pointers as long as
on a board) with the libraries it needs into FOLDER; FOLDER/bin/micropython starts it. Nothing of the system is touched,
root is not needed: apt-get gets lists and a status of its own, and checks the signatures as always.

A FOLDER that holds what this script would fetch is left as it is.
TEXT
}

say() { printf '%s\n' "$@" >&2; }

fail() {
    say "$@"
    exit 1
}

case ${1:-} in
-h | --help)
    usage
    exit
    ;;
'' | -*)
    usage >&2
    exit 2
    ;;
esac

folder=$1
suite=trixie
wanted_version='(1, 25)'
archive_key=/usr/share/keyrings/debian-archive-keyring.gpg
packages=(micropython libc6 libffi8 libmbedtls21 libmbedcrypto16 libmbedx509-7)

case $(uname -m) in
x86_64 | i?86) architecture=i386 loader=ld-linux.so.2 ;;
aarch64 | armv7l | armv8l)
    architecture=armhf loader=ld-linux-armhf.so.3
    packages+=(libgcc-s1)
    ;;
*) fail "No 32-bit MicroPython is known for a $(uname -m)." ;;
esac

# A folder cannot be moved: the starter names it.
stamp() { printf '%s %s %s\n' "$architecture" "$folder" "$(sha256sum <"${BASH_SOURCE[0]}")"; }

mirror() {
    local uri
    uri=$(cat /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null |
        grep -oE -m1 'https?://[^ ]+/debian/?([ ]|$)') || uri=http://deb.debian.org/debian
    printf '%s' "${uri%% *}"
}

# An apt of its own: its lists, its idea of what is installed (nothing), its one source.
write_apt_configuration() {
    local apt=$1
    mkdir -p "$apt"/{lists,cache/archives}/partial "$apt/packages"
    : >"$apt/status"
    printf 'deb [arch=%s signed-by=%s] %s %s main\n' "$architecture" "$archive_key" "$(mirror)" "$suite" >"$apt/source.list"
    cat >"$apt/configuration" <<TEXT
Dir::Etc::SourceList "$apt/source.list";
Dir::Etc::SourceParts "/dev/null";
Dir::State::Lists "$apt/lists";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
APT::Architectures { "$architecture"; };
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "3";
TEXT
}

fetch() {
    local apt=$1 package
    export APT_CONFIG=$apt/configuration
    apt-get update -qq >&2
    (cd "$apt/packages" && apt-get download -qq "${packages[@]/%/:$architecture}" >&2)
    for package in "$apt"/packages/*.deb; do
        dpkg-deb --extract "$package" "$apt/unpacked"
    done
}

# What is needed is a sixth of what the packages hold.
keep_needed() {
    local unpacked=$1 target=$2 library
    mkdir -p "$target"/{bin,lib}
    cp -L "$unpacked/usr/bin/micropython" "$target/lib/micropython"
    for library in "$loader" libc.so.6 libm.so.6 libffi.so.8 libmbedtls.so.21 libmbedcrypto.so.16 libmbedx509.so.7 libgcc_s.so.1; do
        library=$(find "$unpacked" -name "$library" -print -quit)
        [[ -z $library ]] || cp -L "$library" "$target/lib/"
    done
    cat >"$target/bin/micropython" <<TEXT
#!/bin/sh
exec "$folder/lib/$loader" --library-path "$folder/lib" "$folder/lib/micropython" "\$@"
TEXT
    chmod +x "$target/bin/micropython" "$target/lib/$loader"
}

mkdir -p "$folder"
folder=$(cd -P "$folder" && pwd)
[[ -f $folder/stamp && $(<"$folder/stamp") == "$(stamp)" ]] && exit

for command in apt-get dpkg-deb flock; do
    command -v "$command" >/dev/null || fail "$command is missing: MicroPython can only be fetched on Debian and its kin."
done
[[ -f $archive_key ]] || fail "$archive_key is missing: install debian-archive-keyring."

# Two that were started together must not unpack into one folder.
exec 9<"$folder"
flock 9
[[ -f $folder/stamp && $(<"$folder/stamp") == "$(stamp)" ]] && exit

say "Fetching MicroPython ($architecture). This happens once: 15 MB."
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
write_apt_configuration "$temporary"
fetch "$temporary"
rm -rf "${folder:?}"/{bin,lib,stamp}
keep_needed "$temporary/unpacked" "$folder"

version=$("$folder/bin/micropython" -c 'import sys; print(sys.implementation.version[:2])') ||
    fail "MicroPython was fetched, but this machine cannot run $architecture programs."
[[ $version == "$wanted_version" ]] || fail "MicroPython $version was fetched where $wanted_version was expected."
stamp >"$folder/stamp"
