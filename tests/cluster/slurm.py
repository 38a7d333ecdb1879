"""A real Slurm on this machine's loopback address: controller, a node, accounting, stand-in GPUs.

A second node, on the same machine, is there for the tests that ask for it (``start_node(SECOND)``).

For tests, as root, where no other Slurm is configured. GPUs are device nodes that Slurm schedules as it
would real ones; nothing can be computed on them. Debian's packages: see ``PACKAGES``.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

PACKAGES = ("slurm-wlm", "slurmdbd", "munge", "mariadb-server")
PROGRAMS = ("munged", "mariadbd", "mariadb-install-db", "slurmdbd", "slurmctld", "slurmd", "sacct", "sbatch")
ETC = Path("/etc/slurm")  # jobs read it there: the executor plugin takes SLURM_CONF out of their environment
MARK = "# written by mintflow's tests"
GPUS = 2
SECOND = "second"  # has one GPU
PATIENCE = 60.0
CONTROL, NODE, DATABASE, SQL, SECOND_NODE = 16817, 16818, 16819, 13306, 16820

_CONTROLLER = """{mark}
ClusterName=mintflow
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldPort={control}
SlurmdPort={node}
SlurmctldTimeout=10
SlurmdTimeout=10
KillWait=30
MinJobAge=600
ReturnToService=2
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerParameters=batch_sched_delay=1,sched_interval=2,bf_interval=2
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill,NoShared
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={database}
AccountingStorageTRES=gres/gpu
AccountingStoreFlags=job_comment
GresTypes=gpu
SlurmctldParameters=idle_on_node_suspend
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} Boards=1 SocketsPerBoard=1 CoresPerSocket={cpus} \\
    ThreadsPerCore=1 RealMemory={memory} Gres=gpu:{gpus} State=UNKNOWN
NodeName={second} NodeHostname={host} NodeAddr=127.0.0.1 Port={second_node} CPUs={cpus} Boards=1 \\
    SocketsPerBoard=1 CoresPerSocket={cpus} ThreadsPerCore=1 RealMemory={memory} Gres=gpu:1 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes={host} Default=NO MaxTime=INFINITE State=UP PriorityTier=10
PartitionName=pair Nodes=ALL Default=NO MaxTime=INFINITE State=UP PriorityTier=1
"""

_DATABASE = """{mark}
AuthType=auth/munge
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={database}
SlurmUser=root
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={sql}
StorageUser=slurm
StoragePass=mintflow
StorageLoc=slurm
"""


class ClusterError(RuntimeError):
    """Slurm did not come up, or is not there."""


@dataclass
class Job:
    """One job as the accounting database has it."""

    job_id: str
    comment: str
    state: str
    tres: dict[str, str]
    cpus: int
    partition: str

    @property
    def gpus(self) -> int:
        return int(self.tres.get("gres/gpu", 0))

    @property
    def memory_mb(self) -> int:
        return int(self.tres["mem"])

    @property
    def rule(self) -> str:
        return rule_of(self.comment)


def rule_of(comment: str) -> str:
    """The rule that the executor plugin writes into a job's comment."""
    return comment.removeprefix("rule_").partition("_wildcards_")[0]


@dataclass
class Cluster:
    """Daemons of one cluster; ``started`` yields it."""

    folder: Path
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def launch(self, name: str, *command: str) -> None:
        """Start a daemon in the foreground, output to a file of its name; it ends when this process does."""
        command = ("setpriv", "--pdeathsig", "TERM", *command)
        with open(self.folder / f"{name}.out", "ab") as output:
            self.daemons[name] = subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def end(self, name: str, *, kill: bool = False) -> None:
        """Stop a daemon."""
        daemon = self.daemons.pop(name, None)
        if daemon is None:
            return
        daemon.kill() if kill else daemon.terminate()
        try:
            daemon.wait(20)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait(20)

    def start_node(self, name: str | None = None) -> None:
        """Start a node's slurmd, the first one's by default, and wait until the controller counts on it."""
        node = name or host()
        self.launch(name or "slurmd", "slurmd", "-D", "-c", "-N", node)
        run("scontrol", "update", f"NodeName={node}", "State=RESUME", check=False)
        wait_for(lambda: self.node_state(node) in ("idle", "mixed", "allocated"), f"the node {node}", self)

    def lose_node(self) -> None:
        """Power cut: slurmd and every process of every job are killed, the controller is told nothing."""
        for pid in _descendants(self.daemons["slurmd"].pid) | _steps():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.end("slurmd", kill=True)

    def node_state(self, node: str | None = None) -> str:
        """As sinfo has it, without its flags; of the first node by default."""
        asked = ("sinfo", "--noheader", "--partition=pair", f"--nodes={node or host()}", "--format=%T")
        return run(*asked, check=False).strip().rstrip("*~#")

    def jobs(self) -> list[Job]:
        """All jobs so far, from the accounting database, requeued ones once."""
        # what a daemon has seen reaches the database a little later
        text = run("sacct", "--allusers", "--allocations", "--starttime=now-1days", "--json")
        found = []
        for row in json.loads(text)["jobs"]:
            tres = {_tres_name(entry): str(entry["count"]) for entry in row["tres"]["allocated"]}
            state = row["state"]["current"]
            found.append(
                Job(
                    str(row["job_id"]),
                    _comment(row["comment"]),
                    state if isinstance(state, str) else state[0],
                    tres,
                    int(tres.get("cpu", 0)),
                    row["partition"],
                )
            )
        return found

    def logs(self) -> str:
        """The ends of all daemons' outputs, for a failed test."""
        return "\n".join(
            f"--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-15:])
            for path in sorted(self.folder.glob("*.out"))
        )


def missing() -> list[str]:
    """Programs that are not there."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


@contextlib.contextmanager
def started(folder: Path) -> Iterator[Cluster]:
    """A cluster for as long as the block lasts.

    Raises:
        ClusterError: a program is missing, this is not root, another Slurm is configured here, or a daemon
            does not come up.
    """
    if absent := missing():
        raise ClusterError(f"missing {', '.join(absent)}; Debian packages: {' '.join(PACKAGES)}")
    if os.geteuid() != 0:
        raise ClusterError("only root can start Slurm's daemons")
    for name in ("slurm.conf", "slurmdbd.conf"):
        path = ETC / name
        if path.exists() and not path.read_text().startswith(MARK):
            raise ClusterError(f"{path} is another cluster's")
    cluster = Cluster(folder)
    try:
        _configure(folder)
        _start(cluster)
        yield cluster
    finally:
        for name in reversed(list(cluster.daemons)):
            cluster.end(name)
        for name in ("slurm.conf", "slurmdbd.conf", "gres.conf"):
            (ETC / name).unlink(missing_ok=True)


def _configure(folder: Path) -> None:
    for name in ("state", "spool", "sql", "devices"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    memory = int(Path("/proc/meminfo").read_text().split()[1]) // 1024
    values = {
        "mark": MARK,
        "host": host(),
        "folder": folder,
        "cpus": os.cpu_count() or 1,
        "memory": memory,
        "gpus": GPUS,
        "control": CONTROL,
        "node": NODE,
        "second": SECOND,
        "second_node": SECOND_NODE,
        "database": DATABASE,
        "sql": SQL,
    }
    ETC.mkdir(parents=True, exist_ok=True)
    (ETC / "slurm.conf").write_text(_CONTROLLER.format(**values))
    (ETC / "slurmdbd.conf").write_text(_DATABASE.format(**values))
    (ETC / "slurmdbd.conf").chmod(0o600)
    devices = [folder / "devices" / f"gpu{number}" for number in range(GPUS + 1)]
    for number, device in enumerate(devices):
        if not device.exists():  # a device without a driver: it can be named and counted, not opened
            os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(195, 100 + number))
    nodes = [host()] * GPUS + [SECOND]
    lines = [f"NodeName={node} Name=gpu File={device}\n" for node, device in zip(nodes, devices, strict=True)]
    (ETC / "gres.conf").write_text(f"{MARK}\n" + "".join(lines))


def _start(cluster: Cluster) -> None:
    folder = cluster.folder
    if run("munge", "--no-input", check=False) == "":  # none is running
        munge = Path("/run/munge")
        munge.mkdir(mode=0o755, exist_ok=True)
        shutil.chown(munge, "munge", "munge")
        cluster.launch("munged", "runuser", "-u", "munge", "--", "munged", "--foreground")
        wait_for(lambda: run("munge", "--no-input", check=False) != "", "munged", cluster)
    sql = folder / "sql"
    if not (sql / "mysql").exists():
        run("mariadb-install-db", "--user=root", f"--datadir={sql}", "--skip-test-db")
    door = f"--socket={folder}/sql.sock"
    cluster.launch(
        "mariadbd",
        *("mariadbd", "--no-defaults", "--user=root", f"--datadir={sql}", door),
        *("--bind-address=127.0.0.1", f"--port={SQL}", "--innodb-buffer-pool-size=64M"),
    )
    ask = ("mariadb", "--no-defaults", "--user=root", door, "--execute")
    wait_for(lambda: run(*ask, "select 1", check=False) != "", "mariadbd", cluster)
    for command in (
        "create database if not exists slurm",
        "create user if not exists slurm@'%' identified by 'mintflow'",
        "grant all on slurm.* to slurm@'%'",
    ):
        run(*ask, command)
    cluster.launch("slurmdbd", "slurmdbd", "-D")
    wait_for(lambda: _listening(DATABASE), "slurmdbd", cluster)
    run("sacctmgr", "--immediate", "add", "cluster", "mintflow", check=False)
    run("sacctmgr", "--immediate", "add", "account", "tests", "Cluster=mintflow", check=False)
    run("sacctmgr", "--immediate", "add", "user", "root", "Account=tests", check=False)
    cluster.launch("slurmctld", "slurmctld", "-D", "-c")
    wait_for(lambda: _listening(CONTROL), "slurmctld", cluster)
    cluster.start_node()


def run(*command: str, check: bool = True) -> str:
    """Output of a command; empty where it failed and ``check`` is false."""
    done = subprocess.run(command, text=True, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        if check:
            raise ClusterError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
        return ""
    return done.stdout


def host() -> str:
    """This machine's name, as Slurm has it."""
    return socket.gethostname().partition(".")[0]


def wait_for(
    found: Callable[[], bool], what: str, cluster: Cluster | None = None, patience: float = PATIENCE
) -> None:
    """Ask again and again.

    Raises:
        ClusterError: it never came true; with the daemons' last lines.
    """
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if found():
            return
        time.sleep(0.3)
    raise ClusterError(f"{what} did not come up in {patience:.0f} s\n{cluster.logs() if cluster else ''}")


def _listening(port: int) -> bool:
    with socket.socket() as door:
        door.settimeout(1)
        return door.connect_ex(("127.0.0.1", port)) == 0


def _parents() -> dict[int, tuple[int, str]]:
    """Every process: its parent and name."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            name, _, rest = path.read_text().partition("(")[2].rpartition(")")
            found[int(path.parent.name)] = (int(rest.split()[1]), name)
    return found


def _descendants(*roots: int) -> set[int]:
    """All processes that come from ``roots``, without these."""
    parents, found = _parents(), set(roots)
    while True:
        more = {pid for pid, (parent, _) in parents.items() if parent in found} - found
        if not more:
            return found - set(roots)
        found |= more


def _steps() -> set[int]:
    """Slurm's step managers, which outlive slurmd, and all that they have started."""
    managers = [pid for pid, (_, name) in _parents().items() if name.startswith("slurmstepd")]
    return _descendants(*managers) | set(managers)


def _tres_name(entry: dict[str, str]) -> str:
    return f"{entry['type']}/{entry['name']}" if entry["name"] else entry["type"]


def _comment(value: str | dict[str, str]) -> str:
    return value if isinstance(value, str) else value["job"]
