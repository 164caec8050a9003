"""Which troubles pass, how long one waits, and what is said."""

from __future__ import annotations

import json

import pytest
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

from mbps_dataset.errors import PublishError
from mbps_dataset.reading.hub_errors import diagnose, one_line, persistently


class Response:
    """As much of a response as an error of the Hub holds."""

    def __init__(self, status: int) -> None:
        self.status_code, self.headers, self.request = status, {}, None


def answered(status: int, message: str | None = None) -> HfHubHTTPError:
    return HfHubHTTPError("raw", response=Response(status), server_message=message)


@pytest.mark.parametrize("status", [409, 412, 429, 500, 503])
def test_passing_answers_are_tried_again_with_doubling_pauses(status):
    answers, waits = [answered(status)] * 3, []

    def action() -> str:
        if answers:
            raise answers.pop()
        return "done"

    assert persistently(action, "x", wait=waits.append) == "done" and waits == [1, 2, 4]


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "knows no such user or repository .401: who.*hf auth login"),
        (403, "refuses .403: who.; use a token that may write"),
        (404, "finds no such repository or revision .404: who.; check the name"),
        (413, "answered 413: who"),
    ],
)
def test_other_answers_are_said_at_once(status, message):
    waits = []
    with pytest.raises(PublishError, match=f"Cannot push: the Hub {message}"):
        persistently(lambda: (_ for _ in ()).throw(answered(status, "who")), "Cannot push", wait=waits.append)
    assert waits == []


def test_the_cause_inside_an_upload_error_is_found():
    wrapped = RuntimeError("Error while uploading 'x' to the Hub.")
    wrapped.__cause__ = answered(403, "quota")
    assert "403: quota" in diagnose(wrapped).sentence and not diagnose(wrapped).passing
    assert diagnose(RuntimeError("xet: data processing error")).passing
    assert diagnose(ConnectionResetError()).passing and not diagnose(OfflineModeIsEnabled("x")).passing
    assert diagnose(json.JSONDecodeError("x", "<html>", 0)).passing
    assert diagnose(ValueError("Invalid metadata\n- a")).sentence == "Invalid metadata - a"


def test_what_is_not_the_hubs_comes_through():
    with pytest.raises(ZeroDivisionError):
        persistently(lambda: 1 // 0, "x")
    assert diagnose(KeyError("x")) is None
    with pytest.raises(ValueError, match="attempts must be at least 1"):
        persistently(lambda: 1, "x", attempts=0)


def test_tokens_and_signatures_are_left_out(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "a-token-of-another-form")
    said = one_line("a-token-of-another-form\n hf_abcdEFGH12 at https://s3/x/y?X-Amz-Signature=1f&z=2 failed")
    assert said == "*** *** at https://s3/x/y failed"


@pytest.mark.parametrize("uploads", [True, False])
def test_only_uploads_are_said_to_be_kept(uploads):
    def action() -> None:
        raise answered(503)

    with pytest.raises(PublishError, match="run the same command again later") as raised:
        persistently(action, "x", attempts=2, wait=lambda _: None, uploads=uploads)
    assert ("what was uploaded is kept." in str(raised.value)) == uploads
