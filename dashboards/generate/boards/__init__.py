"""The dashboards, one file each, in the order of their links."""

from dashboards.generate.boards import check, customer, exporter, fleet, incidents, noc, server

BOARDS = (noc.BOARD, customer.BOARD, server.BOARD, check.BOARD, incidents.BOARD, fleet.BOARD, exporter.BOARD)
