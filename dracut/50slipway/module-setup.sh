#!/bin/bash
# slipway in the initrd: it reads the machine document before the real root starts.
# The OS image mounts /sysroot/var and /sysroot/etc; this module only fetches (docs/bake.md).
# shellcheck disable=SC2154 # dracut sets moddir, initdir, systemdsystemunitdir

# Only on request (--add slipway): a document is asked for only where somebody decided to use slipway.
check() {
    return 255
}

depends() {
    echo systemd-initrd udev-rules
}

# What the sources need that other modules may not bring: fw_cfg; disks and file systems of NoCloud, config
# drives (iso9660, vfat) and Azure (udf), with the character sets that a mount of vfat asks for by
# default; Hyper-V's key-value pairs. A kernel that has one built in, or not at all, is no error.
installkernel() {
    hostonly='' instmods qemu_fw_cfg hv_utils
    hostonly='' instmods virtio_blk virtio_scsi sr_mod cdrom
    hostonly='' instmods isofs udf vfat nls_ascii nls_cp437 nls_iso8859-1 nls_utf8
}

install() {
    local unit
    slipway_require /usr/bin/slipway
    for unit in slipway-fetch.service slipway-fetch-online.service; do
        slipway_require "$moddir/$unit" "$systemdsystemunitdir/$unit"
        $SYSTEMCTL -q --root "$initdir" add-requires initrd.target "$unit" || slipway_fail "cannot make initrd.target require $unit"
    done
    mkdir -p "$initdir/etc/modules-load.d"
    echo qemu_fw_cfg > "$initdir/etc/modules-load.d/slipway.conf"
}

# dracut ignores what install() returns, and an initrd without one of these files must not be made.
slipway_require() {
    inst_simple "$@" || slipway_fail "$1 is missing; run './x install --destdir ROOT' first"
}

slipway_fail() {
    dfatal "slipway: $1"
    exit 1
}
