#!/bin/bash
# The network in the initrd, brought up only if the machine document's source needs it: systemd-networkd
# with DHCP on every Ethernet link, and systemd-resolved for names.
# An image with another network manager brings its own slipway-network.service instead of this module.
# shellcheck disable=SC2154 # dracut sets moddir, initdir, systemdsystemunitdir, systemdutildir

check() {
    return 255
}

depends() {
    echo slipway
}

# The network cards of the platforms that slipway knows. A kernel without one of them is no error.
installkernel() {
    hostonly='' instmods virtio_net e1000 e1000e ena gve hv_netvsc vmxnet3 af_packet
}

install() {
    local file user
    for file in slipway-network.service:"$systemdsystemunitdir" 99-slipway.network:/usr/lib/systemd/network; do
        inst_simple "$moddir/${file%%:*}" "${file#*:}/${file%%:*}" || exit 1
    done
    inst_multiple systemctl "$systemdutildir/systemd-networkd" "$systemdutildir/systemd-resolved" \
        "$systemdsystemunitdir/systemd-networkd.service" "$systemdsystemunitdir/systemd-networkd.socket" \
        "$systemdsystemunitdir/systemd-resolved.service" || exit 1
    # Both programs give up root for users of their own.
    for user in systemd-network systemd-resolve; do
        grep "^$user:" "$dracutsysrootdir/etc/passwd" >> "$initdir/etc/passwd" || exit 1
        grep "^$user:" "$dracutsysrootdir/etc/group" >> "$initdir/etc/group" || exit 1
    done
    ln -sfn ../run/systemd/resolve/resolv.conf "$initdir/etc/resolv.conf"
}
