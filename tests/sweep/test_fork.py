"""The fork server: forked processes compute right results, and none outlives the one that wanted it."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from paribus.sweep.fork import ForkServer, shared_server

FUNCTIONS = """
import os
import time


def state(*, server):
    import torch

    tasks = len(os.listdir("/proc/self/task"))
    return tasks, torch.cuda.is_initialized(), os.environ.get("MINE"), os.getcwd(), "hydra" in os.environ


def product(threads, *, server):
    import torch

    torch.set_num_threads(threads)
    a = torch.randn(300, 300, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weight = a.clone().requires_grad_()
    torch.nn.functional.conv1d(a[None], weight[:, :, None]).square().sum().backward()
    return (a @ a).numpy(), torch.linalg.inv(a).numpy(), weight.grad.numpy(), torch.get_num_threads()


def farewells(path, *, server):
    import atexit
    import multiprocessing
    import tempfile

    atexit.register(open, path, "w")
    server.kept = tempfile.TemporaryDirectory()
    worker = multiprocessing.Process(target=time.sleep, args=(60,), daemon=True)
    worker.start()
    return server.kept.name, worker.pid


def failing(*, server):
    raise ZeroDivisionError("on purpose")


def sleeping(path, *, server):
    with open(path, "a") as file:
        file.write(f"{os.getpid()}\\n")
    time.sleep(60)


def parent(path, *, server):
    server.fork(sleeping, (path,))
    while not os.path.exists(path):
        time.sleep(0.01)
    os.kill(os.getpid(), 9)


def nothing(*, server):
    return time.monotonic()
"""


@pytest.fixture
def functions(tmp_path, monkeypatch):
    """A module that is on the path of this process, and so on that of the forked ones."""
    (tmp_path / "forked_functions.py").write_text(FUNCTIONS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    import forked_functions

    yield forked_functions
    del sys.modules["forked_functions"]


@pytest.fixture
def server():
    return shared_server()


def only(server):
    while True:
        if ended := server.ended(0.1):
            [one] = ended
            return one


def lives(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def gone(pid, seconds=10.0):
    deadline = time.monotonic() + seconds
    while lives(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not lives(pid)


def test_a_process_starts_with_one_thread_no_cuda_and_its_own_environment(server, functions, tmp_path):
    server.fork(functions.state, (), {"MINE": "7"})
    assert only(server).result == (1, False, "7", str(tmp_path), False)


@pytest.mark.parametrize("threads", [1, 2])
def test_forked_processes_compute_right_results(server, functions, threads):
    a = torch.randn(300, 300, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for _ in range(2):  # a second process is as fresh as the first
        server.fork(functions.product, (threads,))
        square, inverse, gradient, found = only(server).result
        assert found == threads
        torch.testing.assert_close(torch.from_numpy(square), a @ a)
        torch.testing.assert_close(torch.from_numpy(inverse), torch.linalg.inv(a))
        torch.testing.assert_close(torch.from_numpy(gradient), 2 * (a @ a) @ a.T)


def test_what_a_process_wants_done_at_its_end_is_done(server, functions, tmp_path):
    server.fork(functions.farewells, (str(tmp_path / "written"),))
    folder, worker = only(server).result
    assert (tmp_path / "written").exists()
    assert not os.path.exists(folder)
    assert gone(worker)


def test_what_a_job_forks_hears_that_it_is_terminated_however_early():
    """Without the first two functions signals of this loop are lost: Python forgets those that come while a child has
    its parent's handlers."""
    code = """
import os, signal, time
from paribus.sweep.server import _end_when_terminated, _hold, _release
signal.signal(signal.SIGTERM, signal.default_int_handler)
os.register_at_fork(before=_hold, after_in_parent=_release, after_in_child=_end_when_terminated)
for _ in range(100):
    if (pid := os.fork()) == 0:
        time.sleep(10)
        os._exit(0)
    os.kill(pid, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGTERM
assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_failures_and_kills_are_told_apart(server, functions, tmp_path):
    server.fork(functions.failing, (), output=str(tmp_path / "out.log"))
    ended = only(server)
    assert (ended.code, ended.result) == (1, None)
    assert "ZeroDivisionError: on purpose" in (tmp_path / "out.log").read_text()
    for action, code in ((server.kill, -signal.SIGKILL), (server.stop, 130)):
        key = server.fork(functions.sleeping, (str(tmp_path / f"{code}"),))
        while not (tmp_path / f"{code}").exists():
            time.sleep(0.01)
        action(key)
        assert only(server).code == code


def test_a_process_that_is_told_to_stop_before_it_runs_stops(server, functions, tmp_path):
    key = server.fork(functions.sleeping, (str(tmp_path / "never"),))
    server.stop(key)
    assert only(server).code == 130


def test_what_a_process_ordered_ends_with_it(server, functions, tmp_path):
    server.fork(functions.parent, (str(tmp_path / "pids"),))
    assert only(server).code == -signal.SIGKILL
    assert gone(int((tmp_path / "pids").read_text()))


@pytest.mark.parametrize("victim", ["client", "server"])
def test_nothing_outlives_a_killed_client_or_server(functions, tmp_path, victim):
    path = tmp_path / "pids"
    script = (
        "import forked_functions, time\n"
        "from paribus.sweep.fork import ForkServer\n"
        "server = ForkServer.start()\n"
        f"server.fork(forked_functions.sleeping, ({str(path)!r},))\n"
        "print(server._process.pid, flush=True)\n"
        "time.sleep(120)\n"
    )
    client = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    try:
        of_server = int(client.stdout.readline())
        while not path.exists() or not path.read_text().endswith("\n"):
            time.sleep(0.02)
        os.kill(client.pid if victim == "client" else of_server, signal.SIGKILL)
        assert gone(int(path.read_text()))
        assert victim == "server" or gone(of_server)
    finally:
        client.kill()
        client.wait()
        client.stdout.close()


def test_a_server_that_died_is_said_so(functions):
    server = ForkServer.start()
    server._process.kill()
    with pytest.raises(RuntimeError, match="exit code -9"):
        server.ended(10.0)
    server.close()


def test_a_job_starts_within_150_milliseconds(server, functions):
    server.fork(functions.nothing, ())
    only(server)
    starts = []
    for _ in range(10):
        before = time.monotonic()
        server.fork(functions.nothing, ())
        starts.append(only(server).result - before)
    assert min(starts) < 0.15  # the least: the machine may be busy with other things


def test_a_job_imports_nothing_of_ours_that_its_server_lacks(tmp_path):
    """Each job of a sweep would pay for it."""
    line = ["model=mlp", "data.subset=60", "data.batch_size=20", "budget.updates=1", f"paths.outputs={tmp_path}"]
    code = f"""
import sys
from paribus.config.composer import Composer
from paribus.sweep.server import preload
run = Composer()({line!r}).run
preload()
before = set(sys.modules)
from paribus.sweep.dispatch import dispatch
dispatch(run, {{}}, {line!r})
new = sorted(name for name in set(sys.modules) - before if name.startswith(("paribus.", "torch.", "hydra.")))
assert not new, new
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
