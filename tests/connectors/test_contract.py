"""What every connector promises, whatever it connects to."""

import importlib
import json
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from connectors.serving import FaultKind
from engine.facts.outside import ROLES, Connector, Order, Ref, Refused, Rejected, TryLater, Unsure, WebhookRequest
from tests.connectors.kit import Kit, TestClock, World, events, pages, run

KITS: dict[str, Kit] = {
    path.stem.removeprefix("contract_"): importlib.import_module(f"tests.connectors.{path.stem}").kit()
    for path in sorted(Path(__file__).parent.glob("contract_*.py"))
}
ACTIONS = [(name, action) for name, kit in KITS.items() for action in kit.connector.actions]
FEEDS = [(name, feed) for name, kit in KITS.items() for feed in kit.connector.feeds]


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture
def kit(name: str) -> Kit:
    return KITS[name]


@pytest.fixture
def world(kit: Kit, clock: TestClock) -> Iterator[World]:
    with kit.world(clock) as served:
        yield served


@pytest.fixture
def connector(kit: Kit, world: World, clock: TestClock) -> Connector:
    return kit.connector(kit.connector.Settings(**world.settings), clock, kit.codes)


every = pytest.mark.parametrize("name", KITS)
every_action = pytest.mark.parametrize(("name", "action"), ACTIONS)
every_feed = pytest.mark.parametrize(("name", "feed"), FEEDS)


@every
def test_is_found_by_the_name_it_gives_itself(name: str, kit: Kit) -> None:
    points = tomllib.loads((kit.project / "pyproject.toml").read_text())["project"]["entry-points"]["instep.connectors"]
    assert kit.connector.name == name
    assert points[name] == f"{kit.connector.__module__}:{kit.connector.__name__}"


@every
def test_declares_a_known_role_and_positive_cadences(kit: Kit) -> None:
    assert kit.connector.role in ROLES
    for name, feed in kit.connector.feeds.items():
        assert feed.name == name
        assert feed.every > timedelta(0)


@every_action
def test_actions_name_their_subject_among_their_parameters(kit: Kit, action: str) -> None:
    declared = kit.connector.actions[action]
    assert declared.name == action
    assert declared.doc
    assert declared.subject
    assert set(declared.subject) <= set(declared.params)
    assert not declared.sets or declared.sets in declared.params
    assert all(declared.params[p].required for p in declared.subject)


@every_action
def test_every_action_has_an_order_to_try(world: World, action: str) -> None:
    assert action in world.orders


@every
def test_shows_no_secret(connector: Connector, world: World) -> None:
    shown = repr(connector) + str(connector) + repr(vars(connector))
    assert not [secret for secret in world.secrets if secret in shown]


@every_feed
def test_what_is_polled_is_json_with_the_time_it_was_asked_for(connector: Connector, feed: str, clock: TestClock) -> None:
    for event in run(events(connector, feed)):
        json.loads(event.payload)
        assert event.connector == connector.name
        assert event.kind.startswith(f"{connector.name}.")
        assert event.observed_at == clock()
        assert event.requested


@every_feed
def test_a_poll_can_begin_anew_and_go_on_from_any_cursor(connector: Connector, feed: str) -> None:
    async def poll() -> None:
        first = await pages(connector, feed)
        again = await pages(connector, feed)
        assert [e.payload for p in again for e in p.events] == [e.payload for p in first for e in p.events]
        for page in first:
            await pages(connector, feed, page.cursor)

    run(poll())


@every_feed
def test_a_poll_that_fails_is_tried_later(connector: Connector, world: World, feed: str) -> None:
    if world.faults is None:
        pytest.skip("not served over HTTP")
    for kind in ("error", "too_many", "cut_after", "garbage_after"):
        world.faults.waiting.clear()
        world.faults.add(kind, times=50)
        with pytest.raises(TryLater):
            run(pages(connector, feed))


@every_feed
def test_an_unknown_cursor_does_no_harm(connector: Connector, feed: str) -> None:
    for cursor in ("?", "{", '{"since": 3}', "2026-13-45", "[]"):
        run(pages(connector, feed, cursor))


@every_action
def test_an_order_is_performed_and_then_seen_to_be_done(
    connector: Connector, world: World, action: str, clock: TestClock
) -> None:
    async def perform() -> None:
        order = world.orders[action]
        (before,) = await connector.look_up([order])
        assert before.key == order.key
        assert before.done is not True
        receipt = await connector.perform(order)
        assert receipt.reference
        json.dumps(dict(receipt.details))
        clock.tick(seconds=30)
        (after,) = await connector.look_up([replace(order, sent_at=order.planned_at)])
        assert after.done is not False
        for event in (*receipt.events, *after.events):
            json.loads(event.payload)
            assert event.requested

    run(perform())


@every_action
def test_what_cannot_be_reached_is_tried_later(kit: Kit, world: World, action: str, clock: TestClock) -> None:
    if not kit.unreachable:
        pytest.skip("it has no address")
    connector = kit.connector(kit.connector.Settings(**{**world.settings, **kit.unreachable}), clock, kit.codes)
    with pytest.raises(TryLater):
        run(connector.perform(world.orders[action]))


@every_action
@pytest.mark.parametrize("kind", ["error_after", "cut_after", "garbage_after"])
def test_what_may_have_happened_is_unsure_never_repeated(
    connector: Connector, world: World, action: str, kind: FaultKind
) -> None:
    """Only the request that changes something is made to fail."""
    if world.faults is None:
        pytest.skip("not served over HTTP")
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        world.faults.add(kind, method)
    before = len(world.faults.waiting)
    try:
        run(connector.perform(world.orders[action]))
    except Unsure:
        pass
    except TryLater:
        pytest.skip("the first request of this action only reads")
    assert before - len(world.faults.waiting) <= 1


@every_action
def test_too_many_requests_are_tried_when_the_outside_says(connector: Connector, world: World, action: str) -> None:
    if world.faults is None:
        pytest.skip("not served over HTTP")
    world.faults.add("too_many", times=5, retry_after=77)
    with pytest.raises(TryLater) as later:
        run(connector.perform(world.orders[action]))
    assert later.value.after == timedelta(seconds=77)


@every
def test_an_action_it_does_not_have_is_refused(connector: Connector, world: World, clock: TestClock) -> None:
    with pytest.raises(Refused):
        run(connector.perform(Order("x", f"{connector.role}.fly", "x", (), {}, 1, clock())))


@every
def test_many_are_looked_up_at_once(connector: Connector, world: World) -> None:
    found = run(connector.look_up(list(world.orders.values())))
    assert sorted(e.key for e in found) == sorted(o.key for o in world.orders.values())
    assert list(run(connector.look_up([]))) == []


@every
def test_genuine_deliveries_are_taken(connector: Connector, world: World) -> None:
    for delivery in world.webhooks:
        assert connector.receive(delivery)


@every
def test_a_delivery_nobody_signed_is_rejected(connector: Connector, world: World, clock: TestClock) -> None:
    forged = [WebhookRequest(d.body + b" ", {}, {}, clock()) for d in world.webhooks]
    bodies = (b"", b"{}", b"\xff", b"[]", b'{"id": 1}')
    forged += [WebhookRequest(body, {"content-type": "application/json"}, {}, clock()) for body in bodies]
    for delivery in forged:
        with pytest.raises(Rejected) as no:
            connector.receive(delivery)
        assert 400 <= no.value.status < 500


@every
def test_what_is_gone_is_fetched_as_nothing(connector: Connector) -> None:
    kinds = {e.kind for feed in connector.feeds for e in run(events(connector, feed)) if not e.about}
    for kind in kinds:
        assert list(run(connector.fetch(Ref(kind, "404404404")))) == []


@every
def test_can_be_closed_twice(connector: Connector) -> None:
    async def close() -> None:
        await connector.close()
        await connector.close()

    run(close())
