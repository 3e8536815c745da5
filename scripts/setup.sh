# shellcheck shell=bash
# What run, test and check share: a virtual environment that is made once and renewed when what it is made from changes.
# Sourced by them, never run.

repository=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# The oldest Python that pyproject.toml accepts: Debian 12's.
oldest_minor=11

# Progress and complaints, one line each, go to stderr: stdout belongs to what the script starts.
say() { printf '%s\n' "$@" >&2; }

fail() {
    say "$@"
    exit 1
}

is_new_enough() { "$1" -c "import sys; sys.exit(sys.version_info < (3, $oldest_minor))" 2>/dev/null; }

# ensurepip is what Debian leaves out of its python3.
can_make_environments() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }

# Sets `as_root` to what runs a command as root without asking for a password; returns 1 where nothing does.
find_root() {
    if [[ $EUID -eq 0 ]]; then
        as_root=(env)
    elif sudo -n true 2>/dev/null; then
        as_root=(sudo -n env)
    else
        return 1
    fi
}

# Installs Debian packages where that is allowed, else prints the command that does, and exits.
install_packages() {
    local as_root advice="sudo apt-get update && sudo apt-get install -y $*"
    if command -v apt-get >/dev/null && find_root; then
        say "Installing $* with apt-get."
        # A fresh Raspberry Pi updates itself in the background for its first minutes and holds the lock meanwhile.
        as_root+=(DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0)
        # The lists are fetched only where they are missing or too old: a fresh image has none.
        "${as_root[@]}" install -y --no-install-recommends "$@" &>/dev/null && return
        "${as_root[@]}" update >&2 && "${as_root[@]}" install -y --no-install-recommends "$@" >&2 && return
    fi
    fail "The system package $* is needed. Please install it, then run this again:" "" "    $advice"
}

# Sets `python` to an interpreter that can make virtual environments; installs what Debian leaves out of its own.
find_python() {
    local candidate new_enough=''
    for candidate in ${PYTHON:+"$PYTHON"} python3 /usr/bin/python3 python3.1{4,3,2,1}; do
        is_new_enough "$candidate" || continue
        new_enough=${new_enough:-$candidate}
        if can_make_environments "$candidate"; then
            python=$candidate
            return
        fi
    done
    if [[ -z $new_enough ]]; then
        command -v python3 >/dev/null &&
            fail "$(python3 --version) is too old: 3.$oldest_minor or newer is needed (Debian 12 or later has it)."
        install_packages python3 python3-venv
        new_enough=python3
    else
        install_packages python3-venv
    fi
    python=$new_enough
    can_make_environments "$python" || python=/usr/bin/python3
    can_make_environments "$python" || fail "python3-venv is installed, but $python cannot make virtual environments."
}

# environment_stamp FOLDER FILE... prints what an environment was made from. The interpreter is part of it (an upgrade
# of the system replaces it), and the path (an environment cannot be moved).
environment_stamp() {
    local folder=$1
    shift
    readlink -f "$folder/bin/python"
    printf '%s\n' "$folder"
    cat -- "$@" | sha256sum
}

# environment FOLDER NAME FILES -- PIP-ARGUMENTS: makes the virtual environment FOLDER and installs into it, unless that
# was done before under this NAME from the same FILES. Returns 1 if it cannot be done.
environment() {
    local folder=$1 name=$2 files=()
    shift 2
    while [[ $1 != -- ]]; do
        files+=("$1")
        shift
    done
    shift
    local stamp="$folder/.installed-$name" quiet=(--quiet)
    [[ -t 2 ]] && quiet=()
    is_current "$stamp" "$folder" "${files[@]}" && return
    # Two scripts started together must not install into one folder; the lock goes when the braces close.
    {
        flock 9
        is_current "$stamp" "$folder" "${files[@]}" && return
        make_environment "$folder" || return
        say "Installing into ${folder#"$repository"/} for '$name'. This happens once; a small machine takes minutes."
        "$folder/bin/python" -m pip install "${quiet[@]}" --disable-pip-version-check --no-input --prefer-binary \
            "$@" 9<&- >&2 || return
        environment_stamp "$folder" "${files[@]}" >"$stamp"
    } 9<"$repository"
}

is_current() {
    local stamp=$1 folder=$2
    shift 2
    [[ -f $stamp && -x $folder/bin/python && $(<"$stamp") == "$(environment_stamp "$folder" "$@")" ]]
}

# An environment that works stays; one whose Python was upgraded away, or that was moved or torn, is made anew.
make_environment() {
    local folder=$1
    [[ -f $folder/pyvenv.cfg && $(<"$folder/pyvenv.cfg") == *" $folder"* ]] &&
        "$folder/bin/python" -m pip --version &>/dev/null && return
    # Making it anew empties it, and what it links to may be in use elsewhere.
    [[ -L $folder ]] && fail "$folder is a link, and what it leads to does not work: remove it, then run this again."
    find_python
    say "Making ${folder#"$repository"/} with $("$python" --version 2>&1)."
    "$python" -m venv --clear "$folder" 9<&- >&2
}

# project_environment EXTRAS: the environment of the project, editable, with extras of pyproject.toml ('' for none).
project_environment() {
    local extras=$1 stamp
    # One that was made for more than is asked for will do.
    for stamp in "$repository"/.venv/.installed-*; do
        if [[ -z $extras || ,${stamp##*/.installed-}, == *",$extras,"* ]]; then
            is_current "$stamp" "$repository/.venv" "$repository/pyproject.toml" && return
        fi
    done
    environment "$repository/.venv" "${extras:-run}" "$repository/pyproject.toml" -- \
        --editable "$repository${extras:+[$extras]}" ||
        fail "The packages above could not be installed. Is the network there? Where pip asks for a compiler:" "" \
            "    sudo apt-get install -y build-essential python3-dev"
}
