//! Who owns EndpointSlice default/kubernetes: the API servers together, and none of them may empty it.
//!
//! A stopping API server takes its address out. Here the next one has the same address already, so for up to ten seconds, until that
//! one looks again, pods would be refused at the Service though somebody serves. An admission policy refuses the writing instead, which
//! a stopping process takes for an answer and goes on. Where several nodes serve, each still takes its own address out: only the last one stays,
//! and a Service whose one address is closed is no worse than a Service without any. The road not taken is `--endpoint-reconciler-type=none` and a slice of
//! slipway's own: nobody would take out a node that is gone.

use anyhow::Result;
use k8s_openapi::api::admissionregistration::v1::{
    MatchResources, NamedRuleWithOperations, ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding, ValidatingAdmissionPolicyBindingSpec,
    ValidatingAdmissionPolicySpec, Validation,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::Output;
use super::objects::{cluster_meta, strings};

/// The policy, and its binding.
const NAME: &str = "kubernetes-has-endpoints";
/// The Service of the API, its slice, and the object that older programs read.
const SERVICE: &str = "kubernetes";
/// API group, resource, and the field that may not be empty.
const KEPT: [(&str, &str, &str); 2] = [
    ("discovery.k8s.io", "endpointslices", "endpoints"),
    ("", "endpoints", "subsets"),
];

pub fn render(out: &mut Output) -> Result<()> {
    out.manifest(
        "manifests/kubernetes-endpoints-policy.yaml",
        "Keeps Service default/kubernetes from being left without an address by an API server that stops\n\
         while the next one serves at the same address. Not of the original, whose nodes had others.",
        &policy(),
    )?;
    out.manifest(
        "manifests/kubernetes-endpoints-policy-binding.yaml",
        "Puts that policy into force.",
        &binding(),
    )
}

fn policy() -> ValidatingAdmissionPolicy {
    let namespace = (
        "kubernetes.io/metadata.name".to_owned(),
        "default".to_owned(),
    );
    let constraints = MatchResources {
        namespace_selector: Some(LabelSelector {
            match_labels: Some([namespace].into()),
            ..Default::default()
        }),
        resource_rules: Some(KEPT.map(rule).to_vec()),
        ..Default::default()
    };
    ValidatingAdmissionPolicy {
        metadata: cluster_meta(NAME, NAME),
        spec: Some(ValidatingAdmissionPolicySpec {
            // What cannot be judged is not refused: the cluster's way in must not depend on this.
            failure_policy: Some("Ignore".into()),
            match_constraints: Some(constraints),
            validations: Some(KEPT.map(validation).to_vec()),
            ..Default::default()
        }),
        status: None,
    }
}

fn rule((group, resource, _): (&str, &str, &str)) -> NamedRuleWithOperations {
    NamedRuleWithOperations {
        api_groups: Some(vec![group.into()]),
        api_versions: Some(strings(&["v1"])),
        operations: Some(strings(&["UPDATE"])),
        resource_names: Some(strings(&[SERVICE])),
        resources: Some(vec![resource.into()]),
        ..Default::default()
    }
}

/// `dyn`, because each of the two kinds lacks the other's field, and the policy's status would complain of it.
fn validation((_, resource, field): (&str, &str, &str)) -> Validation {
    let object = "dyn(object)";
    let is_filled = format!("has({object}.{field}) && size({object}.{field}) > 0");
    Validation {
        expression: format!("request.resource.resource != '{resource}' || ({is_filled})"),
        message: Some("the Service of the API keeps its last address".into()),
        ..Default::default()
    }
}

fn binding() -> ValidatingAdmissionPolicyBinding {
    ValidatingAdmissionPolicyBinding {
        metadata: cluster_meta(NAME, NAME),
        spec: ValidatingAdmissionPolicyBindingSpec {
            policy_name: NAME.into(),
            validation_actions: strings(&["Deny"]),
            ..Default::default()
        },
    }
}
