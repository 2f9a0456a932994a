#!/usr/bin/env bash
# Goes back to a version of the recorder that is known to be good, by hand.
#
#   sudo ROLLBACK_REF=<previous commit> scripts/rollback_hk_tick_collector.sh
#
# In this order: stop service, checkout ROLLBACK_REF, reinstall runtime dependencies, restore unit, start service, verify.
# Where a deploy has kept the unit and the environment of that commit (in STATE_DIR), these come back as they were, without
# a network; else the unit is that commit's own, and INSTALL_COMMAND installs the dependencies.
#
# Exit code: 0 it runs and was verified · 1 a step failed: the last lines say which; or it runs and waits for OpenD, which
# they say as well · 2 refused; nothing was touched.
#
# Variables, with their defaults:
#   ROLLBACK_REF                              required: a commit, or a tag
#   DISCARD_CHANGES    0                      1: go back even if the tree has changes of its own, and lose them
#   ALLOW_OPEN_MARKET  0                      1: go back while Hong Kong trades; needless after a deploy that was cut off
#   INSTALL_COMMAND    bash tools/bootstrap.sh run    in APP_DIR. Without a network: PIP_NO_INDEX=1 PIP_FIND_LINKS=DIR
#   INSTALL_UNIT       auto                   0: do not touch the installed unit
#   APP_DIR            the checkout of this script
#   SERVICE_NAME       hk-tick-collector
#   DATA_ROOT          what the running recorder has
#   ACCEPT_SEC         30                     how long it is watched, if it is a version without a verify script
#   VERIFY_WAIT_SEC    60                     it must meet all targets within so long
#   START_TIMEOUT_SEC  120                    until it records
#   STOP_TIMEOUT_SEC   150
#   STATE_DIR          .git/hk-tick-deploy    where deploys have kept what was before them
#   UNIT_DIR           /etc/systemd/system    UNIT_SOURCE: deploy/hk-tick-collector.service
#   VENV               $APP_DIR/.venv         ENV_FILE: /etc/hk-tick-collector.env
set -euo pipefail
PROGRAM=rollback
# shellcheck source=scripts/deploy_steps.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/deploy_steps.sh"

main() {
  take_no_words "$@"
  [ -n "${ROLLBACK_REF:-}" ] || refuse "ROLLBACK_REF is not set: ROLLBACK_REF=<previous commit> $0"
  set_places
  DISCARD_CHANGES=${DISCARD_CHANGES:-0}
  ALLOW_OPEN_MARKET=${ALLOW_OPEN_MARKET:-0}
  INSTALL_UNIT=${INSTALL_UNIT:-auto}
  INSTALL_COMMAND=${INSTALL_COMMAND:-bash tools/bootstrap.sh run}
  [[ $DISCARD_CHANGES == [01] ]] || refuse "DISCARD_CHANGES=$DISCARD_CHANGES: expected 0 or 1"
  [[ $ALLOW_OPEN_MARKET == [01] ]] || refuse "ALLOW_OPEN_MARKET=$ALLOW_OPEN_MARKET: expected 0 or 1"
  [[ $INSTALL_UNIT =~ ^(auto|0)$ ]] || refuse "INSTALL_UNIT=$INSTALL_UNIT: expected auto or 0"
  need_root
  need_tools git flock systemctl journalctl timeout
  find_git
  take_lock
  local commit
  commit=$(commit_of "$ROLLBACK_REF") || refuse "ROLLBACK_REF=$ROLLBACK_REF is no commit in $APP_DIR: git fetch, or check it"
  # After a deploy that was cut off the tree may be half of each version: nothing of anybody's is lost then.
  if ((!DISCARD_CHANGES)) && [ ! -f "$STATE_DIR/unfinished" ]; then need_clean_tree; fi
  find_data_root
  if [ ! -f "$STATE_DIR/unfinished" ] && ((!ALLOW_OPEN_MARKET)) && market_is_open; then
    refuse "Hong Kong trades ($why_open), and a restart may lose ticks: ALLOW_OPEN_MARKET=1 goes back all the same"
  fi
  trap '' PIPE

  plan=$STATE_DIR/$(date -u +%Y%m%dT%H%M%SZ)-rollback
  make_plan "$commit"
  set +e
  run_rollback "$plan" 1 # not in a condition: that would switch `set -e` off in it
  local code=$? waits=0
  set -e
  if [ -f "$plan/waits" ]; then waits=1; fi
  rm -rf "$plan"
  if ((code)); then
    fail "NOT ROLLED BACK, OR NOT WHOLLY: $SERVICE_NAME is $(show ActiveState); mend what the lines above say, and run it again"
  fi
  rm -f "$STATE_DIR/unfinished"
  ((!waits)) || fail "rolled back to $(short "$commit"): it is back and waits for OpenD, so it was not verified"
  say "rolled back to $(short "$commit"), and verified"
}

# A record as a deploy keeps it: from the newest that there is of this commit, else from the commit itself.
make_plan() {
  local commit=$1 record="" candidate
  for candidate in "$STATE_DIR"/*/; do
    if [ -f "${candidate}commit" ] && [ "$(<"${candidate}commit")" = "$commit" ]; then record=${candidate%/}; fi
  done
  mkdir -p "$plan"
  printf '%s\n' "$commit" >"$plan/commit"
  if [ -n "$record" ]; then say "with what was kept in $record"; fi
  if [ -d "$record/venv" ]; then ln -s "$record/venv" "$plan/venv"; fi
  if [ -f "$record/unit" ]; then
    cp "$record/unit" "$plan/unit"
  elif in_git cat-file -e "$commit:$UNIT_SOURCE" 2>/dev/null; then
    in_git show "$commit:$UNIT_SOURCE" >"$plan/unit"
  else
    say "$commit has no $UNIT_SOURCE: the installed unit stays"
  fi
}

main "$@"
