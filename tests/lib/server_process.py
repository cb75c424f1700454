# SPDX-License-Identifier: Apache-2.0
"""Processes of the servers that tests start: with a directory and a port of their own, ended whatever becomes of the test.

A server runs in a session of its own. Whoever starts one also has a watchdog, a small process that waits for its parent to
be gone - killed as well - and then ends what is left and removes the directories.
"""
import atexit
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HOST = "127.0.0.1"
MEMORY = Path("/dev/shm")
FIRST_PORT, LAST_PORT = 20000, 32000  # below those that the system gives to outgoing connections


class ServerError(AssertionError):
    """A server did not do as it should; the message holds its log."""


def stat_of(pid):
    """Parent, state and start time of PID; None when there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text[text.rindex(")") + 2:].split()
    return int(fields[1]), fields[0], int(fields[19])


def is_alive(pid):
    found = stat_of(pid)
    return found is not None and found[1] not in "ZX"


def family(pid):
    """PID and everything below it. PostgreSQL's processes have sessions of their own: a process group would not do."""
    below = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            found = stat_of(entry)
            if found:
                below.setdefault(found[0], []).append(int(entry))
    pids = [pid]
    for one in pids:
        pids += below.get(one, [])
    return pids


def is_stopped(pid):
    """Does no thread of PID run any more?"""
    for task in Path(f"/proc/{pid}/task").glob("*/stat"):
        try:
            text = task.read_text()
        except OSError:
            continue
        if text[text.rindex(")") + 2] not in "TtZX":
            return False
    return True


def wait_stopped(pids, seconds=10):
    """A thread that is in the kernel stops when it comes out, and may answer until then."""
    end = time.monotonic() + seconds
    while not all(is_stopped(pid) for pid in pids) and time.monotonic() < end:
        time.sleep(0.002)


def send(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def kill_family(pid):
    """SIGKILL for PID and everything below it; gives those that were hit. It is stopped first, so that it forks no more."""
    send([pid], signal.SIGSTOP)
    pids = family(pid)
    send(pids, signal.SIGKILL)
    return pids


# ---- what is left behind by a test that was killed ----

def watch():
    """The watchdog: lines of standard input say what there is; their end says that the parent is gone."""
    pids, directories = {}, set()
    for line in sys.stdin:
        what, value = line.rstrip("\n").split(" ", 1)
        if what == "pid":
            pids[int(value)] = stat_of(int(value))
        elif what == "no-pid":
            pids.pop(int(value), None)
        elif what == "dir":
            directories.add(value)
        elif what == "no-dir":
            directories.discard(value)
    for pid, found in pids.items():
        now = stat_of(pid)
        if found and now and now[2] == found[2]:
            kill_family(pid)
    time.sleep(0.3)
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)


class Watchdog:
    process = None
    owner = None

    @classmethod
    def tell(cls, what, value):
        if cls.owner != os.getpid():
            cls.owner = os.getpid()
            cls.process = subprocess.Popen([sys.executable, "-I", "-S", __file__], stdin=subprocess.PIPE,
                                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                           start_new_session=True, cwd="/")
            atexit.register(cls.end)
        cls.process.stdin.write(f"{what} {value}\n".encode())
        cls.process.stdin.flush()

    @classmethod
    def end(cls):
        if cls.owner == os.getpid():
            cls.process.stdin.close()
            cls.process.wait()


class Directory:
    """A directory of its own, in memory, or (ON_DISK) not, or in PLACE; belonging to the user that the server runs as."""

    def __init__(self, name, user=None, on_disk=False, place=None):
        if place is None:
            place = MEMORY if not on_disk and os.access(MEMORY, os.W_OK) else Path(tempfile.gettempdir())
        self.path = Path(tempfile.mkdtemp(prefix=f"latchkey-{name}-", dir=place))
        Watchdog.tell("dir", self.path)
        self.user = user
        self.own(self.path)

    def own(self, path):
        if self.user:
            entry = pwd.getpwnam(self.user)
            os.chown(path, entry.pw_uid, entry.pw_gid)
        return path

    def folder(self, name):
        path = self.path / name
        path.mkdir(mode=0o700)
        return self.own(path)

    def file(self, name, text):
        path = self.path / name
        path.write_text(text)
        path.chmod(0o600)
        return self.own(path)

    def remove(self):
        if not os.environ.get("LATCHKEY_TEST_KEEP"):
            shutil.rmtree(self.path, ignore_errors=True)
        Watchdog.tell("no-dir", self.path)


# ---- ports ----

class Port:
    """A number that no other test takes as long as this one lives, also while its server is down."""

    def __init__(self):
        for _ in range(1000):
            self.number = random.randint(FIRST_PORT, LAST_PORT)
            self.claim = socket.socket(socket.AF_UNIX)
            try:
                self.claim.bind(f"\0latchkey-test-port-{self.number}")
                with socket.socket() as probe:
                    probe.bind((HOST, self.number))
                return
            except OSError:
                self.claim.close()
        raise ServerError("no free port")

    def close(self):
        self.claim.close()


# ---- a server ----

def user_for(name):
    """Who a server runs as: NAME when the test is root (some servers refuse to be root), else whoever runs the test."""
    return name if os.geteuid() == 0 else None


def wait_for(what, seconds, said):
    """Ask WHAT until it answers something true; SAID begins the complaint."""
    end = time.monotonic() + seconds
    last = None
    while time.monotonic() < end:
        try:
            answer = what()
            if answer:
                return answer
        except (OSError, ServerError) as error:
            last = error
        time.sleep(0.02)
    raise ServerError(f"{said} within {seconds} s" + (f": {last}" if last else ""))


class Process:
    """One server process (with what it forks). A subclass says how it is run and when it is ready."""
    stop_signal = signal.SIGTERM
    start_s = 30

    def __init__(self, name, directory, user):
        self.name, self.directory, self.user = name, directory, user
        self.port_claim = Port()
        self.port = self.port_claim.number
        self.log = directory.file(f"{name}.log", "")
        self.process = None
        self.is_frozen = False

    def command(self):
        raise NotImplementedError

    def is_ready(self):
        raise NotImplementedError

    @property
    def address(self):
        return f"{HOST}:{self.port}"

    @property
    def pid(self):
        return self.process.pid

    @property
    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def as_user(self):
        return {"user": self.user, "group": self.user, "extra_groups": []} if self.user else {}

    def run(self, *command, check=True, **more):
        """Run a tool of the server as the server's user."""
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                              check=False, cwd="/", **self.as_user(), **more)
        if check and done.returncode != 0:
            raise ServerError(f"{command[0]}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def spawn(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([str(word) for word in self.command()], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, start_new_session=True, cwd="/", **self.as_user())
        Watchdog.tell("pid", self.pid)
        self.is_frozen = False

    def start(self):
        """Start, and wait until it answers."""
        assert not self.is_running, f"{self.name} runs already"
        self.spawn()
        self.wait_ready()
        return self

    def wait_ready(self):
        def ready():
            if not self.is_running:
                raise SystemError
            return self.is_ready()
        try:
            wait_for(ready, self.start_s, f"{self.name} is not ready")
        except (ServerError, SystemError) as error:
            said = str(error) or f"{self.name} ended with {self.process.poll()}"
            raise ServerError(f"{said}\n{self.log_tail()}") from None

    def gone(self, pids):
        self.process.wait(60)
        wait_for(lambda: not any(is_alive(pid) for pid in pids), 20, f"processes of {self.name} are not gone")
        Watchdog.tell("no-pid", self.pid)
        self.is_frozen = False

    def stop(self):
        """Ask it to end, as an operator does; data stays."""
        if not self.is_running:
            return
        if self.is_frozen:
            self.thaw()
        pids = family(self.pid)
        send([self.pid], self.stop_signal)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            pids += kill_family(self.pid)
        self.gone(pids)

    def kill(self):
        """kill -9, of it and all it forked."""
        if self.is_running:
            self.gone(kill_family(self.pid))

    def freeze(self):
        """SIGSTOP: connections stay open and nothing answers."""
        send([self.pid], signal.SIGSTOP)
        send(family(self.pid), signal.SIGSTOP)
        wait_stopped(family(self.pid))
        self.is_frozen = True

    def thaw(self):
        send(reversed(family(self.pid)), signal.SIGCONT)
        self.is_frozen = False

    def close(self):
        self.kill()
        self.port_claim.close()

    def log_tail(self, lines=40):
        text = self.log.read_text(errors="replace").splitlines()
        return "\n".join(f"    {self.name}: {line}" for line in text[-lines:])


if __name__ == "__main__":
    watch()
