"""A real Slurm on one machine, for tests: munge, slurmctld and several slurmd without systemd, all in a scratch directory.

Needs root and the packages slurmctld, slurmd, slurm-client, munge and libpmix2. The emulated nodes share one kernel, so MPI must
not use shared memory between them: `environment()` says so to Open MPI, and "the network" is what gets tested.
"""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time


def missing():
    """Why no cluster can be started here, or None."""
    if os.geteuid() != 0:
        return "Slurm can only be started as root"
    programs = ["slurmctld", "slurmd", "munged", "munge", "sbatch", "srun", "scontrol", "squeue", "runuser"]
    absent = [name for name in programs if shutil.which(name, path=search_path()) is None]
    if absent:
        return "Slurm is not installed (no " + ", ".join(absent) + "): see launch/packages.sh"
    return None


def search_path():
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin:/bin"


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


CONFIGURATION = """
ClusterName=ci
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
AuthType=auth/munge
CredType=cred/munge
StateSaveLocation={scratch}/state
SlurmdSpoolDir={scratch}/spool/%n
SlurmdPidFile={scratch}/slurmd.%n.pid
SlurmdLogFile={scratch}/log/slurmd.%n.log
SlurmctldPidFile={scratch}/slurmctld.pid
SlurmctldLogFile={scratch}/log/slurmctld.log
TmpFS={scratch}/tmp/%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
ReturnToService=2
JobRequeue=1
KillWait=10
SlurmdTimeout={node_timeout}
PropagateResourceLimits=NONE
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
"""


class Cluster:
    """`with Cluster(scratch, nodes=4) as cluster:` has idle nodes n1, n2 ... of 4 processors each."""

    def __init__(self, scratch, nodes=4, node_timeout=60):
        self.scratch = pathlib.Path(scratch)
        self.nodes = [f"n{k + 1}" for k in range(nodes)]
        self.node_timeout = node_timeout
        self.munge_pid = None
        self.lost_logs = set()  # of nodes whose daemon was killed and whose steps live on

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_):
        self._stop()

    def environment(self):
        result = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "OMPI_", "PMIX_"))}
        result.update(PATH=search_path(), SLURM_CONF=str(self.scratch / "slurm.conf"))
        result.update(OMPI_MCA_btl="self,tcp", OMPI_MCA_btl_tcp_if_include="lo")
        return result

    def run(self, *command, check=True, **options):
        done = subprocess.run(
            [str(word) for word in command], env=self.environment(), capture_output=True, text=True, timeout=120, **options
        )
        if check and done.returncode != 0:
            raise RuntimeError(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout.strip()

    def submit(self, *words, cwd, environment=None):
        """sbatch; the job's number."""
        exported = ["ALL"] + [f"{name}={value}" for name, value in (environment or {}).items()]
        return self.run("sbatch", "--parsable", "--export=" + ",".join(exported), *words, cwd=cwd).split(";")[0]

    def job(self, number):
        """The job as `scontrol show job` tells it: JobState, Restarts, ExitCode, StartTime ..."""
        text = self.run("scontrol", "show", "job", number)
        return dict(word.split("=", 1) for word in text.split() if "=" in word)

    def start_again(self, number, restarts=1, seconds=60):
        """Waits until the job is back in the queue and starts it at once: Slurm itself would wait two minutes."""

        def back():
            job = self.job(number)
            return job["JobState"] == "PENDING" and job["Restarts"] == str(restarts)

        self.wait_for(back, seconds, f"job {number} back in the queue")
        # A step of the same number must be gone from the nodes, and a credential of the second in which the job was put back is refused.
        prefix = f"slurmstepd: [{self.job(number)['JobId']}."

        def steps_are_gone():
            steps = [each for each in processes() if command_line(each).startswith(prefix)]
            return all(open_files(each) & self.lost_logs for each in steps)

        self.wait_for(steps_are_gone, seconds, f"end of the steps of job {number}")
        time.sleep(2)
        self.run("scontrol", "update", f"JobId={number}", "StartTime=now")

    def wait_for_end(self, number, seconds=300):
        """The state in which the job ends: COMPLETED, FAILED, CANCELLED ..."""

        final = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE")

        def ended():
            state = self.job(number)["JobState"]
            return state if state in final else None

        return self.wait_for(ended, seconds, f"end of job {number}")

    def wait_for(self, condition, seconds, what):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            value = condition()
            if value:
                return value
            time.sleep(0.1)
        raise TimeoutError(f"{what}: not within {seconds} s\n{self.logs()}")

    def logs(self):
        texts = []
        for path in sorted((self.scratch / "log").glob("*.log")):
            texts.append(f"--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-30:]))
        return "\n".join(texts)

    def nodes_of(self, number):
        return self.run("scontrol", "show", "hostnames", self.job(number)["NodeList"]).split()

    def start_node(self, node):
        self.run("slurmd", "-N", node, "-f", self.scratch / "slurm.conf")

    def lose_node(self, node, steps_live_on=False):
        """Kills a node as a power cut would: its slurmd, its step daemons and all that they started. With `steps_live_on` only slurmd dies,
        as where the network fails: Slurm gives the node up while its ranks are still there. They stand still until wake_node(), or a
        short training would be over before Slurm misses the node."""
        log = str(self.scratch / "log" / f"slurmd.{node}.log")
        doomed = [int((self.scratch / f"slurmd.{node}.pid").read_text())]
        if steps_live_on:
            self.lost_logs.add(log)
            for rank in self.ranks_of(node):
                end(rank, signal.SIGSTOP)
        else:
            # Step daemons hold their node's log open; what they started knows the node's name.
            for process in processes():
                if environment_of(process).get("SLURMD_NODENAME") == node or log in open_files(process):
                    doomed.append(process)
        for process in doomed:
            end(process, signal.SIGKILL)

    def wake_node(self, node, patience):
        """Lets the ranks go on that outlived their node's loss, waits for their end, at most `patience` seconds; how many there were."""
        ranks = self.ranks_of(node)
        for rank in ranks:
            end(rank, signal.SIGCONT)
        deadline = time.monotonic() + patience
        while self.ranks_of(node) and time.monotonic() < deadline:
            time.sleep(0.1)
        return len(ranks)

    def ranks_of(self, node):
        """The processes of job steps on a node."""
        environments = {process: environment_of(process) for process in processes()}
        return [each for each, of in environments.items() if of.get("SLURMD_NODENAME") == node and "PMIX_RANK" in of]

    def _start(self):
        for folder in ["state", "log"] + [f"{kind}/{node}" for kind in ("spool", "tmp") for node in self.nodes]:
            (self.scratch / folder).mkdir(parents=True, exist_ok=True)
        host = socket.gethostname().split(".")[0]
        ports = free_ports(1 + len(self.nodes))
        lines = [CONFIGURATION.format(host=host, port=ports[0], scratch=self.scratch, node_timeout=self.node_timeout)]
        for node, port in zip(self.nodes, ports[1:]):
            lines.append(f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=4 RealMemory=2000")
        lines.append(f"PartitionName=ci Nodes=n[1-{len(self.nodes)}] Default=YES MaxTime=INFINITE State=UP\n")
        (self.scratch / "slurm.conf").write_text("\n".join(lines))
        self._start_munge()
        self.run("slurmctld", "-i", "-f", self.scratch / "slurm.conf")
        for node in self.nodes:
            self.start_node(node)
        self.wait_for(
            lambda: self.run("sinfo", "-h", "-t", "idle", "-o", "%D", check=False) == str(len(self.nodes)), 30, "idle nodes"
        )

    def _start_munge(self):
        if subprocess.run(["munge", "-n"], capture_output=True, env=self.environment()).returncode == 0:
            return
        self.run("install", "-d", "-o", "munge", "-g", "munge", "-m", "0755", "/run/munge")
        # Without a stale socket's lock, which the daemon of another life may have left.
        self.run("runuser", "-u", "munge", "--", "munged", "--force")
        self.munge_pid = pathlib.Path("/run/munge/munged.pid")
        self.wait_for(
            lambda: subprocess.run(["munge", "-n"], capture_output=True, env=self.environment()).returncode == 0, 10, "munge"
        )

    def _stop(self):
        if (self.scratch / "slurmctld.pid").exists():
            self.run("scancel", "--state=RUNNING", "--signal=KILL", "--full", "--user=root", check=False)
            self.run("scancel", "--user=root", check=False)
        pid_files = [self.scratch / f"slurmd.{node}.pid" for node in self.nodes]
        pid_files += [self.scratch / "slurmctld.pid"] + ([self.munge_pid] if self.munge_pid else [])
        daemons = []
        for pid_file in pid_files:
            try:
                daemons.append(int(pid_file.read_text()))
            except (OSError, ValueError):
                continue
        for daemon in daemons:
            end(daemon, signal.SIGTERM)
        deadline = time.monotonic() + 15
        while any(map(alive, daemons)) and time.monotonic() < deadline:
            time.sleep(0.05)
        # Step daemons outlive their slurmd.
        for process in processes():
            if environment_of(process).get("SLURM_CONF") == str(self.scratch / "slurm.conf"):
                daemons.append(process)
        for daemon in daemons:
            end(daemon, signal.SIGKILL)


def processes():
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]


def command_line(process):
    try:
        return pathlib.Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def open_files(process):
    folder = f"/proc/{process}/fd"
    try:
        return {os.readlink(f"{folder}/{each}") for each in os.listdir(folder)}
    except OSError:
        return set()


def environment_of(process):
    try:
        raw = pathlib.Path(f"/proc/{process}/environ").read_bytes()
    except OSError:
        return {}
    return dict(entry.split("=", 1) for entry in raw.decode(errors="replace").split("\0") if "=" in entry)


def alive(process):
    return os.path.exists(f"/proc/{process}") and " Z " not in stat_of(process)


def stat_of(process):
    try:
        return pathlib.Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return " Z "


def end(process, number):
    try:
        os.kill(process, number)
    except ProcessLookupError:
        pass
