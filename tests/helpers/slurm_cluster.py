"""A real SLURM on the loopback of this machine, with as many nodes as one likes: for tests of jobs, arrays and nodes.

Debian's packages are unpacked into a folder and started from there; nothing is installed, and nothing outside of the
folder is written. `python tests/helpers/slurm_cluster.py FOLDER` starts one and says what to source; Enter ends it.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

# Of Debian 12, with what they need that a small system lacks. sacct, which submitit asks, needs a database.
PACKAGES = (
    *("slurm-client", "slurmctld", "slurmd", "slurm-wlm-basic-plugins", "munge", "libmunge2", "libhwloc15"),
    *("liblua5.1-0", "libnuma1", "libreadline8", "libjson-c5", "libjwt0", "libhttp-parser2.9", "libyaml-0-2"),
    *("libfreeipmi17", "librrd8", "libxxhash0", "slurmdbd", "slurm-wlm-mysql-plugin", "mariadb-server-core"),
    *("mariadb-client-core", "libmariadb3", "libaio1", "liburing2"),
)
STARTS = 60.0  # seconds for each daemon


class Unavailable(Exception):
    """SLURM can't be started here."""


def objection() -> str | None:
    """Why this machine can't have one."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "a SLURM of one's own needs Linux, as root"
    if missing := [name for name in ("apt-get", "dpkg") if shutil.which(name) is None]:
        return f"a SLURM of one's own needs {' and '.join(missing)}"
    return None


@dataclass
class Cluster:
    """nodes: n1, n2, ..., each with so many CPUs and GPUs. The GPUs are files that only look like devices."""

    folder: Path
    nodes: int = 2
    cpus: int = 4
    gpus: int = 2
    megabytes: int = 8000  # of memory, of each node
    daemons: dict[str, int] = field(default_factory=dict)  # name -> process

    def start(self) -> None:
        """Raises Unavailable with the reason."""
        if (reason := objection()) is not None:
            raise Unavailable(reason)
        for name in ("packages", "root", "etc", "run", "log", "state", "database", "devices"):
            (self.folder / name).mkdir(parents=True)
        self.folder.chmod(0o755)
        self.unpack()
        self.ports = free_ports(self.nodes + 4)
        self.write_configuration()
        try:
            self.start_authentication()
            self.start_accounting()
            self.start_nodes()
        except (OSError, subprocess.SubprocessError, TimeoutError) as error:
            said = getattr(error, "stderr", b"") or b""
            self.stop()
            raise Unavailable(f"SLURM does not start: {error} {said.decode(errors='replace')[-500:]}") from error

    def stop(self) -> None:
        """Cancel all jobs, and end every process that was started here."""
        if "slurmctld" in self.daemons:
            with suppress(subprocess.SubprocessError):
                self("scancel", "--user=root", "--state=PENDING")
                self("scancel", "--user=root", "--signal=KILL", "--full")
        for name in reversed(list(self.daemons)):
            self.end(name)

    def __call__(self, *command: str, timeout: float = 60.0) -> str:
        """What a command of SLURM prints."""
        done = subprocess.run(
            command, env=self.environment(), capture_output=True, text=True, check=True, timeout=timeout
        )
        return done.stdout

    def environment(self) -> dict[str, str]:
        return {**os.environ, **self.variables()}

    def variables(self) -> dict[str, str]:
        """With these a process uses this cluster."""
        root = self.folder / "root" / "usr"
        before = os.environ.get("LD_LIBRARY_PATH")
        libraries = [str(self.library), str(self.library / "slurm-wlm"), *([before] if before else [])]
        return {
            "SLURM_CONF": str(self.folder / "etc" / "slurm.conf"),
            "PATH": os.pathsep.join([str(root / "bin"), str(root / "sbin"), os.environ["PATH"]]),
            "LD_LIBRARY_PATH": os.pathsep.join(libraries),
        }

    def states(self) -> dict[str, str]:
        """Node -> idle, allocated, down, ..."""
        return dict(line.split() for line in self("sinfo", "-h", "-N", "-o", "%N %T").splitlines())

    # -------------------------------------------------------------------------------------------- files

    def unpack(self) -> None:
        folder = self.folder / "packages"
        if kept := os.environ.get("PARIBUS_TEST_SLURM_PACKAGES"):  # where there is no network
            folder = Path(kept)
        else:
            quiet = {"cwd": folder, "capture_output": True}
            if subprocess.run(["apt-get", "-qq", "download", *PACKAGES], **quiet).returncode:
                subprocess.run(["apt-get", "-qq", "update"], **quiet)
                for package in PACKAGES:  # another release may lack one that it does not need
                    subprocess.run(["apt-get", "-qq", "download", package], **quiet)
        found = list(folder.glob("*.deb"))
        for name in ("slurmctld", "slurmd", "munge", "slurmdbd", "mariadb-server-core"):
            if not any(path.name.startswith(f"{name}_") for path in found):
                raise Unavailable(f"the package {name} can't be had here")
        for path in found:
            subprocess.run(["dpkg", "-x", str(path), str(self.folder / "root")], check=True, capture_output=True)
        sbin = self.folder / "root" / "usr" / "sbin"
        for path in sbin.glob("*-wlm"):  # as Debian's alternatives would
            path.with_name(path.name.removesuffix("-wlm")).symlink_to(path.name)
        found_libraries = list((self.folder / "root" / "usr" / "lib").glob("*/slurm-wlm"))
        if not found_libraries:
            raise Unavailable("the packages of this release hold no slurm-wlm")
        self.library = found_libraries[0].parent

    def write_configuration(self) -> None:
        etc, run, host = self.folder / "etc", self.folder / "run", socket.gethostname().split(".")[0]
        control, accounting, _, *of_nodes = self.ports
        key = etc / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        common = {"AuthType": "auth/munge", "PluginDir": self.library / "slurm-wlm", "SlurmUser": "root"}
        settings = {
            **common,
            "ClusterName": "paribus",
            "SlurmctldHost": f"{host}(127.0.0.1)",
            "SlurmdUser": "root",
            "AuthInfo": f"socket={run / 'munge.socket'},cred_expire=5",  # a requeued job waits for so long
            "SlurmctldPort": control,
            "SlurmctldPidFile": run / "slurmctld.pid",
            "SlurmdPidFile": run / "slurmd.%n.pid",
            "StateSaveLocation": self.folder / "state",
            "SlurmdSpoolDir": self.folder / "spool.%n",
            "SlurmctldLogFile": self.folder / "log" / "slurmctld.log",
            "SlurmdLogFile": self.folder / "log" / "slurmd.%n.log",
            # Neither containers nor bindings: nodes are processes of one machine.
            "ProctrackType": "proctrack/linuxproc",
            "TaskPlugin": "task/none",
            "JobAcctGatherType": "jobacct_gather/none",
            "SwitchType": "switch/none",
            "MpiDefault": "none",
            "SelectType": "select/cons_tres",
            "SelectTypeParameters": "CR_Core_Memory",
            "SlurmdParameters": "config_overrides",
            "DefMemPerCPU": 1000,
            "GresTypes": "gpu",
            "ReturnToService": 2,
            "JobRequeue": 1,
            "KillWait": 5,
            "MinJobAge": 3600,
            "SlurmdTimeout": 15,
            "MailProg": "/bin/true",
            "SchedulerParameters": "batch_sched_delay=0,sched_min_interval=100000,bf_interval=5",
            "AccountingStorageType": "accounting_storage/slurmdbd",
            "AccountingStorageHost": "127.0.0.1",
            "AccountingStoragePort": accounting,
            "AccountingStoragePass": run / "munge.socket",
        }
        lines = [f"{name}={value}" for name, value in settings.items()]
        devices = []
        for number in range(self.gpus):
            devices.append(self.folder / "devices" / f"nvidia{number}")
            os.mknod(devices[-1], 0o20666, os.makedev(1, 3))  # as /dev/null
        generic = []
        for number, port in enumerate(of_nodes[: self.nodes], 1):
            gres = f"Gres=gpu:{self.gpus} " if self.gpus else ""
            lines.append(
                f"NodeName=n{number} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={self.cpus} "
                f"RealMemory={self.megabytes} {gres}State=UNKNOWN"
            )
            generic += [f"NodeName=n{number} Name=gpu File={device}" for device in devices]
        lines.append("PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP")
        (etc / "slurm.conf").write_text("\n".join(lines) + "\n")
        (etc / "gres.conf").write_text("\n".join(generic) + "\n")
        (etc / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")  # nobody uses it, and slurmd looks for it
        database = {
            **common,
            "AuthInfo": f"socket={run / 'munge.socket'}",
            "DbdHost": host,
            "DbdAddr": "127.0.0.1",
            "DbdPort": accounting,
            "PidFile": run / "slurmdbd.pid",
            "LogFile": self.folder / "log" / "slurmdbd.log",
            "StorageType": "accounting_storage/mysql",
            "StorageHost": "127.0.0.1",
            "StoragePort": self.ports[2],
            "StorageUser": "root",
            "StorageLoc": "slurm",
        }
        (etc / "slurmdbd.conf").write_text("".join(f"{name}={value}\n" for name, value in database.items()))
        (etc / "slurmdbd.conf").chmod(0o600)

    # -------------------------------------------------------------------------------------------- daemons

    def start_authentication(self) -> None:
        etc, run = self.folder / "etc", self.folder / "run"
        self(
            *("munged", "--force", f"--key-file={etc / 'munge.key'}", f"--socket={run / 'munge.socket'}"),
            *(f"--pid-file={run / 'munged.pid'}", f"--log-file={self.folder / 'log' / 'munged.log'}"),
            *(f"--seed-file={self.folder / 'state' / 'munge.seed'}", "--num-threads=2"),
        )
        self.remember("munged", run / "munged.pid")

    def start_accounting(self) -> None:
        data, log = self.folder / "database", self.folder / "log"
        self(
            *("mariadb-install-db", "--no-defaults", "--user=root", f"--basedir={self.folder / 'root' / 'usr'}"),
            *(f"--datadir={data}", "--auth-root-authentication-method=normal", "--skip-test-db"),
        )
        with (log / "mariadb.log").open("wb") as said:
            process = subprocess.Popen(
                [
                    *("mariadbd", "--no-defaults", "--user=root", f"--basedir={self.folder / 'root' / 'usr'}"),
                    *(f"--datadir={data}", f"--socket={data / 'socket'}", f"--port={self.ports[2]}"),
                    *("--bind-address=127.0.0.1", "--skip-grant-tables", "--innodb-buffer-pool-size=64M"),
                    *("--innodb-flush-log-at-trx-commit=0", "--innodb-lock-wait-timeout=900"),
                ],
                env=self.environment(),
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        self.daemons["mariadbd"] = process.pid
        self.server = process
        self.until(lambda: self.answers(self.ports[2]))
        self("slurmdbd")
        self.remember("slurmdbd", self.folder / "run" / "slurmdbd.pid")
        self.until(lambda: self.answers(self.ports[1]))
        self.until(lambda: self.succeeds("sacctmgr", "-i", "add", "cluster", "paribus"))
        self.succeeds("sacctmgr", "-i", "add", "account", "all", "Description=all", "Organization=all")
        self.succeeds("sacctmgr", "-i", "add", "user", "root", "Account=all")

    def start_nodes(self) -> None:
        self("slurmctld", "-i")
        self.remember("slurmctld", self.folder / "run" / "slurmctld.pid")
        for number in range(1, self.nodes + 1):
            self.start_node(f"n{number}")
        self.until(lambda: set(self.states().values()) == {"idle"})

    def start_node(self, name: str) -> None:
        (self.folder / f"spool.{name}").mkdir(exist_ok=True)
        (self.folder / "run" / f"slurmd.{name}.pid").unlink(missing_ok=True)
        self("slurmd", "-N", name, "-d", str(self.folder / "root" / "usr" / "sbin" / "slurmstepd"))
        self.remember(name, self.folder / "run" / f"slurmd.{name}.pid")

    def fail(self, name: str) -> None:
        """A node that loses its power: its daemons are gone before they can say so, and all that ran there."""
        jobs = self("squeue", "-h", "-w", name, "-o", "%A").split()
        os.kill(self.daemons.pop(name), signal.SIGKILL)
        for process in [*steps(jobs), *self.processes_on(name)]:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self("scontrol", "update", f"nodename={name}", "state=down", "reason=test")

    def repair(self, name: str) -> None:
        self.start_node(name)
        self.succeeds("scontrol", "update", f"nodename={name}", "state=resume")  # it may be back by itself
        self.until(lambda: self.states()[name] == "idle")

    def processes_on(self, name: str) -> list[int]:
        """Those of its jobs."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                variables = {*(path / "environ").read_bytes().split(b"\0")}
                own = {f"SLURM_CONF={self.folder / 'etc' / 'slurm.conf'}".encode(), f"SLURMD_NODENAME={name}".encode()}
                if own <= variables:
                    found.append(int(path.name))
        return found

    def remember(self, name: str, pid_file: Path) -> None:
        self.until(lambda: pid_file.exists() and pid_file.read_text().strip())
        self.daemons[name] = int(pid_file.read_text())

    def end(self, name: str) -> None:
        process = self.daemons.pop(name)
        with suppress(OSError):
            if str(self.folder).encode() not in Path(f"/proc/{process}/environ").read_bytes():
                return  # the number is another's by now
            os.kill(process, signal.SIGTERM)
        deadline = time.monotonic() + 10
        while lives(process) and time.monotonic() < deadline:
            if name == "mariadbd":
                self.server.poll()
            time.sleep(0.05)
        if lives(process):
            os.kill(process, signal.SIGKILL)
        if name == "mariadbd":
            self.server.wait(10)

    def succeeds(self, *command: str) -> bool:
        try:
            self(*command, timeout=10.0)
        except subprocess.SubprocessError:
            return False
        return True

    @staticmethod
    def answers(port: int) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
            return True
        return False

    @staticmethod
    def until(holds, seconds: float = STARTS) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {seconds:g} s")
            time.sleep(0.1)


def steps(jobs: Sequence[str]) -> list[int]:
    """The daemons of the steps of jobs, which are called slurmstepd: [JOB.STEP]."""
    names = tuple(f"slurmstepd: [{job}.".encode() for job in jobs)
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if names and path.read_bytes().startswith(names):
                found.append(int(path.parent.name))
    return found


def lives(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


if __name__ == "__main__":
    cluster = Cluster(Path(sys.argv[1]).resolve())
    cluster.start()
    try:
        for name, value in cluster.variables().items():
            print(f"export {name}={value}", flush=True)
        input("Enter ends it ")
    finally:
        cluster.stop()
