"""Ends with 0 when the exporter in this container is ready, else with 1 and the reason.

It asks ``DSERVER_HEALTH_URL``. Where every endpoint needs a password (``basic_auth_users``), ``DSERVER_HEALTH_USER``
and ``DSERVER_HEALTH_PASSWORD_FILE`` say which. Where clients need a certificate, replace it by a check of your own.
"""

import os
import ssl
import sys
import urllib.request
from base64 import b64encode
from pathlib import Path

URL = "http://127.0.0.1:10623/-/ready"
PATIENCE = 4.0
"""Seconds for the answer."""


def main() -> None:
    """Ask, and exit."""
    request = urllib.request.Request(os.environ.get("DSERVER_HEALTH_URL", URL))  # noqa: S310 - the container's own
    if user := os.environ.get("DSERVER_HEALTH_USER"):
        password = Path(os.environ["DSERVER_HEALTH_PASSWORD_FILE"]).read_text("utf-8").rstrip("\r\n")
        request.add_header("Authorization", "Basic " + b64encode(f"{user}:{password}".encode()).decode())
    # it asks itself: its certificate is made for the name by which others know it
    own = ssl._create_unverified_context()  # noqa: S323, SLF001
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE, context=own):  # noqa: S310
            return
    except (OSError, KeyError) as error:
        sys.exit(f"{request.full_url}: {error}")


if __name__ == "__main__":
    main()
