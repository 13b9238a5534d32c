#!/bin/sh
# unit.sh UNIT SECONDS COMMAND...: the command as systemd supervises a service. It runs again when it ended
# (Restart=always), after some seconds (RestartSec=) or at once where systemctl.sh, beside this file, asked
# for it; while that one has stopped the unit, not at all.
run=/run/harness
unit=$1
pause=$2
shift 2
mkdir -p $run
: >"$run/$unit"
trap 'kill "$(cat "$run/$unit.pid")"; exit 0' TERM
while :; do
  while [ -e "$run/$unit.stopped" ]; do sleep 0.05; done
  rm -f "$run/$unit.now"
  "$@" &
  echo $! >"$run/$unit.new" && mv "$run/$unit.new" "$run/$unit.pid"
  wait $!
  echo "harness: $unit ended with $?" >&2
  rm -f "$run/$unit.pid"
  [ -e "$run/$unit.now" ] || sleep "$pause"
done
