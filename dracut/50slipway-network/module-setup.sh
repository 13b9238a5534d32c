#!/bin/bash
# The network in the initrd, brought up only if the machine document's source needs it: systemd-networkd
# with DHCP on every Ethernet link. The fetch itself makes resolv.conf of what networkd learns.
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
    hostonly='' instmods virtio_net e1000 e1000e ena gve hv_netvsc vmxnet3 xen-netfront af_packet
}

install() {
    local file user
    for file in slipway-network.service:"$systemdsystemunitdir" 99-slipway.network:/usr/lib/systemd/network; do
        inst_simple "$moddir/${file%%:*}" "${file#*:}/${file%%:*}" || network_fail "${file%%:*} is missing; run './x install --destdir ROOT' first"
    done
    inst_multiple "$systemdutildir/systemd-networkd" "$systemdsystemunitdir/systemd-networkd.service" || network_fail "the image lacks systemd-networkd"
    inst_multiple systemctl "$systemdsystemunitdir/systemd-networkd.socket" || network_fail "the image lacks systemctl or systemd-networkd.socket"
    # It gives up root for a user of its own.
    user=systemd-network
    grep "^$user:" "$dracutsysrootdir/etc/passwd" >> "$initdir/etc/passwd" || network_fail "the image has no user $user"
    grep "^$user:" "$dracutsysrootdir/etc/group" >> "$initdir/etc/group" || network_fail "the image has no group $user"
    ln -sfn ../run/slipway/resolv.conf "$initdir/etc/resolv.conf"
}

# dracut ignores what install() returns, and an initrd without one of these files must not be made.
network_fail() {
    dfatal "slipway-network: $1"
    exit 1
}
