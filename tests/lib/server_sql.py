# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL and MariaDB: a data directory, an operator and a user `latchkey` who owns the database `latchkey` only."""
import ipaddress
import signal
import subprocess
from pathlib import Path

from server_process import HOST, Process, ServerError, send, wait_stopped, family

# Debian keeps the programs of each version apart; the newest is taken.
POSTGRES_BIN = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), default="/usr/bin")
DATABASE = "latchkey"


class PostgresServer(Process):
    """One cluster of PostgreSQL. SETTINGS are lines of postgresql.conf."""
    stop_signal = signal.SIGINT  # "fast": does not wait for who is connected

    def __init__(self, directory, login, name="postgres", durable=False, settings=(), also_on=None):
        super().__init__(name, directory, directory.user)
        self.login = login
        self.data = directory.path / f"{name}-data"
        self.also_on = also_on
        sync = "on" if durable else "off"
        self.settings = [
            f"listen_addresses = '{HOST}{',' + also_on[0] if also_on else ''}'", f"port = {self.port}", f"unix_socket_directories = '{directory.path}'",
            f"fsync = {sync}", "recovery_init_sync_method = syncfs", f"full_page_writes = {sync}", "max_connections = 100", "shared_buffers = 32MB",
            "max_wal_size = 256MB", "log_line_prefix = '%m [%p] '", "lc_messages = 'C'", "timezone = 'UTC'", *settings]

    def command(self):
        return [f"{POSTGRES_BIN}/postgres", "-D", self.data]

    def url(self, user=None, password=None):
        return self.login.url("postgres", self.address, DATABASE, user, password)

    def create(self):
        """A new cluster with the user and the database, not started."""
        secret = self.directory.file("operator-password", self.login.admin_password + "\n")
        self.run(f"{POSTGRES_BIN}/initdb", "-D", self.data, "-U", self.login.admin, "--pwfile", secret, "--no-sync", "-E",
                 "UTF8", "--locale=C.UTF-8", "--auth-host=scram-sha-256", "--auth-local=trust")
        self.configure()
        self.start()
        self.sql(f"CREATE ROLE {self.login.user} LOGIN PASSWORD '{self.login.password}'")
        self.sql(f"CREATE DATABASE {DATABASE} OWNER {self.login.user}")

    def copy_of(self, primary):
        """A standby of PRIMARY, which runs."""
        self.run(f"{POSTGRES_BIN}/pg_basebackup", "-D", self.data, "-R", "-X", "stream", "-c", "fast", "--no-sync", "-d",
                 f"host={self.directory.path} port={primary.port} user={self.login.admin} application_name={self.name}")
        self.configure()
        self.start()

    def configure(self):
        with (self.data / "postgresql.conf").open("a") as conf:
            conf.write("\n".join(["", *self.settings, ""]))
        if self.also_on:
            with (self.data / "pg_hba.conf").open("a") as rules:
                rules.write(f"\nhost all all {self.also_on[1]} scram-sha-256\n")

    def is_ready(self):
        return self.run(f"{POSTGRES_BIN}/pg_isready", "-q", "-h", HOST, "-p", self.port, check=False).returncode == 0

    def freeze(self):
        super().freeze()
        send(family(self.pid), signal.SIGSTOP)  # a backend that was being forked
        wait_stopped(family(self.pid))

    def sql(self, text, database="postgres"):
        """Run TEXT as the operator; gives what psql prints, a row a line, columns by '|'."""
        return self.run("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", self.directory.path, "-p", self.port,
                        "-U", self.login.admin, "-d", database, "-c", text, timeout=60).stdout.strip()

    def promote(self):
        self.sql("SELECT pg_promote(true, 30)")


class MariadbServer(Process):
    start_s = 60

    def __init__(self, directory, login, name="mariadb", durable=False, settings=(), also_on=None):
        super().__init__(name, directory, directory.user)
        self.login = login
        self.data = directory.path / "data"
        self.socket = directory.path / "mariadb.sock"
        self.also_on = also_on
        sync = 1 if durable else 0
        self.settings = [f"--innodb-flush-log-at-trx-commit={sync}", f"--innodb-doublewrite={sync}",
                         f"--innodb-flush-method={'fsync' if durable else 'nosync'}", *settings]

    def command(self):
        return ["/usr/sbin/mariadbd", "--no-defaults", f"--datadir={self.data}", f"--port={self.port}",
                f"--bind-address={HOST}{',' + self.also_on[0] if self.also_on else ''}",
                f"--socket={self.socket}", f"--pid-file={self.directory.path}/mariadb.pid",
                f"--init-file={self.directory.path}/users.sql", f"--tmpdir={self.directory.path}", "--skip-name-resolve",
                "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=32M", "--skip-log-bin",
                "--character-set-server=utf8mb4", *self.settings]

    def url(self, user=None, password=None):
        return self.login.url("mariadb", self.address, DATABASE, user, password)

    def create(self):
        login = self.login
        lines = [f"CREATE USER IF NOT EXISTS '{login.admin}'@'{HOST}' IDENTIFIED BY '{login.admin_password}';",
                 f"GRANT ALL ON *.* TO '{login.admin}'@'{HOST}' WITH GRANT OPTION;",
                 f"CREATE DATABASE IF NOT EXISTS {DATABASE};"]
        for host in [HOST] + ([str(ipaddress.ip_network(self.also_on[1]).with_netmask)] if self.also_on else []):
            lines += [f"CREATE USER IF NOT EXISTS '{login.user}'@'{host}' IDENTIFIED BY '{login.password}';",
                      f"GRANT ALL ON {DATABASE}.* TO '{login.user}'@'{host}';"]
        self.directory.file("users.sql", "\n".join([*lines, ""]))
        self.run("mariadb-install-db", "--no-defaults", f"--datadir={self.data}", "--skip-test-db",
                 "--innodb-flush-method=nosync", "--auth-root-authentication-method=normal", "--skip-name-resolve")
        self.start()

    def is_ready(self):
        return self.client("SELECT 1", check=False).returncode == 0

    def client(self, text, database="", check=True):
        command = ["mariadb", "--no-defaults", "-h", HOST, "-P", str(self.port), "-u", self.login.admin, "-N", "-B", "-e", text]
        done = subprocess.run(command + ([database] if database else []), capture_output=True, text=True, check=False,
                              timeout=60, env={"MYSQL_PWD": self.login.admin_password, "PATH": "/usr/bin:/bin"})
        if check and done.returncode != 0:
            raise ServerError(f"{text}: {done.stderr}")
        return done

    def sql(self, text, database=DATABASE):
        """Run TEXT as the operator; gives the rows, columns by tab."""
        return self.client(text, database).stdout.strip()
