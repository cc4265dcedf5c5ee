"""Who may do what: a Role's rules are enforced, and every verb that was used is written down.

What the controller's own code used is written down once more, for the whole process: at the end of
a test run it is compared with the Role of the chart (``tests/support/rights_of_a_run.py``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spikefleet.infra.launchers.kubernetes.api import AGENT
from tests.kubefake.refusals import RefusedError
from tests.kubefake.resources import Resource
from tests.support import rights_of_a_run


@dataclass(frozen=True, order=True)
class Use:
    """One right: what a Role has to grant for a request to be answered."""

    group: str
    resource: str  # ``pods``, ``pods/log``
    verb: str


class Access:
    """The rights of the one service account that calls this server."""

    def __init__(self, role: Mapping[str, Any] | None, *, account: str) -> None:
        #: A Role document; None grants everything.
        self.role = role
        self.account = account
        self.used: set[Use] = set()

    def check(
        self, resource: Resource, sub: str, verb: str, *, namespace: str, name: str, agent: str = ""
    ) -> None:
        """Write the use down. Raises RefusedError 403 where the Role does not grant it."""
        plural = f"{resource.plural}/{sub}" if sub else resource.plural
        use = Use(resource.group, plural, verb)
        if not self._grants(use, name):
            raise self._forbidden(resource, plural, use, namespace, name)
        self.used.add(use)
        if agent == AGENT:
            rights_of_a_run.USED.add((use.group, use.resource, use.verb))

    def _grants(self, use: Use, name: str) -> bool:
        if self.role is None:
            return True
        return any(_rule_grants(rule, use, name) for rule in self.role.get("rules", ()))

    def _forbidden(
        self, resource: Resource, plural: str, use: Use, namespace: str, name: str
    ) -> RefusedError:
        where = f'in the namespace "{namespace}"' if resource.namespaced else "at the cluster scope"
        title = f'{resource.title} "{name}"' if name else resource.title
        details = {
            **({"name": name} if name else {}),
            **({"group": resource.group} if resource.group else {}),
            "kind": resource.plural,
        }
        return RefusedError(
            403,
            "Forbidden",
            f'{title} is forbidden: User "{self.account}" cannot {use.verb} resource "{plural}" '
            f'in API group "{use.group}" {where}',
            details=details,
        )


def _rule_grants(rule: Mapping[str, Any], use: Use, name: str) -> bool:
    names: Sequence[str] = rule.get("resourceNames", ())
    # A request without a name (list, watch, create) is never granted by a rule that has names.
    return (
        _has(rule.get("apiGroups", ()), use.group)
        and _has(rule.get("resources", ()), use.resource)
        and _has(rule.get("verbs", ()), use.verb)
        and (not names or name in names)
    )


def _has(granted: Iterable[str], wanted: str) -> bool:
    return wanted in granted or "*" in granted
