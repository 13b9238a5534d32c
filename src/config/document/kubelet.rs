//! `kubelet:`: what the kubelet is told beside what slipway tells it.
//!
//! A kubelet that cannot read a value ends at once, on a node that nobody reaches yet; a field that it does
//! not know it passes over with a line in its log, which nobody reads in time. So names and types stand
//! here. What a value means, e.g. which policies there are, is the kubelet's own affair.

use serde_json::{Map, Value};

use super::{api, ports};
use crate::config::guard;
use crate::config::machine::{Api, Kubelet};
use crate::config::reader::{Reader, unknown_key, wrong_type};

const CONFIG: &str = "kubelet.config";
const OWN: &str = "slipway sets it, and a launch depends on it";
const FROM_API: &str = "pods come from the API server and from staticPodPath alone";
/// What slipway's launch depends on, and what to use instead or why.
const REFUSED: [(&str, &str); 17] = [
    (
        "apiVersion",
        "leave it out; it is kubelet.config.k8s.io/v1beta1",
    ),
    ("kind", "leave it out; it is KubeletConfiguration"),
    ("authentication", OWN),
    ("authorization", OWN),
    ("clusterDNS", "use cluster.serviceCIDR"),
    ("clusterDomain", "use cluster.domain"),
    (
        "enableServer",
        "the API server reads logs and runs commands by the kubelet's server",
    ),
    (
        "port",
        "it is 10250, where slipway asks which certificate the kubelet shows",
    ),
    (
        "registerNode",
        "the control plane runs on a registered Node",
    ),
    ("rotateCertificates", OWN),
    ("runOnce", "a kubelet that ends runs no control plane"),
    ("serverTLSBootstrap", OWN),
    ("staticPodPath", OWN),
    ("staticPodURL", FROM_API),
    ("staticPodURLHeader", FROM_API),
    ("tlsCertFile", OWN),
    ("tlsPrivateKeyFile", OWN),
];
/// The other fields of KubeletConfiguration in 1.37 (kubelet/config/v1beta1/types.go), by the letter of their
/// type in [`fits`].
const FIELDS: [(char, &str); 11] = [
    (
        'b',
        "cgroupsPerQOS cpuCFSQuota enableContentionProfiling enableControllerAttachDetach \
         enableDebugFlagsHandler enableDebuggingHandlers enableProfilingHandler enableSystemLogHandler \
         enableSystemLogQuery failCgroupV1 failSwapOn kernelMemcgNotification \
         localStorageCapacityIsolation makeIPTablesUtilChains mergeDefaultEvictionSettings \
         protectKernelDefaults seccompDefault serializeImagePulls singleProcessOOMKill",
    ),
    (
        'i',
        "containerLogMaxFiles containerLogMaxWorkers eventBurst eventRecordQPS \
         evictionMaxPodGracePeriod healthzPort imageGCHighThresholdPercent imageGCLowThresholdPercent \
         iptablesDropBit iptablesMasqueradeBit kubeAPIBurst kubeAPIQPS maxParallelImagePulls maxPods \
         nodeLeaseDurationSeconds nodeStatusMaxImages oomScoreAdj podsPerCore readOnlyPort registryBurst \
         registryPullQPS",
    ),
    ('l', "maxOpenFiles podPidsLimit"),
    ('f', "memoryThrottlingFactor"),
    (
        's',
        "address cgroupDriver cgroupRoot configMapAndSecretChangeDetectionStrategy containerLogMaxSize \
         containerRuntimeEndpoint contentType cpuManagerPolicy hairpinMode healthzBindAddress \
         imagePullCredentialsVerificationPolicy imageServiceEndpoint kubeReservedCgroup kubeletCgroups \
         memoryManagerPolicy memoryReservationPolicy podCIDR podLogsDir providerID reservedSystemCPUs \
         resolvConf showHiddenMetricsForVersion systemCgroups systemReservedCgroup tlsMinVersion \
         topologyManagerPolicy topologyManagerScope volumePluginDir",
    ),
    (
        'd',
        "containerLogMonitorInterval cpuCFSQuotaPeriod cpuManagerReconcilePeriod \
         evictionPressureTransitionPeriod fileCheckFrequency httpCheckFrequency imageMaximumGCAge \
         imageMinimumGCAge nodeStatusReportFrequency nodeStatusUpdateFrequency runtimeRequestTimeout \
         shutdownGracePeriod shutdownGracePeriodCriticalPods streamingConnectionIdleTimeout \
         syncFrequency volumeStatsAggPeriod",
    ),
    (
        'S',
        "allowedUnsafeSysctls enforceNodeAllocatable preloadedImagesVerificationAllowlist tlsCipherSuites",
    ),
    ('I', "tlsCurvePreferences"),
    (
        'O',
        "registerWithTaints reservedMemory shutdownGracePeriodByPodPriority",
    ),
    (
        'm',
        "cpuManagerPolicyOptions defaultPodSysctls evictionHard evictionMinimumReclaim evictionSoft \
         evictionSoftGracePeriod featureGates kubeReserved qosReserved systemReserved \
         topologyManagerPolicyOptions",
    ),
    (
        'o',
        "crashLoopBackOff logging memorySwap tracing userNamespaces",
    ),
];

pub fn kubelet(reader: &mut Reader, api: Option<&Api>) -> Kubelet {
    let mut config = reader.mapping(CONFIG).cloned().unwrap_or_default();
    // A key without a value counts as left out; in a drop-in it would undo what slipway sets.
    config.retain(|_, value| !value.is_null());
    for (field, value) in &config {
        if let Err((below, problem)) = judge(field, value) {
            let place = guard::child(CONFIG, field);
            let place = match below {
                Some(key) => guard::child(&place, key),
                None => place,
            };
            reader.refuse(&place, problem);
        }
    }
    listens_where_nobody_does(reader, &config, api);
    Kubelet { config }
}

/// What is wrong with a field, and where below it.
fn judge<'a>(field: &str, value: &'a Value) -> Result<(), (Option<&'a str>, String)> {
    if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| *refused == field) {
        return Err((None, format!("cannot be set here; {why}")));
    }
    let mut fields = FIELDS
        .iter()
        .flat_map(|(kind, names)| names.split(' ').map(|name| (*kind, name)));
    let Some((kind, _)) = fields.find(|(_, name)| *name == field) else {
        let names = FIELDS.iter().flat_map(|(_, names)| names.split(' '));
        return Err((None, unknown_key(field, &names.collect::<Vec<_>>())));
    };
    match (kind, value) {
        ('m', Value::Object(entries)) => {
            let kind = if field == "featureGates" { 'b' } else { 's' };
            let mut entries = entries.iter();
            entries.try_for_each(|(key, value)| {
                fits(kind, value).map_err(|problem| (Some(key.as_str()), problem))
            })
        }
        _ => fits(kind, value).map_err(|problem| (None, problem)),
    }
}

/// Whether a value is of a type: a small letter is one, a great one a list.
fn fits(kind: char, value: &Value) -> Result<(), String> {
    let (fits, wanted) = match kind {
        'b' => (value.is_boolean(), "true or false"),
        'i' => (
            value.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
            "a whole number of 32 bits",
        ),
        'l' => (value.is_i64(), "a whole number"),
        'f' => (value.is_number(), "a number"),
        's' => (value.is_string(), "text"),
        'd' => (
            value.as_str().is_some_and(is_duration),
            "a duration like 90s or 1h30m",
        ),
        'S' => (all(value, Value::is_string), "a list of texts"),
        'I' => (all(value, Value::is_i64), "a list of whole numbers"),
        'O' => (all(value, Value::is_object), "a list of mappings"),
        _ => (value.is_object(), "a mapping of keys"),
    };
    match (fits, value) {
        (true, _) => Ok(()),
        (false, Value::Number(_) | Value::Bool(_)) if kind == 's' => {
            Err(format!("{}; put it in quotes", wrong_type(value, wanted)))
        }
        (false, _) => Err(wrong_type(value, wanted)),
    }
}

fn all(value: &Value, is: fn(&Value) -> bool) -> bool {
    value.as_array().is_some_and(|items| items.iter().all(is))
}

/// A duration as Go reads it (time.ParseDuration): fractions are welcome, days unknown.
fn is_duration(text: &str) -> bool {
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if rest == "0" {
        return true;
    }
    while let Some(end) = rest.find(|c: char| !c.is_ascii_digit() && c != '.') {
        let (number, after) = rest.split_at(end);
        let units = ["ns", "us", "µs", "ms", "s", "m", "h"];
        let unit = units.iter().find_map(|unit| after.strip_prefix(unit));
        let (true, Some(after)) = (number.parse::<f64>().is_ok(), unit) else {
            return false;
        };
        if after.is_empty() {
            return true;
        }
        rest = after;
    }
    false
}

/// The kubelet's further ports (0 is none) and those of everything else on the node.
fn listens_where_nobody_does(reader: &mut Reader, config: &Map<String, Value>, api: Option<&Api>) {
    for (field, own) in [("healthzPort", ports::KUBELET_HEALTH), ("readOnlyPort", 0)] {
        let number = config.get(field).and_then(Value::as_i64);
        let Some(number) = number.filter(|number| *number != i64::from(own) && *number != 0) else {
            continue;
        };
        let result = ports::free(number).and_then(|port| match api {
            Some(api) if api.port == port => Err(format!("{port} is {}; use another", api::PORT)),
            _ => Ok(()),
        });
        reader.check(&guard::child(CONFIG, field), result);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_go_s() {
        for (text, want) in [
            ("0", true),
            ("0s", true),
            ("90s", true),
            ("1h30m", true),
            ("1.5h", true),
            ("-1ms", true),
            ("", false),
            ("-", false),
            ("90", false),
            ("1d", false),
            ("s", false),
            (".s", false),
            ("1h30", false),
            ("1 h", false),
        ] {
            assert_eq!(is_duration(text), want, "{text:?}");
        }
    }
}
