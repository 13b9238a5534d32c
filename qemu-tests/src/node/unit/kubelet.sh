#!/bin/sh
# The kubelet as its unit runs it: with the arguments that its environment file has now, and again
# when it ended (Restart=always). systemctl.sh, beside this file, asks for a restart.
run=/run/harness
mkdir -p $run
trap 'kill "$(cat $run/kubelet.service.pid)"; exit 0' TERM
while :; do
  rm -f $run/kubelet.service.now
  arguments=$(sed -n 's/^KUBELET_ARGS=//p' /etc/kubernetes/kubelet/kubelet.env | tr -d '"')
  # shellcheck disable=SC2086 # they are words
  kubelet --config=/etc/kubernetes/kubelet/config.yaml --config-dir=/etc/kubernetes/kubelet/config.d \
    --kubeconfig=/etc/kubernetes/kubeconfig $arguments &
  echo $! >$run/pid.new && mv $run/pid.new $run/kubelet.service.pid
  wait $!
  echo "harness: the kubelet ended with $?" >&2
  rm -f $run/kubelet.service.pid
  [ -e $run/kubelet.service.now ] || sleep 1
done
