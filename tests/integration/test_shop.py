"""The shop of `examples/`: nginx before a Flask API, PostgreSQL and Redis, on three nodes, by real requests.

Each test runs its own copy of the example, so that it may change it.
"""

from __future__ import annotations

import re
import shutil
from datetime import datetime
from pathlib import Path

import pytest

from orchestrator.lab import Lab
from tests.integration.steps import EXAMPLES, OFFLINE, Answer, Box, Engines, Load, Orch, eventually, get

pytestmark = [pytest.mark.real, pytest.mark.xdist_group("shop"), pytest.mark.timeout(180)]

IMAGES = ("httpd", "nginx", "python", "postgres", "redis")
API, SITE = 8081, 8080


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLES / "shop", tmp_path / "shop"))


def up(shop: Path, *more: str) -> tuple[str | Path, ...]:
    return "up", "-f", shop / "stack.yml", *OFFLINE, *more


def moment(text: str) -> datetime:
    """The engine's time, to the microsecond."""
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d*Z", r"\1+00:00", text))


def passed_at(box: Box) -> datetime:
    """The end of the first check that the engine itself saw pass."""
    log = box.raw["State"]["Health"]["Log"]
    return min(moment(entry["End"]) for entry in log if entry["ExitCode"] == 0)


def ids(engines: Engines, *services: str) -> dict[str, str]:
    return {box.name: box.id for box in engines.boxes("shop") if not services or box.service in services}


def await_health(engines: Engines, name: str) -> None:
    eventually(lambda: engines.box("shop", name).health == "healthy", within_s=15)


def await_answer(lab: Lab, node: str, port: int) -> None:
    eventually(lambda: get(lab, node, port).status == 200, within_s=5)


def psql(orch: Orch, statement: str) -> str:
    query = ("psql", "-h", "127.0.0.1", "-U", "postgres", "-d", "shop", "-tAc", statement)
    return orch("exec", "-p", "shop", "-T", "-e", "PGPASSWORD=change-me", "db", *query).out


def test_the_shop_starts_in_the_order_of_its_graph_and_its_orders_outlive_it(
    three: Lab, orch: Orch, engines: Engines, shop: Path
) -> None:
    assert orch(*up(shop)).out.startswith("shop: revision 1, 6 containers on 2 nodes in ")

    box = {box.name.removeprefix("shop-"): box for box in engines.boxes("shop")}
    assert {name: b.state for name, b in box.items()} == {
        "api-1": "running",
        "api-2": "running",
        "cache-1": "running",
        "db-1": "running",
        "migrate-1": "exited",
        "proxy-1": "running",
        "site-1": "running",
    }
    started = {name: moment(b.started_at) for name, b in box.items()}
    assert box["migrate-1"].exit_code == 0
    assert started["db-1"] < started["migrate-1"] < moment(box["migrate-1"].finished_at)
    for api in ("api-1", "api-2"):
        assert moment(box["migrate-1"].finished_at) < started[api]
        assert started["cache-1"] < started[api] < started["proxy-1"]

    assert get(three, box["proxy-1"].node, API, "/orders", post="two books") == Answer(201, "ordered\n")
    assert get(three, box["proxy-1"].node, API, "/orders") == Answer(200, "1 two books\n")
    assert re.fullmatch(r"shop on \w+: visit 1, 1 orders\n", get(three, box["proxy-1"].node, API).body)
    assert psql(orch, "SELECT id, text FROM orders") == "1|two books\n"
    assert "It works!" in get(three, box["site-1"].node, SITE).body

    orch("-p", "shop", "down")
    assert (engines.boxes("shop"), engines.networks("shop")) == ((), set())
    home = box["db-1"].node
    assert engines.volumes("shop") == {(home, "shop_orders"), (home, "shop_visits")}

    orch(*up(shop))
    proxy = engines.box("shop", "shop-proxy-1")
    assert get(three, proxy.node, API, "/orders") == Answer(200, "1 two books\n")
    assert re.fullmatch(r"shop on \w+: visit 2, 1 orders\n", get(three, proxy.node, API).body)
    assert psql(orch, "SELECT count(*) FROM orders") == "1\n"


@pytest.mark.usefixtures("three")
def test_a_check_that_orch_ran_is_confirmed_by_the_engines_own(orch: Orch, engines: Engines, shop: Path) -> None:
    orch(*up(shop, "db", "cache"))

    for name in ("shop-db-1", "shop-cache-1"):
        await_health(engines, name)
        assert passed_at(engines.box("shop", name)) > moment(engines.box("shop", name).started_at)


def test_a_config_and_an_image_replace_just_those_who_use_them(
    three: Lab, orch: Orch, engines: Engines, shop: Path
) -> None:
    orch(*up(shop))
    first = ids(engines)
    node = engines.box("shop", "shop-proxy-1").node

    proxy = shop / "proxy.conf"
    proxy.write_text(proxy.read_text().replace("location / {", "location / {\n        add_header X-Shop changed;"))
    said = orch("plan", "-f", shop / "stack.yml", *OFFLINE, code=2).out
    assert {line.split(", because ")[1] for line in said.splitlines() if "create" in line} == {
        "its configuration changed"
    }
    orch(*up(shop))
    second = ids(engines)
    assert {name for name in first if first[name] != second[name]} == {"shop-proxy-1"}
    assert get(three, node, API, "/health") == Answer(200, "healthy\n")

    app = shop / "api" / "app.py"
    app.write_text(app.read_text().replace('"healthy\\n"', '"as fit as a fiddle\\n"'))
    orch(*up(shop, "--build"))
    third = ids(engines)
    changed = {name for name in second if second[name] != third.get(name)}
    assert {"shop-api-1", "shop-api-2"} <= changed <= {"shop-api-1", "shop-api-2", "shop-migrate-1"}
    eventually(lambda: get(three, node, API, "/health") == Answer(200, "as fit as a fiddle\n"), within_s=10)


def test_scale_spreads_over_the_nodes_and_an_update_goes_on_answering(
    three: Lab, orch: Orch, engines: Engines, shop: Path
) -> None:
    orch(*up(shop, "site"))
    assert orch("-p", "shop", "scale", "site=3").out.startswith("shop: revision 2, 3 containers on 3 nodes in ")
    assert sorted(box.node for box in engines.boxes("shop")) == ["n1", "n2", "n3"]
    for node in three.nodes():
        await_answer(three, node, SITE)
    first = ids(engines, "site")

    stack = shop / "stack.yml"
    text = stack.read_text().replace("  site:\n", "  site:\n    environment: {EDITION: second}\n", 1)
    stack.write_text(text)
    load = Load(three, SITE, three.nodes())
    orch(*up(shop, "site", "--scale", "site=3"))
    sent, failed = load.end()

    assert (failed, sent > 20) == ([], True)
    second = ids(engines, "site")
    assert second.keys() == first.keys()
    assert not set(second.values()) & set(first.values())
    assert all("EDITION=second" in box.raw["Config"]["Env"] for box in engines.boxes("shop"))
