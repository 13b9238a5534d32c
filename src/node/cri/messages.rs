//! The messages of two gRPC services, by hand: only the fields that are read or written here. A field that
//! is not named is skipped when it arrives, so newer servers do no harm.
//!
//! Field numbers are those of k8s.io/cri-api 0.37, pkg/apis/runtime/v1/api.proto (service
//! `runtime.v1.RuntimeService`), and of k8s.io/kubelet 0.37, pkg/apis/podresources/v1/api.proto (service
//! `v1.PodResourcesLister`). Generated code would need protoc on every machine that builds slipway, and
//! would bring hundreds of messages for these few. Enumerations are plain numbers: that is how they travel,
//! and a value that nobody knew when this was written stays one.

use std::collections::BTreeMap;

use prost::Message;

use super::call::Call;

/// Which method a request is for, and what comes back.
macro_rules! calls {
    ($($request:ty => $path:literal => $answer:ty;)*) => {
        $(impl Call for $request {
            const PATH: &'static str = $path;
            type Answer = $answer;
        })*
    };
}

calls! {
    ListPodSandboxRequest => "/runtime.v1.RuntimeService/ListPodSandbox" => ListPodSandboxResponse;
    ListContainersRequest => "/runtime.v1.RuntimeService/ListContainers" => ListContainersResponse;
    ContainerStatusRequest => "/runtime.v1.RuntimeService/ContainerStatus" => ContainerStatusResponse;
    StopContainerRequest => "/runtime.v1.RuntimeService/StopContainer" => Empty;
    StopPodSandboxRequest => "/runtime.v1.RuntimeService/StopPodSandbox" => Empty;
    ListPodResourcesRequest => "/v1.PodResourcesLister/List" => ListPodResourcesResponse;
}

/// PodSandboxState: the sandbox lives. Everything else is SANDBOX_NOTREADY, 1.
pub const SANDBOX_READY: i32 = 0;
/// ContainerState: its process runs. CONTAINER_CREATED is 0.
pub const CONTAINER_RUNNING: i32 = 1;
/// ContainerState: its process has ended.
pub const CONTAINER_EXITED: i32 = 2;
/// ContainerState: the runtime has lost track of it; it may run.
pub const CONTAINER_UNKNOWN: i32 = 3;

/// An answer without fields: StopContainerResponse, StopPodSandboxResponse.
#[derive(Clone, PartialEq, Message)]
pub struct Empty {}

#[derive(Clone, PartialEq, Message)]
pub struct ListPodSandboxRequest {}

#[derive(Clone, PartialEq, Message)]
pub struct ListPodSandboxResponse {
    #[prost(message, repeated, tag = "1")]
    pub items: Vec<PodSandbox>,
}

#[derive(Clone, PartialEq, Message)]
pub struct PodSandbox {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(message, optional, tag = "2")]
    pub metadata: Option<PodSandboxMetadata>,
    #[prost(int32, tag = "3")]
    pub state: i32,
    /// Nanoseconds since 1970.
    #[prost(int64, tag = "4")]
    pub created_at: i64,
    #[prost(btree_map = "string, string", tag = "6")]
    pub annotations: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct PodSandboxMetadata {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub uid: String,
    #[prost(string, tag = "3")]
    pub namespace: String,
    #[prost(uint32, tag = "4")]
    pub attempt: u32,
}

#[derive(Clone, PartialEq, Message)]
pub struct ListContainersRequest {
    #[prost(message, optional, tag = "1")]
    pub filter: Option<ContainerFilter>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ContainerFilter {
    #[prost(string, tag = "3")]
    pub pod_sandbox_id: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct ListContainersResponse {
    #[prost(message, repeated, tag = "1")]
    pub containers: Vec<Container>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Container {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, tag = "2")]
    pub pod_sandbox_id: String,
    #[prost(message, optional, tag = "3")]
    pub metadata: Option<ContainerMetadata>,
    #[prost(int32, tag = "6")]
    pub state: i32,
    /// Nanoseconds since 1970.
    #[prost(int64, tag = "7")]
    pub created_at: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct ContainerMetadata {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(uint32, tag = "2")]
    pub attempt: u32,
}

#[derive(Clone, PartialEq, Message)]
pub struct ContainerStatusRequest {
    #[prost(string, tag = "1")]
    pub container_id: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct ContainerStatusResponse {
    #[prost(message, optional, tag = "1")]
    pub status: Option<ContainerStatus>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ContainerStatus {
    #[prost(int32, tag = "3")]
    pub state: i32,
    #[prost(int32, tag = "7")]
    pub exit_code: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct StopContainerRequest {
    #[prost(string, tag = "1")]
    pub container_id: String,
    /// Seconds from SIGTERM to SIGKILL; 0 is SIGKILL at once.
    #[prost(int64, tag = "2")]
    pub timeout: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct StopPodSandboxRequest {
    #[prost(string, tag = "1")]
    pub pod_sandbox_id: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct ListPodResourcesRequest {}

#[derive(Clone, PartialEq, Message)]
pub struct ListPodResourcesResponse {
    #[prost(message, repeated, tag = "1")]
    pub pod_resources: Vec<PodResources>,
}

#[derive(Clone, PartialEq, Message)]
pub struct PodResources {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub namespace: String,
}
