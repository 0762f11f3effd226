"""A log line of a fault tells where it was, and nothing of what was at hand."""

from __future__ import annotations

from engine.run.logs import where


def test_no_value_of_a_frame_is_told() -> None:
    def fail(api_key: str) -> None:
        raise RuntimeError(f"a key of {len(api_key)} letters")

    try:
        fail("very-secret")
    except RuntimeError as fault:
        told = where(fault)
    assert told["fault"] == "RuntimeError: a key of 11 letters"
    assert "test_logs.py" in told["trace"]
    assert "very-secret" not in str(told)
