"""Receivers for the bench, each in a process of its own: `python -m bench.receivers KIND PORT TICKS SYMBOLS_FILE DIR`.

KIND is `journal` (our link and journal, nothing behind them), `sdk` (the official SDK's handler, bare) or `sdk-frames`
(the same through its DataFrames). Prints `ready`, then one JSON object when all ticks are in.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import threading
import time
from pathlib import Path
from typing import Any

TIMEOUT_SEC = 120.0


def main(argv: list[str]) -> None:
    """Run one receiver."""
    kind, port, ticks, symbols, directory = argv
    names = Path(symbols).read_text().split()
    if kind == "journal":
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            told = runner.run(receive_to_journal(int(port), int(ticks), names, Path(directory)))
    else:
        told = receive_with_sdk(int(port), int(ticks), names, frames=kind == "sdk-frames")
    print(json.dumps(told), flush=True)


async def receive_to_journal(port: int, ticks: int, symbols: list[str], directory: Path) -> dict[str, Any]:
    """Socket → journal: until the last frame is on the disk."""
    from hk_tick_collector.journal.append import Journal
    from hk_tick_collector.opend.protocol import ClientConnection
    from hk_tick_collector.session.link import Link
    from hk_tick_collector.session.state import ClientState
    from hk_tick_collector.session.subscribe import Subscriber

    journal = Journal(directory / "journal", segment_bytes=64 << 20, buffer_bytes=64 << 20, sync_ms=200)
    journal.start()
    state = ClientState()
    link = Link(ClientConnection("bench"), journal, 1, lambda _: None, state.clock)
    await link.open("127.0.0.1", port, 10)
    await Subscriber(link, 10, state).subscribe(symbols)
    print("ready", flush=True)
    while link.pushes == 0:
        await asyncio.sleep(0.0005)
    began, cpu = time.perf_counter(), time.process_time()
    while link.pushes < ticks:
        await asyncio.sleep(0.002)
    journal.flush(TIMEOUT_SEC)
    return {"sec": time.perf_counter() - began, "cpu_sec": time.process_time() - cpu, "ticks": link.pushes}


def receive_with_sdk(port: int, ticks: int, symbols: list[str], *, frames: bool) -> dict[str, Any]:
    """Socket → the official SDK's handler."""
    logging.disable(logging.CRITICAL)
    import futu

    done = threading.Event()
    seen: dict[str, float] = {"ticks": 0}

    class Handler(futu.TickerHandlerBase):  # type: ignore[misc]
        def on_recv_rsp(self, rsp_pb: Any) -> Any:  # noqa: ANN401
            seen.setdefault("began", time.perf_counter())
            seen.setdefault("cpu", time.process_time())
            if frames:
                super().on_recv_rsp(rsp_pb)
            seen["ticks"] += len(rsp_pb.s2c.tickerList)
            if seen["ticks"] >= ticks:
                seen["ended"] = time.perf_counter()
                seen["cpu_ended"] = time.process_time()
                done.set()
            return futu.RET_OK, None

    context = futu.OpenQuoteContext("127.0.0.1", port)
    context.set_handler(Handler())
    for start in range(0, len(symbols), 100):
        code, text = context.subscribe(symbols[start : start + 100], [futu.SubType.TICKER], is_first_push=False)
        assert code == futu.RET_OK, text
    print("ready", flush=True)
    assert done.wait(TIMEOUT_SEC), f"only {seen['ticks']} of {ticks} ticks"
    context.close()
    return {
        "sec": seen["ended"] - seen["began"],
        "cpu_sec": seen["cpu_ended"] - seen["cpu"],
        "ticks": int(seen["ticks"]),
    }


if __name__ == "__main__":
    main(sys.argv[1:])
