//! Room: kube.
