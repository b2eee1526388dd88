"""The HTTP server: `/metrics`, the NOC page, `/probe` and the rest, as docs/web.md describes them."""

from exporter.web.config import WebError
from exporter.web.server import WebServer, serve

__all__ = ["WebError", "WebServer", "serve"]
