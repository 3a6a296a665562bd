"""What differs between managed Kubernetes offerings, as rows of data. Pure.

A row says what its vendor's documentation says; `source` is where. What is empty is as any cluster has it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType

_NONE: Mapping[str, str] = MappingProxyType({})


@dataclasses.dataclass(frozen=True, slots=True)
class Flavor:
    """`ingress_class` and `gateway_class` serve public paths; `ingress` are the annotations that an Ingress needs there, `balancer` those
    of a Service of type LoadBalancer (a Gateway hands them on); `identity` is the annotation by which a ServiceAccount is a cloud
    identity, `identity_labels` what its pods need besides; `gpu` is the label of nodes by their accelerator. `picks_user`: the cluster
    itself chooses the number that a container's user has."""

    name: str
    title: str
    source: str
    ingress_class: str = ""
    gateway_class: str = ""
    storage_class: str = ""
    ingress: Mapping[str, str] = dataclasses.field(default_factory=lambda: _NONE, hash=False)
    balancer: Mapping[str, str] = dataclasses.field(default_factory=lambda: _NONE, hash=False)
    identity: str = ""
    identity_labels: Mapping[str, str] = dataclasses.field(default_factory=lambda: _NONE, hash=False)
    gpu: str = ""
    picks_user: bool = False


_CCE_BALANCER = (
    '{"type":"public","bandwidth_name":"cce-bandwidth","bandwidth_chargemode":"traffic","bandwidth_size":5,'
    '"bandwidth_sharetype":"PER","eip_type":"5_bgp"}'
)
"""One is made where none is named: with a public address, billed by what goes through it."""

_ROWS = (
    Flavor("generic", "Kubernetes", "https://kubernetes.io/docs/concepts/"),
    Flavor(
        "eks",
        "Amazon EKS",
        "https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/service/annotations/",
        ingress_class="alb",
        storage_class="gp3",
        ingress={"alb.ingress.kubernetes.io/scheme": "internet-facing", "alb.ingress.kubernetes.io/target-type": "ip"},
        balancer={
            "service.beta.kubernetes.io/aws-load-balancer-type": "external",
            "service.beta.kubernetes.io/aws-load-balancer-nlb-target-type": "ip",
            "service.beta.kubernetes.io/aws-load-balancer-scheme": "internet-facing",
        },
        identity="eks.amazonaws.com/role-arn",
        gpu="eks.amazonaws.com/instance-gpu-name",
    ),
    Flavor(
        "gke",
        "Google GKE",
        "https://cloud.google.com/kubernetes-engine/docs/concepts/gateway-api",
        gateway_class="gke-l7-global-external-managed",
        storage_class="standard-rwo",
        ingress={"kubernetes.io/ingress.class": "gce"},
        identity="iam.gke.io/gcp-service-account",
        gpu="cloud.google.com/gke-accelerator",
    ),
    Flavor(
        "aks",
        "Azure AKS",
        "https://learn.microsoft.com/azure/aks/app-routing-gateway-api",
        gateway_class="approuting-istio",
        ingress_class="webapprouting.kubernetes.azure.com",  # managed NGINX: no support after November 2026
        storage_class="managed-csi",
        identity="azure.workload.identity/client-id",
        identity_labels={"azure.workload.identity/use": "true"},
        gpu="kubernetes.azure.com/accelerator",
    ),
    Flavor(
        "ack",
        "Alibaba Cloud ACK",
        "https://help.aliyun.com/zh/ack/ack-managed-and-ack-dedicated/user-guide/alb-ingress-management",
        ingress_class="alb",
        storage_class="alicloud-disk-topology-alltype",
        balancer={"service.beta.kubernetes.io/alibaba-cloud-loadbalancer-address-type": "internet"},
        identity="pod-identity.alibabacloud.com/role-name",
        gpu="aliyun.accelerator/nvidia_name",
    ),
    Flavor(
        "tke",
        "Tencent Cloud TKE",
        "https://cloud.tencent.com/document/product/457/45685",
        storage_class="cbs",
        ingress={"kubernetes.io/ingress.class": "qcloud"},
        identity="tke.cloud.tencent.com/role-arn",
    ),
    Flavor(
        "cce",
        "Huawei Cloud CCE",
        "https://support.huaweicloud.com/eu/usermanual-cce/cce_10_0695.html",
        ingress_class="cce",
        storage_class="csi-disk",
        ingress={
            "kubernetes.io/elb.class": "union",
            "kubernetes.io/elb.port": "80",
            "kubernetes.io/elb.autocreate": _CCE_BALANCER,
        },
        balancer={"kubernetes.io/elb.class": "union", "kubernetes.io/elb.autocreate": _CCE_BALANCER},
        gpu="accelerator",
    ),
    Flavor("vke", "Volcengine VKE", "https://www.volcengine.com/docs/6460"),
    Flavor(
        "oke",
        "Oracle OKE",
        "https://docs.oracle.com/en-us/iaas/Content/ContEng/Tasks/contengcreatingloadbalancer.htm",
        storage_class="oci-bv",
        balancer={"oci.oraclecloud.com/load-balancer-type": "lb"},
    ),
    Flavor(
        "doks",
        "DigitalOcean DOKS",
        "https://docs.digitalocean.com/products/kubernetes/how-to/add-volumes/",
        gateway_class="cilium",
        storage_class="do-block-storage",
    ),
    Flavor(
        "lke",
        "Linode LKE",
        "https://www.linode.com/docs/products/compute/kubernetes/",
        storage_class="linode-block-storage-retain",
    ),
    Flavor(
        "k3s",
        "K3s",
        "https://docs.k3s.io/networking/networking-services",
        ingress_class="traefik",
        storage_class="local-path",
    ),
    Flavor(
        "kind", "kind", "https://kind.sigs.k8s.io/docs/user/ingress/", ingress_class="nginx", storage_class="standard"
    ),
    Flavor(
        "openshift",
        "OpenShift",
        "https://docs.redhat.com/en/documentation/openshift_container_platform/latest/html/authentication_and_authorization/managing-pod-security-policies",
        ingress_class="openshift-default",
        picks_user=True,
    ),
)
FLAVORS: Mapping[str, Flavor] = MappingProxyType({row.name: row for row in _ROWS})
