"""Telling another program: signed, pinned to the address that was checked, tried again for a while."""

import base64
import hashlib
import hmac
import itertools
import json

import pytest
from receiver import Receiver

from towpath_server.adapters.egress import EgressClient
from towpath_server.adapters.webhook import NotDelivered, Webhook
from towpath_server.core import egress
from towpath_server.core.access import SYSTEM
from towpath_server.core.secret import Secret
from towpath_server.domains.budgets import service as budgets
from towpath_server.domains.budgets.models import (
    BudgetDraft,
    Level,
    Mode,
    Period,
    Unit,
    Use,
)
from towpath_server.domains.limits.models import SubjectDraft
from towpath_server.domains.notices import service as notices
from towpath_server.domains.notices.reconcile import Notifier
from towpath_server.domains.teams import service as teams

SECRET = Secret("a-webhook-secret-of-more-than-32-characters")
HERE = EgressClient([egress.network("127.0.0.0/8")])


async def test_a_message_is_signed_as_standard_webhooks_says():
    async with Receiver().listening() as receiver:
        await Webhook(receiver.url, SECRET, HERE).deliver("ntc_1", 1_700_000_000, b'{"a":1}')

    ((headers, body),) = receiver.taken
    signed = b"ntc_1.1700000000." + body
    digest = hmac.new(SECRET.reveal().encode(), signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("ntc_1", "1700000000")
    assert headers["host"].startswith("localhost:")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/",
        "http://localhost:9/",
        "http://169.254.169.254/latest",
        "http://[::1]:9/",
        "http://metadata.google.internal/",
    ],
)
async def test_what_lies_inside_is_not_called(url):
    with pytest.raises(NotDelivered, match="may not be called"):
        await Webhook(url, SECRET, EgressClient()).deliver("ntc_1", 1, b"{}")


@pytest.mark.parametrize("status", ["500 Oops", "302 Found", "404 Not Found"])
async def test_whatever_is_not_taken_is_not_delivered_and_no_redirect_followed(status):
    async with Receiver(status).listening() as receiver:
        with pytest.raises(NotDelivered, match=status[:3]):
            await Webhook(receiver.url, SECRET, HERE).deliver("ntc_1", 1, b"{}")

    assert len(receiver.taken) == 1


async def exhaust(db) -> None:
    """Let a budget reach its end, with somebody to be told."""
    draft = BudgetDraft(Unit.TOKENS, 1_000, Period.MONTH, Mode.SOFT, 80)
    async with db.write() as tx:
        await teams.create(tx, SYSTEM, name="care")
        made = await budgets.create(tx, SYSTEM, SubjectDraft(team="care"), draft)
        start = Period.MONTH.start_ms(tx.now_ms)
        await budgets.note_level(tx, Use(made.id, start, 1_200), Level.EXHAUSTED, notify=True)


async def test_a_notice_says_what_happened_and_is_delivered_once(db):
    await exhaust(db)
    async with Receiver().listening() as receiver:
        notifier = Notifier(db, Webhook(receiver.url, SECRET, HERE))

        assert [await notifier.step(), await notifier.step()] == [True, False]

    ((_, body),) = receiver.taken
    event = json.loads(body)
    assert event["type"] == "budget.exhausted"
    assert (event["data"]["of"], event["data"]["used"]) == ("team care", 1_200)
    assert event["data"]["resets_at"] == "2026-12-01T00:00:00+00:00"


async def test_a_receiver_that_is_away_is_tried_with_growing_pauses_and_then_no_more(db, clock):
    await exhaust(db)
    tried = []
    async with Receiver("503 Busy").listening() as receiver:
        notifier = Notifier(db, Webhook(receiver.url, SECRET, HERE))
        for minute in range(24 * 60):
            if await notifier.step():
                tried.append(minute)
            clock.advance(seconds=60)

    pauses = [later - former for former, later in itertools.pairwise(tried)]
    assert len(receiver.taken) == len(tried) == notices.MAX_ATTEMPTS
    assert pauses == sorted(pauses)
    assert pauses[-1] == 60
