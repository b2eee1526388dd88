"""The mails that the exporter writes itself: what they say (templates), and how they look on the wire (messages)."""
