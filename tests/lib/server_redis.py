# SPDX-License-Identifier: Apache-2.0
"""Redis: single, followed by replicas, watched by sentinels, or a cluster. Everything written survives kill -9 of a server
(append-only file; DURABLE: synced to disk before the answer)."""
from server_process import HOST, Port, Process, wait_for
from server_resp import Resp, RespError

MASTER = "mymaster"


class RedisServer(Process):
    """One redis-server. CONFIG: lines of redis.conf."""

    def __init__(self, directory, login, name="redis", durable=False, config=(), also_on=None):
        super().__init__(name, directory, directory.user)
        self.login = login
        self.place = directory.folder(name)
        self.conf = directory.file(f"{name}.conf", "\n".join([
            f"port {self.port}", f"bind {HOST}{' ' + also_on[0] if also_on else ''}", "protected-mode no", "daemonize no",
            f"dir {self.place}", 'save ""', "appendonly yes", f"appendfsync {'always' if durable else 'no'}", "auto-aof-rewrite-percentage 0",
            "repl-diskless-sync yes", "repl-diskless-sync-delay 0", "repl-diskless-load swapdb", "repl-timeout 10",
            "repl-ping-replica-period 1", f"masteruser {login.admin}", f"masterauth {login.admin_password}",
            *login.acl(), *config, ""]))

    def command(self):
        return ["redis-server", self.conf]

    def connect(self, timeout=5.0):
        """A connection of the operator."""
        return Resp(self.port, self.login.admin, self.login.admin_password, timeout)

    def ask(self, *words, timeout=5.0):
        with self.connect(timeout) as r:
            return r(*words)

    def info(self, section):
        with self.connect() as r:
            return r.info(section)

    def is_ready(self):
        return self.ask("PING", timeout=1.0) == b"PONG"  # an error while it is loading

    def url(self, user=None, password=None):
        return self.login.url("redis", self.address, "0", user, password)

    def follows(self, primary):
        self.ask("REPLICAOF", HOST, primary.port)

    def is_following(self):
        found = self.info("replication")
        return found["role"] == "slave" and found["master_link_status"] == "up"


class SentinelServer(Process):
    def __init__(self, directory, login, name, primary, quorum, down_after_ms):
        super().__init__(name, directory, directory.user)
        self.login = login
        self.place = directory.folder(name)
        # It rewrites its file, so the file lies where it may make another beside it. Sentinels answer with and without a
        # password; they themselves know the operator's.
        self.conf = self.place / "sentinel.conf"
        self.conf.write_text("\n".join([
            f"port {self.port}", f"bind {HOST}", "protected-mode no", "daemonize no", f"dir {self.place}",
            f"user {login.user} on >{login.password} ~* &* +@all",
            f"sentinel monitor {MASTER} {HOST} {primary.port} {quorum}",
            f"sentinel auth-user {MASTER} {login.admin}", f"sentinel auth-pass {MASTER} {login.admin_password}",
            f"sentinel down-after-milliseconds {MASTER} {down_after_ms}",
            f"sentinel failover-timeout {MASTER} 4000", f"sentinel parallel-syncs {MASTER} 2", ""]))
        self.conf.chmod(0o600)
        directory.own(self.conf)

    def command(self):
        return ["redis-server", self.conf, "--sentinel"]

    def ask(self, *words, timeout=5.0):
        with Resp(self.port, timeout=timeout) as r:
            return r(*words)

    def is_ready(self):
        return self.ask("PING", timeout=1.0) == b"PONG"

    def about(self):
        """What it knows of the primary, as a dictionary."""
        words = [word.decode() for word in self.ask("SENTINEL", "MASTER", MASTER)]
        return dict(zip(words[::2], words[1::2]))

    def primary_port(self):
        return int(self.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)[1])


class ClusterServer(RedisServer):
    def __init__(self, directory, login, name, durable=False, node_timeout_ms=1000):
        self.bus = Port()
        super().__init__(directory, login, name, durable, config=[
            "cluster-enabled yes", f"cluster-config-file {name}.nodes", f"cluster-node-timeout {node_timeout_ms}",
            f"cluster-port {self.bus.number}", "cluster-allow-replica-migration no", "cluster-replica-validity-factor 0"])

    def node_id(self):
        return self.ask("CLUSTER", "MYID")

    def cluster_info(self):
        text = self.ask("CLUSTER", "INFO").decode()
        return dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)

    def close(self):
        super().close()
        self.bus.close()


def join_cluster(nodes, primaries):
    """Make one cluster of NODES, which run; the first PRIMARIES of them share the slots."""
    bounds = [16384 * i // primaries for i in range(primaries + 1)]
    for i, node in enumerate(nodes):
        node.ask("CLUSTER", "SET-CONFIG-EPOCH", i + 1)
        if i < primaries:
            node.ask("CLUSTER", "ADDSLOTSRANGE", bounds[i], bounds[i + 1] - 1)
    for node in nodes[1:]:
        node.ask("CLUSTER", "MEET", HOST, nodes[0].port, nodes[0].bus.number)
    wait_for(lambda: all(node.cluster_info()["cluster_known_nodes"] == str(len(nodes)) for node in nodes), 30,
             "the nodes of the cluster do not know each other")
    for i, node in enumerate(nodes[primaries:]):
        wait_for(lambda: replicate(node, nodes[i % primaries]), 10, "a replica of the cluster does not follow")
    wait_cluster(nodes)


def replicate(node, primary):
    try:
        return node.ask("CLUSTER", "REPLICATE", primary.node_id()) == b"OK"
    except RespError:
        return False  # it has not heard yet that the other one is a primary


def wait_cluster(nodes, seconds=30):
    """Until every running node says that all is well and replicas follow."""
    running = [node for node in nodes if node.is_running]

    def is_well(node):
        found = node.info("replication")
        return node.cluster_info()["cluster_state"] == "ok" and (
            found["role"] == "master" or found["master_link_status"] == "up")
    wait_for(lambda: all(is_well(node) for node in running), seconds, "the cluster is not well")
