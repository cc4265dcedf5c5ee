"""What the controller's code asked of fake clusters in a whole test run, held to the chart's Role.

A right that is used in any test and not granted would break an installation; one that no test of a
complete run uses is one too many. Workers of a parallel run hand over what they saw.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import pytest
from tests.house.charts import render, rights

#: API group, resource and verb: what the controller's code was let do in this process, by any
#: fake cluster of any test.
USED: set[tuple[str, str, str]] = set()
_OUTPUT = "rights_used"
# The smallest installation uses all of its rights; with a queue there is one more.
_LEAST, _MOST = "minimal-values.yaml", "external-services-values.yaml"


def hand_over(output: MutableMapping[str, Any]) -> None:
    """Give the run's main process what was used in this worker."""
    output[_OUTPUT] = sorted(USED)


def take_over(output: MutableMapping[str, Any]) -> None:
    """Add what was used in a worker that has ended."""
    USED.update((group, resource, verb) for group, resource, verb in output.get(_OUTPUT, ()))


def differences(config: pytest.Config, *, failed: int) -> list[str]:
    """Lines that say which rights differ; none where the run used none, or helm is not here."""
    if not USED:
        return []
    try:
        least, most = rights(render(_LEAST)), rights(render(_MOST))
    except pytest.skip.Exception:
        return []  # the tests that render the chart have said so
    return compare(USED, least=least if is_whole(config) and not failed else set(), most=most)


def compare(
    used: set[tuple[str, str, str]],
    *,
    least: set[tuple[str, str, str]],
    most: set[tuple[str, str, str]],
) -> list[str]:
    """Lines for rights that are used and not in ``most``, or in ``least`` and not used."""
    missing = [f"the chart's Role does not grant what was used: {_words(e)}" for e in used - most]
    idle = [f"the chart's Role grants what no test used: {_words(e)}" for e in least - used]
    return sorted(missing + idle)


def is_whole(config: pytest.Config) -> bool:
    """Whether every test that is run by default was asked for."""
    return (
        config.args_source is config.ArgsSource.TESTPATHS
        and not config.option.keyword
        and config.option.markexpr == "not slow"
    )


def _words(right: tuple[str, str, str]) -> str:
    group, resource, verb = right
    return f"{verb} {resource}" + (f" of {group}" if group else "")
