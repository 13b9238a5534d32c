#!/bin/sh
# The guest's end of the test channel: runs each line that comes in and answers "CODE LENGTH\n" and
# the output. Port and disk are found in /sys and by serial number: the image's udev makes no links
# for ports. A disk of tools has a script `start` that runs beside the launch.
@SETUP@
mkdir -p /run/tools
if mount -o ro /dev/disk/by-id/virtio-tools /run/tools 2>/dev/null; then
    sh /run/tools/start &
fi
for port in /sys/class/virtio-ports/*; do
    [ "$(cat "$port/name")" = dev.slipway.harness ] && break
done
exec <>"/dev/${port##*/}"
echo ready >&0
# Where no host listens, reading ends at once.
while sleep 1; do
    while read -r command; do
        sh -c "$command" </dev/null >/run/harness.out 2>&1
        echo "$? $(wc -c </run/harness.out)" >&0
        cat /run/harness.out >&0
    done
done
