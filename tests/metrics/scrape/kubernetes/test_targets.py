"""Objects to targets: every label as Prometheus' Kubernetes discovery has it, and the addresses of the process runtime."""

from __future__ import annotations

import pytest

from styr.kinds.resources import Object
from styr.metrics.scrape.kubernetes import endpoints, nodes, pods, services
from tests.metrics.scrape.kubernetes.objects import node, pod, service, slice

POD_LABELS = {
    "__meta_kubernetes_pod_ip": "10.0.0.7",
    "__meta_kubernetes_pod_ready": "true",
    "__meta_kubernetes_pod_phase": "Running",
    "__meta_kubernetes_pod_node_name": "n1",
    "__meta_kubernetes_pod_host_ip": "10.0.0.1",
    "__meta_kubernetes_pod_uid": "uid-web-1",
    "__meta_kubernetes_pod_name": "web-1",
    "__meta_kubernetes_pod_label_app": "web",
    "__meta_kubernetes_pod_labelpresent_app": "true",
    "__meta_kubernetes_pod_controller_kind": "ReplicaSet",
    "__meta_kubernetes_pod_controller_name": "web-abc",
}
CONTAINER = {
    "__meta_kubernetes_pod_container_name": "main",
    "__meta_kubernetes_pod_container_id": "process://42",
    "__meta_kubernetes_pod_container_image": "web:1",
    "__meta_kubernetes_pod_container_init": "false",
}


def around(*found: Object, with_node: bool = False) -> endpoints.Around:
    def of(kind: str) -> endpoints.Find:
        named = {one["metadata"]["name"]: one for one in found if one["kind"] == kind}
        return lambda namespace, name: named.get(name)

    return endpoints.Around(of("Service"), of("Pod"), of("Node") if with_node else None)


def test_a_pod_is_one_target_for_each_declared_port():
    group = pods.group(pod())
    assert group.source == "pod/default/web-1"
    assert group.labels == {"__meta_kubernetes_namespace": "default", **POD_LABELS}
    assert list(group.targets) == [
        {
            "__address__": "10.0.0.7:8080",
            **CONTAINER,
            "__meta_kubernetes_pod_container_port_name": "http",
            "__meta_kubernetes_pod_container_port_number": "8080",
            "__meta_kubernetes_pod_container_port_protocol": "TCP",
        },
        {
            "__address__": "10.0.0.7:9100",
            **CONTAINER,
            "__meta_kubernetes_pod_container_port_name": "",
            "__meta_kubernetes_pod_container_port_number": "9100",
            "__meta_kubernetes_pod_container_port_protocol": "TCP",
        },
    ]


def test_a_process_pod_has_its_real_address_and_its_declared_number():
    group = pods.group(pod(ip="127.0.0.1", real={8080: 41234, 9100: 41235}))
    assert [target["__address__"] for target in group.targets] == ["127.0.0.1:41234", "127.0.0.1:41235"]
    numbers = [target["__meta_kubernetes_pod_container_port_number"] for target in group.targets]
    assert numbers == ["8080", "9100"]


@pytest.mark.parametrize(
    ("asked", "address"),
    [("8080", "127.0.0.1:41234"), ("http", "127.0.0.1:41234"), ("777", "127.0.0.1:777"), ("x", None)],
)
def test_the_port_annotation_leads_to_the_real_port(asked, address):
    found = pod(ip="127.0.0.1", real={8080: 41234}, annotations={"prometheus.io/port": asked})
    assert pods.group(found).labels.get("__meta_styr_scrape_address") == address


def test_a_pod_without_ports_is_its_address_alone_and_ipv6_has_brackets():
    assert pods.group(pod(ports=[])).targets[0]["__address__"] == "10.0.0.7"
    assert pods.group(pod(ip="fd00::7")).targets[0]["__address__"] == "[fd00::7]:8080"


def test_a_pod_without_an_address_has_no_targets():
    assert pods.group(pod(ip="")).targets == ()


def test_init_containers_are_told_apart_and_nodes_attached():
    made = pod(spec={"initContainers": [{"name": "setup", "image": "i"}]})
    group = pods.group(made, node())
    assert [target["__meta_kubernetes_pod_container_init"] for target in group.targets] == ["false", "false", "true"]
    assert group.labels["__meta_kubernetes_node_label_zone"] == "a"
    assert group.labels["__meta_kubernetes_node_name"] == "n1"


def test_a_service_is_one_target_for_each_port():
    group = services.group(service())
    assert group.labels == {
        "__meta_kubernetes_namespace": "default",
        "__meta_kubernetes_service_name": "web",
        "__meta_kubernetes_service_label_app": "web",
        "__meta_kubernetes_service_labelpresent_app": "true",
        "__meta_kubernetes_service_label_tier_x_y": "a",
        "__meta_kubernetes_service_labelpresent_tier_x_y": "true",
    }
    assert list(group.targets) == [
        {
            "__address__": "web.default.svc:80",
            "__meta_kubernetes_service_port_name": "http",
            "__meta_kubernetes_service_port_number": "80",
            "__meta_kubernetes_service_port_protocol": "TCP",
            "__meta_kubernetes_service_type": "ClusterIP",
            "__meta_kubernetes_service_cluster_ip": "10.96.0.5",
        }
    ]


def test_an_external_service_says_where_it_leads():
    made = service()
    made["spec"] |= {"type": "ExternalName", "externalName": "example.com"}
    assert services.group(made).targets[0]["__meta_kubernetes_service_external_name"] == "example.com"


def test_a_node_is_its_kubelet():
    group = nodes.group(node())
    assert group.labels["__meta_kubernetes_node_condition_ready"] == "true"
    assert group.labels["__meta_kubernetes_node_provider_id"] == "styr://n1"
    assert group.targets[0] == {
        "__address__": "127.0.0.1:10250",
        "instance": "n1",
        "__meta_kubernetes_node_address_Hostname": "host",
        "__meta_kubernetes_node_address_InternalIP": "127.0.0.1",
    }
    assert nodes.group(node(addresses=[])).targets == ()


def test_an_endpoint_has_the_labels_of_slice_service_pod_and_container():
    group = endpoints.group(slice(), around(service(), pod()))
    assert group.source == "endpointslice/default/web-x"
    assert group.labels["__meta_kubernetes_service_name"] == "web"
    assert group.labels["__meta_kubernetes_endpointslice_name"] == "web-x"
    assert group.labels["__meta_kubernetes_endpointslice_address_type"] == "IPv4"
    first, other = group.targets
    assert first == {
        "__address__": "10.0.0.7:8080",
        "__meta_kubernetes_endpointslice_port_name": "http",
        "__meta_kubernetes_endpointslice_port_protocol": "TCP",
        "__meta_kubernetes_endpointslice_port": "8080",
        "__meta_kubernetes_endpointslice_endpoint_conditions_ready": "true",
        "__meta_kubernetes_endpointslice_endpoint_conditions_serving": "true",
        "__meta_kubernetes_endpointslice_endpoint_conditions_terminating": "false",
        "__meta_kubernetes_endpointslice_endpoint_node_name": "n1",
        "__meta_kubernetes_endpointslice_address_target_kind": "Pod",
        "__meta_kubernetes_endpointslice_address_target_name": "web-1",
        **POD_LABELS,
        "__meta_kubernetes_pod_container_name": "main",
        "__meta_kubernetes_pod_container_image": "web:1",
        "__meta_kubernetes_pod_container_init": "false",
        "__meta_kubernetes_pod_container_port_name": "http",
        "__meta_kubernetes_pod_container_port_number": "8080",
        "__meta_kubernetes_pod_container_port_protocol": "TCP",
    }
    assert other["__address__"] == "10.0.0.7:9100", "a port that the Service does not name is a target too"
    assert "__meta_kubernetes_endpointslice_port_name" not in other


def test_a_slice_of_process_pods_finds_the_container_by_the_real_port():
    group = endpoints.group(slice(port=41234), around(service(), pod(real={8080: 41234, 9100: 41235})))
    assert [target["__address__"] for target in group.targets] == ["10.0.0.7:41234", "10.0.0.7:41235"]
    numbers = [target["__meta_kubernetes_pod_container_port_number"] for target in group.targets]
    assert numbers == ["8080", "9100"]


def test_role_endpoints_has_its_own_names():
    group = endpoints.group(slice(), around(service(), pod()), legacy=True)
    assert group.labels["__meta_kubernetes_endpoints_name"] == "web"
    assert group.targets[0]["__meta_kubernetes_endpoint_port_name"] == "http"
    assert group.targets[0]["__meta_kubernetes_endpoint_ready"] == "true"
    assert group.targets[0]["__meta_kubernetes_endpoint_address_target_name"] == "web-1"
    assert not any(name.startswith("__meta_kubernetes_endpointslice") for name in group.targets[0])


def test_an_endpoint_whose_pod_or_service_is_unknown_is_a_target_all_the_same():
    group = endpoints.group(slice(), around())
    assert [target["__address__"] for target in group.targets] == ["10.0.0.7:8080"]
    assert "__meta_kubernetes_service_name" not in group.labels


def test_the_second_family_of_a_dual_stack_service_is_left_out():
    both = service()
    both["spec"] |= {"ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv6", "IPv4"]}
    assert endpoints.group(slice(), around(both, pod())).targets == ()


@pytest.mark.parametrize(
    "broken", [{"endpoints": None}, {"ports": None}, {"endpoints": [{}]}, {"endpoints": [{"addresses": None}]}]
)
def test_half_a_slice_gives_no_targets(broken):
    assert endpoints.group({**slice(), **broken}, around(service(), pod())).targets == ()


def test_a_service_annotation_leads_to_the_pods_real_port():
    annotated = service(annotations={"prometheus.io/port": "9100"})
    group = endpoints.group(slice(port=41234), around(annotated, pod(real={8080: 41234, 9100: 41235})))
    assert group.targets[0]["__meta_styr_scrape_address"] == "10.0.0.7:41235"


def test_nodes_are_attached_when_wanted():
    assert (
        endpoints.group(slice(), around(service(), pod(), node(), with_node=True)).targets[0][
            "__meta_kubernetes_node_label_zone"
        ]
        == "a"
    )
