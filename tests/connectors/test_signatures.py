"""A delivery is believed only with its sender's signature."""

import json
import os
import unicodedata
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import signatures

SHARED = Path(os.environ.get("INSTEP_SHARED", Path(__file__).parents[2].parent / "shared")) / "data"
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.mark.skipif(not (SHARED / "easypost").is_dir(), reason=f"no reference data at {SHARED}")
def test_the_published_easypost_vector_verifies():
    vector = json.loads((SHARED / "easypost/hmac-test-vector.json").read_text())
    event = json.loads((SHARED / "easypost/event-body.json").read_text())
    body = json.dumps(event, separators=(",", ":")).encode()
    assert signatures.easypost_signature(body, vector["secret"]) == vector["expected"]
    assert signatures.from_easypost(body, vector["expected"], vector["secret"])


def test_an_easypost_secret_may_be_typed_composed_or_decomposed():
    composed, decomposed = (unicodedata.normalize(form, "sécret") for form in ("NFC", "NFKD"))
    assert composed != decomposed
    assert signatures.from_easypost(b"{}", signatures.easypost_signature(b"{}", composed), decomposed)


def test_a_published_standard_webhooks_vector_verifies():
    """The example printed in the Standard Webhooks libraries."""
    body = b'{"test": 2432232314}'
    signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert signatures.standard_webhooks_signature(body, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", WHSEC) == signature


@given(st.binary(), st.text(min_size=1), st.binary())
def test_a_signature_holds_for_its_own_bytes_only(body, secret, other):
    easypost, shopify = signatures.easypost_signature(body, secret), signatures.shopify_signature(body, secret)
    assert signatures.from_easypost(body, easypost, secret)
    assert signatures.from_shopify(body, shopify, secret)
    if other != body:
        assert not signatures.from_easypost(other, easypost, secret)
        assert not signatures.from_shopify(other, shopify, secret)


@given(st.binary(), st.text())
def test_no_header_text_makes_verification_fail_otherwise_than_with_no(body, header):
    assert not signatures.from_easypost(body, header, "secret")
    assert not signatures.from_shopify(body, header, "secret")
    assert not signatures.from_standard_webhooks(
        body, message_id=header, timestamp=header, signatures=header, secret=WHSEC, now=NOW
    )


def test_an_empty_secret_proves_nothing():
    assert not signatures.from_easypost(b"", signatures.easypost_signature(b"", ""), "")
    assert not signatures.from_shopify(b"", signatures.shopify_signature(b"", ""), "")
    assert not signatures.same("", "")
    with pytest.raises(ValueError, match="not empty"):
        signatures.standard_webhooks_key("whsec_")
    with pytest.raises(ValueError, match="base64"):
        signatures.standard_webhooks_key("whsec_not base64!")


@pytest.mark.parametrize(("age", "fresh"), [(0, True), (299, True), (301, False), (-299, True), (-301, False)])
def test_a_standard_webhook_older_than_five_minutes_is_taken_for_a_replay(age, fresh):
    stamp = str(int((NOW - timedelta(seconds=age)).timestamp()))
    signature = signatures.standard_webhooks_signature(b"{}", "msg_1", stamp, WHSEC)
    sent = {"message_id": "msg_1", "timestamp": stamp, "secret": WHSEC, "now": NOW}
    assert signatures.from_standard_webhooks(b"{}", signatures=f"v1,old {signature}", **sent) is fresh
    assert not signatures.from_standard_webhooks(b"{ }", signatures=signature, **sent)
    assert not signatures.from_standard_webhooks(b"{}", signatures="", **sent)
