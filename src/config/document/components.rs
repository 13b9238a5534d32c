//! `images:` and `kubelet:`: where components come from, and what the kubelet is told.

use super::IMAGES;
use crate::config::guard;
use crate::config::machine::{Images, Kubelet};
use crate::config::problem::quote;
use crate::config::reader::{Reader, text, unknown_key};

const IMAGE: &str = "images";
const REGISTRY: &str = "registry";
const KUBELET: &str = "kubelet.config";
const OWN: &str = "slipway sets it, and a launch depends on it";
/// What slipway's launch depends on, and what to use instead.
const KUBELET_OWN: [(&str, &str); 11] = [
    (
        "apiVersion",
        "leave it out; it is kubelet.config.k8s.io/v1beta1",
    ),
    ("kind", "leave it out; it is KubeletConfiguration"),
    ("authentication", OWN),
    ("authorization", OWN),
    ("clusterDNS", "use cluster.serviceCIDR"),
    ("clusterDomain", "use cluster.domain"),
    ("rotateCertificates", OWN),
    ("serverTLSBootstrap", OWN),
    ("staticPodPath", OWN),
    ("tlsCertFile", OWN),
    ("tlsPrivateKeyFile", OWN),
];
/// The other fields of KubeletConfiguration in 1.37 (kubelet/config/v1beta1/types.go). The kubelet itself
/// passes over a field that it does not know with a line in its log, which nobody reads in time.
const KUBELET_FIELDS: &str = "address allowedUnsafeSysctls cgroupDriver cgroupRoot cgroupsPerQOS \
    configMapAndSecretChangeDetectionStrategy containerLogMaxFiles containerLogMaxSize \
    containerLogMaxWorkers containerLogMonitorInterval containerRuntimeEndpoint contentType \
    cpuCFSQuota cpuCFSQuotaPeriod cpuManagerPolicy cpuManagerPolicyOptions \
    cpuManagerReconcilePeriod crashLoopBackOff defaultPodSysctls enableContentionProfiling \
    enableControllerAttachDetach enableDebugFlagsHandler enableDebuggingHandlers \
    enableProfilingHandler enableServer enableSystemLogHandler enableSystemLogQuery \
    enforceNodeAllocatable eventBurst eventRecordQPS evictionHard evictionMaxPodGracePeriod \
    evictionMinimumReclaim evictionPressureTransitionPeriod evictionSoft evictionSoftGracePeriod \
    failCgroupV failSwapOn featureGates fileCheckFrequency hairpinMode healthzBindAddress \
    healthzPort httpCheckFrequency imageGCHighThresholdPercent imageGCLowThresholdPercent \
    imageMaximumGCAge imageMinimumGCAge imagePullCredentialsVerificationPolicy \
    imageServiceEndpoint iptablesDropBit iptablesMasqueradeBit kernelMemcgNotification \
    kubeAPIBurst kubeAPIQPS kubeletCgroups kubeReserved kubeReservedCgroup \
    localStorageCapacityIsolation logging makeIPTablesUtilChains maxOpenFiles \
    maxParallelImagePulls maxPods memoryManagerPolicy memoryReservationPolicy memorySwap \
    memoryThrottlingFactor mergeDefaultEvictionSettings nodeLeaseDurationSeconds \
    nodeStatusMaxImages nodeStatusReportFrequency nodeStatusUpdateFrequency oomScoreAdj podCIDR \
    podLogsDir podPidsLimit podsPerCore port preloadedImagesVerificationAllowlist \
    protectKernelDefaults providerID qosReserved readOnlyPort registerNode registerWithTaints \
    registryBurst registryPullQPS reservedMemory reservedSystemCPUs resolvConf runOnce \
    runtimeRequestTimeout seccompDefault serializeImagePulls showHiddenMetricsForVersion \
    shutdownGracePeriod shutdownGracePeriodByPodPriority shutdownGracePeriodCriticalPods \
    singleProcessOOMKill staticPodURL staticPodURLHeader streamingConnectionIdleTimeout \
    syncFrequency systemCgroups systemReserved systemReservedCgroup tlsCipherSuites \
    tlsCurvePreferences tlsMinVersion topologyManagerPolicy topologyManagerPolicyOptions \
    topologyManagerScope tracing userNamespaces volumePluginDir volumeStatsAggPeriod";

pub fn images(reader: &mut Reader) -> Images {
    let mut images = Images::default();
    let mut names = vec![REGISTRY];
    names.extend(IMAGES);
    for (name, value) in reader.entries(IMAGE, &names) {
        let place = guard::child(IMAGE, name);
        if name == REGISTRY {
            images.registry = reader.check(&place, text(value, registry));
        } else if let Some(image) = reader.check(&place, text(value, reference)) {
            images.references.insert(name.clone(), image);
        }
    }
    images
}

/// A registry and upper folders: what stands before the last part of images' names.
fn registry(text: &str) -> Result<String, String> {
    match is_path(text) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{} is no registry; write it like mirror.example.com/k8s, without https:// and without a tag",
            quote(text)
        )),
    }
}

/// A whole reference: nothing of it is left to a runtime's idea of defaults.
fn reference(text: &str) -> Result<String, String> {
    let digest = |digest: &str| digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit());
    let (name, pinned) = match text.split_once("@sha256:") {
        Some((name, hex)) => (name, digest(hex)),
        None => (text, false),
    };
    let last = name.rfind('/').map_or(0, |slash| slash + 1);
    let (path, tagged) = match name.get(last..).and_then(|last| last.find(':')) {
        Some(colon) => (&name[..last + colon], is_tag(&name[last + colon + 1..])),
        None => (name, pinned),
    };
    match is_path(path) && path.contains('/') && tagged && pinned == text.contains('@') {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{} is no whole image reference; write it like registry.k8s.io/etcd:3.7.3-0, or with @sha256:...",
            quote(text)
        )),
    }
}

fn is_tag(tag: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=128).contains(&tag.len()) && tag.bytes().all(plain) && !tag.starts_with(['.', '-'])
}

/// `HOST[:PORT]/FOLDER/...`
fn is_path(text: &str) -> bool {
    let plain =
        |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
    let (host, folders) = text
        .split_once('/')
        .map_or((text, None), |(host, rest)| (host, Some(rest)));
    let (host, port) = host.split_once(':').unwrap_or((host, "443"));
    let named = |part: &str| {
        !part.is_empty() && part.bytes().all(plain) && !part.starts_with(['.', '-', '_'])
    };
    named(host)
        && port.parse::<u16>().is_ok()
        && folders.is_none_or(|folders| folders.split('/').all(named))
}

pub fn kubelet(reader: &mut Reader) -> Kubelet {
    let config = reader.mapping(KUBELET).cloned().unwrap_or_default();
    let known: Vec<_> = KUBELET_FIELDS.split(' ').collect();
    for field in config
        .keys()
        .filter(|field| !known.contains(&field.as_str()))
    {
        let own = KUBELET_OWN.iter().find(|(own, _)| own == field);
        let problem = match own {
            Some((_, instead)) => format!("cannot be set here; {instead}"),
            None => unknown_key(field, &known),
        };
        reader.refuse(&guard::child(KUBELET, field), problem);
    }
    Kubelet { config }
}
