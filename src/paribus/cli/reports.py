"""The reading commands' common part: text written to the terminal or a file, and `paribus evaluate`."""

from __future__ import annotations

from pathlib import Path

from paribus.ablation.outputs import store_of
from paribus.base.errors import UserError
from paribus.base.terminal import say, show


def write(text: str, output: str | None) -> None:
    if output is None:
        show(text, end="")
        return
    path = Path(output)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} can't be written: {error}. Choose another file with -o") from error
    say(str(path))


def evaluate_run(run: str, checkpoint: str | None, trust: bool, outputs: str | None) -> None:
    store = store_of(outputs)
    record = store.find(run)
    from paribus.run.evaluate import evaluate_record

    results = evaluate_record(record, store, Path(checkpoint) if checkpoint else None, trust=trust)
    agree = True
    for key, value in results.items():
        recorded = record.metrics.get(key)
        same = recorded == value or (recorded is not None and recorded != recorded and value != value)
        agree = agree and same
        note = "as recorded" if same else f"recorded: {recorded}"
        show(f"{key} {value!r}  ({note})")
    if checkpoint is None and not agree:
        raise UserError(
            f"run {record.id} does not reproduce its recorded test metrics. They are exact on the same hardware and "
            "versions; the record's provenance says which"
        )
