# SPDX-License-Identifier: Apache-2.0
"""Ports for servers of the tests."""
import random
import socket

FIRST, LAST = 10000, 19999  # below those the system gives to outgoing connections, which a busy test takes by the hundred
_given = set()


def free_port():
    """A port of 127.0.0.1 that nobody listens on, never the same twice."""
    while True:
        port = random.SystemRandom().randint(FIRST, LAST)
        if port in _given:
            continue
        _given.add(port)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
