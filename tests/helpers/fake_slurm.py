"""Stands in for SLURM where there is none: sbatch, srun, sacct and scancel as far as submitit uses them.

A job runs as a process of this machine, one task of an array after the other, with the variables that SLURM sets.
`install(folder)` writes the commands; put the folder first on PATH.
"""

import os
import re
import subprocess
import sys
from pathlib import Path


def install(folder: Path) -> None:
    folder.mkdir()
    for name in ("sbatch", "srun", "sacct", "scancel"):
        command = folder / name
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{__file__}" {name} "{folder}" "$@"\n')
        command.chmod(0o755)


def sbatch(folder: Path, script: str) -> None:
    number = 100 + len(list(folder.glob("*.sh")))
    copy = folder / f"{number}.sh"
    copy.write_text(Path(script).read_text())
    subprocess.Popen(
        [sys.executable, __file__, "controller", str(folder), str(copy)],
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    print(f"Submitted batch job {number}")


def controller(folder: Path, script: str) -> None:
    """What slurmctld and slurmd do with a job."""
    number = Path(script).stem
    array = re.search(r"--array=0-(\d+)", Path(script).read_text())
    for task in range(int(array.group(1)) + 1) if array else [None]:
        name = number if task is None else f"{number}_{task}"
        environment = {
            **os.environ,
            "SLURM_JOB_ID": number,
            "SLURM_JOB_NAME": "paribus",
            "SLURM_NTASKS": "1",
            "SLURM_JOB_NUM_NODES": "1",
            "SLURM_JOB_NODELIST": "node1",
            **dict.fromkeys(("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID"), "0"),
        }
        if task is not None:
            environment |= {"SLURM_ARRAY_JOB_ID": number, "SLURM_ARRAY_TASK_ID": str(task)}
        (folder / f"{name}.state").write_text("RUNNING")
        code = subprocess.run(["bash", script], env=environment).returncode
        (folder / f"{name}.state").write_text("FAILED" if code else "COMPLETED")


def srun(folder: Path, *arguments: str) -> None:
    command = list(arguments)
    while command[0].startswith("--"):
        command = command[2 if command[0] in ("--output", "--error") else 1 :]
    os.execvp(command[0], command)


def sacct(folder: Path, *_: str) -> None:
    print("JobID|State|NodeList")
    for state in folder.glob("*.state"):
        print(f"{state.stem}|{state.read_text()}|node1")


def scancel(folder: Path, *_: str) -> None:
    pass


if __name__ == "__main__":
    commands = {command.__name__: command for command in (sbatch, controller, srun, sacct, scancel)}
    commands[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
