"""Asking a real recorder's `/healthz` and `/metrics` over HTTP."""

from __future__ import annotations

import http.client
import json
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from support.recorder_process import until

LOOPBACK = "127.0.0.1"


class Told(NamedTuple):
    """An answer of `/healthz`; status 0 where there is none."""

    status: int
    verdict: str
    reasons: list[str]
    lost_today: str = ""


def ask(port: int, path: str) -> tuple[int, bytes]:
    """One answer; (0, b"") where nobody listens."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=30)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    except ConnectionError:
        return 0, b""
    finally:
        connection.close()


def health(port: int) -> Told:
    """What `/healthz` says."""
    status, body = ask(port, "/healthz")
    told = json.loads(body) if body else {"verdict": "", "reasons": [], "lost_today": ""}
    return Told(status, told["verdict"], told["reasons"], told["lost_today"])


def wait_for_health(port: int, status: int, verdict: str, reason: str = "") -> Told:
    """Until it says so, with a reason that begins so."""

    def is_so() -> bool:
        told = health(port)
        has_reason = not reason or any(each.startswith(reason) for each in told.reasons)
        return (told.status, told.verdict) == (status, verdict) and has_reason

    until(is_so, lambda: f"{status} {verdict} {reason!r}: {health(port)}", 60.0)
    return health(port)


def metrics(port: int, path: str = "/metrics") -> dict[str, float]:
    """Every series without labels, by name; with `?symbols=1` those of a symbol by `name symbol`."""
    families = text_string_to_metric_families(ask(port, path)[1].decode())
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in families
        for sample in family.samples
    }
