#!/bin/sh
# `start` on the tools disk: probes from the moment there are credentials; see tools.rs.
until [ -s /etc/kubernetes/admin.kubeconfig ]; do sleep 1; done
echo $$ >/run/prober.pid
exec /run/tools/prober @ARGUMENTS@ >/run/prober.json
