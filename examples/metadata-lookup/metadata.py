#!/usr/bin/env python3
"""The metadata of a call, for an application in Python behind a service with metadata: lookup.

The other end of its connection has a name, and the sidecar tells over a socket of its own what
belongs to the call that it has sent there. To be copied; it needs nothing but Python.
"""

import http.client
import json
import os
import socket
import sys

# metadata_socket of the sidecar, which tells the applications that it starts
SOCKET = os.environ.get("BRIDLE_METADATA_SOCKET", "/run/bridled/metadata.sock")


class MetadataError(Exception):
    """The sidecar does not tell, and says why."""


def metadata_of(connection, seq=None, path=SOCKET):
    """Of the call in flight on that connected unix socket; with `seq` of the call with that
    sequence id. None where the other end is no connection of a sidecar that tells."""
    name = connection.getpeername()
    if not isinstance(name, bytes) or not name.startswith(b"\0bridled-"):
        return None
    door = http.client.HTTPConnection("sidecar")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door.sock:
        door.sock.connect(path)
        door.request("GET", "/meta/" + name[1:].decode() + ("" if seq is None else "?seq=%d" % seq))
        answer = door.getresponse()
        told = json.load(answer)
    if answer.status != 200:
        raise MetadataError("%d: %s" % (answer.status, told["error"]))
    return told


def main():
    """To try it: prints what is known of the call on its standard input, a connection."""
    connection = socket.socket(fileno=sys.stdin.fileno())
    seq = int(sys.argv[2]) if len(sys.argv) > 2 else None
    try:
        print(json.dumps(metadata_of(connection, seq, sys.argv[1])))
    except MetadataError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
