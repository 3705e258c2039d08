"""The ablation file: what it may contain. Every mistake in one is named by file and key."""

import pytest

from paribus.ablation.file import AblationError, level_name
from paribus.ablation.parser import parse
from paribus.base.errors import UserError
from paribus.base.metrics import Metric, Metrics, of_test
from paribus.config.compose import load, resolved
from paribus.config.grammar import override_value
from paribus.config.modes import check_monitors
from paribus.config.task import Task
from paribus.stats.spaces import Range, Search

FILE = {"name": "a", "factors": {"norm": ["batch", "layer"], "optimizer.lr": [0.1, 0.01]}, "seeds": 2}
TUNED = {"name": "a", "factors": {"norm": ["batch", "layer"]}, "tune": {"optimizer.lr": {"log": [0.01, 1.0, 3]}}}
RULE = {"if": {"norm": "layer"}, "exclude": "because"}
ADAPTS = {"if": {"norm": "layer"}}
TRIALS = {"trials": 24, "space": {"optimizer.eps": {"log": [1e-9, 1e-3]}}}
CLAIM = {"id": "1", "claim": "c", "arm": {"norm": "layer"}, "versus": {"norm": "batch"}}

# (what is changed in a good file, the key that the message names)
BAD = [
    ({"name": None}, "ablation.name"),
    ({"name": "  "}, "ablation.name"),
    ({"name": 3}, "ablation.name"),
    ({"sedes": 3}, "ablation.sedes"),
    ({"design": "pathh"}, "ablation.design"),
    ({"factors": None}, "ablation.factors"),
    ({"factors": {}}, "ablation.factors"),
    ({"factors": ["norm"]}, "ablation.factors"),
    ({"factors": {"norm": []}}, "ablation.factors.norm"),
    ({"factors": {"norm": "batch"}}, "ablation.factors.norm"),
    ({"factors": {"norm": ["batch"]}}, "ablation.factors"),
    ({"factors": {"norm": ["batch", "batch"]}}, "ablation.factors.norm"),
    ({"factors": {"optimizer.lr": [1, 1.0]}}, "ablation.factors.optimizer.lr"),
    ({"factors": {"norm": ["batch", {"norm": "layer"}]}}, "ablation.factors.norm"),
    ({"factors": {"trick": {"on": {"norm": "batch"}, "off": "none"}}}, "ablation.factors.trick.off"),
    ({"factors": {"trick": {"on": {"model": {"width": 3}}, "off": {}}}}, "ablation.factors.trick.on.model"),
    ({"factors": {"seed": [0, 1]}}, "ablation.factors.seed"),
    ({"factors": {"trick": {"on": {"seeds.order": 1}, "off": {}}}}, "ablation.factors.trick.on.seeds.order"),
    ({"factors": {"norm": ["batch", "layer"], "t": {"a": {"norm": "rms"}, "b": {}}}}, "ablation.factors.t"),
    ({"design": "leave_one_out", "factors": {"norm": ["batch", "layer", "rms"]}}, "ablation.factors.norm"),
    ({"design": "paired", "factors": {"norm": ["batch", "layer"], "loss": ["mse"]}}, "ablation.factors"),
    ({"baseline": "batch"}, "ablation.baseline"),
    ({"baseline": {"norms": "batch"}}, "ablation.baseline.norms"),
    ({"baseline": {"norm": "group"}}, "ablation.baseline.norm"),
    ({"seeds": 0}, "ablation.seeds"),
    ({"seeds": -2}, "ablation.seeds"),
    ({"seeds": [1, 1]}, "ablation.seeds"),
    ({"seeds": ["a"]}, "ablation.seeds"),
    ({"seeds": [True, False]}, "ablation.seeds"),
    ({"seeds": {"reprot": 3}}, "ablation.seeds.reprot"),
    ({"seeds": {"tune": 3, "report": 3}}, "ablation.seeds.tune"),
    ({**TUNED, "seeds": {"tune": [0, 1], "report": 3}}, "ablation.seeds"),
    ({"seeds": {"report": 3, "vary": ["weights"]}}, "ablation.seeds.vary"),
    ({"seeds": {"report": 3, "vary": []}}, "ablation.seeds.vary"),
    ({"metric": "test/accuracy"}, "ablation.metric"),
    ({"select_on": "test/acc"}, "ablation.select_on"),
    ({"select_on": "steps"}, "ablation.select_on"),
    ({"targets": 0.97}, "ablation.targets"),
    ({"targets": {}}, "ablation.targets"),
    ({"targets": {"val/accuracy": 0.97}}, "ablation.targets.val/accuracy"),
    ({"targets": {"ms_per_update": 3}}, "ablation.targets.ms_per_update"),
    ({"targets": {"test/acc": 0.97}}, "ablation.targets.test/acc"),
    ({"targets": {"val/acc": 97}}, "ablation.targets.val/acc"),
    ({"targets": {"val/acc": "97 %"}}, "ablation.targets.val/acc"),
    ({"targets": {"val/loss": float("inf")}}, "ablation.targets.val/loss"),
    ({"targets": {"val/loss": float("nan")}}, "ablation.targets.val/loss"),
    ({"targets": {"val/loss": True}}, "ablation.targets.val/loss"),
    ({"smallest_effect": 0}, "ablation.smallest_effect"),
    ({"smallest_effect": "half"}, "ablation.smallest_effect"),
    ({"tune": {"optimizer.lr": {"log": [0.01, 1.0, 3]}}}, "ablation.tune.optimizer.lr"),
    ({**TUNED, "tune": {"optimizer.lr": {"log": [0.0, 1.0, 3]}}}, "ablation.tune.optimizer.lr"),
    ({**TUNED, "tune": {"optimizer.lr": {"log": [1.0, 0.1, 3]}}}, "ablation.tune.optimizer.lr"),
    ({**TUNED, "tune": {"optimizer.lr": {"log": [0.1, 1.0]}}}, "ablation.tune.optimizer.lr"),
    ({**TUNED, "tune": {"optimizer.lr": {"log": [0.1, 1.0, 2.5]}}}, "ablation.tune.optimizer.lr"),
    ({**TUNED, "tune": {"optimizer.lr": {"geometric": [0.1, 1.0, 3]}}}, "ablation.tune.optimizer.lr"),
    ({**TUNED, "tune": {"optimizer.lr": [0.1, 0.1]}}, "ablation.tune.optimizer.lr"),
    ({**TUNED, "tune": {"optimizer.lr": 0.1}}, "ablation.tune.optimizer.lr"),
    ({"tune": {**TRIALS, "space": {"norm": {"choice": ["batch", "rms"]}}}}, "ablation.tune.space.norm"),
    ({"tune": {**TRIALS, "trials": 1}}, "ablation.tune.trials"),
    ({"tune": {**TRIALS, "trials": 24.0}}, "ablation.tune.trials"),
    ({"tune": {**TRIALS, "trials": True}}, "ablation.tune.trials"),
    ({"tune": {**TRIALS, "trials": 10_001}}, "ablation.tune.trials"),
    ({"tune": {"space": TRIALS["space"]}}, "ablation.tune.trials"),
    ({"tune": {**TRIALS, "sampler": "halton"}}, "ablation.tune.sampler"),
    ({"tune": {**TRIALS, "seed": -1}}, "ablation.tune.seed"),
    ({"tune": {**TRIALS, "seed": None}}, "ablation.tune.seed"),
    ({"tune": {**TRIALS, "trails": 3}}, "ablation.tune.trails"),
    ({"tune": {"trials": 24}}, "ablation.tune.space"),
    ({"tune": {**TRIALS, "space": {}}}, "ablation.tune.space"),
    ({"tune": {**TRIALS, "space": ["optimizer.eps"]}}, "ablation.tune.space"),
    ({"tune": {**TRIALS, "space": {"optimizer.eps": {"log": [0, 1]}}}}, "ablation.tune.space.optimizer.eps"),
    ({"tune": {**TRIALS, "space": {"optimizer.eps": {"log": [1, 0.1]}}}}, "ablation.tune.space.optimizer.eps"),
    ({"tune": {**TRIALS, "space": {"optimizer.eps": {"log": [0.1, 1, 7]}}}}, "ablation.tune.space.optimizer.eps"),
    ({"tune": {**TRIALS, "space": {"optimizer.eps": [0.1, 1]}}}, "ablation.tune.space.optimizer.eps"),
    ({"tune": TRIALS, "when": [{**ADAPTS, "tune": TRIALS}]}, r"ablation.when\[0\].tune.trials"),
    ({"tune": TRIALS, "when": [{**ADAPTS, "tune": {"space": {}}}]}, r"ablation.when\[0\].tune.space"),
    (
        {"tune": TRIALS, "when": [{**ADAPTS, "tune": {"space": {"norm": {"choice": ["batch", "rms"]}}}}]},
        r"ablation.when\[0\].tune.space.norm",
    ),
    ({"tune": TRIALS, "when": [{**ADAPTS, "tune": {"optimizer.eps": [0.1]}}]}, r"ablation.when\[0\].tune"),
    ({**TUNED, "when": [{**ADAPTS, "tune": {"space": TRIALS["space"]}}]}, r"ablation.when\[0\].tune"),
    ({**TUNED, "when": [{**ADAPTS, "tune": {"norm": ["batch"]}}]}, r"ablation.when\[0\].tune.norm"),
    ({"regimes": {"T": {"tune": {"trials": 3}}}}, "ablation.regimes.T.tune.space"),
    (
        {"regimes": {"T": {"tune": {**TRIALS, "space": {"norm": {"choice": ["batch", "rms"]}}}}}},
        "ablation.regimes.T.tune.space.norm",
    ),
    ({"when": RULE}, "ablation.when"),
    ({"when": [{"if": {"norm": "layer"}}]}, r"ablation.when\[0\]"),
    ({"when": [{**RULE, "set": {"clip.norm": 1}}]}, r"ablation.when\[0\]"),
    ({"when": [{**RULE, "exclude": ""}]}, r"ablation.when\[0\].exclude"),
    ({"when": [{**RULE, "unless": {}}]}, r"ablation.when\[0\].unless"),
    ({"when": [{**RULE, "if": {"norms": "layer"}}]}, r"ablation.when\[0\].if.norms"),
    ({"when": [{**RULE, "if": {"norm": "layr"}}]}, r"ablation.when\[0\].if.norm"),
    ({"when": [{**RULE, "if": {"norm": []}}]}, r"ablation.when\[0\].if.norm"),
    ({"when": [{**RULE, "if": {"norm": "batch"}}]}, r"ablation.when\[0\]"),
    ({"when": [{"if": {"norm": "layer"}, "set": {"optimizer.lr": 1}}]}, r"ablation.when\[0\].set.optimizer.lr"),
    ({"when": [{"if": {"norm": "layer"}, "set": {"seed": 1}}]}, r"ablation.when\[0\].set.seed"),
    ({"hypotheses": CLAIM}, "ablation.hypotheses"),
    ({"hypotheses": [{**CLAIM, "id": None}]}, r"ablation.hypotheses\[0\].id"),
    ({"hypotheses": [{**CLAIM, "arm": {"norm": "grup"}}]}, r"ablation.hypotheses\[0\].arm.norm"),
    ({"hypotheses": [{**CLAIM, "arm": {"norm": ["layer", "batch"]}}]}, r"ablation.hypotheses\[0\].arm.norm"),
    ({"hypotheses": [{**CLAIM, "versus": {"norm": "layer"}}]}, r"ablation.hypotheses\[0\]"),
    ({"hypotheses": [{**CLAIM, "direction": "better"}]}, r"ablation.hypotheses\[0\].direction"),
    ({"hypotheses": [{**CLAIM, "metric": "acc"}]}, r"ablation.hypotheses\[0\].metric"),
    ({"hypotheses": [{**CLAIM, "literature": 2018}]}, r"ablation.hypotheses\[0\].literature"),
    ({"hypotheses": [CLAIM, CLAIM]}, r"ablation.hypotheses\[1\].id"),
    ({"regimes": ["F", "T"]}, "ablation.regimes"),
    ({"regimes": {"F": {"tuning": False}}}, "ablation.regimes.F.tuning"),
    ({"regimes": {"F": {"text": 3}}}, "ablation.regimes.F.text"),
    ({"regimes": {"F": {"set": {"norm": "rms"}}}}, "ablation.regimes.F.set.norm"),
    ({**TUNED, "regimes": {"F": {"tune": {"norm": ["batch", "rms"]}}}}, "ablation.regimes.F.tune.norm"),
]


@pytest.mark.parametrize(("change", "key"), BAD, ids=[f"{number}-{key}" for number, (_, key) in enumerate(BAD)])
def test_a_bad_file_gets_one_message_with_file_and_key(change, key):
    with pytest.raises(AblationError, match=rf"^conf/ablation/a.yaml: {key}[ ,]") as raised:
        parse({**FILE, **change}, "conf/ablation/a.yaml")
    assert "\n" not in str(raised.value)


def test_a_near_name_is_suggested():
    for change, near in [
        ({"desing": "grid"}, "design"),
        ({"design": "grids"}, "grid"),
        ({"baseline": {"nrom": "layer"}}, "norm"),
        ({"metric": "test/accuracy"}, "test/acc"),
    ]:
        with pytest.raises(AblationError, match=f"[Dd]id you mean {near}"):
            parse({**FILE, **change})


def test_targets_are_values_of_metrics_with_a_direction():
    [found] = parse({**FILE, "targets": {"val/acc": 0.97, "val/loss": 1}})
    assert found.targets == {"val/acc": 0.97, "val/loss": 1.0}
    assert [key.metric.better for key in found.targets] == ["higher", "lower"]
    [none] = parse(FILE)
    assert none.targets == {}


@pytest.mark.parametrize(
    ("targets", "remedy"),
    [
        ({"val/acc": 97}, r"must be a fraction from 0 to 1, as val/acc is, got 97. 97 % is 0.97"),
        ({"test/acc": 0.97}, r"must be a metric of the validation, since a run is tested once. Try val/acc"),
        ({"ms_per_update": 3}, r"ms_per_update declares none"),
        ({"val/loss": "1"}, r"must be a finite number, the value to be reached, got '1'"),
        ({"val/accuracy": 1}, r"must be a metric of a run, got 'val/accuracy'. Did you mean val/acc"),
    ],
)
def test_a_bad_target_gets_a_remedy(targets, remedy):
    with pytest.raises(AblationError, match=remedy):
        parse({**FILE, "targets": targets})


def test_defaults_are_those_of_the_design_page():
    [plain] = parse({"name": "a", "factors": {"norm": ["batch", "layer"]}})
    assert (plain.design, plain.metric, plain.select_on) == ("one_factor", "test/acc", "val/acc")
    assert plain.seeds.tune == ()
    [tuned] = parse({**TUNED, "seeds": {"report": 10}})
    assert len(tuned.seeds.tune) == 5
    assert len(tuned.seeds.report) == 10
    assert not set(tuned.seeds.tune) & set(tuned.seeds.report)


def test_a_hypothesis_says_where_the_literature_stands():
    said = "Wu & He 2018: below 16 images a batch"
    [ablation] = parse({**FILE, "hypotheses": [CLAIM, {**CLAIM, "id": "2", "literature": said}]})
    assert [each.literature for each in ablation.hypotheses] == ["", said]


def test_trials_are_drawn_from_a_space():
    [ablation] = parse({**FILE, "tune": TRIALS})
    assert ablation.search == Search(24, "sobol", 0)
    assert ablation.tune == {"optimizer.eps": Range("log", (1e-9, 1e-3))}
    assert ablation.seeds.tune == tuple(range(1000, 1005))
    [other] = parse({**FILE, "tune": {**TRIALS, "sampler": "random", "seed": 7}})
    assert other.search == Search(24, "random", 7)


def test_the_order_of_keys_does_not_decide_on_the_points():
    space = {"b": {"int": [1, 9]}, "a": {"log": [0.1, 1]}}
    found = [
        parse({**FILE, "tune": {"trials": 3, "space": dict(items)}})[0].tune
        for items in (space.items(), reversed(space.items()))
    ]
    assert [list(each) for each in found] == [["a", "b"], ["a", "b"]]


def test_a_regime_may_draw_trials_where_another_has_a_grid():
    section = {**FILE, "factors": {"norm": ["batch", "layer"]}, "tune": {"optimizer.lr": [0.1, 1.0]}}
    grid, drawn, fixed = parse({**section, "regimes": {"G": {}, "S": {"tune": TRIALS}, "F": {"tune": False}}})
    assert (grid.search, drawn.search, fixed.search) == (None, Search(24), None)
    assert [list(each.tune) for each in (grid, drawn, fixed)] == [["optimizer.lr"], ["optimizer.eps"], []]
    rule = {**ADAPTS, "tune": {"optimizer.lr": [0.2, 2.0]}}
    with pytest.raises(
        AblationError, match=r"when\[0\].tune must be a space of ranges, as what it adapts in the regime S"
    ):
        parse({**section, "when": [rule], "regimes": {"G": {}, "S": {"tune": TRIALS}}})


@pytest.mark.parametrize(
    ("tune", "message"),
    [
        ({"optimizer.eps": {"log": [0.1, 1]}}, r"must be log: \[lowest, highest, count\]"),
        ({"optimizer.eps": {"uniform": [0.1, 1]}}, r"Ranges stand in tune: \{trials: NUMBER, space: \{KEY: RANGE\}\}"),
        ({**TRIALS, "trials": 1}, "number of points that each arm tries, 2 to 10000, got 1"),
        ({**TRIALS, "sampler": "sobbol"}, "must be one of sobol, random, got 'sobbol' Did you mean sobol"),
        ({**TRIALS, "trails": 3}, "is unknown. Did you mean trials"),
        ({"trials": 3}, r"must map config keys to ranges such as log: \[0.0001, 1\], got None"),
    ],
)
def test_a_mistake_in_the_tuning_names_its_remedy(tune, message):
    with pytest.raises(AblationError, match=message):
        parse({**FILE, "tune": tune})


def test_a_level_that_sets_several_keys_has_a_name():
    [ablation] = parse(
        {"name": "a", "factors": {"recipe": {"plain": {}, "modern": {"optimizer": "adamw", "scheduler.warmup": 0.05}}}}
    )
    plain, modern = ablation.factors[0].levels
    assert (plain.name, dict(plain.sets)) == ("plain", {})
    assert dict(modern.sets) == {"optimizer": "adamw", "scheduler.warmup": 0.05}


def test_one_file_yields_fixed_and_tuned_regimes_and_one_of_equal_updates():
    fixed, tuned, same = parse(
        {
            **TUNED,
            "seeds": {"tune": 2, "report": 3},
            "when": [{"if": {"norm": "layer"}, "tune": {"optimizer.lr": [0.1, 0.2, 0.3]}}],
            "regimes": {"F": {"tune": False}, "T": {}, "S": {"set": {"budget.updates": 100}}},
        }
    )
    assert [each.title for each in (fixed, tuned, same)] == ["a [F]", "a [T]", "a [S]"]
    assert not fixed.tune
    assert not fixed.seeds.tune
    assert not fixed.when[0].tune
    assert tuned.tune == same.tune != {}
    assert dict(same.sets) == {"budget.updates": 100}


@pytest.mark.parametrize(
    "level", [None, True, 3, 0.5, 1e-5, "batch", "true", "10", "1e3", "a b", "it's", ["batch", "weight"], {"a": 1}]
)
def test_levels_survive_hydras_grammar(level):
    found = resolved(load([f"+x={override_value(level)}"]))["x"]
    assert found == level
    assert type(found) is type(level)


def test_names_of_levels_read_as_in_yaml():
    assert [level_name(level) for level in (None, True, 0.1, 1e-5, "batch", ["batch", "weight"])] == [
        *("null", "true", "0.1", "1e-05", "batch", "batch+weight")
    ]


def test_the_task_says_what_an_ablation_compares_and_selects_on():
    known = Metrics([Metric("mse", "lower", place="task.metrics.mse"), Metric("size", place="task.metrics.size")])
    task = Task({"_target_": "paribus.task.Regression"}, known, "val/mse")
    [found] = parse(FILE, task=task)
    assert (found.metric, found.select_on) == ("test/mse", "val/mse")
    assert found.metric.metric.better == "lower"
    with pytest.raises(AblationError, match=r"val/size declares none\. Write \+\+task\.metrics\.size\.better=higher"):
        parse({**FILE, "select_on": "val/size"}, task=task)
    with pytest.raises(AblationError, match=r"got 'test/acc'"):
        parse({**FILE, "metric": "test/acc"}, task=task)


@pytest.mark.parametrize(
    ("metric", "given", "direction"),
    [
        ("test/acc", {}, "greater"),
        ("test/loss", {"smallest_effect": 0.1}, "less"),
        ("test/loss", {"smallest_effect": 0.1, "direction": "greater"}, "greater"),
        ("ms_per_update", {"smallest_effect": 0.1}, "greater"),
    ],
)
def test_a_claim_is_of_the_better_direction_unless_it_says_otherwise(metric, given, direction):
    [ablation] = parse({**FILE, "hypotheses": [{**CLAIM, "metric": metric, **given}]})
    assert ablation.hypotheses[0].direction == direction


@pytest.mark.parametrize("select_on", ["test/mae", "test_mae"])  # as modules of Lightning log it
def test_no_tuning_on_the_test_set_whatever_its_metrics_are_called(select_on):
    own = {name: {"better": "lower", "unit": None, "chance": None} for name in ("val_mae", "test_mae", "mae")}
    given = {"_target_": "paribus.task.Lightning", "metrics": own, "monitor": "val_mae"}
    section = {"name": "x", "factors": {"norm": ["none", "batch"]}, "seeds": 2, "smallest_effect": 1.0,
               "metric": "test_mae", "tune": {"optimizer.lr": [0.1, 1.0]}}  # fmt: skip
    assert parse(section, task=Task.read(given))[0].select_on == "val_mae"
    with pytest.raises(AblationError, match=f"select_on must not be a metric of the test split, got {select_on}"):
        parse({**section, "select_on": select_on}, task=Task.read(given))
    refused = f"evaluation.monitor must be a metric of the validation, got {select_on}. Log val"
    with pytest.raises(UserError, match=refused):
        check_monitors(Task.read(given), "val_mae", {"monitor": select_on}, {}, None)
    assert not any(map(of_test, ("val_mae", "testing", "val/test_mae", "tests/mae")))


def test_a_name_that_another_file_has_is_refused(tmp_path, monkeypatch):
    """A copied file that keeps the name would amend the registration of the first."""
    section = {"name": "norms", "factors": {"norm": ["none", "batch"]}, "seeds": 2}
    assert parse(section, "conf/ablation/notes/norms.yaml")[0].name == "norms"
    assert parse({**section, "name": "nobody_has_it"}, "conf/ablation/mine.yaml")[0].name == "nobody_has_it"
    with pytest.raises(AblationError, match=r"ablation.name is that of \S*norms.yaml: norms. Write name: mine"):
        parse(section, "conf/ablation/mine.yaml")
