"""A SLURM of Debian's packages on one machine, with a munge key of its own; accounting if MariaDB starts.

A node is a network namespace with a slurmd, so what runs there has an address of its own and dies with the node.
"""

import contextlib
import os
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.test_nodes import Machine, ip, wait_for

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "ip")
ACCOUNTING = ("slurmdbd", "mariadbd", "mariadb-install-db")
BRIDGE, SUBNET = "h2s-bridge", "10.78.0"  # of its own: another test's machines may be up
CONTROLLER = f"{SUBNET}.254"
NODES = 4
CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}({controller})
SlurmctldPort=26817
AuthType=auth/munge
AuthInfo=socket={place}/munge.socket,cred_expire=10
SlurmUser=root
StateSaveLocation={place}/state
SlurmdSpoolDir={place}/spool-%n
SlurmctldPidFile={place}/slurmctld.pid
SlurmdPidFile={place}/slurmd-%n.pid
SlurmctldLogFile={place}/slurmctld.log
SlurmdLogFile={place}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/affinity
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
GresTypes=token
ReturnToService=2
SlurmdTimeout=10
MinJobAge=3600
KillWait=20
{accounting}
{nodes}
PartitionName=all Nodes=ALL Default=YES
PartitionName=brief Nodes=ALL MaxTime=5
EnforcePartLimits=ALL
"""
ACCOUNTED = """
AccountingStorageType=accounting_storage/slurmdbd
AccountingStoragePort=26819
AccountingStoragePass={place}/munge.socket
"""
DATABASE = """
AuthType=auth/munge
AuthInfo=socket={place}/munge.socket
DbdHost=localhost
DbdPort=26819
SlurmUser=root
PidFile={place}/slurmdbd.pid
LogFile={place}/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={port}
StorageUser=slurm
StoragePass=slurm
"""


class Node(Machine):
    """A network namespace on the bridge; it is dead once its processes are killed."""

    bridge = BRIDGE

    def __init__(self, number: int, disk: Path) -> None:
        super().__init__(number, disk)
        self.name, self.address, self.plug = f"h2s-{number}", f"{SUBNET}.{number}", f"h2s-plug{number}"

    def connect(self) -> None:
        super().connect()
        ip("-n", self.name, "route", "add", "default", "via", CONTROLLER)  # by which Ray finds the node's address


def remove(nodes: list[Node]) -> None:
    for node in nodes:
        node.remove()
    ip("link", "del", BRIDGE, check=False)


class Slurm:
    """The daemons, and the commands of a user of theirs."""

    def __init__(self, place: Path, nodes: list[Node]) -> None:
        self.place, self.nodes = place, nodes
        self.configuration = place / "slurm.conf"
        self.environment = {**os.environ, "SLURM_CONF": str(self.configuration), "TMPDIR": str(place / "tmp")}
        self.daemons: dict[str, subprocess.Popen[str]] = {}
        self.accounting = False

    def daemon(self, name: str, *command: object, node: Node | None = None) -> None:
        """Start a daemon in the foreground; what it says goes into a file."""
        prefix = ["nsenter", f"--net=/run/netns/{node.name}"] if node else []  # `ip netns exec` hides control groups
        if name in self.daemons:
            self.daemons[name].wait()  # it was killed
        with (self.place / f"{name}.out").open("w") as log:
            self.daemons[name] = subprocess.Popen(
                [*prefix, *map(str, command)], env=self.environment, stdout=log, stderr=log, text=True
            )

    def start(self) -> None:
        """Start all daemons, and wait until every node is idle."""
        for name in ("state", "tmp"):  # a node that is killed leaves what it has there
            (self.place / name).mkdir()
        (self.place / "munge.key").write_bytes(secrets.token_bytes(1024))
        (self.place / "munge.key").chmod(0o600)
        munge = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        self.daemon(
            "munged", "munged", "--foreground", "--force",
            *(f"--{option}={self.place}/munge.{name}" for option, name in munge.items()),
        )  # fmt: skip
        wait_for((self.place / "munge.socket").exists, 20, self.daemons["munged"])
        self.accounting = self._start_accounting()
        nodes = "\n".join(
            f"NodeName={node.name} NodeAddr={node.address} NodeHostname={socket.gethostname()} CPUs=2 Gres=token:1 "
            "RealMemory=4000"
            for node in self.nodes
        )
        kept = ACCOUNTED.format(place=self.place) if self.accounting else ""
        self.configuration.write_text(
            CONFIGURATION.format(
                place=self.place, nodes=nodes, accounting=kept, host=socket.gethostname(), controller=CONTROLLER
            )
        )
        (self.place / "gres.conf").write_text("Name=token Count=1\n")
        self.daemon("slurmctld", "slurmctld", "-D", "-c")
        for node in self.nodes:
            self.start_node(node)
        wait_for(lambda: self.says("sinfo", "-h", "-o", "%T %D") == f"idle {NODES}\n", 60)

    def start_node(self, node: Node) -> None:
        """Start the slurmd of a node."""
        self.daemon(node.name, "slurmd", "-D", "-N", node.name, node=node)

    def _start_accounting(self) -> bool:
        """Start MariaDB and slurmdbd; return whether they run. A machine may have neither, or let neither start."""
        if not all(map(shutil.which, ACCOUNTING)):
            return False
        data, port = self.place / "mariadb", free_port()
        subprocess.run(
            ["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--user=root", "--skip-test-db",
             "--auth-root-authentication-method=normal"],
            capture_output=True, check=False,
        )  # fmt: skip
        self.daemon(
            "mariadbd", "mariadbd", "--no-defaults", f"--datadir={data}", "--user=root", f"--port={port}",
            "--bind-address=127.0.0.1", f"--socket={self.place}/mariadb.socket", "--innodb-buffer-pool-size=64M",
        )  # fmt: skip
        made = "CREATE USER slurm@'127.0.0.1' IDENTIFIED BY 'slurm'; GRANT ALL ON *.* TO slurm@'127.0.0.1'"
        client = ["mariadb", "--no-defaults", f"--socket={self.place}/mariadb.socket", "-u", "root"]
        with contextlib.suppress(AssertionError):
            wait_for(
                lambda: not subprocess.run([*client, "-e", "SELECT 1"], capture_output=True).returncode,
                120,
                self.daemons["mariadbd"],
            )
            subprocess.run([*client, "-e", made], check=True, capture_output=True)
            (self.place / "slurmdbd.conf").write_text(DATABASE.format(place=self.place, port=port))
            (self.place / "slurmdbd.conf").chmod(0o600)
            self.daemon("slurmdbd", "slurmdbd", "-D")
            wait_for(lambda: "started" in (self.place / "slurmdbd.out").read_text(), 60, self.daemons["slurmdbd"])
            return True
        return False

    def says(self, *command: object) -> str:
        """Return what a command of SLURM's prints."""
        return subprocess.run(
            [*map(str, command)], env=self.environment, capture_output=True, text=True, check=False
        ).stdout

    def state(self, job: str) -> str:
        """Return SLURM's word for the state of a job, or of an array's task, `7_2`; empty if it does not know it."""
        return self.says("squeue", "-h", "-t", "all", "-o", "%T", "-j", job).strip()

    def node_of(self, job: str) -> Node:
        """Return the node that a job runs on."""
        name = self.says("squeue", "-h", "-o", "%N", "-j", job).strip()
        return next(node for node in self.nodes if node.name == name)

    def shown(self, job: str, field: str) -> str:
        """Return a field of `scontrol show job`."""
        found = re.search(rf"\b{field}=(\S+)", self.says("scontrol", "show", "job", "--oneliner", job))
        return found[1] if found else ""

    def end(self) -> None:
        """End what runs on the nodes, then the daemons, the newest first."""
        for node in self.nodes:
            node.kill()
        for daemon in reversed(self.daemons.values()):
            daemon.terminate()
            try:
                daemon.wait(timeout=20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextlib.contextmanager
def running() -> Iterator[Slurm]:
    """A SLURM of four nodes with two CPUs each, for the length of a `with`; the test is skipped where it cannot run."""
    if missing := [name for name in PROGRAMS if not shutil.which(name)]:
        pytest.skip(f"{', '.join(missing)} not installed: apt-get install slurmctld slurmd slurm-client munge iproute2")
    if os.geteuid() != 0:
        pytest.skip("slurmd and network namespaces take root")
    with tempfile.TemporaryDirectory(prefix="h2t-", ignore_cleanup_errors=True) as place:
        nodes = [Node(number, Path(place)) for number in range(1, NODES + 1)]
        cluster = Slurm(Path(place), nodes)
        try:
            remove(nodes)
            try:
                ip("link", "add", BRIDGE, "type", "bridge")
                ip("addr", "add", f"{CONTROLLER}/24", "dev", BRIDGE)
                ip("link", "set", BRIDGE, "up")
                for node in nodes:
                    node.connect()
            except subprocess.CalledProcessError as error:
                pytest.skip(f"this machine lets nobody make network namespaces: {error.stderr.strip()}")
            cluster.start()
            yield cluster
        finally:
            cluster.end()
            remove(nodes)
