# SPDX-License-Identifier: Apache-2.0
"""Just enough of the Redis protocol to set servers up and to look what they hold."""
import socket

HOST = "127.0.0.1"


class RespError(OSError):
    """The server answered with an error."""


class Resp:
    """One connection. `r("SET", "a", b"1")` gives the answer: bytes, int, None or a list of them."""

    def __init__(self, port, user=None, password=None, timeout=5.0):
        self.socket = socket.create_connection((HOST, port), timeout=timeout)
        self.file = self.socket.makefile("rb")
        if password is not None:
            self("AUTH", *([user] if user else []), password)

    def send(self, *words):
        words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self.socket.sendall(b"".join([b"*%d\r\n" % len(words)] + [b"$%d\r\n%s\r\n" % (len(w), w) for w in words]))

    def read(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise RespError("connection closed")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b"-":
            raise RespError(rest.decode(errors="replace"))
        if kind == b":":
            return int(rest)
        if int(rest) < 0:
            return None
        if kind == b"$":
            return self.file.read(int(rest) + 2)[:-2]
        return [self.read() for _ in range(int(rest))]

    def __call__(self, *words):
        self.send(*words)
        return self.read()

    def info(self, section):
        text = self("INFO", section).decode()
        return dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)

    def close(self):
        self.file.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.close()
