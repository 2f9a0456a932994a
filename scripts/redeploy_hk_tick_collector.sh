#!/usr/bin/env bash
# Brings another version of the recorder into service, and the old one back if that fails at any step.
#
#   sudo scripts/redeploy_hk_tick_collector.sh                     the newest commit of BRANCH
#   sudo TARGET_REF=v0.2.0 scripts/redeploy_hk_tick_collector.sh   that tag, branch or commit
#
# In this order: stop service, git sync, install dependencies, run tests, repair future ts_ms, install the unit if it has
# changed, start service, collect acceptance logs, verify. While the service is stopped nothing is recorded, and OpenD
# offers only the last 1000 ticks of a symbol afterwards. So before the stop, with the recorder running, the new version is
# fetched, installed and tested in a directory of its own; what is then left to do takes seconds. While Hong Kong trades
# nothing is deployed, unless you insist; and a commit that runs already is not deployed again.
#
# Exit code: 0 deployed and accepted, or it runs already · 1 it failed; the version before it is back and verified, or is
# back and waits for OpenD, as the last line says · 2 refused or failed before the service was stopped; nothing was touched
# · 3 it failed, and the version before it is not back: do it by hand, now.
#
# Variables, with their defaults:
#   TARGET_REF                                a tag, branch or commit; instead of BRANCH
#   BRANCH             main                   the newest commit of this branch of REMOTE
#   REMOTE             origin
#   FETCH              1                      0: deploy what is here already
#   APP_DIR            the checkout of this script
#   SERVICE_NAME       hk-tick-collector
#   DATA_ROOT          what the running recorder has
#   AUTO_ROLLBACK      1                      0: leave a failed deploy as it is
#   ALLOW_NO_OPEND     0                      1: deploy though OpenD is not connected, when it is the old version's fault
#   ALLOW_OPEN_MARKET  0                      1: deploy while Hong Kong trades: weekdays 09:00 to 16:15, or by OpenD's word
#   PREPARE            1                      0: do all with the service stopped
#   INSTALL_COMMAND    bash tools/bootstrap.sh run    in APP_DIR. Without a network: PIP_NO_INDEX=1 PIP_FIND_LINKS=DIR
#   PREPARE_COMMAND    INSTALL_COMMAND, or bash tools/bootstrap.sh test    where the tests run, beside the recorder
#   SKIP_TESTS         0                      1: no tests
#   TEST_COMMAND       .venv/bin/python -m pytest -q -p no:cacheprovider tests/unit tests/property
#   SMOKE_COMMAND      .venv/bin/python -c 'import hk_tick_collector.main, hk_tick_collector.writer.loop'
#                                             stands for the tests after the stop, if they have passed before it
#   SKIP_REPAIR        0                      1: do not look for times in the future
#   REPAIR_ARGS                               for scripts/repair_future_ts_ms.py, such as --by-seq
#   INSTALL_UNIT       auto                   1: overwrite the installed unit, 0: never touch it
#   ACCEPT_SEC         30                     the new version must run so long without a restart
#   VERIFY_WAIT_SEC    60                     and must then meet all targets within so long
#   START_TIMEOUT_SEC  120                    until it records
#   STOP_TIMEOUT_SEC   150
#   STATE_DIR          .git/hk-tick-deploy    what was before each deploy: commit, unit, environment
#   UNIT_DIR           /etc/systemd/system    UNIT_SOURCE: deploy/hk-tick-collector.service
#   VENV               $APP_DIR/.venv         ENV_FILE: /etc/hk-tick-collector.env
set -euo pipefail
PROGRAM=redeploy
# shellcheck source=scripts/deploy_steps.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/deploy_steps.sh"

touched=0  # the service may have been stopped
deployed=0 # set by the last line of the deploy, and by nothing else
is_same=0  # nothing to deploy
was_active=0
target=""      # the commit to deploy
record=""      # where what was before is kept
stage=""       # where the target is tried out
unit_wanted="" # "install" if the unit has to be

main() {
  take_no_words "$@"
  read_settings
  take_lock
  # However this script ends, by a failed command, `exit` in a function or a signal, it ends there.
  trap on_exit EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
  trap '' PIPE # a terminal that is gone must not end a deploy half way

  step "prepare: find out what to deploy" find_target
  step "prepare: see whether it runs already" need_another_version
  step "prepare: see whether Hong Kong trades" need_closed_market
  step "prepare: see whether OpenD is there" need_opend
  step "prepare: keep what is there now" keep_what_is
  if ((PREPARE)); then
    step "prepare: install and test ${target:0:12} beside the running recorder" rehearse
    step "prepare: see whether Hong Kong trades now" need_closed_market # that took minutes
    step "prepare: see whether OpenD is still there" need_opend
  fi

  local since
  since=$(date +%s)
  touched=1
  printf '%s\n' "$record" >"$STATE_DIR/unfinished"
  step "1/9: stop service" stop_service
  step "2/9: git sync to $(short "$target")" sync_tree "$target"
  step "3/9: install dependencies" install_deps
  step "4/9: run tests" run_tests
  step "5/9: repair future ts_ms" repair_future
  step "6/9: install unit" install_unit
  step "7/9: start service" start_service
  step "8/9: collect acceptance logs, for $ACCEPT_SEC s" collect_logs "$since" "$record/acceptance.log"
  step "9/9: verify" verify_service "$since"
  rm -f "$STATE_DIR/unfinished"
  deployed=1
}

on_exit() {
  local code=$?
  trap - EXIT
  trap '' HUP INT TERM # a second Ctrl-C must not stop the way back
  set +e
  if ((is_same)); then exit 0; fi
  if ((deployed)); then
    drop_stage
    prune_records "$record"
    say "deployed: $(short "$target"); back with ROLLBACK_REF=$(<"$record/commit") scripts/rollback_hk_tick_collector.sh"
    exit 0
  fi
  if ((!touched)); then
    drop_stage
    if [ -n "$record" ]; then rm -rf "$record"; fi
    complain "nothing was touched: the service is as it was; failed at \"$current_step\" (exit code $code):" \
      "${last_complaint:-its own words are above}"
    exit 2
  fi
  complain "failed at \"$current_step\" (exit code $code)"
  if ((!AUTO_ROLLBACK)); then
    drop_stage
    rm -f "$STATE_DIR/unfinished"
    complain "AUTO_ROLLBACK=0: $SERVICE_NAME is left as it is, $(show ActiveState);" \
      "back with ROLLBACK_REF=$(<"$record/commit") scripts/rollback_hk_tick_collector.sh"
    exit 3
  fi
  run_rollback "$record" "$was_active" # not in a condition: that would switch `set -e` off in it
  code=$?
  drop_stage # not before: it takes seconds, in which a version that fails would be in service
  if ((code == 0)); then
    rm -rf "$STATE_DIR/unfinished" "$record/venv" # a copy of what is in service again
    if [ -f "$record/waits" ]; then
      complain "rolled back to $(short HEAD): the old version is back and waits for OpenD, so it was not verified"
    else
      complain "rolled back to $(short HEAD), and verified"
    fi
    exit 1
  fi
  complain "NOT ROLLED BACK, OR NOT WHOLLY: $SERVICE_NAME is $(show ActiveState). By hand, now:" \
    "ROLLBACK_REF=$(<"$record/commit") scripts/rollback_hk_tick_collector.sh"
  exit 3
}

read_settings() {
  set_places
  TARGET_REF=${TARGET_REF:-}
  REMOTE=${REMOTE:-origin}
  FETCH=${FETCH:-1}
  AUTO_ROLLBACK=${AUTO_ROLLBACK:-1}
  ALLOW_NO_OPEND=${ALLOW_NO_OPEND:-0}
  ALLOW_OPEN_MARKET=${ALLOW_OPEN_MARKET:-0}
  PREPARE=${PREPARE:-1}
  SKIP_TESTS=${SKIP_TESTS:-0}
  SKIP_REPAIR=${SKIP_REPAIR:-0}
  INSTALL_UNIT=${INSTALL_UNIT:-auto}
  local name
  for name in FETCH AUTO_ROLLBACK ALLOW_NO_OPEND ALLOW_OPEN_MARKET PREPARE SKIP_TESTS SKIP_REPAIR; do
    [[ ${!name} == [01] ]] || refuse "$name=${!name}: expected 0 or 1"
  done
  [[ $INSTALL_UNIT =~ ^(auto|0|1)$ ]] || refuse "INSTALL_UNIT=$INSTALL_UNIT: expected auto, 0 or 1"
  [ -z "$TARGET_REF" ] || [ -z "${BRANCH:-}" ] || refuse "TARGET_REF and BRANCH: expected one of them"
  BRANCH=${BRANCH:-main}
  # What the tests need is nothing for production, so it goes where they run.
  local here="run" there="test"
  if ((SKIP_TESTS)); then there="run"; elif ((!PREPARE)); then here="test"; fi
  PREPARE_COMMAND=${PREPARE_COMMAND:-${INSTALL_COMMAND:-bash tools/bootstrap.sh $there}}
  INSTALL_COMMAND=${INSTALL_COMMAND:-bash tools/bootstrap.sh $here}
  TEST_COMMAND=${TEST_COMMAND:-.venv/bin/python -m pytest -q -p no:cacheprovider tests/unit tests/property}
  local smoke=".venv/bin/python -c 'import hk_tick_collector.main, hk_tick_collector.writer.loop'"
  SMOKE_COMMAND=${SMOKE_COMMAND:-$smoke}
  need_root
  need_tools git flock systemctl journalctl timeout runuser
  find_git
  need_clean_tree
  find_data_root
  if [ -f "$STATE_DIR/unfinished" ]; then
    refuse "the deploy before this one failed and was not wholly rolled back, or was cut off: first" \
      "ROLLBACK_REF=$(cat "$(cat "$STATE_DIR/unfinished")/commit") scripts/rollback_hk_tick_collector.sh" \
      "(or, if all is well, delete $STATE_DIR/unfinished)"
  fi
}

# Without OpenD no version could be accepted, nor the old one verified on the way back.
need_opend() {
  if ((ALLOW_NO_OPEND)) || ! opend_is_away; then return 0; fi
  sleep 3 # longer than recorder.json is old: it may be connecting again just now
  if ! opend_is_away; then return 0; fi
  fail "OpenD not connected ($why_away): no version could be accepted; start OpenD first (or ALLOW_NO_OPEND=1)"
}

find_target() {
  local ref
  if ((FETCH)); then in_git fetch --quiet --tags "$REMOTE" || fail "git fetch $REMOTE failed"; fi
  if [ -z "$TARGET_REF" ]; then
    ref=refs/remotes/$REMOTE/$BRANCH
  elif commit_of "refs/remotes/$REMOTE/$TARGET_REF" >/dev/null; then
    ref=refs/remotes/$REMOTE/$TARGET_REF # a branch by its name: what was fetched just now, not an old copy of it
  else
    ref=$TARGET_REF
  fi
  target=$(commit_of "$ref") || fail "$ref is no commit here: check TARGET_REF or BRANCH"
  say "from $(short HEAD) to $(short "$target")"
}

need_another_version() {
  if [ "$target" != "$(commit_of HEAD)" ] || [ "$INSTALL_UNIT" = 1 ] || [ ! -f "$unit_file" ] || ! runs_tree; then
    return 0
  fi
  say "nothing to deploy: $(short "$target") runs already, and was not restarted"
  is_same=1
  exit 0
}

keep_what_is() {
  decide_unit
  record=$(save_record)
  # "failed" too: a recorder that should run and doesn't is no better stopped.
  if is_known && [[ $(show ActiveState) =~ ^(active|activating|reloading|failed)$ ]]; then was_active=1; fi
}

# Which unit is right after the deploy: sets `unit_wanted` to "" (leave it) or "install".
decide_unit() {
  local wanted installed before
  [ "$INSTALL_UNIT" != 0 ] || return 0
  wanted=$(unit_of "$target")
  [ -n "$wanted" ] || return 0
  if [ "$INSTALL_UNIT" = 1 ] || [ ! -f "$unit_file" ]; then
    unit_wanted=install
    return 0
  fi
  installed=$(<"$unit_file")
  before=$(unit_of HEAD)
  if [ "$installed" = "$wanted" ] || [ "$before" = "$wanted" ]; then
    return 0 # the release does not change it; what somebody has changed in it by hand stays
  fi
  [ "$installed" = "$before" ] || fail "$unit_file was changed by hand, and this release changes it too: move your" \
    "changes to a drop-in (systemctl edit $SERVICE_NAME) and say INSTALL_UNIT=1, or keep yours with INSTALL_UNIT=0"
  unit_wanted=install
}

unit_of() { in_git show "$1:$UNIT_SOURCE" 2>/dev/null || true; }

# All that can fail slowly, while the recorder still records: in a worktree of the target, with an environment of its own.
rehearse() {
  stage=$record/stage
  in_git worktree add --quiet --force --detach "$stage" "$target"
  (cd "$stage" && nice bash -c "$PREPARE_COMMAND" 9>&-)
  if ((!SKIP_TESTS)); then (cd "$stage" && nice bash -c "$TEST_COMMAND" 9>&-); fi
}

drop_stage() {
  if [ -z "$stage" ]; then return 0; fi
  in_git worktree remove --force "$stage" 2>/dev/null
  rm -rf "$stage"
  in_git worktree prune
}

run_tests() {
  if ((SKIP_TESTS)); then
    say "SKIP_TESTS=1: no tests"
  elif ((PREPARE)); then
    say "the tests have passed on this commit before the stop; here it is only seen whether the installation is whole"
    (cd "$APP_DIR" && bash -c "$SMOKE_COMMAND" 9>&-)
  else
    (cd "$APP_DIR" && bash -c "$TEST_COMMAND" 9>&-)
  fi
}

repair_future() {
  if ((SKIP_REPAIR)); then
    say "SKIP_REPAIR=1: no repair"
  elif [ ! -d "$DATA_ROOT" ]; then
    say "$DATA_ROOT is not there yet: nothing to repair"
  else
    local args=()
    read -r -a args <<<"${REPAIR_ARGS:-}"
    cd "$DATA_ROOT" # the recorder's user may not enter this script's directory
    as_recorder "$VENV/bin/python" -P "$APP_DIR/scripts/repair_future_ts_ms.py" --data-root "$DATA_ROOT" "${args[@]}"
    cd /
  fi
}

install_unit() {
  if [ -z "$unit_wanted" ]; then
    say "$unit_file stays as it is"
    return 0
  fi
  local is_new=0
  [ -f "$unit_file" ] || is_new=1
  put_unit "$APP_DIR/$UNIT_SOURCE"
  if ((is_new)); then systemctl enable --quiet -- "$SERVICE_NAME"; fi
}

main "$@"
