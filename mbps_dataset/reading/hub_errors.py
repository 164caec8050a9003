"""What went wrong with the Hub, in one line, and whether trying again helps.

Decisions (ours): answers that pass by themselves (408, 409, 412, 425, 429, 5xx) and broken connections are tried again
with doubling pauses; `datasets` itself gives up on 409 and 412 (measured on datasets 5.2 with huggingface_hub 2.4).
Everything else is said at once. No message carries a token or the signed part of an upload address.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from huggingface_hub import constants, get_token
from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, HfHubHTTPError, OfflineModeIsEnabled

from mbps_dataset.errors import PublishError
from mbps_dataset.reading.names import did_you_mean


logger = logging.getLogger(__name__)

PASSING_STATUS = frozenset({408, 409, 412, 425, 429, 500, 502, 503, 504})
ATTEMPTS = 6
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0

_TRANSPORT_PACKAGES = {"httpx", "httpx2", "httpcore", "requests", "urllib3"}

T = TypeVar("T")


@dataclass(frozen=True)
class Trouble:
    """One line for a person, and whether the same request may succeed later."""

    sentence: str
    passing: bool


def persistently(
    action: Callable[[], T],
    what: str,
    *,
    attempts: int = ATTEMPTS,
    wait: Callable[[float], object] | None = None,
    uploads: bool = False,
) -> T:
    """Result of `action`, tried again with doubling pauses while its trouble is of the passing kind.

    Raises `PublishError` with one line that starts with `what`, and says that what was uploaded is kept if `uploads`. Errors that have nothing to do with the Hub come through
    unchanged.
    """
    pause = FIRST_PAUSE_S
    for attempt in range(1, attempts + 1):
        try:
            return action()
        except PublishError:
            raise
        except Exception as error:
            trouble = diagnose(error)
            if trouble is None:
                raise
            if not trouble.passing:
                raise PublishError(f"{what}: {trouble.sentence}") from error
            if attempt == attempts:
                again = "run the same command again later" + "; what was uploaded is kept" * uploads
                raise PublishError(f"{what}: {trouble.sentence} {attempts} times; {again}.") from error
            logger.warning("%s: %s; trying again in %.0f s", what, trouble.sentence, pause)
            (wait or time.sleep)(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)
    raise ValueError(f"attempts must be at least 1, but is {attempts}.")


def require_token() -> None:
    """Raises `PublishError` where `huggingface_hub` has no token, without which nothing can be sent; not in offline mode."""
    if get_token() is None and not constants.is_offline_mode():
        raise PublishError("no token: run `hf auth login` or set HF_TOKEN.")


def diagnose(error: BaseException) -> Trouble | None:
    """What an error of `huggingface_hub` means; None if it is none of the Hub's."""
    for link in _causes(error):
        if isinstance(link, OfflineModeIsEnabled):
            return Trouble("offline mode is on; unset HF_HUB_OFFLINE to reach the Hub.", passing=False)
        response = getattr(link, "response", None)
        if isinstance(link, HfHubHTTPError) and response is not None:
            return _from_status(response.status_code, getattr(link, "server_message", None) or "")
        if isinstance(link, (ConnectionError, TimeoutError)) or _is_transport(link):
            return Trouble(f"the connection to the Hub failed ({type(link).__name__})", passing=True)
    if isinstance(error, (json.JSONDecodeError, RuntimeError)):  # a proxy's page; the way the Xet client reports
        return Trouble(f"the Hub could not be understood ({one_line(str(error))})", passing=True)
    if isinstance(error, ValueError):
        return Trouble(one_line(str(error)), passing=False)
    return None


def page_of(hub_id: str) -> str:
    """The page of a network on the Hub: there its terms are accepted, whatever mirror serves its files."""
    return f"https://huggingface.co/{hub_id}"


def why_no_network(error: BaseException, hub_id: str, known: Iterable[str] = ()) -> str:
    """Why a network could not be read from the Hub and what to do: one line that goes on after its id, without full stop.

    `known` are ids that a mistyped one may have meant.
    """
    for link in _causes(error):
        if isinstance(link, OfflineModeIsEnabled):
            return (
                "is no folder here, and as a Hub id it has not been downloaded: HF_HUB_OFFLINE keeps this process off the "
                f"Hub; unset it, or fetch it where there is a network with `hf download {hub_id} --local-dir FOLDER` and give that folder"
            )
        response = getattr(link, "response", None)
        if isinstance(link, HfHubHTTPError) and response is not None:
            return _refused(link, response.status_code, response.headers.get("X-Error-Code"), hub_id, known)
        if isinstance(link, (ConnectionError, TimeoutError)) or _is_transport(link):
            return (
                "is no folder here, and as a Hub id it has not been downloaded: the Hub cannot be reached "
                f"({type(link).__name__}); check the network and run the same command again, or give a folder that holds it"
            )
    return f"cannot be downloaded ({one_line(str(error)) or type(error).__name__})"


def _refused(error: HfHubHTTPError, status: int, code: str | None, hub_id: str, known: Iterable[str]) -> str:
    page, token = page_of(hub_id), get_token() is not None
    said = f": {one_line(error.server_message)}" if error.server_message else ""
    if isinstance(error, GatedRepoError) and not token:
        return f"is gated: accept its terms at {page}, then run `hf auth login` or set HF_TOKEN"
    if isinstance(error, GatedRepoError):
        return (
            f"is gated, and your token gives no access: accept its terms at {page} with the account of the token, whose "
            f"settings must allow gated repositories ({status}{said})"
        )
    if isinstance(error, EntryNotFoundError):
        return f"holds no config.json and safetensors ({page})"
    if status == 404 or code == "RepoNotFound" or (status == 401 and not token):
        private = "it is private to another account" if token else "it is private, which needs `hf auth login`"
        spelling = did_you_mean(hub_id, known).removesuffix("?").replace("Did you mean", "did you mean")
        return f"is no folder here, and the Hub knows no such network, or {private}; {spelling.strip() or 'check its spelling'}"
    if status == 401:
        return (
            f"was refused with your token, which is wrong or has expired ({status}{said}): run `hf auth login` again, or "
            "unset HF_TOKEN"
        )
    if status in PASSING_STATUS:
        return f"cannot be downloaded now (the Hub answered {status}{said}): run the same command again later"
    return f"was refused by the Hub ({status}{said}): see {page}"


def one_line(message: str, limit: int = 300) -> str:
    """`message` on one line, without tokens and without the query of any address (it can hold a signature)."""
    token = get_token()
    if token:
        message = message.replace(token, "***")
    message = re.sub(r"\bhf_[A-Za-z0-9]{4,}", "***", message)
    message = re.sub(r"(https?://[^\s?]+)\?\S+", r"\1", message)
    return " ".join(message.split())[:limit]


def _from_status(status: int, message: str) -> Trouble:
    said = f": {one_line(message)}" if message else ""
    if status in PASSING_STATUS:
        return Trouble(f"the Hub answered {status}{said}", passing=True)
    if status == 401:
        advice = "run `hf auth login`, or set HF_TOKEN to a token that may write"
        return Trouble(f"the Hub knows no such user or repository (401{said}); {advice}.", passing=False)
    if status == 403:
        advice = "use a token that may write there, or another name"
        return Trouble(f"the Hub refuses (403{said}); {advice}.", passing=False)
    if status == 404:
        return Trouble(f"the Hub finds no such repository or revision (404{said}); check the name.", passing=False)
    return Trouble(f"the Hub answered {status}{said}", passing=False)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_transport(error: BaseException) -> bool:
    return any(cls.__module__.split(".")[0] in _TRANSPORT_PACKAGES for cls in type(error).__mro__)
