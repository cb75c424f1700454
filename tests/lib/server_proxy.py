# SPDX-License-Identifier: Apache-2.0
"""A wire between a node and a server that can go dead: nothing is closed and nothing is answered, as when a firewall forgets a
connection or a cable is cut."""
import socket
import threading

from server_process import HOST, Port


class Wire:
    """One connection and the two threads that carry it."""

    def __init__(self, near, far):
        self.ends = [near, far]
        self.is_dead = False
        for a, b in ((near, far), (far, near)):
            threading.Thread(target=self.carry, args=(a, b), daemon=True).start()

    def carry(self, come, go):
        try:
            while data := come.recv(65536):
                if not self.is_dead:
                    go.sendall(data)
        except OSError:
            pass
        if not self.is_dead:  # a dead one does not even tell that the other side has gone
            self.close()

    def close(self):
        for end in self.ends:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()


class Proxy:
    """Listens on `port` of loopback and carries to TARGET, a port there."""

    def __init__(self, target):
        self.target = target
        self.claim = Port()
        self.port = self.claim.number
        self.wires = []
        self.is_cut = False
        self.listener = socket.create_server((HOST, self.port), backlog=64)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
                far = socket.create_connection((HOST, self.target))
            except OSError:
                if self.listener.fileno() < 0:
                    return
                near.close()  # the server is not there
                continue
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wire = Wire(near, far)
            wire.is_dead = self.is_cut
            self.wires.append(wire)

    def through(self, url, port):
        """URL, but by way of this instead of PORT."""
        return url.replace(f"{HOST}:{port}", f"{HOST}:{self.port}")

    def forget(self):
        """The connections there are go dead; new ones are well."""
        for wire in self.wires:
            wire.is_dead = True

    def cut(self):
        """All go dead, new ones too, until heal()."""
        self.is_cut = True
        self.forget()

    def heal(self):
        """New connections are well. The dead ones stay dead: what they swallowed is lost."""
        self.is_cut = False

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for wire in self.wires:
            wire.is_dead = True
            wire.close()
        self.claim.close()

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.close()
