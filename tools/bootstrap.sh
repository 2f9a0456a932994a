#!/usr/bin/env bash
# Makes .venv and installs into it: `bootstrap.sh run|test|dev`. Called by the Makefile, from the top of the project.
#
# Needs nothing but a Python of at least 3.11, without pip or ensurepip, and a package index. Versions are those of
# constraints.txt. Each fault is one line on standard error and exit 2.
set -euo pipefail

group=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

fail() {
  echo "bootstrap: $*" >&2
  exit 2
}

find_python() {
  local name
  for name in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$name"
      return
    fi
  done
  fail "no Python of 3.11 or later among: ${PYTHON:-python3.13 python3.12 python3.11 python3}. Install one, such as" \
    "Debian's python3, or say which: make PYTHON=/path/to/python3"
}

# Debian keeps ensurepip in a package of its own, which only root can install: pip is fetched instead.
make_venv() {
  local python=$1
  rm -rf .venv
  if "$python" -c 'import ensurepip' 2>/dev/null; then
    quietly "$python" -m venv .venv
  else
    quietly "$python" -m venv --without-pip .venv && quietly .venv/bin/python "$here/fetch_pip.py"
  fi
}

quietly() { "$@" >>"$log" 2>&1 </dev/null; }

# Programs that some tests call, and their packages. Without one those tests are skipped, each with a line that says so.
provide_tools() {
  local -A package=([strace]=strace [mkfs.ext4]=e2fsprogs [mount]=mount)
  local tool missing=()
  for tool in "${!package[@]}"; do
    command -v "$tool" >/dev/null || missing+=("${package[$tool]}")
  done
  [ "${#missing[@]}" -gt 0 ] || return 0
  if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    echo "installing ${missing[*]}, which some tests call…"
    export DEBIAN_FRONTEND=noninteractive
    local install=(apt-get -qq install --yes --no-install-recommends "${missing[@]}")
    quietly "${install[@]}" || { quietly apt-get -qq update && quietly "${install[@]}"; } && return 0
  fi
  echo "without ${missing[*]} some tests are skipped (Debian: sudo apt-get install ${missing[*]})"
}

# What pip is to install, from pyproject.toml: pip itself knows groups only since 25.1.
requirements_of() {
  .venv/bin/python - "$1" <<'PYTHON'
import sys, tomllib
with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)
groups = {"run": [], "test": ["test"], "dev": ["test", "dev"]}[sys.argv[1]]
# hatchling needs editables for an installation that points back to here.
wanted = ["editables", *project["build-system"]["requires"], *project["project"]["dependencies"]]
wanted += project["project"]["optional-dependencies"]["data"]  # the demo archives its day
for group in groups:
    wanted += project["dependency-groups"][group]
print(*wanted, sep="\n")
PYTHON
}

install() {
  # The project is built with what is in the environment: a build environment of pip's own would ignore the constraints.
  local pip=(.venv/bin/python -m pip --disable-pip-version-check --no-input install --quiet
    --constraint constraints.txt --progress-bar off)
  requirements_of "$group" >.venv/requirements.txt
  quietly "${pip[@]}" --requirement .venv/requirements.txt &&
    quietly "${pip[@]}" --no-deps --no-build-isolation --editable .
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# A python without pip is what is left of an attempt that failed; one that doesn't start, of a directory that was moved.
if ! .venv/bin/python -c 'import pip' 2>/dev/null; then
  python=$(find_python)
  echo "making .venv (about a minute)…"
  make_venv "$python" || fail "$python can't make a virtual environment: $(tail -n 1 "$log")"
else
  declare -A what=([run]="running it needs" [test]="the tests need" [dev]="developing it needs")
  echo "installing what ${what[$group]} into .venv…"
fi
if ! install; then
  cat "$log" >&2
  fail "pip could not install what pyproject.toml asks for; its words are above"
fi
[ "$group" = run ] || provide_tools
# Who has more, has also what the others need.
case $group in
  run) touch .venv/.stamp-run ;;
  test) touch .venv/.stamp-run .venv/.stamp-test ;;
  dev) touch .venv/.stamp-run .venv/.stamp-test .venv/.stamp-dev ;;
esac
