#!/bin/sh
# The kubelet as its unit runs it: with the arguments that its environment file has now.
arguments=$(sed -n 's/^KUBELET_ARGS=//p' /etc/kubernetes/kubelet/kubelet.env | tr -d '"')
# shellcheck disable=SC2086 # they are words
exec kubelet --config=/etc/kubernetes/kubelet/config.yaml --config-dir=/etc/kubernetes/kubelet/config.d \
  --kubeconfig=/etc/kubernetes/kubeconfig $arguments
