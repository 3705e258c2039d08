"""Options of the local launcher, its slots, and its line of progress."""

import io

import pytest

from paribus.base.durations import duration, in_seconds
from paribus.base.errors import UserError
from paribus.sweep.board import Board, Running
from paribus.sweep.options import Options
from paribus.sweep.slots import Slots, cores


def test_the_configuration_holds_the_defaults(compose):
    from paribus.config.compose import load

    node = load([]).hydra.launcher
    given = {key: value for key, value in node.items() if key != "_target_"}
    assert Options.parse(given) == Options()


def test_options_as_people_write_them():
    options = Options.parse({"time_limit": "1h30m", "gpus": [0, 2], "retries": {"killed": 5}, "slots": 3})
    assert options.time_limit == 5400.0
    assert options.gpus == ("0", "2")
    assert options.retries == {"out_of_memory": 1, "killed": 5, "timeout": 0, "storage": 0, "bug": 0}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"slots": 0}, "hydra.launcher.slots must be a whole number of at least 1, got 0"),
        ({"threads": "two"}, "hydra.launcher.threads"),
        ({"jobs_per_gpu": 0.5}, "hydra.launcher.jobs_per_gpu"),
        ({"gpus": "all"}, "hydra.launcher.gpus must be auto"),
        ({"gpus": []}, "hydra.launcher.gpus"),
        ({"time_limit": "soon"}, "90s, 15min"),
        ({"time_limit": 0}, "hydra.launcher.time_limit"),
        ({"time_limit": True}, "hydra.launcher.time_limit"),
        ({"on_failure": "ignore"}, "continue or stop"),
        ({"retries": {"kiled": 1}}, "Did you mean killed?"),
        ({"retries": {"bug": -1}}, "hydra.launcher.retries.bug"),
    ],
)
def test_a_mistake_names_its_key(given, said):
    with pytest.raises(UserError) as caught:
        Options.parse(given)
    assert said in str(caught.value)


@pytest.mark.parametrize(("text", "seconds"), [(90, 90), ("90", 90), ("90 s", 90), ("1.5h", 5400), ("1d2h", 93600)])
def test_lengths_of_time(text, seconds):
    assert in_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "2 weeks", "-3s", "1h soon", None])
def test_what_is_no_length_of_time(text):
    with pytest.raises(UserError, match="length of time"):
        in_seconds(text)


def test_times_are_written_for_people():
    assert [duration(s) for s in (43.2, 320, 11400)] == ["43 s", "5 min 20 s", "3 h 10 min"]


def test_slots_of_the_cpu():
    assert Slots.of_cpu(None, 1).capacity == cores()
    assert Slots.of_cpu(None, 10 * cores()).capacity == 1
    slots = Slots.of_cpu(3, 1)
    first, second = slots.take(2), slots.take(1)
    assert slots.take(1) is None
    slots.give_back(second)
    assert slots.take(1, alone=True) is not None
    slots.give_back(first)
    assert slots.take(3) is None


def test_jobs_share_gpus_and_never_exceed_them():
    slots = Slots(["0", "1"], room=2)
    both = slots.take(2)
    assert both.units == ("0", "1")
    single = slots.take(1)
    assert slots.take(1, alone=True) is None
    assert slots.take(1).units != single.units  # the emptiest
    assert slots.take(1) is None
    with pytest.raises(UserError, match=r"trainer\.devices=3 .* has 2"):
        slots.take(3)


def test_a_job_alone_has_the_gpu_to_itself():
    slots = Slots(["0"], room=3)
    place = slots.take(1, alone=True)
    assert slots.take(1) is None
    slots.give_back(place)
    assert slots.free == {"0": 3}


def test_the_line_of_progress_and_its_estimate():
    board = Board(total=10, at_a_time=2, stream=io.StringIO())
    now = board._shown
    assert board.line([Running(1.0)], now) == "0 of 10 done · 1 running"
    assert board.line([Running(1.0, says="epoch 1/5")], now) == "0 of 10 done · 1 running · epoch 1/5"
    for _ in range(4):
        board.finished(6.0, "layer seed 3: test/acc 97.20 %")
    board.finished(None, "layer seed 3: test/acc 97.20 %")  # trained by another launcher: no estimate from it
    board.failed = 1
    # Two wait for 6 s each, two run for 4 s and 0 s more: 16 s of work for two slots.
    running = [Running(2.0), Running(7.0)]
    assert board.left(running) == 8.0
    line = "5 of 10 done · 2 running · 1 failed · 8 s left"
    assert board.line(running, now) == f"{line} · layer seed 3: test/acc 97.20 %"
    # Of jobs that say how far they are, the one that takes longest is shown when the last result is old.
    running = [Running(2.0, says="epoch 1/5 · 7 s left"), Running(7.0, says="epoch 4/5 · 1 s left")]
    line = "5 of 10 done · 2 running · 1 failed · 10 s left"  # 7 s and 1 s more of the two that run
    assert board.line(running, board._finished + 9) == f"{line} · layer seed 3: test/acc 97.20 %"
    assert board.line(running, board._finished + 11) == f"{line} · epoch 4/5"


def test_stacks_are_counted_and_estimated_in_runs():
    board = Board(total=100, at_a_time=2, stream=io.StringIO())
    assert board.left([Running(5.0, runs=40), Running(5.0, runs=60)]) is None
    board.finished(20.0, "sgd seed 3: test/acc 97.20 %", runs=40)
    # 60 s for 40 + 20 runs, and 40 of the same job are left.
    assert board.left([Running(40.0, runs=60, ended=20)]) == 40.0
    line = "60 of 100 done · 1 running · 40 s left · sgd seed 3: test/acc 97.20 %"
    assert board.line([Running(40.0, runs=60, ended=20)], board._finished) == line


def test_what_jobs_say_of_themselves_is_the_least_that_is_left():
    board = Board(total=160, at_a_time=2, stream=io.StringIO())
    long = Running(200.0, runs=80, says="epoch 3 · 900/2000 updates · train/loss 0.6 · 4 min 10 s left")
    other = Running(200.0, runs=80, says="epoch 9 · 1900/2000 updates · 5 s left")
    assert board.left([long, other]) == 250.0  # all that is left runs, and nothing has ended
    assert board.left([long, Running(1.0, runs=80)]) is None
    assert board.left([long]) is None  # others wait
    board.finished(5.0, "sgd seed 3: test/acc 97.20 %", runs=80)  # a quick program, by which the slow one were done
    assert board.left([long]) == 250.0


def test_a_log_file_gets_whole_lines_now_and_then():
    stream = io.StringIO()
    board = Board(total=2, at_a_time=1, every_seconds=10.0, stream=stream)
    now = board._shown
    for second in (1, 5, 11, 12, 22):
        if board.due(now + second):
            board.show([Running(1.0)], now + second)
    board.close()
    assert stream.getvalue() == "0 of 2 done · 1 running\n" * 2
