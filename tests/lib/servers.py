#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The real servers behind the stores, for tests: started fresh on loopback, ended and removed whatever happens.

    with servers.Postgres() as s:
        run("latchkey", "store", "check", s.url)
        s.kill(); s.start()         # also stop, freeze, thaw; data stays

    python3 tests/lib/servers.py KIND [--durable] -- COMMAND ARGUMENT...

KIND: sqlite postgres postgres-pair mariadb redis redis+sentinel redis+cluster. `{url}` (and `{admin_url}`,
`{replica_url}`) in an argument is replaced, LATCHKEY_TEST_URL and the like are in the environment, and the exit code is the
command's. When it is not 0 the ends of the servers' logs are printed; LATCHKEY_TEST_KEEP=1 leaves the directories.

Every server knows two people: `latchkey` (url), who owns what a store needs, and `operator` (admin_url), who may do all.
Their passwords are made for each server and hold characters that a URL has to write as %XX.
"""
import os
import secrets
import signal
import subprocess
import sys
import urllib.parse

from server_process import Directory, ServerError, Watchdog, user_for, wait_for  # noqa: F401
from server_redis import MASTER, ClusterServer, RedisServer, SentinelServer, join_cluster, wait_cluster
from server_sql import MariadbServer, PostgresServer


class Login:
    user, admin = "latchkey", "operator"

    def __init__(self):
        self.password = secrets.token_hex(8) + "@:/%"
        self.admin_password = secrets.token_hex(8)

    def url(self, scheme, hosts, path, user=None, password=None):
        word = urllib.parse.quote(password or self.password, safe="")
        return f"{scheme}://{user or self.user}:{word}@{hosts}" + (f"/{path}" if path else "")

    def admin_url(self, scheme, hosts, path):
        return self.url(scheme, hosts, path, self.admin, self.admin_password)

    def acl(self):
        """The same people in redis.conf; nobody else gets in. The default user is off but may do everything all the same:
        without rights of his, Redis 7.0 leaves every transaction out when it loads its append-only file after a restart, so
        that logouts are undone (github.com/redis/redis/issues/14541)."""
        return [f"user {self.user} on >{self.password} ~* &* +@all",
                f"user {self.admin} on >{self.admin_password} ~* &* +@all", "user default off ~* &* +@all"]


class Servers:
    """A kind: its servers, in `nodes`. What is done to it is done to all of them, unless it is told to one."""
    name = "servers"
    runs_as = None

    def __init__(self, durable=False, place=None, **more):
        """DURABLE: on disk, and synced before an answer. PLACE: the directory lies in that one. ALSO_ON=(address, network):
        for a network of the test's own, the servers listen there as well and let that network in."""
        self.login = Login()
        self.nodes = []
        self.directory = Directory(self.name, self.runs_as and user_for(self.runs_as), durable, place)
        try:
            self.set_up(durable, **more)
        except BaseException:
            self.close()
            raise

    def set_up(self, durable, **more):
        raise NotImplementedError

    def __enter__(self):
        return self

    def __exit__(self, kind, *failure):
        if kind is not None and not issubclass(kind, (KeyboardInterrupt, SystemExit)):
            self.show_logs()
        self.close()

    def show_logs(self, lines=40):
        for node in self.nodes:
            print(node.log_tail(lines), file=sys.stderr)

    def environment(self):
        """What the programs of a test find in their environment."""
        return {"LATCHKEY_TEST_URL": self.url, "LATCHKEY_TEST_ADMIN_URL": self.admin_url}

    def start(self):
        self.start_nodes(self.nodes)
        self.wait_well()

    @staticmethod
    def start_nodes(nodes):
        """Start NODES side by side."""
        for node in nodes:
            node.spawn()
        for node in nodes:
            node.wait_ready()

    def wait_well(self):
        """Until all is as it was set up."""

    def stop(self):
        for node in reversed(self.nodes):
            node.stop()

    def kill(self):
        for node in self.nodes:
            node.kill()

    def freeze(self):
        for node in self.nodes:
            node.freeze()

    def thaw(self):
        for node in self.nodes:
            node.thaw()

    def close(self):
        for node in self.nodes:
            node.close()
        self.directory.remove()


class Sqlite(Servers):
    """No server: a file that is not there yet."""
    name = "sqlite"

    def set_up(self, durable):
        self.path = self.directory.path / "sessions.db"
        self.url = self.admin_url = f"sqlite:{self.path}"


class One(Servers):
    """One server process, `server`."""

    def set_up(self, durable, **more):
        self.server = self.server_class(self.directory, self.login, durable=durable, **more)
        self.nodes.append(self.server)
        self.create()
        self.url = self.server.url()
        self.admin_url = self.server.url(self.login.admin, self.login.admin_password)

    def create(self):
        self.server.create()

    @property
    def port(self):
        return self.server.port


class Postgres(One):
    name = runs_as = "postgres"
    server_class = PostgresServer

    def sql(self, text, database="latchkey"):
        return self.server.sql(text, database)


class Mariadb(One):
    name, runs_as = "mariadb", "mysql"
    server_class = MariadbServer

    def sql(self, text):
        return self.server.sql(text)


class Redis(One):
    name = runs_as = "redis"
    server_class = RedisServer

    def create(self):
        self.server.start()

    def environment(self):
        return dict(super().environment(), LATCHKEY_TEST_REDIS=self.admin_url)


class PostgresPair(Servers):
    """A primary and a standby that streams from it. SYNCHRONOUS: what a commit waits for ("off" for neither the disk nor the
    standby, "local", "remote_write", "on", "remote_apply")."""
    name, runs_as = "postgres-pair", "postgres"

    def set_up(self, durable, synchronous="local"):
        settings = ["wal_level = replica", "max_wal_senders = 8", "hot_standby = on", "wal_keep_size = 64MB"]
        self.primary = PostgresServer(self.directory, self.login, "primary", durable, settings)
        self.replica = PostgresServer(self.directory, self.login, "replica", durable, settings)
        self.nodes += [self.primary, self.replica]
        self.primary.create()
        self.replica.copy_of(self.primary)
        if synchronous not in ("off", "local"):
            self.primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.primary.sql(f"ALTER SYSTEM SET synchronous_commit = '{synchronous}'")
        self.primary.sql("SELECT pg_reload_conf()")
        self.url, self.replica_url = self.primary.url(), self.replica.url()
        # Whichever of the two is the primary.
        self.both_url = self.login.url("postgres", f"{self.primary.address},{self.replica.address}",
                                       "latchkey?target_session_attrs=read-write")
        self.admin_url = self.primary.url(self.login.admin, self.login.admin_password)
        self.wait_well()

    def environment(self):
        return dict(super().environment(), LATCHKEY_TEST_REPLICA_URL=self.replica_url)

    def sql(self, text, database="latchkey"):
        return self.primary.sql(text, database)

    def wait_well(self):
        """Until the standby has all that the primary has."""
        wait_for(lambda: self.primary.sql("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND "
                                          "replay_lsn >= pg_current_wal_lsn()") == "1", 30, "the standby does not follow")


class RedisSentinel(Servers):
    """A primary and two replicas, and three sentinels of whom two decide."""
    name, runs_as = "redis-sentinel", "redis"

    def set_up(self, durable, replicas=2, sentinels=3, quorum=2, down_after_ms=500, config=()):
        names = [f"redis-{i}" for i in range(replicas + 1)]
        self.servers = [RedisServer(self.directory, self.login, name, durable, config) for name in names]
        self.nodes += self.servers
        self.start_nodes(self.servers)
        for server in self.servers[1:]:
            server.follows(self.servers[0])
        self.sentinels = [SentinelServer(self.directory, self.login, f"sentinel-{i}", self.servers[0], quorum, down_after_ms)
                          for i in range(sentinels)]
        self.nodes += self.sentinels
        self.start_nodes(self.sentinels)
        hosts = ",".join(sentinel.address for sentinel in self.sentinels)
        self.url = self.login.url("redis+sentinel", hosts, MASTER)
        self.admin_url = self.login.admin_url("redis+sentinel", hosts, MASTER)
        self.wait_well()

    def environment(self):
        servers = ",".join(server.address for server in self.servers)
        return dict(super().environment(), LATCHKEY_TEST_REDIS=self.login.admin_url("redis", servers, ""))

    def start(self):
        self.start_nodes(self.servers)  # first: a sentinel that finds no primary elects another
        self.start_nodes(self.sentinels)
        self.wait_well()

    @property
    def primary(self):
        """The server that most running sentinels take for the primary."""
        ports = [sentinel.primary_port() for sentinel in self.sentinels if sentinel.is_running and not sentinel.is_frozen]
        return self.by_port(max(ports, key=ports.count))

    def by_port(self, port):
        return next(server for server in self.servers if server.port == port)

    @property
    def replicas(self):
        primary = self.primary
        return [server for server in self.servers if server is not primary]

    def wait_primary(self, other_than=None, seconds=30):
        """The primary, once it is agreed on, is not OTHER_THAN, and takes writes."""
        def found():
            server = self.primary
            return server if server is not other_than and server.info("replication")["role"] == "master" else None
        return wait_for(found, seconds, "there is no primary")

    def wait_well(self, seconds=30):
        """Until all running servers follow one primary and all sentinels know all of it."""
        def is_well():
            primary = self.wait_primary(seconds=seconds)
            servers = [server for server in self.servers if server.is_running]
            known = [sentinel.about() for sentinel in self.sentinels if sentinel.is_running]
            return (all(server is primary or server.is_following() for server in servers) and
                    primary.info("replication")["connected_slaves"] == str(len(servers) - 1) and
                    all(about["flags"] == "master" and int(about["num-other-sentinels"]) == len(self.sentinels) - 1 and
                        int(about["num-slaves"]) >= len(servers) - 1 for about in known))
        wait_for(is_well, seconds, "replicas and sentinels have not found each other")


class RedisCluster(Servers):
    """Six nodes, three of them primaries."""
    name, runs_as = "redis-cluster", "redis"

    def set_up(self, durable, primaries=3, size=6, node_timeout_ms=1000):
        self.nodes += [ClusterServer(self.directory, self.login, f"node-{i}", durable, node_timeout_ms) for i in range(size)]
        self.start_nodes(self.nodes)
        join_cluster(self.nodes, primaries)
        self.hosts = ",".join(node.address for node in self.nodes)
        self.url = self.login.url("redis+cluster", self.hosts, "")
        self.admin_url = self.login.admin_url("redis+cluster", self.hosts, "")

    def environment(self):
        return dict(super().environment(), LATCHKEY_TEST_REDIS=self.login.admin_url("redis", self.hosts, ""))

    @property
    def primaries(self):
        return [node for node in self.nodes if node.is_running and not node.is_frozen and
                node.info("replication")["role"] == "master"]

    def wait_well(self, seconds=30):
        wait_cluster(self.nodes, seconds)


SqliteFile = Sqlite
KINDS = {"sqlite": Sqlite, "postgres": Postgres, "postgres-pair": PostgresPair, "mariadb": Mariadb, "redis": Redis,
         "redis+sentinel": RedisSentinel, "redis+cluster": RedisCluster}


def run(servers, command):
    """Run COMMAND with the servers' addresses; gives its exit code."""
    words = {"{url}": servers.url, "{admin_url}": servers.admin_url, "{replica_url}": getattr(servers, "replica_url", "")}
    for name, value in words.items():
        command = [word.replace(name, value) for word in command]
    with subprocess.Popen(command, env=dict(os.environ, **servers.environment())) as child:
        Watchdog.tell("pid", child.pid)
        try:
            return child.wait()
        finally:
            child.kill()
            Watchdog.tell("no-pid", child.pid)


def main():
    words = sys.argv[1:]
    options, command = (words[:words.index("--")], words[words.index("--") + 1:]) if "--" in words else (words, [])
    durable = "--durable" in options
    kinds = [word for word in options if word != "--durable"]
    if len(kinds) != 1 or kinds[0] not in KINDS or not command:
        print(__doc__, file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with KINDS[kinds[0]](durable=durable) as servers:
            code = run(servers, command)
            if code != 0:
                servers.show_logs()
    except ServerError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
