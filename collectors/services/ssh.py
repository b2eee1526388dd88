"""SSH: a pass proves that an SSH server greets us.

Both sides begin with an identification line, ``SSH-2.0-software``, the server perhaps with other lines before it (RFC
4253 §4.2); ``SSH-1.99`` is a server that also speaks the old version (§5.1). Nobody logs in.
"""

from collectors.dialogue import Dialogue
from collectors.failures import Unavailable, Unreachable
from collectors.registry import Options, Port, check

IDENTIFICATION = "SSH-2.0-dserver_exporter"
GREETINGS = ("SSH-2.0-", "SSH-1.99-")
NOT_NOW = ("Exceeded MaxStartups", "Not allowed at this time")
"""What OpenSSH says instead of greeting when it has too many log-ins under way, or has had enough of us."""
LINES = 50
"""Looked at for the identification, at most."""
LINE = 1024
"""Bytes: §4.2 allows the identification 255 and says nothing of the lines before it."""


class SshOptions(Options):
    """What can be said about an ssh check."""

    port: Port = 22


@check("ssh", options=SshOptions)
async def ssh(talk: Dialogue, opts: SshOptions) -> None:
    """Return when an SSH server has greeted."""
    await talk.connect(opts.port)
    talk.step = "greeting"
    # said first, as §4.2 allows: another protocol's server answers it, so that it is seen for what it is
    talk.send(IDENTIFICATION)
    first = ""
    for _ in range(LINES):
        try:
            line = await talk.line(LINE)
        except Unreachable:
            if first:
                break
            raise
        if line.startswith(GREETINGS):
            return
        if line.startswith(NOT_NOW):
            raise Unavailable(talk.step, talk.show(line))
        first = first or line
    raise talk.unexpected("an SSH identification", first)
