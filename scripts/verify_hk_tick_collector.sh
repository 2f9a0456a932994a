#!/usr/bin/env bash
# Shows whether the recorder does what it should: `hk-tick-collector verify`, with the log lines around it.
#
#   scripts/verify_hk_tick_collector.sh
#
# Exit code, from `hk-tick-collector verify`: 0 all targets are met, 1 one is not (the last line says which, what was seen,
# what was expected), 2 wrong usage, or it could not be judged. Run it with sudo, or as a member of systemd-journal who
# may read DATA_ROOT.
#
# Variables, with their defaults:
#   SERVICE_NAME  hk-tick-collector             the unit whose log is read
#   DATA_ROOT     what the running recorder has
#   SINCE         1h                            a time with its zone (2026-11-20T09:30:00+08:00, @1795138200), or so long ago
#   WAIT_SEC      20                            look again for so long until all targets are met
#   MARKET        auto                          auto, open or closed: whether ticks have to come now
#   LOG_LINES     20                            so many recent log lines are shown
#   APP_DIR       the checkout of this script   VENV: $APP_DIR/.venv
set -euo pipefail
PROGRAM=verify
# shellcheck source=scripts/deploy_steps.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/deploy_steps.sh"

main() {
  take_no_words "$@"
  set_places
  need_tools systemctl journalctl
  [ -x "$VENV/bin/python" ] || refuse "$VENV/bin/python is not there: set APP_DIR or VENV"
  find_data_root
  local since=${SINCE:-1h} seconds files log code
  seconds=$(epoch_of "$since")
  files=$(mktemp -d)
  # shellcheck disable=SC2064 # the name as it is now
  trap "rm -rf '$files'" EXIT
  log=$files/log

  echo "== acceptance targets =="
  code=0
  cd / # no .env and no module that lies about where somebody stands
  "$VENV/bin/python" -P -m hk_tick_collector.cli.app verify --data-root "$DATA_ROOT" --unit "$SERVICE_NAME" \
    --since "@$seconds" --wait-sec "${WAIT_SEC:-20}" --market "${MARKET:-auto}" |
    tee "$files/verdict" || code=$?
  ((code < 2)) || exit "$code" # it has said why, and nothing must come after that

  unit_log "$seconds" >"$log" || refuse "journalctl of $SERVICE_NAME failed"
  echo
  echo "== recent health, persist_ticks, persist_loop_heartbeat (since $(date -u -d "@$seconds" +%Y-%m-%dT%H:%M:%SZ)) =="
  grep -E '^[^ ]+Z [A-Z]+ +(health|persist_ticks|persist_loop_heartbeat) ' "$log" | tail -n "${LOG_LINES:-20}" ||
    echo "none"
  echo
  echo "== watchdog =="
  echo "WATCHDOG lines: $(grep -cE '^[^ ]+Z [A-Z]+ +WATCHDOG ' "$log" || true)"
  grep -E '^[^ ]+Z [A-Z]+ +WATCHDOG ' "$log" | tail -n "${LOG_LINES:-20}" || true
  echo
  tail -n 1 "$files/verdict"
  exit "$code"
}

# The same forms as the command takes. A time without a zone would be the host's local time: refused.
epoch_of() {
  local text=$1
  local zone='(Z|[+-][0-9]{2}:?[0-9]{2})$'
  if [[ $text =~ ^@([0-9]+)$ ]]; then
    echo "${BASH_REMATCH[1]}"
  elif [[ $text =~ ^([0-9]+)(s|m|min|h|d)$ ]]; then
    local -A unit=([s]=1 [m]=60 [min]=60 [h]=3600 [d]=86400)
    echo $(($(date +%s) - BASH_REMATCH[1] * ${unit[${BASH_REMATCH[2]}]}))
  elif [[ $text =~ ^[0-9]{4}-[0-9]{2}-[0-9]{2}[T\ ][0-9:]+(\.[0-9]+)?$zone ]]; then
    date -d "$text" +%s 2>/dev/null || refuse "SINCE=$text is no time"
  else
    refuse "SINCE=$text: expected a time with its zone, such as 2026-11-20T09:30:00+08:00 or @1795138200, or so long ago: 30m"
  fi
}

main "$@"
