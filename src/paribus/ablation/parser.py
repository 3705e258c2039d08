"""Reads an ablation file; whatever it gets wrong becomes one message that names the file and the key."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from paribus.ablation.ablation_files import file_of, place_of
from paribus.ablation.file import (
    DESIGNS,
    DIRECTIONS,
    SPLIT,
    STREAMS,
    TUNING,
    Ablation,
    AblationError,
    Factor,
    Hypothesis,
    Level,
    Rule,
    Seeds,
    level_name,
)
from paribus.base.metrics import TIMES, Key, kind, no_direction, of_test
from paribus.base.numbers import is_number, is_whole
from paribus.base.redaction import redacted_names
from paribus.base.text import near
from paribus.config.task import Task
from paribus.stats.grids import Axis
from paribus.stats.spaces import MOST_TRIALS, SAMPLERS, Range, Search

MOST_SEEDS = 100_000
TUNING_SEEDS = 5  # default number of them
FIRST_TUNING_SEED = 1000  # tuning and reporting never share a seed
SEEDS = ("tune", "report", "cap", "step", "vary", "tuning")
SEARCH = ("trials", "sampler", "seed", "halving", "space")
NESTED = "gives each reporting seed a tuning of its own: tune is a number of seeds for each, and there is no cap"
Tune = Mapping[str, Axis | Range]
HYPOTHESIS = ("id", "claim", "arm", "versus", "direction", "metric", "smallest_effect", "literature", "of")


def parse(section: Mapping[str, Any], source: str | None = None, task: Task | None = None) -> list[Ablation]:
    """The ablations of a file: one for each of its regimes, or just one.

    source: what error messages call the file. task: of its runs, which declares the metrics; default classification.

    Raises AblationError that names file and key for anything that is missing, unknown, contradictory or of the wrong
    form. Options of config groups are not looked at here.
    """
    return _Parser(source or f"ablation {section.get('name', '(unnamed)')}", task or Task()).parse(section)


class _Parser:
    KEYS = (
        *("name", "claim", "design", "factors", "baseline", "when", "tune", "regimes", "seeds"),
        *("metric", "select_on", "smallest_effect", "hypotheses", "targets"),
    )

    def __init__(self, source: str, task: Task):
        self.source = source
        self.task = task

    def error(self, key: str, message: str) -> AblationError:
        return AblationError(f"{self.source}: {key} {message}")

    def parse(self, section: Mapping[str, Any]) -> list[Ablation]:
        self.known("ablation", section, self.KEYS)
        name = section.get("name")
        if not isinstance(name, str) or not is_words(name):
            raise self.error("ablation.name", f"must be a word, got {name!r}")
        if (own := Path(self.source)).suffix == ".yaml" and own.stem != name and file_of(name) is not None:
            raise self.error("ablation.name", f"is that of {place_of(name)}: {name}. Write name: {own.stem}")
        if not is_words(section.get("claim", "-"), more_lines=True):
            raise self.error("ablation.claim", f"must be words, got {section['claim']!r}")
        claim = " ".join(section.get("claim", "").split())
        design = self.one_of("ablation.design", section.get("design", "one_factor"), DESIGNS)
        factors = self.factors(section.get("factors"), section.get("baseline"), design)
        tune, search = self.tuned("ablation.tune", section.get("tune"))
        self.apart("ablation.tune", factors, tune, search)
        metric = self.metric("ablation.metric", section.get("metric", self.task.reported))
        smallest = self.smallest_effect("ablation.smallest_effect", section.get("smallest_effect"), metric)
        ablation = Ablation(
            name=name,
            claim=claim,
            design=design,
            factors=factors,
            seeds=self.seeds(section.get("seeds", 3), tuned=bool(tune) or design == "path"),
            sets={},
            when=self.when(section.get("when"), factors),
            tune=tune,
            search=search,
            metric=metric,
            select_on=self.metric("ablation.select_on", section.get("select_on", self.task.monitor)),
            smallest_effect=smallest,
            hypotheses=self.hypotheses(section.get("hypotheses"), factors, metric, smallest),
            targets=self.targets(section.get("targets")),
            source=self.source,
        )
        if design == "path" and (ablation.seeds.looks or ablation.seeds.tuning == "nested"):
            key = "cap" if ablation.seeds.looks else "tuning"
            raise self.error(f"ablation.seeds.{key}", "is not for the design path. Leave it out")
        if of_test(ablation.select_on):
            raise self.error(
                "ablation.select_on",
                f"must not be a metric of the test split, got {ablation.select_on}. Use {self.task.monitor}",
            )
        if ablation.select_on.metric.better is None:
            raise self.error("ablation.select_on", no_direction(ablation.select_on))
        return self.regimes(ablation, section.get("regimes"))

    def known(self, where: str, section: Mapping[str, Any], keys: Sequence[str]) -> None:
        for key in section:
            if key not in keys:
                raise self.error(f"{where}.{key}", f"is unknown.{near(key, keys)} Known: {', '.join(keys)}")

    def one_of(self, where: str, value: Any, known: Sequence[str]) -> str:
        if value not in known:
            raise self.error(where, f"must be one of {', '.join(known)}, got {value!r}{near(value, known)}")
        return str(value)

    def mapping(self, where: str, value: Any, what: str) -> Mapping[str, Any]:
        if not isinstance(value, Mapping) or not value or not all(isinstance(key, str) for key in value):
            raise self.error(where, f"must map {what}, got {value!r}")
        return value

    def factors(self, section: Any, baseline: Any, design: str) -> tuple[Factor, ...]:
        section = self.mapping("ablation.factors", section, "config keys to lists of levels")
        factors = []
        for name, given in section.items():
            where = f"ablation.factors.{name}"
            if isinstance(given, Mapping):
                called = self.different(where, [str(level) for level in given])
                levels = [
                    Level(shown, str(level), self.sets(f"{where}.{level}", sets))
                    for shown, (level, sets) in zip(redacted_names(called).values(), given.items(), strict=True)
                ]
            elif isinstance(given, Sequence) and not isinstance(given, str):
                for value in given:
                    if isinstance(value, Mapping):
                        raise self.error(
                            where, f"has a level that sets several keys: give it a name, {name}: {{NAME: {value}}}"
                        )
                called = self.different(where, [level_name(value) for value in given])
                levels = [
                    Level(shown, value, {name: value})
                    for shown, value in zip(redacted_names(called, name).values(), given, strict=True)
                ]
            else:
                raise self.error(where, f"must be a list of levels, or map names to what they set, got {given!r}")
            if not levels:
                raise self.error(where, "must have at least one level, got none")
            factors.append(Factor(name, tuple(levels)))
        factors = self.baseline_first(factors, baseline)
        counts = {factor.name: len(factor.levels) for factor in factors}
        if design == "leave_one_out" and (odd := [name for name, count in counts.items() if count != 2]):
            raise self.error(
                f"ablation.factors.{odd[0]}",
                "must have two levels in the design leave_one_out, the one of the full recipe and the one without it, "
                f"got {counts[odd[0]]}",
            )
        if design == "paired" and len(set(counts.values())) > 1:
            listed = ", ".join(f"{name}: {count}" for name, count in counts.items())
            raise self.error("ablation.factors", f"must have equally many levels in the design paired, got {listed}")
        if max(counts.values()) < 2:
            raise self.error("ablation.factors", "must vary something, but every factor has only one level")
        owner: dict[str, str] = {}
        for factor in factors:
            for key in dict.fromkeys(key for level in factor.levels for key in level.sets):
                if key in owner:
                    raise self.error(f"ablation.factors.{factor.name}", f"sets {key}, which {owner[key]} sets as well")
                owner[key] = factor.name
        return tuple(factors)

    def different(self, where: str, names: list[str]) -> list[str]:
        if twice := next((level for level in names if names.count(level) > 1), None):
            raise self.error(where, f"names the level {twice} twice: {', '.join(names)}")
        return names

    def baseline_first(self, factors: Sequence[Factor], baseline: Any) -> list[Factor]:
        chosen = {} if baseline is None else self.mapping("ablation.baseline", baseline, "factors to levels")
        names = [factor.name for factor in factors]
        for name, value in chosen.items():
            where = f"ablation.baseline.{name}"
            if name not in names:
                raise self.error(where, f"is not a factor.{near(name, names)} Factors: {', '.join(names)}")
            factor = factors[names.index(name)]
            if factor.level(value) is None:
                levels = [level.name for level in factor.levels]
                raise self.error(where, f"must be a level of the factor, got {value!r}. Levels: {', '.join(levels)}")
        ordered = []
        for factor in factors:
            first = factor.level(chosen[factor.name]) if factor.name in chosen else factor.levels[0]
            assert first is not None
            ordered.append(Factor(factor.name, (first, *(level for level in factor.levels if level is not first))))
        return ordered

    def sets(self, where: str, value: Any) -> Mapping[str, Any]:
        """Config keys and their values; what a level or a rule sets."""
        if value is None or value == {}:
            return {}
        for key, item in self.mapping(where, value, "config keys to values").items():
            if isinstance(item, Mapping):
                raise self.error(f"{where}.{key}", f"must be a value, got a mapping. Write {key}.NAME: VALUE")
            if key == "seed" or key.startswith("seeds."):
                raise self.error(f"{where}.{key}", "can't be set, because arms share their seeds. Use ablation.seeds")
        return dict(value)

    def apart(self, where: str, factors: Sequence[Factor], tune: Tune, search: Search | None) -> None:
        for factor in factors:
            for level in factor.levels:
                if both := [key for key in level.sets if key in tune]:
                    where += ".space" if search else ""
                    raise self.error(f"{where}.{both[0]}", f"is set by the factor {factor.name} too: drop one of them")
                if factor.name == "seed" or factor.name.startswith("seeds."):
                    raise self.error(f"ablation.factors.{factor.name}", "can't be a factor. Use ablation.seeds")

    def tuned(self, where: str, section: Any) -> tuple[Tune, Search | None]:
        """A grid, or the ranges of a search."""
        if section is None:
            return {}, None
        if not isinstance(section, Mapping) or not {"trials", "space", "sampler"} & {*section}:
            return self.axes(where, section, Axis, "config keys to grids"), None
        self.known(where, section, SEARCH)
        what = f"must be the number of points that each arm tries, 2 to {MOST_TRIALS}, got "
        trials, seed = section.get("trials", 0), section.get("seed", 0)
        if not is_whole(trials, 2, MOST_TRIALS):
            raise self.error(f"{where}.trials", f"{what}{trials!r}")
        if not is_whole(seed, 0, 2**63 - 1):
            raise self.error(f"{where}.seed", f"must be a whole number from 0 to 2^63 - 1, got {seed!r}")
        halving = section.get("halving", 0)
        if "halving" in section and not (is_whole(halving, 2, trials) and trials // halving >= 2):
            raise self.error(
                f"{where}.halving",
                f"must be the number by which the trials are divided from rung to rung, 2 to {max(2, trials // 2)}, "
                f"got {halving!r}",
            )
        sampler = self.one_of(f"{where}.sampler", section.get("sampler", SAMPLERS[0]), SAMPLERS)
        return self.space(where, section.get("space")), Search(trials, sampler, seed, halving)

    def space(self, where: str, section: Any) -> Tune:
        # In the order of names, so that the order in the file does not decide on the points.
        axes = self.axes(f"{where}.space", section, Range, "config keys to ranges such as log: [0.0001, 1]")
        return dict(sorted(axes.items()))

    def axes(self, where: str, section: Any, kind: type[Axis] | type[Range], what: str) -> Tune:
        axes: dict[str, Axis | Range] = {}
        for key, spec in self.mapping(where, section, what).items():
            try:
                axes[key] = kind.parse(spec)
            except ValueError as error:
                raise self.error(f"{where}.{key}", str(error)) from None
        return axes

    def of_rule(self, where: str, section: Any) -> Tune:
        """What a rule tunes: axes, or the space of a search whose trials all arms share."""
        if not isinstance(section, Mapping) or not {*SEARCH} & {*section}:
            return {} if section is None else self.axes(where, section, Axis, "config keys to grids")
        if given := [key for key in section if key in SEARCH and key != "space"]:
            raise self.error(f"{where}.{given[0]}", "is alike for all arms, so no rule can set it. Use ablation.tune")
        self.known(where, section, ("space",))
        return self.space(where, section["space"])

    def one_form(self, ablation: Ablation) -> Ablation:
        """The ablation, whose rules tune in the form of its own tuning."""
        kind, form = (Axis, "a grid") if ablation.search is None else (Range, "a space of ranges")
        for number, rule in enumerate(ablation.when):
            self.apart(f"ablation.when[{number}].tune", ablation.factors, rule.tune, ablation.search)
            if not all(isinstance(axis, kind) for axis in rule.tune.values()):
                of = "" if ablation.regime is None else f" in the regime {ablation.regime}"
                raise self.error(f"ablation.when[{number}].tune", f"must be {form}, as what it adapts{of}")
        return ablation

    def when(self, section: Any, factors: Sequence[Factor]) -> tuple[Rule, ...]:
        if section is None:
            return ()
        if not isinstance(section, Sequence) or isinstance(section, str):
            raise self.error("ablation.when", f"must be a list of rules, got {section!r}")
        rules = []
        for number, given in enumerate(section):
            where = f"ablation.when[{number}]"
            given = self.mapping(where, given, "if, and one of exclude or set and tune,")
            self.known(where, given, ("if", "exclude", "set", "tune"))
            condition = self.condition(f"{where}.if", given.get("if"), factors)
            exclude = given.get("exclude")
            if (exclude is None) == (given.get("set") is None and given.get("tune") is None):
                raise self.error(where, "must have either exclude: REASON, or set or tune")
            if exclude is not None and (not isinstance(exclude, str) or not exclude.strip()):
                raise self.error(f"{where}.exclude", f"must be the reason in words, got {exclude!r}")
            if exclude is not None and all(factor_level_first(factors, *item) for item in condition.items()):
                raise self.error(where, "excludes the baseline, with which every arm is compared")
            sets = self.sets(f"{where}.set", given.get("set"))
            varied = {key for factor in factors for level in factor.levels for key in level.sets}
            if hidden := [key for key in sets if key in varied]:
                raise self.error(f"{where}.set.{hidden[0]}", "is varied by a factor, so a rule must not set it")
            rules.append(Rule(condition, exclude, sets, self.of_rule(f"{where}.tune", given.get("tune"))))
        return tuple(rules)

    def condition(self, where: str, section: Any, factors: Sequence[Factor]) -> dict[str, tuple[str, ...]]:
        condition: dict[str, tuple[str, ...]] = {}
        names = [factor.name for factor in factors]
        for name, given in self.mapping(where, section, "factors to levels").items():
            if name not in names:
                raise self.error(f"{where}.{name}", f"is not a factor.{near(name, names)} Factors: {', '.join(names)}")
            factor = factors[names.index(name)]
            # A list is a list of levels, unless it is itself a level such as norm: [batch, weight].
            values = given if isinstance(given, list) and factor.level(given) is None else [given]
            found = []
            for value in values:
                if (level := factor.level(value)) is None:
                    levels = [level.name for level in factor.levels]
                    raise self.error(
                        f"{where}.{name}",
                        f"is no level of the factor: {value!r}.{near(value, levels)} Levels: {', '.join(levels)}",
                    )
                found.append(level.name)
            if not found:
                raise self.error(f"{where}.{name}", "names no level, so the rule can't apply")
            condition[name] = tuple(found)
        return condition

    def seeds(self, given: Any, tuned: bool) -> Seeds:
        where = "ablation.seeds"
        if not isinstance(given, Mapping):
            given = {"report": given}
        if not given:
            raise self.error(where, f"must be a number of seeds, or map {', '.join(SEEDS)} to theirs, got {{}}")
        self.known(where, given, SEEDS)
        report = self.seed_list(f"{where}.report" if len(given) > 1 else where, given.get("report", 10), 0)
        tuning = self.one_of(f"{where}.tuning", given.get("tuning", TUNING[0]), TUNING)
        own = given.get("tune", TUNING_SEEDS if tuned else [])
        if tuning == "nested" and ("cap" in given or not tuned or not is_number(own)):
            raise self.error(f"{where}.tuning", f"nested {NESTED}")
        own = own * len(report) if tuning == "nested" else own
        tune = self.seed_list(f"{where}.tune", own, FIRST_TUNING_SEED) if tuned or "tune" in given else ()
        if tune and not tuned:
            raise self.error(f"{where}.tune", "are given, but nothing is tuned: drop them, or add ablation.tune")
        if both := sorted(set(tune) & set(report)):
            raise self.error(
                where,
                f"must not share seeds between tuning and reporting, or a tuned arm could win by "
                f"chance; both have {both[0]}",
            )
        vary = given.get("vary", list(STREAMS))
        if not isinstance(vary, list) or not vary or any(each not in (*STREAMS, SPLIT) for each in vary):
            raise self.error(f"{where}.vary", f"must be a list of {', '.join((*STREAMS, SPLIT))}, got {vary!r}")
        more, looks = self.sequential(given, report, tune)
        return Seeds(tune, report, tuple(each for each in (*STREAMS, SPLIT) if each in vary), more, looks, tuning)

    def sequential(
        self, given: Mapping[str, Any], report: tuple[int, ...], tune: tuple[int, ...]
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Further reporting seeds up to `cap`, and the numbers of seeds after which verdicts are looked at."""
        if "cap" not in given:
            if "step" in given:
                raise self.error("ablation.seeds.step", "only has a meaning with a cap: give ablation.seeds.cap too")
            return (), ()
        for key in ("cap", "step"):
            value = given.get(key, len(report))
            if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MOST_SEEDS:
                raise self.error(
                    f"ablation.seeds.{key}", f"must be a number of seeds, 1 to {MOST_SEEDS}, got {value!r}"
                )
        cap, step = given["cap"], given.get("step", len(report))
        if cap <= len(report) or len(report) < 2:
            raise self.error(
                "ablation.seeds.cap", f"must be above the {len(report)} reporting seeds (2 or more), got {cap}"
            )
        new = itertools.islice((s for s in itertools.count(max(report) + 1) if s not in tune), cap - len(report))
        return tuple(new), (*range(len(report), cap, step), cap)

    def seed_list(self, where: str, given: Any, first: int) -> tuple[int, ...]:
        def whole(value: Any) -> bool:
            return isinstance(value, int) and not isinstance(value, bool)

        if whole(given) and 0 < given <= MOST_SEEDS:
            return tuple(range(first, first + given))
        seeds = given if isinstance(given, list) else []
        if seeds and all(whole(seed) and 0 <= seed < 2**63 for seed in seeds) and len(set(seeds)) == len(seeds):
            return tuple(seeds)
        raise self.error(
            where,
            f"must be a number of seeds, 1 to {MOST_SEEDS}, or a list of different seeds (whole, 0 to 2^63 - 1), "
            f"got {given!r}",
        )

    def metric(self, where: str, name: Any) -> Key:
        if not isinstance(name, str) or not (name in TIMES or self.task.measures(name)):
            raise self.error(where, f"must be a metric of a run, got {name!r}. {self.task.nearest(str(name))}")
        return self.task.metrics.key(name)

    def smallest_effect(self, where: str, value: Any, of: Key) -> float | None:
        if value is None:
            return None
        if not is_number(value) or value <= 0:
            raise self.error(where, f"must be a positive number in units of the metric, got {value!r}")
        if of.metric.is_percent and value >= 1:
            raise self.error(where, f"must be a fraction below 1, as {of} is, got {value!r}. One point is 0.01")
        return float(value)

    def targets(self, section: Any) -> dict[Key, float]:
        if section is None:
            return {}
        found = {}
        for name, value in self.mapping("ablation.targets", section, "metrics to the values to be reached").items():
            where = f"ablation.targets.{name}"
            key = self.metric(where, name)
            if key.metric.better is None:
                raise self.error(where, no_direction(key))
            if of_test(name):
                raise self.error(
                    where, f"must be a metric of the validation, since a run is tested once. Try {self.task.monitor}"
                )
            if not is_number(value):
                raise self.error(where, f"must be a finite number, the value to be reached, got {value!r}")
            if key.metric.is_percent and not 0 <= value <= 1:
                raise self.error(where, f"must be a fraction from 0 to 1, as {key} is, got {value!r}. 97 % is 0.97")
            found[key] = float(value)
        return found

    def hypotheses(
        self, section: Any, factors: Sequence[Factor], metric: Key, smallest: float | None
    ) -> tuple[Hypothesis, ...]:
        if section is None:
            return ()
        if not isinstance(section, Sequence) or isinstance(section, str):
            raise self.error("ablation.hypotheses", f"must be a list, got {section!r}")
        found: list[Hypothesis] = []
        for number, given in enumerate(section):
            where = f"ablation.hypotheses[{number}]"
            given = self.mapping(where, given, "id, claim, arm, versus, direction")
            self.known(where, given, HYPOTHESIS)
            for key in ("id", "claim"):
                if not is_words(given.get(key)) and not (key == "id" and is_number(given.get(key))):
                    raise self.error(f"{where}.{key}", f"must be words, got {given.get(key)!r}")
            literature = given.get("literature", "")
            if not isinstance(literature, str):
                raise self.error(f"{where}.literature", f"must be words, got {literature!r}")
            root = given.get("of", "")
            if not (root == "" or is_words(root) or is_number(root)) or str(root) == str(given["id"]):
                raise self.error(f"{where}.of", f"must be the id of a claim of another ablation, got {root!r}")
            arms = {}
            for key in ("arm", "versus"):
                condition = self.condition(f"{where}.{key}", given.get(key), factors)
                if many := [name for name, levels in condition.items() if len(levels) > 1]:
                    raise self.error(f"{where}.{key}.{many[0]}", "must be one level")
                arms[key] = {name: level for name, [level] in condition.items()}
            if arms["arm"] == arms["versus"]:
                raise self.error(where, "compares an arm with itself: arm and versus are equal")
            of = self.metric(f"{where}.metric", given.get("metric", metric))
            usual = "less" if of.metric.better == "lower" else "greater"
            direction = self.one_of(f"{where}.direction", given.get("direction", usual), DIRECTIONS)
            if any(other.id == str(given["id"]) for other in found):
                raise self.error(f"{where}.id", f"{given['id']} is taken by another hypothesis")
            least = self.smallest_effect(f"{where}.smallest_effect", given.get("smallest_effect"), of)
            if least is None and not (of.metric.is_percent if smallest is None else of == metric or alike(of, metric)):
                raise self.error(
                    f"{where}.smallest_effect",
                    f"must be given: the smallest difference in {of} that matters, in its unit",
                )
            asked = str(given["id"]), str(given["claim"]), arms["arm"], arms["versus"]
            found.append(Hypothesis(*asked, direction, of, least, literature, str(root)))
        return tuple(found)

    def regimes(self, ablation: Ablation, section: Any) -> list[Ablation]:
        if section is None:
            return [self.one_form(ablation)]
        found = []
        for name, given in self.mapping("ablation.regimes", section, "names to what differs").items():
            where = f"ablation.regimes.{name}"
            given = {} if given is None else given
            if not isinstance(given, Mapping):
                raise self.error(where, f"must be a mapping with set, tune or text, or empty, got {given!r}")
            self.known(where, given, ("set", "tune", "text"))
            if not is_words(given.get("text", "-"), more_lines=True):
                raise self.error(f"{where}.text", f"must be words, got {given['text']!r}")
            about = " ".join(given.get("text", "").split())
            sets = self.sets(f"{where}.set", given.get("set"))
            for factor in ablation.factors:
                if hidden := [key for level in factor.levels for key in level.sets if key in sets]:
                    raise self.error(f"{where}.set.{hidden[0]}", f"is varied by the factor {factor.name}")
            if given.get("tune") is False:
                # No tuning in this regime, neither the file's nor that of a rule.
                fixed = tuple(replace(rule, tune={}) for rule in ablation.when)
                seeds = ablation.seeds if ablation.design == "path" else replace(ablation.seeds, tune=())
                fixed_regime = replace(ablation, regime=name, about=about, sets=sets, tune={}, search=None)
                found.append(replace(fixed_regime, when=fixed, seeds=seeds))
                continue
            tune, search = ablation.tune, ablation.search
            if "tune" in given:
                tune, search = self.tuned(f"{where}.tune", given["tune"])
            self.apart(f"{where}.tune", ablation.factors, tune, search)
            seeds = ablation.seeds
            if tune and not seeds.tune:
                seeds = replace(seeds, tune=self.seed_list("ablation.seeds.tune", TUNING_SEEDS, FIRST_TUNING_SEED))
            regime = replace(ablation, regime=name, about=about, sets=sets, tune=tune, search=search, seeds=seeds)
            found.append(self.one_form(regime))
        return found


def is_words(value: Any, more_lines: bool = False) -> bool:
    """Whether it is text that can be shown: something in it, and no control characters."""
    if not isinstance(value, str) or not value.strip():
        return False
    return (" ".join(value.split()) if more_lines else value).isprintable()


def factor_level_first(factors: Sequence[Factor], name: str, levels: Sequence[str]) -> bool:
    return next(factor for factor in factors if factor.name == name).levels[0].name in levels


def alike(metric: Key, other: Key) -> bool:
    """Whether two metrics have one unit: test/acc and val/acc_best have."""
    return kind(metric) == kind(other)
