#!/bin/sh
# Stands in for systemctl, which has no systemd to talk to here: enough for a kubelet that kubelet.sh,
# beside this file, supervises. Whatever else is asked is refused, so that nobody takes it for done.
run=/run/harness
verb=
unit=
for word; do
  case $word in
    -*) ;;
    *) if [ -z "$verb" ]; then verb=$word; else unit=${word%.service}; fi ;;
  esac
done
pid() { cat "$run/$unit.service.pid" 2>/dev/null; }

if [ "$verb" != daemon-reload ] && [ "$unit" != kubelet ]; then
  echo "systemctl: the harness has no unit '$unit'" >&2
  exit 4
fi
if [ "$verb" = restart ] && [ ! -d $run ]; then
  echo "systemctl: the harness does not supervise $unit.service yet" >&2
  exit 5
fi
case $verb in
  daemon-reload) ;;
  is-active) if [ -n "$(pid)" ]; then echo active; else echo inactive && exit 3; fi ;;
  try-restart | restart)
    before=$(pid)
    [ -n "$before" ] || [ "$verb" = restart ] || exit 0
    : >"$run/kubelet.service.now"
    [ -z "$before" ] || kill "$before"
    # As systemctl: it returns when the new one has been started.
    while [ -z "$(pid)" ] || [ "$(pid)" = "$before" ]; do sleep 0.05; done
    ;;
  *)
    echo "systemctl: the harness knows no '$verb'" >&2
    exit 1
    ;;
esac
