"""Whether a port of the loopback is served."""

import socket


def accepts(port: int) -> bool:
    """Tell whether something accepts connections on a port of the loopback."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
