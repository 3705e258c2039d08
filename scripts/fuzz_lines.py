"""Malformed command lines for scripts/fuzz.py: each holds something that is known to be wrong, and says what."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import yaml

from paribus.cli.main import loaded
from paribus.config.run import Run
from paribus.config.schema import optional


def words(text: str) -> list[str]:
    return text.split()


# A training that takes no time; a mutation of one of these keys replaces it.
QUICK = (
    *("model=mlp", "model.width=8", "data.subset=60", "data.batch_size=20", "budget.updates=1"),
    *("trainer.threads=1", "seed=7"),
)
GROUPS = words("""augmentation batch_size callbacks data loss logger model norm optimizer scheduler trainer""")
SECTIONS = words("paths clip budget seeds evaluation lr_scaling")
LISTS = ("callbacks", "logger", "norm")  # groups of which several options may be chosen
# Keys that take any text: what is wrong for others is a name here.
TEXT = words("group arm tags outputs data project entity root path weights name config column")
NUMBERS = words("n0pe [1,2] {a:1} inf -inf nan true '' '1' ${nope} 1e999 -1")
WORDS = words("[a] {a:1} n0pe 5 true '' nan ${nope} 归")
SWITCHES = words("n0pe 2 -1 [true] {a:1} nan 'true' ${nope}")
NOTHING = words("[1,{a:2}] {a:1} nan inf ${nope}")
LISTED = words("n0pe {a:1} [n0pe,[1]] [inf,nan] true nan ${nope}")
TARGETS = words("""n0pe a.b.C 5 inf '' ../../x torch.optim.N0pe paribus..x [a] {a:1} 归.一 . null os.system""")
OPTIONS = words("n0pe 5 '' ../train nan {a:1} 归 [n0pe] true a/b . ${n0pe}")
SYNTAX = (
    *words("""foo =5 ' seed=[1, seed={a seed=) seed==1 seed=${ seed=${seed} += +=1 ~ @=1 + seed='1 ++seed
    seed=${..seed}"""),
    *words("""seed=${oc.env:N0PE} seed=${now:%Y} seed=${n0pe:1} \x1b[31m=1 归=1 seed=1,2 seed=range(3)
    optimizer@x=adam"""),
    *("a b=1", "seed=" + "9" * 5000, "x" * 5000 + "=1", "seed=\n1\n", "seed=", "", " "),
)
UNKNOWN = words("""optimizer.n0pe=1 +n0pe=1 ++n0pe.a=1 +optimizer.n0pe=0.5 n0pe=1 +trainer.max_epochs=3 +lr=0.5
    +data.augment=true +train=false +ckpt_path=/nowhere +model.n0pe=[1] model.归=1 +task._target_=x
    trainer.gradient_clip_val=1""")
SWEEPS = words("""seed=interval(0,1) seed=range(0) seed=choice() seed=glob(n0pe*) seed=n0pe(1) norm=glob(n0pe*)
                seed=1,n0pe optimizer=adam,n0pe seed=range(0,10,0) seed=sort() seed=range(0,1e12) seed=tag(a)
                norm=batch,5 seed=range(1,inf) optimizer.lr=0.1,nan ablation=n0pe hydra.sweeper.n0pe=1
                hydra.launcher.slots=0 hydra.launcher.slots=nan hydra.sweeper.on_invalid=n0pe hydra/launcher=n0pe
                hydra.launcher.time_limit=-3 hydra.launcher.retries.n0pe=1 hydra.launcher.n0pe=1
                +hydra.launcher.n0pe=1 stack=-inf stack=0 stack=n0pe members=n0pe hydra.sweeper.params=5
                +hydra.sweeper.params.seed=interval(0,1) +hydra.sweeper.params.n0pe=1""")
FILES = {  # an option file of the user's
    "syntax": b"a: [1,\n  b: {",
    "list": b"- 1\n- 2\n",
    "word": b"word",
    "number": b"5",
    "latin": "# é\na: 1\n".encode("latin-1"),
    "zero": b"a: 1\0\n",
    "tab": b"a:\n\tb: 1\n",
    "loop": b"defaults: [loop]\n",
    "missing": b"defaults: [n0pe]\n",
    "tag": b"a: !!python/object:os.x {}\n",
    "colon": b"a: b: c\n",
    "binary": bytes(range(256)),
    "twice": b"lr: 1\nlr: 2\n",
    "alias": b"a: &a [*a]\n",
    "unresolved": b"a: ${n0pe}\n",
    "number_key": b"1: 2\n",
    "keyless": b"? [a, b]\n: 1\n",
}
ABLATION: dict[str, Any] = {
    "name": "fuzz",
    "claim": "c",
    "design": "grid",
    "factors": {"norm": ["batch", "none"], "optimizer.nesterov": [True, False]},
    "baseline": {"norm": "batch"},
    "when": [{"if": {"norm": "none"}, "set": {"optimizer.weight_decay": 0.1}}],
    "tune": {"optimizer.lr": {"log": [0.1, 1.0, 2]}},
    "regimes": {"A": {"set": {"budget.updates": 2}}},
    "seeds": {"tune": 2, "report": 3, "cap": 5, "step": 1, "vary": ["init", "order"]},
    "metric": "test/acc",
    "select_on": "val/acc",
    "smallest_effect": 0.01,
    "hypotheses": [
        {
            **{"id": "h", "claim": "c", "arm": {"norm": "batch"}, "versus": {"norm": "none"}, "direction": "greater"},
            **{"metric": "test/acc", "smallest_effect": 0.1, "literature": "l"},
        }
    ],
}
NEVER: tuple[Any, ...] = (
    *(float("nan"), float("inf"), -1, 10**30, {"n0pe": 1}, [], [[]], {}, "n0pe", "", True, "${n0pe}", [None], 0.5),
)
# Where one of NEVER can be right: words are free, parts may be left out, and what a level or a rule sets is looked at
# when its runs are checked, which a plan does not do.
FREE = ("name", "claim", "literature", "id", "baseline", "when", "regimes", "hypotheses", "factors", "sets", "set", "A")
# What a command is given beside the word or the option that is wrong.
RIGHT = {
    "import": ["conf"],
    "export": ["-o", "x.csv"],
    "sync": ["--dry-run"],
    "dashboard": ["--dry-run"],
    "gc": ["--dry-run"],
    "verify": ["paper.md"],
    "claims": ["ablation=targets"],
    "surface": ["steps=2"],
    **{name: ["RUN"] for name in ("evaluate", "rerun", "curvature", "landscape")},
}


@dataclass(frozen=True)
class Line:
    """A command line, files beside it, and what is wrong with it."""

    words: tuple[str, ...]
    wrong: str
    files: Mapping[str, bytes] = field(default_factory=dict)


class Lines:
    """Draws lines. cli: of click, whose commands and options are asked for. conf: the folder of option files."""

    def __init__(self, cli: click.Group, conf: Path):
        self.cli = cli
        self.leaves = {group: list(_options(conf / group, group)) for group in GROUPS}
        content = yaml.safe_load((conf / "train.yaml").read_text(encoding="utf-8"))
        own = {key: value for key, value in content.items() if key not in ("defaults", *LISTS)}
        self.roots = list(_flat("", own))

    def draw(self, random: random.Random) -> Line:
        kinds: list[tuple[int, Callable[[random.Random], Line]]] = [
            (40, self.value), (6, self.option), (6, self.unknown), (6, self.deleted), (6, self.syntax), (4, self.twice),
            (8, self.sweep), (14, self.ablation), (5, self.file), (20, self.command),
        ]  # fmt: skip
        [draw] = random.choices([kind for _, kind in kinds], [weight for weight, _ in kinds])
        return draw(random)

    def value(self, random: random.Random) -> Line:
        """A key of some option has a value of the wrong kind."""
        group = random.choice((*GROUPS, ""))
        option, leaves = random.choice(self.leaves[group]) if group else ("", self.roots)
        key, default = random.choice(leaves) if leaves else ("n0pe", 1)
        value = random.choice(_wrong(key, default))
        chosen = (
            f"{group}=[{'default,' if group == 'callbacks' else ''}{option}]" if group in LISTS else f"{group}={option}"
        )
        words = [*((chosen,) if group else ()), f"{random.choice(('', '', '++'))}{key}={value}"]
        return self.train(random, words, f"{key}={value}")

    def option(self, random: random.Random) -> Line:
        word = f"{random.choice(GROUPS)}={random.choice(OPTIONS)}"
        return self.train(random, [word], word)

    def unknown(self, random: random.Random) -> Line:
        word = random.choice(UNKNOWN)
        return self.train(random, [word], word)

    def deleted(self, random: random.Random) -> Line:
        key = random.choice([*(key for key, _ in self.roots), *GROUPS, *SECTIONS])
        return self.train(random, [f"~{key}"], "" if key in optional(Run) else f"~{key}")

    def syntax(self, random: random.Random) -> Line:
        word = random.choice(SYNTAX)
        return Line(("train", *self.quick([word]), word), f"syntax {word[:40]!r}")

    def twice(self, random: random.Random) -> Line:
        pairs = ("seed=1 seed=2", "optimizer=adam optimizer=sgd", "clip.norm=1 ++clip.norm=2")
        pair = random.choice(pairs)
        return self.train(random, pair.split(), pair)

    def sweep(self, random: random.Random) -> Line:
        word = random.choice(SWEEPS)
        return Line((*random.choice((("plan",), ("train", "-m"))), *self.quick([word]), word), word)

    def train(self, random: random.Random, words: list[str], wrong: str) -> Line:
        command = ("train",) if random.random() < 0.85 else ("train", "-m")
        return Line((*command, *self.quick(words), *words), wrong)

    def quick(self, words: list[str]) -> list[str]:
        """QUICK without the keys that the words set themselves."""
        given = {word.lstrip("+~").partition("=")[0] for word in words}
        return [each for each in QUICK if not {each.partition("=")[0], each.split(".")[0]} & given]

    def ablation(self, random: random.Random) -> Line:
        """An ablation file that is wrong in one key."""
        content = json.loads(json.dumps(ABLATION))
        node, path = content, []
        while True:
            key = random.choice(list(node) if isinstance(node, dict) else range(len(node)))
            path.append(str(key))
            if not isinstance(node[key], dict | list) or not node[key] or random.random() < 0.4:
                break
            node = node[key]
        node[key] = value = random.choice(NEVER)
        free = set(path) & set(FREE) and path[0] != "seeds"
        text = yaml.safe_dump({"ablation": content}, allow_unicode=True, sort_keys=False)
        files = {"conf/ablation/fuzz.yaml": f"# @package _global_\n{text}".encode()}
        words = (random.choice(("plan", "plan", "status", "table", "claims")), "ablation=fuzz", *QUICK[:4])
        return Line(words, "" if free else f"ablation.{'.'.join(path)}={value!r}", files)

    def file(self, random: random.Random) -> Line:
        """An option file of the user's that is none."""
        kind = random.choice(list(FILES))
        group = random.choice(("optimizer", "norm", "experiment", "ablation", "local", "data"))
        name = "default" if group == "local" else kind
        words = [] if group == "local" else [f"{group}={name}"]
        mild = kind in ("twice", "alias", "unresolved", "number_key", "keyless")
        line = (random.choice(("train", "plan")), *self.quick(words), *words)
        return Line(line, "" if mild else f"file {group}/{kind}", {f"conf/{group}/{name}.yaml": FILES[kind]})

    def command(self, random: random.Random) -> Line:
        """An option of a command with a wrong value, or a word that is no argument of it."""
        name = random.choice([each for each in self.cli.commands if each != "train"])
        options = [each for each in loaded(name).params if isinstance(each, click.Option)]
        right = RIGHT.get(name, [])
        if random.random() < 0.2 or not options:
            word = random.choice(words("--n0pe -Z --n0pe=1 --- --="))
            return Line((name, *right, word), f"{name} {word}")
        if random.random() < 0.25:
            word = random.choice(words("n0pe n0pe=1 ablation=n0pe optimizer=n0pe +n0pe=1 '' seed=nan = ablation="))
            return Line((name, *right, word), f"{name} {word}")
        option = random.choice(options)
        value = "5" if option.is_flag else random.choice(_wrong_option(option))
        word = f"{max(option.opts, key=len)}={value}"
        return Line((name, *right, word), f"{name} {word}")


def _wrong_option(option: click.Option) -> list[str]:
    kind = option.type
    if isinstance(kind, click.Choice):
        return ["n0pe", "", "5"]
    if isinstance(kind, click.IntRange):
        return ["n0pe", "1.5", "nan", "inf", "", "-1", "9" * 400]
    if isinstance(kind, click.FloatRange):
        return ["n0pe", "nan", "inf", "-1", "", "-inf"]
    if isinstance(kind, click.Path):
        return ["/dev/full/x", "", "paper.md/x", "paper.md" if kind.dir_okay else "conf"]
    return ["n0pe/..", "", "归,,", "\x1b[31m", "a" * 300]


def _options(folder: Path, group: str) -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    for path in sorted(folder.glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        prefix = "" if "@package _global_" in text or group == "batch_size" else group
        content = yaml.safe_load(text) or {}
        content = {key: value for key, value in content.items() if key != "defaults"}
        yield path.stem, list(_flat(prefix, content))


def _flat(prefix: str, node: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _flat(f"{prefix}.{key}" if prefix else str(key), value)
    else:
        yield prefix, node


def _wrong(key: str, default: Any) -> list[str]:
    last = key.split(".")[-1]
    if last in ("_target_", "_partial_"):
        return TARGETS if last == "_target_" else SWITCHES
    if last in TEXT:
        return ["[a,{b:1}]", "{a:1}", "${nope}"]
    if isinstance(default, bool):
        return SWITCHES
    if isinstance(default, int | float):
        return NUMBERS
    if default is None:
        return NOTHING
    return LISTED if isinstance(default, list) else WORDS
