"""Whether the recorder in this container records: asks its /healthz, prints the answer, exits with 0 or 1.

Owns nothing: the verdict is the recorder's own, as `status` shows it. It imports nothing of the recorder, so that a
check every 30 s costs a few hundredths of a second of CPU.
"""

import http.client
import json
import os
import sys

TIMEOUT_SEC = 5.0


def main() -> int:
    """Print one line, `VERDICT: reasons`; 0 only for what /healthz answers with 200."""
    port = os.environ.get("METRICS_PORT", "").strip() or "0"
    if port == "0":
        sys.stdout.write("unknown: METRICS_PORT is 0, so nobody answers: set it, or switch the healthcheck off\n")
        return 1
    connection = http.client.HTTPConnection(os.environ.get("METRICS_HOST") or "127.0.0.1", port, timeout=TIMEOUT_SEC)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        said = json.loads(answer.read())
    except (OSError, http.client.HTTPException, ValueError) as exc:
        sys.stdout.write(f"failing: no answer on port {port}: {exc}\n")
        return 1
    finally:
        connection.close()
    sys.stdout.write(": ".join(filter(None, [said["verdict"], "; ".join(said["reasons"])])) + "\n")
    return 0 if answer.status == http.HTTPStatus.OK else 1


if __name__ == "__main__":
    sys.exit(main())
