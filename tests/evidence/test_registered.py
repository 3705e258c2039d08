"""Registrations: written before the first run, amended in the open, and noticed where they are edited."""

import json

import pytest

from paribus.config.composer import Composer
from paribus.evidence.plans import plans_of
from paribus.evidence.registered import changed, in_words, register, sentences
from paribus.store.record import Record
from paribus.store.registration import hash_of, path_of, read
from paribus.store.store import Store

ABLATION = """# @package _global_
defaults:
  - override /model: mlp
budget: {epochs: 10}
ablation:
  name: mine
  factors: {norm: [batch, none]}
  seeds: SEEDS
  smallest_effect: 0.005
  hypotheses:
    - {id: h, claim: CLAIM, arm: {norm: batch}, versus: {norm: none}}
"""


@pytest.fixture
def study(tmp_path, paribus):
    """The folder of an ablation, whose file can be rewritten and whose runs can be made."""
    (tmp_path / "conf" / "ablation").mkdir(parents=True)
    return Study(tmp_path, Store(tmp_path / "outputs"), paribus)


class Study:
    def __init__(self, root, store, paribus):
        self.root, self.store, self.paribus = root, store, paribus
        self.write()

    def write(self, seeds="{report: 10, cap: 20}", claim="it is better", **change):
        text = ABLATION.replace("SEEDS", seeds).replace("CLAIM", claim)
        for old, new in change.items():
            text = text.replace(old, new)
        (self.root / "conf" / "ablation" / "mine.yaml").write_text(text)
        self.composer = Composer()  # the file is read again

    def plan(self):
        [plan] = plans_of(["ablation=mine"], self.store.read, self.composer)
        return plan

    def register(self):
        return register(self.store, [self.plan()])

    def train(self, gain=0.0, plan=None):
        """Every run of the plan that has no record: batch norm scores `gain` more."""
        for number, cell in enumerate((plan or self.plan()).cells):
            if self.store.read(cell.id) is None:
                noise = 0.01 * ((cell.seed * 7 + number * 3) % 11 - 5)
                value = 0.8 + (gain if cell.arm == "batch" else 0.0) + noise
                source = hash_of(self.store.root, "mine")
                record = Record(cell.id, "done", "mine", cell.arm, cell.seed, provenance=source, classes=10)
                record.metrics = {"test/acc": value, "val/acc": value}
                self.store.write(record)

    def said(self):
        return " ".join(sentences(self.plan(), self.store.read))


def test_the_first_training_registers_what_is_compared(study):
    plan = study.paribus("plan", "ablation=mine").out
    assert "training would register what is compared (0 seeds of an arm have results):" in plan
    assert "test/acc of 20 reporting seeds, tested at 10, 20; they vary init, order, augmentation" in plan
    assert "hypothesis h: it is better" in plan
    assert study.said() == "Not registered before the runs."
    [line] = study.register()
    content = json.loads(path_of(study.store.root, "mine").read_text())
    [entry] = content["entries"]
    assert line == f"mine: registered, {entry['hash']}"
    assert entry["seen"] == 0
    assert entry["content"]["hypotheses"][0]["claim"] == "it is better"
    assert [each["name"] for each in entry["content"]["factors"][0]["levels"]] == ["batch", "none"]
    assert study.register() == []
    assert study.said() == f"Registered on {entry['time'][:10]}."


def test_a_cap_that_is_raised_spends_what_is_left_and_is_said(study):
    study.register()
    study.train()
    plan = study.plan()
    assert {len(cells) for cells in plan.arms.values()} == {20}  # open after ten
    study.train()
    study.write("{report: 10, cap: 90, step: 80}")
    assert "CAUTION: the file has changed since it was registered (cap 20 -> 90)." in study.said()
    asked = study.paribus("plan", "ablation=mine").out
    assert (
        "training would register an amendment (20 seeds of an arm have results):\n    cap 20 -> 90\n"
        "    the looks that come may spend 0 % of the error\n"
    ) in asked
    assert study.register()[0].startswith("mine: amended (cap 20 -> 90), ")
    assert (
        "amended once: cap 20 -> 90, after 20 seeds. Amended looks spend only the error that was left." in study.said()
    )
    seeds = study.plan().ablation.seeds
    assert seeds.looks == (10, 20, 90)
    assert seeds.shares[:2] == (0.5, 0.5)
    assert seeds.shares[2] < 1e-6
    assert len(seeds.reporting) == 90


def test_a_settled_verdict_stays_when_looks_are_added(study):
    from paribus.ablation.findings import findings

    study.register()
    study.train(gain=0.2)
    [before] = findings(study.plan(), study.store.read)
    study.write("{report: 10, cap: 200, step: 100}")
    study.register()
    study.train(gain=-0.5)
    [after] = findings(study.plan(), study.store.read)
    assert (after.verdict.outcome, after.planned) == (before.verdict.outcome, 10)


def test_without_results_an_amendment_costs_nothing(study):
    study.register()
    study.write("{report: 5, cap: 15}")
    study.register()
    seeds = study.plan().ablation.seeds
    assert (seeds.looks, seeds.shares) == ((5, 10, 15), pytest.approx((1 / 3, 1 / 3, 1 / 3)))


def test_another_test_has_no_error_at_looks_that_are_over_and_other_words_cost_nothing(study):
    study.register()
    study.train()
    study.write(claim="it is a bit better")
    study.register()
    assert study.plan().ablation.seeds.shares == (0.5, 0.5)
    study.write(claim="it is a bit better", **{"0.005": "0.01"})
    study.register()
    shares = study.plan().ablation.seeds.shares
    assert shares[0] < 1e-6
    assert shares[1] == pytest.approx(0.5)
    assert "amended twice: hypotheses.h.claim it is better -> it is a bit better, after 10 seeds; " in study.said()
    assert "smallest_effect 0.005 -> 0.01, after 10 seeds" in study.said()


def test_the_words_over_a_report_are_not_registered(study):
    """Else every registration of before they were there would count as amended, and spend the error that is left."""
    study.register()
    study.train()
    study.write(**{"  factors:": "  claim: Which is better?\n  factors:"})
    assert study.plan().ablation.claim == "Which is better?"
    assert not {"claim", "about"} & {*study.plan().entry.content}
    assert "CAUTION" not in study.said()


def test_targets_are_registered_and_change_neither_runs_nor_verdicts(study):
    runs = [cell.id for cell in study.plan().cells]
    study.register()
    assert "targets" not in study.plan().entry.content  # registrations of before know none
    study.train()
    study.write(**{"  smallest_effect": "  targets: {val/acc: 0.97}\n  smallest_effect"})
    asked = study.paribus("plan", "ablation=mine").out
    assert (
        "training would register an amendment (10 seeds of an arm have results):\n    targets.val/acc none -> 0.97"
        in asked
    )
    study.register()
    plan = study.plan()
    assert {cell.id for cell in plan.cells} >= {*runs}
    assert plan.ablation.targets == {"val/acc": 0.97}
    assert plan.ablation.seeds.shares == (0.5, 0.5)  # no error is spent on other words
    assert "time until val/acc reaches 0.97" in in_words(plan.entry)
    assert "amended once: targets.val/acc none -> 0.97, after 10 seeds" in study.said()


def test_trials_are_registered_and_their_number_is_amended(study):
    assert "search" not in study.plan().entry.content  # registrations of before know none
    tune = "  tune: {trials: 4, space: {optimizer.lr: {log: [0.001, 1]}}}\n  smallest_effect"
    study.write("{tune: 2, report: 4}", **{"  smallest_effect": tune})
    said = in_words(study.plan().entry)
    assert said[1] == (
        "tuned over 4 sobol trials (seed 0) of optimizer.lr log 0.001, 1 by val/acc on 2 seeds (tuning: near)"
    )
    study.register()
    study.train()  # what tuning needs
    study.train()  # and what it chose
    tune = tune.replace("trials: 4", "trials: 8, sampler: random")
    study.write("{tune: 2, report: 4}", **{"  smallest_effect": tune})
    before = read(study.store.root, "mine").all_entries[0]
    assert changed(before, study.plan().entry) == ["tune.trials 4 -> 8", "tune.sampler sobol -> random"]
    assert (
        "CAUTION: the file has changed since it was registered (tune.trials 4 -> 8, tune.sampler sobol -> random)"
        in study.said()
    )


def test_runs_that_were_there_before_are_said(study):
    study.train()
    study.register()
    assert "when arms had up to 10 results already" in study.said()


def test_another_recipe_is_registered_apart(study):
    study.register()
    [other] = plans_of(["ablation=mine", "model=cnn"], study.store.read, study.composer)
    assert register(study.store, [other])[0].startswith("mine: registered")
    assert study.said().startswith("Registered on")
    assert "amended" not in study.said()
    assert len(read(study.store.root, "mine").all_entries) == 2


def test_an_edited_registration_is_noticed(study):
    study.register()
    study.train()
    path = path_of(study.store.root, "mine")
    path.write_text(path.read_text().replace('"it is better"', '"it is worse"'))
    assert "CAUTION: the registration was edited by hand." in study.said()
    content = json.loads(path.read_text())
    content["entries"][0]["hash"] = "0" * 16
    path.write_text(json.dumps(content))
    assert "CAUTION: runs such as" in study.said()


def test_a_deleted_registration_is_noticed_by_the_runs(study):
    study.register()
    hash = hash_of(study.store.root, "mine")["registration"]
    study.train()
    path_of(study.store.root, "mine").unlink()
    assert f"name the registration {hash}, which was deleted or edited." in study.said()
    table = study.paribus("table", "ablation=mine")
    assert table.code == 0, table.err
    assert "which was deleted or edited" in table.out


@pytest.mark.parametrize("text", ["", "[]", '{"entries": [{"time": 1}]}', '{"entries": [{}]}', '{"name": "mine"}'])
def test_a_file_that_nobody_wrote_is_named_and_counts_as_none(study, text):
    path = path_of(study.store.root, "mine")
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.warns(UserWarning, match="nothing counts as registered"):
        assert read(study.store.root, "mine").all_entries == ()


def test_changes_are_named_by_their_keys(study):
    study.register()
    before = read(study.store.root, "mine").all_entries[0]
    study.write("{report: 10, cap: 20, step: 5}", **{"[batch, none]": "[batch, none, layer]"})
    after = study.plan().entry
    assert changed(before, after) == ["looks 10, 20 -> 10, 15, 20", "factors.norm.levels.layer.name none -> layer", *[
        f"factors.norm.levels.layer.{key} none -> layer" for key in ("value", "sets.norm")
    ]]  # fmt: skip
    assert in_words(after)[0] == "design one_factor of norm: batch, none, layer"


def test_a_wider_grid_spends_error_once_its_reporting_runs_are_known(study):
    """The new points have no results, but who widens the grid has seen those of the old ones."""
    tuned = {"  seeds:": "  tune: {optimizer.lr: [0.01, 0.1]}\n  seeds:"}
    wider = {"  seeds:": "  tune: {optimizer.lr: [0.01, 0.1, 1.0]}\n  seeds:"}
    seeds = "{tune: 2, report: 10, cap: 20}"
    study.write(seeds, **tuned)
    study.register()
    study.train()  # the tuning
    study.write(seeds, **wider)
    assert study.register()[0].startswith("mine: amended (tune.optimizer.lr.values 0.01, 0.1 -> 0.01, 0.1, 1.0)")
    assert study.plan().ablation.seeds.shares == pytest.approx((0.5, 0.5))  # nothing was reported
    study.write(seeds, **tuned)
    study.register()
    study.train()  # ten reporting seeds at what tuning kept
    study.write(seeds, **wider)
    study.register()
    entry = read(study.store.root, "mine").all_entries[-1]
    assert entry.seen == 10
    shares = study.plan().ablation.seeds.shares
    assert shares[0] < 1e-6
    assert shares[1] == pytest.approx(0.5)
