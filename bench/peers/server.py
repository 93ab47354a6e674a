"""A server as a process: started on its cores, asked, weighed, ended."""

import os
import pathlib
import signal
import subprocess
import threading
import time

import dns

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent
TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
SAMPLE_SECONDS = 0.1
# Clocks of other processes are numbered by their ids (clock_getcpuclockid(3)).
PROCESS_CPU_CLOCK = 2


class Server:
    """One server on a port of loopback, in a directory and a session of its own.

    `cores` are those that it may use; it has as many workers. `steering` is how names move, for
    those that can.
    """

    name = None
    program = None
    # The Debian packages that bring it, and files of theirs under /usr besides the program.
    packages = ()
    needs = ()

    def __init__(self, directory, port, cores, zones, steering=None):
        self.directory = pathlib.Path(directory) / self.name
        self.port = port
        self.cores = cores
        self.zones = zones
        self.steering = steering
        self.process = None
        self.directory.mkdir(parents=True)
        for zone in zones:
            self.prepare(zone)()

    def zone_file(self, origin):
        return self.directory / f"{origin}.zone"

    def zone_lines(self, zone):
        return zone.lines()

    def written_file(self, zone):
        """A file that has all of it already, to be used as it is."""
        return zone.written

    def prepare(self, zone):
        """Writes the zone; returns what puts it in place by a rename, so that its moment can be
        chosen. It waits outside the directory, which servers may watch or read as a whole."""
        place = self.zone_file(zone.origin)
        place.parent.mkdir(exist_ok=True)
        scratch = self.directory.with_name(f"{self.name}.{zone.origin}.new")
        written = self.written_file(zone)
        if written:
            os.link(written, scratch)
            os.utime(scratch)
        else:
            with open(scratch, "w", encoding="ascii") as out:
                out.writelines(self.zone_lines(zone))
        return lambda: os.rename(scratch, place)

    def configure(self):
        """Writes the configuration; returns the arguments."""
        raise NotImplementedError

    def reload(self, origin):
        """Tells it to look at a zone's file again."""
        os.kill(self.process.pid, signal.SIGHUP)

    def version(self):
        return ""

    def start(self):
        """Returns the moment of starting: its configuration is written before."""
        arguments = self.configure()
        pin = ["taskset", "-c", ",".join(map(str, self.cores))]
        begin = time.monotonic()
        with open(self.directory / "log", "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                pin + [str(argument) for argument in arguments],
                cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )
        return begin

    def wait_for(self, *expected, patience=dns.PATIENCE_SECONDS):
        """Asks until each answer is as expected; returns the moment."""
        moment = None
        with dns.Client(self.port) as client:
            for one in expected:
                moment = client.wait_for(one, lambda: self.process.poll() is None, patience)
                if moment is None:
                    log = (self.directory / "log").read_text(errors="replace")[-2000:]
                    raise SystemExit(f"{self.name} doesn't answer \"{one.line()}\" as it should:\n{log}")
        return moment

    def stop(self):
        """Ends all its processes, and waits until they are gone."""
        if self.process is None:
            return
        deadline = time.monotonic() + 10
        kind = signal.SIGTERM
        while pids := [pid for pid, state, _ in self.processes() if state != "Z"]:
            for pid in pids:
                try:
                    os.kill(pid, kind)
                except ProcessLookupError:
                    pass
            time.sleep(0.05)
            if time.monotonic() > deadline:
                kind = signal.SIGKILL
        self.process.wait()
        for pid, _, _ in self.processes():
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass

    def processes(self):
        """(pid, state, (user, system) ticks with reaped children) of each of its session."""
        found = []
        for entry in os.scandir("/proc"):
            if not entry.name.isdigit():
                continue
            try:
                with open(f"/proc/{entry.name}/stat", encoding="utf-8", errors="replace") as stat:
                    fields = stat.read().rpartition(") ")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[3]) == self.process.pid:
                user, system, child_user, child_system = map(int, fields[11:15])
                found.append((int(entry.name), fields[0], (user + child_user, system + child_system)))
        return found

    def cpu_seconds(self):
        """(total, user) of all its processes."""
        ticks = [ticks for _, _, ticks in self.processes()]
        user = sum(user for user, _ in ticks) * TICK_SECONDS
        return user + sum(system for _, system in ticks) * TICK_SECONDS, user

    def busy_seconds(self):
        """(total, user) of what lives now; the total to the nanosecond, for steady states."""
        nanoseconds = 0
        for pid, _, _ in self.processes():
            try:
                nanoseconds += time.clock_gettime_ns(~pid << 3 | PROCESS_CPU_CLOCK)
            except OSError:  # gone meanwhile
                pass
        return nanoseconds * 1e-9, self.cpu_seconds()[1]

    def pin(self, cores):
        """Confines all its threads to these cores from now on."""
        for pid, _, _ in self.processes():
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                os.sched_setaffinity(int(task.name), cores)

    def settled_cpu_seconds(self):
        """CPU time once it has stood still for half a second: work may go on after the first answer,
        and begin late."""
        seconds, _ = self.cpu_seconds()
        quiet = 0
        for _ in range(dns.PATIENCE_SECONDS * 4):
            time.sleep(0.25)
            before, (seconds, _) = seconds, self.cpu_seconds()
            quiet = quiet + 1 if seconds - before <= TICK_SECONDS else 0
            if quiet == 2:
                break
        return seconds

    def memory_octets(self):
        """Resident memory; pages that several processes share are counted once (PSS)."""
        return sum(self._kilobytes("smaps_rollup", "Pss:")) * 1024

    def peak_memory_octets(self):
        """The most that one of its processes has had; exact where there is one."""
        return max(self.memory_octets(), max(self._kilobytes("status", "VmHWM:"), default=0) * 1024)

    def _kilobytes(self, file, key):
        for pid, state, _ in self.processes():
            try:
                with open(f"/proc/{pid}/{file}", encoding="utf-8", errors="replace") as lines:
                    for line in lines:
                        if line.startswith(key) and state != "Z":
                            yield int(line.split()[1])
            except (FileNotFoundError, ProcessLookupError):
                pass


class PeakMemory:
    """Looks at a server's memory ten times a second, in a `with` block: reloading by forking
    takes more than any single process shows."""

    def __init__(self, server):
        self.server = server
        self.octets = 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        self.octets = max(self.octets, self.server.peak_memory_octets())

    def _watch(self):
        while not self.over.wait(SAMPLE_SECONDS):
            if self.server.process is not None:
                self.octets = max(self.octets, self.server.memory_octets())


def first_line(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip().partition("\n")[0]
