"""Where containers may go, as the file says it."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.model.spec import Constraint, PlacementRules, Strategy


def _rules(folder: Any, placement: str, own: str = "") -> PlacementRules:
    folder.write(f"services:\n  web:\n    image: i\n    deploy: {{placement: {placement}}}\n{own}")
    found: PlacementRules = folder.load().stack.services["web"].placement
    return found


def test_all_of_placement_becomes_rules(folder: Any) -> None:
    rules = _rules(
        folder,
        "{constraints: [node.role==manager, 'node.labels.Zone != east '], max_replicas_per_node: 2,"
        " preferences: [{spread: node.labels.zone}, {spread: engine.labels.rack}]}",
        "    x-orch: {placement: {strategy: binpack}}\n",
    )

    assert rules == PlacementRules(
        constraints=(
            Constraint(key="node.role", value="manager"),
            Constraint(key="node.labels.Zone", value="east", is_equal=False),
        ),
        spread=("node.labels.zone", "engine.labels.rack"),
        max_replicas_per_node=2,
        strategy=Strategy.BINPACK,
    )


def test_without_a_word_containers_are_spread(folder: Any) -> None:
    assert _rules(folder, "{}") == PlacementRules(strategy=Strategy.SPREAD)


@pytest.mark.parametrize(
    ("text", "key", "value", "is_equal"),
    [
        ("node.ID == abc", "node.id", "abc", True),
        ("NODE.HOSTNAME==h-1", "node.hostname", "h-1", True),
        ("node.ip != 192.0.2.0/24", "node.ip", "192.0.2.0/24", False),
        ("node.role != Manager", "node.role", "Manager", False),
        ("node.platform.os == linux", "node.platform.os", "linux", True),
        ("node.platform.arch == x86_64", "node.platform.arch", "x86_64", True),
        ("Node.Labels.Some.Disk == fast ssd", "node.labels.Some.Disk", "fast ssd", True),
        ("engine.labels.com.example.a-b == 1", "engine.labels.com.example.a-b", "1", True),
    ],
)
def test_a_constraint_may_name(folder: Any, text: str, key: str, value: str, is_equal: bool) -> None:
    assert _rules(folder, f'{{constraints: ["{text}"]}}').constraints == (
        Constraint(key=key, value=value, is_equal=is_equal),
    )


def test_own_keys_may_come_from_variables(folder: Any) -> None:
    folder.write(
        "services:\n  web: {image: i, volumes: ['data:/d'], x-orch: {placement: {strategy: '${S}'}}}\n"
        "volumes:\n  data: {x-orch: {per_replica: '${P}'}}\n"
    )
    stack = folder.load(env={"S": "binpack", "P": "true"}).stack

    assert stack.services["web"].placement.strategy is Strategy.BINPACK
    assert stack.volumes["data"].is_per_slot


@pytest.mark.parametrize(
    ("volume", "name"),
    [
        ("x-orch: {per_replica: true}", "shop_data-2"),
        ("name: d, x-orch: {per_replica: true}", "d-2"),
        ("name: 'd-{{.Task.Slot}}-x'", "d-2-x"),
        ("name: 'd-{{ .Task.Slot }}', x-orch: {per_replica: true}", "d-2"),
        ("x-orch: {per_replica: false}", "shop_data"),
    ],
)
def test_each_slot_may_have_a_volume_of_its_own(folder: Any, volume: str, name: str) -> None:
    folder.write(f"services: {{web: {{image: i, volumes: [data:/d]}}}}\nvolumes: {{data: {{{volume}}}}}\n")

    assert folder.load().stack.volumes["data"].name_for(2) == name
