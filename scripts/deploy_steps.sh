# shellcheck shell=bash
# What deploy, rollback and verify have in common. Sourced by them, before anything is checked out: from then on all of it
# is in memory, and the tree may be switched under it.
#
# How failures are found. Each step is called plainly, under `set -e`, and never in an `if`, a `&&` or a `!`: bash ignores
# failures inside a function that is called there. Who has to react does so in an EXIT trap, which also comes after `exit`
# inside of a function; an ERR trap does not.

shopt -s inherit_errexit # or a failure inside of $(…) is none

# ---- words: one line each, on standard error if it is a complaint

say() { printf '%s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$*"; }

last_complaint="" # so that the last line of all can repeat the cause

complain() {
  # shellcheck disable=SC2034 # used by redeploy
  last_complaint=$*
  printf '%s: %s\n' "$PROGRAM" "$*" >&2
}

# Wrong usage, or a place that is not as it must be; nothing was touched.
refuse() {
  complain "$*"
  exit 2
}

fail() {
  complain "$*"
  exit 1
}

current_step="start"

# step WORDS COMMAND…
step() {
  current_step=$1
  say "$current_step"
  shift
  "$@"
}

# A script takes variables, and no words but --help: the text between its first line and its first line of code.
take_no_words() {
  case ${1:-} in
    "") ;;
    -h | --help)
      sed -n '2,/^[^#]/ { s/^# \{0,1\}//p }' "${BASH_SOURCE[1]}"
      exit 0
      ;;
    *) refuse "unknown argument $1: see --help" ;;
  esac
}

# ---- where everything is

# Sets what is not set. In the environment of the scripts, not of the recorder: DATA_ROOT and the like must not reach the
# tests, which would play with it.
set_places() {
  APP_DIR=${APP_DIR:-$(dirname "${BASH_SOURCE[0]}")/..}
  APP_DIR=$(cd "$APP_DIR" 2>/dev/null && pwd) || refuse "APP_DIR is no directory"
  SERVICE_NAME=${SERVICE_NAME:-hk-tick-collector}
  SERVICE_NAME=${SERVICE_NAME%.service}.service
  UNIT_DIR=${UNIT_DIR:-/etc/systemd/system}
  UNIT_SOURCE=${UNIT_SOURCE:-deploy/hk-tick-collector.service}
  VENV=${VENV:-$APP_DIR/.venv}
  ENV_FILE=${ENV_FILE:-/etc/hk-tick-collector.env}
  ACCEPT_SEC=${ACCEPT_SEC:-30}
  VERIFY_WAIT_SEC=${VERIFY_WAIT_SEC:-60}
  START_TIMEOUT_SEC=${START_TIMEOUT_SEC:-120}
  STOP_TIMEOUT_SEC=${STOP_TIMEOUT_SEC:-150}
  unit_file=$UNIT_DIR/$SERVICE_NAME
  declare -gx APP_DIR SERVICE_NAME VENV ENV_FILE
  declare -g +x DATA_ROOT="${DATA_ROOT:-}"
  local name
  for name in ACCEPT_SEC VERIFY_WAIT_SEC START_TIMEOUT_SEC STOP_TIMEOUT_SEC; do
    [[ ${!name} =~ ^(0|[1-9][0-9]*)$ ]] || refuse "$name=${!name}: expected whole seconds"
  done
}

need_tools() {
  local tool
  for tool in "$@"; do
    command -v "$tool" >/dev/null || refuse "$tool is needed and is not here"
  done
}

need_root() { [ "$(id -u)" -eq 0 ] || refuse "must be run as root, which may stop and start $SERVICE_NAME: sudo $0"; }

# APP_DIR may belong to another user than the one who deploys.
# Without the lock: `git fetch` may leave a `git gc` behind, which would hold it for as long as it tidies up.
in_git() { git -c safe.directory='*' -c advice.detachedHead=false -C "$APP_DIR" "$@" 9>&-; }

find_git() {
  GIT_DIR_OF_APP=$(in_git rev-parse --absolute-git-dir 2>/dev/null) ||
    refuse "APP_DIR $APP_DIR is no git checkout: clone the project there, or set APP_DIR"
  [ "$(in_git rev-parse --show-toplevel)" = "$(cd "$APP_DIR" && pwd -P)" ] ||
    refuse "APP_DIR $APP_DIR is inside of a git checkout, and not its top"
  # Inside of .git: it survives checkouts, and never makes the tree dirty.
  STATE_DIR=${STATE_DIR:-$GIT_DIR_OF_APP/hk-tick-deploy}
  mkdir -p "$STATE_DIR"
}

# Two deploys at once would roll back each other. The lock is held for as long as this script lives.
take_lock() {
  exec 9>>"$STATE_DIR/lock"
  flock --nonblock 9 || refuse "another deploy or rollback is at work on $APP_DIR: wait for it"
}

need_clean_tree() {
  local changes
  changes=$(in_git status --porcelain)
  [ -z "$changes" ] || refuse "$APP_DIR has changes of its own (${changes%%$'\n'*} …): commit them, or put them away"
}

commit_of() { in_git rev-parse --verify --quiet --end-of-options "$1^{commit}"; }

short() { in_git log -1 --format='%h "%s"' "$1"; }

# ---- the service

show() { systemctl show --property="$1" --value -- "$SERVICE_NAME"; }

is_known() { [ "$(show LoadState)" != not-found ]; }

# The recorder's DATA_ROOT: what you say, else what the one that runs has been given, else what the settings say.
find_data_root() {
  local pid root=""
  pid=$(show MainPID)
  if [ "${pid:-0}" -gt 0 ] && [ -r "/proc/$pid/environ" ]; then
    root=$(tr '\0' '\n' <"/proc/$pid/environ" | sed -n 's/^DATA_ROOT=//p')
  fi
  if [ -z "$root" ] && [ -r "$ENV_FILE" ]; then
    root=$(sed -n 's/^[[:space:]]*DATA_ROOT=//p' "$ENV_FILE" | tail -n 1 | tr -d "\"'")
  fi
  if [ -z "$root" ]; then
    root=$(show Environment | tr ' ' '\n' | tr -d "\"'" | sed -n 's/^DATA_ROOT=//p' | tail -n 1)
  fi
  # Last, since a login shell may export it for other commands.
  DATA_ROOT=${root:-$DATA_ROOT}
  [[ $DATA_ROOT == /* ]] ||
    refuse "the recorder's DATA_ROOT is not to be found (seen: '${DATA_ROOT:-nothing}'): set DATA_ROOT, in full"
}

# As the recorder's user: a file that root makes in DATA_ROOT is one that the recorder can't open.
as_recorder() {
  local user
  user=$(show User)
  if [ "$(id -u)" -eq 0 ] && [ -n "$user" ] && [ "$user" != root ]; then
    runuser -u "$user" -- "$@"
  else
    "$@"
  fi
}

# Whether the recorder that runs was started from the tree as it is: it is up, and was started after the tree came to this
# commit. (`git switch main` at the same commit, which the documents suggest, changes nothing.)
runs_tree() {
  local started since
  [[ $(show ActiveState) =~ ^(active|activating)$ ]] && [ "$(show MainPID)" != 0 ] || return 1
  started=$(TZ=UTC show ExecMainStartTimestamp)
  started=$(date -d "${started:-none}" +%s 2>/dev/null) || return 1
  since=$(in_git reflog --date=unix --format='%H %gd' HEAD | sed 's/HEAD@{\(.*\)}/\1/' |
    awk -v head="$(commit_of HEAD)" '$1 != head { exit } { since = $2 } END { print since }')
  [ -n "$since" ] && ((started > since))
}

stop_service() {
  if ! is_known; then
    say "there is no $SERVICE_NAME yet"
    return 0
  fi
  local code=0
  timeout --foreground "$STOP_TIMEOUT_SEC" systemctl stop -- "$SERVICE_NAME" || code=$?
  ((code != 124)) || fail "$SERVICE_NAME did not stop within $STOP_TIMEOUT_SEC s"
  ((code == 0)) || fail "$SERVICE_NAME could not be stopped (exit code $code)"
}

# `systemctl start` returns once the recorder records (Type=notify). While OpenD is away, the recorder asks systemd for more
# time, for ever: hence a limit of our own.
start_service() {
  systemctl reset-failed -- "$SERVICE_NAME" 2>/dev/null || true # starts that failed before would count against this one
  local code=0
  timeout --foreground "$START_TIMEOUT_SEC" systemctl start -- "$SERVICE_NAME" || code=$?
  ((code != 124)) || fail "$SERVICE_NAME did not start within $START_TIMEOUT_SEC s: $(show StatusText)"
  ((code == 0)) || fail "$SERVICE_NAME did not start: $(show Result), see journalctl --unit=$SERVICE_NAME"
}

# The start of the way back. An OpenD that is away is no fault of the version that comes back: it waits for it, and leaves
# word of that in the record.
start_old_service() {
  local record=$1 code=0
  rm -f "$record/waits"
  (start_service) || code=$?
  if ((code == 0)); then return 0; fi
  [ "$(show SubState)" = start ] || exit "$code" # not "auto-restart", which is one that crashes
  opend_is_away || exit "$code"
  say "OpenD is away (${why_away:-no answer yet}): this version runs, and waits for it"
  : >"$record/waits"
}

# What the recorder that runs has reported in the last half minute, line by line: "away WHY" while OpenD is not connected;
# "open STATE" or "closed STATE" as OpenD has told it of the market, the latter only if no tick came lately.
reported() {
  local pid
  pid=$(show MainPID)
  if [ "${pid:-0}" -eq 0 ] || [ ! -x "$VENV/bin/python" ]; then return 0; fi
  "$VENV/bin/python" -I -c '
import json, sys, time
QUIET_SEC = 900
try:
    with open(sys.argv[1] + "/recorder.json") as file:
        state = json.load(file)
    if state["pid"] == int(sys.argv[2]) and abs(time.time() - state["at_ms"] / 1000) < 30:
        session = state["session"]
        if not session["connected"]:
            print("away", session.get("last_disconnect") or "no answer yet")
        market, push_age_sec = state["market"], session.get("last_push_age_sec")
        if market["source"] == "opend" and market["is_open"]:
            print("open", market["state"])
        elif market["source"] == "opend" and market["state"] in ("CLOSED", "NONE"):
            if push_age_sec is None or push_age_sec > QUIET_SEC:
                print("closed", market["state"])
except (OSError, ValueError, KeyError, TypeError, AttributeError):
    pass
' "$DATA_ROOT" "$pid"
}

# Whether the recorder that runs says that it is not connected: sets `why_away`. False also where it does not speak, or
# not of now. For a condition, so it must not count on `set -e`.
opend_is_away() {
  why_away=$(reported | sed -n 's/^away //p') || return 1
  [ -n "$why_away" ]
}

# ---- the market

readonly HOURS_BEGIN=0900 HOURS_END=1615 # Hong Kong's; the closing auction's last print comes by then
# From when on a market that OpenD calls closed is a holiday, or a half day that is over, and not one that has yet to open.
readonly CLOSED_COUNTS_FROM=0935

# Whether a restart now would cost ticks: sets `why_open`. By Hong Kong's clock, and by what the recorder has heard from
# OpenD, which alone knows of holidays. A recorder that does not run has nothing to lose. For a condition, as above.
market_is_open() {
  local now word
  why_open=""
  if [ "$(show MainPID)" = 0 ]; then return 1; fi
  now=$(TZ=HKT-8 date +%u%H%M) # a zone that needs no files
  word=$(reported | grep -E "^(open|closed) ") || word=""
  if [[ $word == open* ]]; then
    why_open="OpenD says ${word#open }"
    return 0
  fi
  if ((10#$now >= 60000 || 10#${now:1} < 10#$HOURS_BEGIN || 10#${now:1} >= 10#$HOURS_END)); then return 1; fi
  if [[ $word == closed* ]] && ((10#${now:1} >= 10#$CLOSED_COUNTS_FROM)); then return 1; fi
  why_open="it is ${now:1:2}:${now:3} on a weekday in Hong Kong"
}

need_closed_market() {
  if ((ALLOW_OPEN_MARKET)) || ! market_is_open; then return 0; fi
  fail "Hong Kong trades ($why_open), and a restart may lose ticks: wait until 16:15 in Hong Kong, or say" \
    "ALLOW_OPEN_MARKET=1"
}

# It must be up, and be the same process all the time: one that crashes and is started again looks well in between.
watch_service() {
  local seconds=$1 pid restarts
  local until=$((SECONDS + seconds))
  pid=$(show MainPID)
  restarts=$(show NRestarts)
  while :; do
    [ "$(show ActiveState)" = active ] || fail "$SERVICE_NAME is $(show ActiveState) ($(show Result)), expected active"
    [ "$(show MainPID) $(show NRestarts)" = "$pid $restarts" ] ||
      fail "$SERVICE_NAME was restarted while it was watched: pid $pid → $(show MainPID), $(show NRestarts) restarts"
    ((SECONDS < until)) || break
    sleep 1
  done
}

unit_log() { journalctl --unit="$SERVICE_NAME" --since="@$1" --output=cat --quiet --no-pager; }

# What was logged since then (seconds since the epoch, so that no zone can be mistaken), into a file and its end to here.
collect_logs() {
  local since=$1 into=$2
  watch_service "$ACCEPT_SEC"
  unit_log "$since" >"$into"
  say "$(wc -l <"$into") lines of log since then in $into; the last of them:"
  tail -n 12 "$into"
}

# The version that runs judges itself: it knows its own files. One from before there was a judge can only be watched.
verify_service() {
  local since=$1
  local script=$APP_DIR/scripts/verify_hk_tick_collector.sh
  watch_service $((ACCEPT_SEC < 2 ? ACCEPT_SEC : 2))
  if [ -f "$script" ]; then
    DATA_ROOT=$DATA_ROOT SINCE=@$since WAIT_SEC=$VERIFY_WAIT_SEC bash "$script"
    watch_service 0
  else
    say "this version has no verify script: it was watched for $ACCEPT_SEC s instead"
    watch_service "$ACCEPT_SEC"
  fi
}

# ---- the tree and what it needs

install_deps() { (cd "$APP_DIR" && bash -c "$INSTALL_COMMAND" 9>&-); }

# Detached: which commit runs is then a fact, and no branch is moved. --force: the caller has seen that there is nothing to
# lose, and half a checkout must not stop a rollback.
sync_tree() {
  in_git checkout --quiet --force --detach "$1" --
  [ "$(commit_of HEAD)" = "$1" ] || fail "the tree is at $(commit_of HEAD), expected $1"
}

# The commit, the branch, the unit and the environment as they are, in a directory of their own. Prints its name.
save_record() {
  local record
  record=$STATE_DIR/$(date -u +%Y%m%dT%H%M%SZ)-$(in_git rev-parse --short HEAD)
  while [ -e "$record" ]; do record+=+; done # of a deploy that was killed in this same second
  mkdir -p "$record"
  commit_of HEAD >"$record/commit"
  in_git symbolic-ref --quiet --short HEAD >"$record/branch" || true
  if [ -f "$unit_file" ]; then cp -p "$unit_file" "$record/unit"; else : >"$record/unit.absent"; fi
  # So that a rollback needs no package index, which may be what is away.
  if [ -d "$VENV" ] && [ ! -L "$VENV" ]; then cp -a --reflink=auto "$VENV" "$record/venv"; fi
  printf '%s\n' "$record"
}

# Of the older records what is large is deleted, and what a deploy that was killed has left.
prune_records() {
  local record
  for record in "$STATE_DIR"/*/; do
    [ "${record%/}" = "$1" ] || rm -rf "${record}venv" "${record}stage"
  done
  in_git worktree prune
}

# ---- the way back; in a subshell of its own, see run_rollback

# roll_back RECORD WAS_ACTIVE: to what a record says.
roll_back() {
  local record=$1 was_active=$2 commit since
  commit=$(<"$record/commit")
  step "rollback 1/6: stop service" stop_service
  step "rollback 2/6: checkout $commit" restore_tree "$commit" "$record"
  step "rollback 3/6: reinstall runtime dependencies" restore_deps "$record"
  step "rollback 4/6: restore unit" restore_unit "$record"
  if ((!was_active)); then
    say "$SERVICE_NAME did not run before, so it is left stopped"
    return 0
  fi
  since=$(date +%s)
  step "rollback 5/6: start service" start_old_service "$record"
  if [ -f "$record/waits" ]; then return 0; fi
  step "rollback 6/6: verify" verify_service "$since"
}

restore_tree() {
  local commit=$1 record=$2 branch=""
  # The lock of a git of ours that was killed: we hold the lock of the deploy, so nobody else is at it.
  rm -f "$GIT_DIR_OF_APP/index.lock"
  sync_tree "$commit"
  if [ -s "$record/branch" ]; then branch=$(<"$record/branch"); fi
  # Back on the branch, if it still is where it was.
  if [ -n "$branch" ] && [ "$(commit_of "refs/heads/$branch" || true)" = "$commit" ]; then
    in_git checkout --quiet "$branch" --
  fi
}

# A copy is put in place, so that this can be done again, should a later step fail.
restore_deps() {
  local record=$1
  if [ ! -d "$record/venv" ]; then
    install_deps
    return 0
  fi
  rm -rf "$STATE_DIR/venv.new" "$STATE_DIR/venv.failed"
  mkdir "$STATE_DIR/venv.new"
  cp -a --reflink=auto "$record/venv/." "$STATE_DIR/venv.new"
  if [ -e "$VENV" ]; then mv "$VENV" "$STATE_DIR/venv.failed"; fi
  mv "$STATE_DIR/venv.new" "$VENV"
  rm -rf "$STATE_DIR/venv.failed"
}

restore_unit() {
  local record=$1
  [ "$INSTALL_UNIT" != 0 ] || return 0
  if [ -f "$record/unit" ]; then
    put_unit "$record/unit"
  elif [ -f "$record/unit.absent" ] && [ -f "$unit_file" ]; then
    systemctl disable --quiet -- "$SERVICE_NAME" || true
    rm -f "$unit_file"
    systemctl daemon-reload
  fi
}

put_unit() {
  if cmp --silent "$1" "$unit_file"; then
    return 0
  fi
  install -m 644 "$1" "$unit_file.new"
  mv "$unit_file.new" "$unit_file" # whole or not at all
  systemctl daemon-reload
}

tell_failed_step() {
  local code=$?
  ((code == 0)) || complain "failed at \"$current_step\" (exit code $code)"
}

# Whether it went well, as the exit code; must not itself stand in a condition.
run_rollback() {
  (
    set -eE
    trap tell_failed_step EXIT
    roll_back "$@"
  )
}
