"""Whatever customers, carriers and staff do, and in whatever order: polling alone ends with ReturnGO's own state."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.returngo.connector import ReturnGoConnector, ReturnGoSettings
from connectors.returngo.sandbox import ReturnGoSandbox
from connectors.returngo.shapes import Piece
from connectors.returngo.words import FINAL
from connectors.returngo.world import InvalidTransitionError
from connectors.serving import Served

DEEDS = ["create", "approve", "reject", "cancel", "reopen", "done"]
DEEDS += ["label", "ship", "receive", "inspect", "refund", "finish", "wait"]


class Follower:
    """What the service does with a connector: polls when it is time, and fetches what it is hinted at."""

    def __init__(self, sandbox, url, clock):
        self.connector = ReturnGoConnector(ReturnGoSettings(**sandbox.settings(url)), clock, {})
        self.cursors = {"rmas": "", "open_rmas": ""}
        self.known = {}

    async def poll(self, feed):
        async for page in self.connector.observe(feed, self.cursors[feed]):
            self.cursors[feed] = page.cursor
            events = [*page.events]
            for hint in page.hints:
                events += await self.connector.fetch(hint.ref)
            for event in events:
                told = json.loads(event.payload)
                self.known[told["rmaSummary"]["rmaId"]] = told


def act(world, deed, which):
    """One deed on one of the RMAs, where it is possible; what is closed or not yet approved is left alone by carriers."""
    if deed == "create" or not world.rmas:
        world.create_rma("5001", "#1001", [Piece("11", "SKU-1", "10"), Piece("11", "SKU-1", "10.50")])
        return
    rma_id = list(world.rmas)[which % len(world.rmas)]
    (shipment,), pieces = world.shipments(rma_id), world.pieces(rma_id)
    is_open = world.status(rma_id) not in {*FINAL, "Pending"}
    match deed:
        case "approve" | "reject" | "cancel" | "reopen":
            getattr(world, deed)(rma_id)
        case "done":
            world.mark_done(rma_id)
        case "refund" if world.status(rma_id) != "Pending":
            world.refund(rma_id, pieces[:1], status="Requested")
        case "finish" if world.rma(rma_id)["transactions"]:
            world.finish_refund(world.rma(rma_id)["transactions"][-1]["id"], "Success" if which % 2 else "Failed")
        case "label" if is_open:
            world.create_label(shipment, f"TRK-{rma_id}")
        case "ship" if is_open:
            world.ship(shipment)
        case "receive" if is_open:
            world.receive(shipment)
        case "inspect" if is_open:
            world.inspect(rma_id, dict.fromkeys(pieces, which % 2 == 0))


@given(st.lists(st.tuples(st.sampled_from(DEEDS), st.integers(0, 7)), min_size=1, max_size=25))
@settings(max_examples=25, deadline=None)
def test_polls_end_with_the_state_of_the_platform(deeds):
    now = datetime(2026, 3, 2, tzinfo=UTC)

    def clock():
        return now

    sandbox = ReturnGoSandbox(clock)

    async def follow(url):
        nonlocal now
        follower = Follower(sandbox, url, clock)

        async def go_on(minutes):
            nonlocal now
            for _ in range(0, minutes, 5):
                now += timedelta(minutes=5)
                await follower.poll("rmas")
                if now.minute % 10 == 0:
                    await follower.poll("open_rmas")

        for deed, which in deeds:
            try:
                act(sandbox.world, deed, which)
            except InvalidTransitionError:
                continue
            if deed == "wait":
                await go_on(5 * (1 + which))
        await go_on(90)
        await follower.connector.close()
        return follower.known

    with Served(sandbox.app) as url:
        known = asyncio.run(follow(url))
    assert known.keys() == sandbox.world.rmas.keys()
    for rma_id, told in known.items():
        true = json.loads(json.dumps(sandbox.world.rma(rma_id), default=float))
        assert told["rmaSummary"] == true["rmaSummary"]
        assert told["transactions"] == true["transactions"]
        if true["rmaSummary"]["status"] not in FINAL:
            assert (told["shipments"], told["items"]) == (true["shipments"], true["items"])
