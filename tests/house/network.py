"""NetworkPolicies as a cluster applies them, and the pods and places between which they stand."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

OURS = "sorting"  # the namespace that `charts.render` renders for
_IN_NAMESPACE = "kubernetes.io/metadata.name"


@dataclass(frozen=True)
class Pod:
    """A pod: its namespace and labels, and its ports by their names."""

    labels: Mapping[str, str]
    namespace: str = OURS
    ports: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, template: Mapping[str, Any]) -> "Pod":
        """The pod that a template of this release makes."""
        ports = {
            port["name"]: port["containerPort"]
            for container in template["spec"]["containers"]
            for port in container.get("ports", ())
        }
        return cls(template["metadata"]["labels"], ports=ports)


@dataclass(frozen=True)
class Outside:
    """A place that is no pod: a server of the institute, the cluster's API."""

    address: str


Place = Pod | Outside
Policies = list[dict[str, Any]]


def may_reach(policies: Policies, source: Place, target: Place, port: int) -> bool:
    """Whether a connection is let out of its source and into its target (TCP, or UDP for names)."""
    return _let(policies, "Egress", source, target, port) and _let(
        policies, "Ingress", target, source, port
    )


def is_chosen(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector chooses a pod or a namespace of these labels."""
    if not selector.get("matchLabels", {}).items() <= labels.items():
        return False
    for each in selector.get("matchExpressions", ()):
        assert each["operator"] == "In", "the chart uses no other"
        if labels.get(each["key"]) not in each["values"]:
            return False
    return True


def _let(policies: Policies, way: str, pod: Place, peer: Place, port: int) -> bool:
    if isinstance(pod, Outside) or pod.namespace != OURS:
        return True
    rules, peers = {"Ingress": ("ingress", "from"), "Egress": ("egress", "to")}[way]
    own = [
        policy["spec"]
        for policy in policies
        if way in policy["spec"]["policyTypes"]
        and is_chosen(policy["spec"]["podSelector"], pod.labels)
    ]
    listening = pod if way == "Ingress" else peer
    return not own or any(
        _is_port(rule, listening, port)
        and (peers not in rule or any(_is_peer(each, peer) for each in rule[peers]))
        for spec in own
        for rule in spec.get(rules, ())
    )


def _is_port(rule: Mapping[str, Any], listening: Place, port: int) -> bool:
    if "ports" not in rule:
        return True
    names = listening.ports if isinstance(listening, Pod) else {}
    return any(names.get(each["port"], each["port"]) == port for each in rule["ports"])


def _is_peer(peer: Mapping[str, Any], place: Place) -> bool:
    if "ipBlock" in peer:
        block = ipaddress.ip_network(peer["ipBlock"]["cidr"])
        return isinstance(place, Outside) and ipaddress.ip_address(place.address) in block
    if isinstance(place, Outside):
        return False
    namespace = {_IN_NAMESPACE: place.namespace}
    # Without a selector of namespaces the policy's own is meant.
    is_there = (
        is_chosen(peer["namespaceSelector"], namespace)
        if "namespaceSelector" in peer
        else place.namespace == OURS
    )
    return is_there and is_chosen(peer.get("podSelector", {}), place.labels)
