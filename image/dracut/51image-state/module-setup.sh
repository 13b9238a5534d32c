#!/bin/bash
# The image's own mounts, before anything that belongs to slipway runs: /var from the state disk and a
# writable /etc above the read-only root. Another OS image brings its own.
# shellcheck disable=SC2154 # dracut sets moddir, initdir, systemdsystemunitdir, systemdutildir

# Only on request (-m or --add): an initrd of another image must not mount these.
check() {
    return 255
}

depends() {
    echo systemd-initrd udev-rules
}

# Modules for the disks and file systems of the root and of /var; ext4 is built into this kernel.
installkernel() {
    hostonly='' instmods virtio_blk virtio_scsi erofs overlay
}

install() {
    local unit
    for unit in sysroot-var.mount sysroot-etc.mount sysroot-etc-layers.service; do
        inst_simple "$moddir/$unit" "$systemdsystemunitdir/$unit" || exit 1
    done
    # Instead of a shell, for which there is no password: say what failed, and stop there.
    inst_simple "$moddir/emergency.service" /etc/systemd/system/emergency.service || exit 1
    inst_simple "$moddir/emergency.txt" /usr/lib/image-state/emergency.txt || exit 1
    inst_simple "$moddir/layers.conf" /usr/lib/image-state/layers.conf || exit 1
    # Coldplug of what the initrd needs and nothing else: a second under emulation.
    inst_simple "$moddir/coldplug.conf" \
        /etc/systemd/system/systemd-udev-trigger.service.d/10-image.conf || exit 1
    # Waiting for coldplug to find the root disk's driver would cost more than naming it.
    mkdir -p "$initdir/etc/modules-load.d"
    printf '%s\n' virtio_blk erofs overlay > "$initdir/etc/modules-load.d/image.conf"

    inst_multiple cat journalctl e2fsck fsck fsck.ext4 \
        "$systemdutildir/systemd-fsck" "$systemdsystemunitdir/systemd-fsck@.service" \
        "$systemdsystemunitdir/emergency.target" || exit 1
    $SYSTEMCTL -q --root "$initdir" add-requires initrd-fs.target sysroot-var.mount sysroot-etc.mount
}
