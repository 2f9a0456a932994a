#!/usr/bin/env bash
# Installs the recorder as a service of systemd, as docs/operations.md says ("As a service"). Shows each change, and asks.
#
#   sudo scripts/install.sh              from a clone in /opt/hk-tick-collector
#   sudo scripts/install.sh --yes        without asking
#   scripts/install.sh --dry-run         only shows what it would change
#
# It can be run again at any time: what is there already stays, and what was declined is offered again. It never overwrites
# settings, keeps a unit that it replaces as *.before, and never restarts a recorder that runs.
#
# Exit code: 0 installed, or nothing to change · 1 a step failed, or the recorder did not start · 2 refused, nothing was
# touched; or no answer.
#
# Variables, with their defaults:
#   PYTHON   python3.13 python3.12 python3.11 python3    the first of them that is 3.11 or later makes the environment
set -euo pipefail

readonly APP=/opt/hk-tick-collector
readonly NAME=hk-tick-collector
readonly UNIT=/etc/systemd/system/$NAME.service
readonly SETTINGS=/etc/$NAME.env
readonly DATA=/var/lib/$NAME
readonly SYSTEMD_MIN=249 # what the unit needs

here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
yes=0
dry_run=0
changed=0
declined=0

refuse() {
  echo "install: $*" >&2
  exit 2
}

fail() {
  echo "install: $*" >&2
  exit 1
}

main() {
  read_words "$@"
  check_place
  make_environment
  make_users
  make_data_directory
  make_settings
  make_unit
  make_command
  make_profile
  enable_service
  start_service
  tell_end
}

read_words() {
  local word
  for word in "$@"; do
    case $word in
      -y | --yes) yes=1 ;;
      -n | --dry-run) dry_run=1 ;;
      -h | --help)
        sed -n '2,/^[^#]/ { s/^# \{0,1\}//p }' "${BASH_SOURCE[0]}"
        exit 0
        ;;
      *) refuse "unknown argument $word: see --help" ;;
    esac
  done
}

# ---- what has to be there first; each line ends with the cure

check_place() {
  local version
  ((dry_run)) || [ "$(id -u)" -eq 0 ] || refuse "needs root: sudo $0 (or --dry-run, to see what it would do)"
  [ "$here" = "$APP" ] || refuse "the unit expects the project in $APP, and this is $here: clone it there"
  [ -d /run/systemd/system ] ||
    refuse "systemd does not run here: use Docker, or another supervisor (docs/operations.md, \"Install\")"
  version=$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
  ((${version:-0} >= SYSTEMD_MIN)) ||
    refuse "systemd ${version:-of no known version} is too old for the unit, which needs $SYSTEMD_MIN: use Debian 12," \
      "Ubuntu 22.04, or later"
  find_python
}

find_python() {
  local name path
  for name in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
    "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
    "$name" -c 'import venv' 2>/dev/null || refuse "$name has no module venv: apt-get install python3-venv"
    path=$("$name" -c 'import os, sys; print(os.path.realpath(sys.executable))')
    # The unit hides these from the recorder.
    [[ $path != /home/* && $path != /root/* ]] ||
      refuse "$name is $path, where the service can't look: PYTHON=/usr/bin/python3 $0"
    python=$name
    return 0
  done
  refuse "no Python of 3.11 or later among ${PYTHON:-python3.13 python3.12 python3.11 python3}: apt-get install python3" \
    "(Debian 12, Ubuntu 24.04 or later), or PYTHON=/path/to/python3 $0"
}

# ---- one change at a time

# wants WORDS COMMAND: whether to do it. Shows what is changed, and the command that does it.
wants() {
  local answer
  printf '%s\n    %s\n' "$1" "$2"
  if ((dry_run)); then
    changed=$((changed + 1))
    return 1
  fi
  if ((!yes)); then
    read -r -p "    do it? [Y/n] " answer || refuse "no answer: run it in a terminal, or with --yes"
    if [[ $answer == [nN]* ]]; then
      declined=$((declined + 1))
      return 1
    fi
  fi
  changed=$((changed + 1))
}

make_environment() {
  if "$APP/.venv/bin/$NAME" --version >/dev/null 2>&1; then return 0; fi
  wants "make the Python environment $APP/.venv" "PYTHON=$python bash tools/bootstrap.sh run" || return 0
  (cd "$APP" && PYTHON=$python bash tools/bootstrap.sh run) || fail "the environment could not be made; see above"
}

make_users() {
  local users=/etc/sysusers.d/$NAME.conf
  if ! cmp --silent "$APP/deploy/$NAME.sysusers.conf" "$users"; then
    if wants "say which users the services run as: $users" "install -D -m 644 deploy/$NAME.sysusers.conf $users"; then
      install -D -m 644 "$APP/deploy/$NAME.sysusers.conf" "$users"
    fi
  fi
  if has_user || { [ ! -e "$users" ] && ((!dry_run)); }; then return 0; fi
  wants "make the user hk-tick (and opend, for an OpenD on this machine)" "systemd-sysusers $users" || return 0
  systemd-sysusers "$users" 2>&1
}

has_user() { getent passwd hk-tick >/dev/null && getent group hk-tick >/dev/null; }

# Not without the user: said once, and only where nobody has been asked to make it just now.
needs_user() {
  if has_user || ((dry_run)); then return 0; fi
  echo "left out, as there is no user hk-tick: $1"
  declined=$((declined + 1))
  return 1
}

make_data_directory() {
  if [ -d "$DATA" ]; then return 0; fi
  needs_user "$DATA" || return 0
  wants "make the data directory $DATA" "install -d -o hk-tick -g hk-tick -m 750 $DATA" || return 0
  install -d -o hk-tick -g hk-tick -m 750 "$DATA"
}

make_settings() {
  if [ -e "$SETTINGS" ]; then return 0; fi
  needs_user "$SETTINGS" || return 0
  wants "make the settings $SETTINGS, from the example: records HK.00700 and HK.00005 from an OpenD on this machine" \
    "install -m 640 -g hk-tick deploy/$NAME.env.example $SETTINGS" || return 0
  install -m 640 -g hk-tick "$APP/deploy/$NAME.env.example" "$SETTINGS"
}

make_unit() {
  local words="install the unit $UNIT"
  if cmp --silent "$APP/deploy/$NAME.service" "$UNIT"; then return 0; fi
  if [ -e "$UNIT" ]; then
    diff -u "$UNIT" "$APP/deploy/$NAME.service" || true
    words="replace the unit $UNIT as shown; the old one is kept as $NAME.service.before"
  fi
  wants "$words" "install -m 644 deploy/$NAME.service $UNIT; systemctl daemon-reload" || return 0
  install -m 644 --backup=simple --suffix=.before "$APP/deploy/$NAME.service" "$UNIT"
  systemctl daemon-reload
  if is_up; then
    echo "the recorder runs on with the old unit: systemctl restart $NAME, but not while Hong Kong trades"
  fi
}

make_command() {
  local link=/usr/local/bin/$NAME target=$APP/.venv/bin/$NAME
  if [ "$(readlink "$link" || true)" = "$target" ]; then return 0; fi
  wants "have the command on everybody's PATH: $link" "ln -sf $target /usr/local/bin/" || return 0
  ln -sf "$target" "$link"
}

# What is there already may say something else on purpose, and stays.
make_profile() {
  local profile=/etc/profile.d/$NAME.sh line root
  if [ -e "$profile" ]; then return 0; fi
  root=""
  if [ -r "$SETTINGS" ]; then
    root=$(sed -n 's/^[[:space:]]*DATA_ROOT=//p' "$SETTINGS" | tail -n 1 | tr -d "\"'")
  fi
  line="export DATA_ROOT=${root:-$DATA}"
  wants "have the commands know where the data is, after the next login: $profile" "echo '$line' >$profile" || return 0
  echo "$line" >"$profile"
}

enable_service() {
  if systemctl is-enabled --quiet "$NAME" 2>/dev/null; then return 0; fi
  if [ ! -e "$UNIT" ] && ((!dry_run)); then return 0; fi
  wants "start the recorder at each boot" "systemctl enable $NAME" || return 0
  systemctl enable --quiet "$NAME"
}

# Active, or waiting for OpenD.
is_up() { [[ $(systemctl show --property=ActiveState --value "$NAME") =~ ^(active|activating|reloading)$ ]]; }

start_service() {
  if is_up; then return 0; fi
  if [ ! -e "$UNIT" ] && ((!dry_run)); then return 0; fi
  wants "start the recorder now (decline to edit $SETTINGS first)" "systemctl start --no-block $NAME" || return 0
  systemctl reset-failed "$NAME" 2>/dev/null || true
  systemctl start --no-block "$NAME"
  # Until it says that it records or that it can't; what it waits for is said after some seconds.
  local text="" _
  for _ in {1..20}; do
    text=$(systemctl show --property=StatusText --value "$NAME")
    if [[ $text == recording* ]] || [ "$(systemctl show --property=ActiveState --value "$NAME")" = failed ]; then break; fi
    sleep 0.5
  done
  is_up || fail "the recorder did not start: $(last_error)"
  echo "the recorder: ${text:-has not said anything yet; see systemctl status $NAME}"
}

# The recorder's own, and not systemd's about it.
last_error() {
  journalctl "_SYSTEMD_UNIT=$NAME.service" --priority=err --lines=1 --output=cat --quiet
}

tell_end() {
  if ((dry_run && changed)); then
    echo "dry run: $changed changes to make, none was made"
  elif ((changed + declined == 0)); then
    echo "nothing to change: it is installed, and the recorder is $(systemctl show --property=ActiveState --value "$NAME")"
  elif ((declined)); then
    echo "changes made: $changed, left out: $declined; run it again for those"
  else
    echo "installed: changes made: $changed. Settings: $SETTINGS; log: journalctl -u $NAME; how it is: $NAME status"
  fi
}

main "$@"
