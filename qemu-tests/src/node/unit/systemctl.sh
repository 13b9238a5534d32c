#!/bin/sh
# Stands in for systemctl, which has no systemd to talk to here: enough for what unit.sh, beside this file,
# supervises. Whatever else is asked is refused, so that nobody takes it for done.
run=/run/harness
verb=
unit=
for word; do
  case $word in
    -*) ;;
    *) if [ -z "$verb" ]; then verb=$word; else unit=${word%.service}.service; fi ;;
  esac
done
pid() { cat "$run/$unit.pid" 2>/dev/null; }

if [ "$verb" != daemon-reload ]; then
  case $unit in
    kubelet.service | containerd.service | slipway-checkpoint.service) ;;
    *)
      echo "systemctl: the harness has no unit '$unit'" >&2
      exit 4
      ;;
  esac
  # As with a unit that does not run, or whose condition does not hold: nothing happens, and that is no failure.
  if [ ! -e "$run/$unit" ]; then
    case $verb-$unit in
      stop-*) exit 0 ;;
      start-slipway-checkpoint.service) [ -e /var/lib/slipway/assets/bootstrap-manifests ] || exit 0 ;;
    esac
  fi
  if [ "$verb" != is-active ] && [ "$verb" != try-restart ] && [ ! -e "$run/$unit" ]; then
    echo "systemctl: the harness does not supervise $unit yet" >&2
    exit 5
  fi
fi
before=$(pid)
case $verb in
  daemon-reload) ;;
  is-active) if [ -n "$before" ]; then echo active; else echo inactive && exit 3; fi ;;
  stop)
    : >"$run/$unit.now"
    : >"$run/$unit.stopped"
    [ -z "$before" ] || kill "$before"
    # As systemctl: it returns when the process is gone.
    while [ -n "$(pid)" ]; do sleep 0.05; done
    ;;
  start | try-restart | restart)
    [ -n "$before" ] || [ "$verb" != try-restart ] || exit 0
    rm -f "$run/$unit.stopped"
    if [ "$verb" = start ]; then
      before=
    elif [ -n "$before" ]; then
      : >"$run/$unit.now"
      kill "$before"
    fi
    # As systemctl: it returns when the new one has been started.
    while [ -z "$(pid)" ] || [ "$(pid)" = "$before" ]; do sleep 0.05; done
    ;;
  *)
    echo "systemctl: the harness knows no '$verb'" >&2
    exit 1
    ;;
esac
