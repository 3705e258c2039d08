"""A stack of networks in JAX as its users would write it: an epoch is one jit(vmap(scan)). Run by bench_peers.py.

    python peers_jax.py MODEL BATCH REPLICAS [EPOCHS]

MODEL: mlp or cnn as conf/model has them, with batch norm, on the digits; or gpt, of two layers and width 32, on random
tokens. Momentum 0.05, 0.9 with decay 5e-4 of matrices; of gpt AdamW. Each epoch ends with a validation. Needs jax and
scikit-learn, in an environment of its own: the project does not depend on them.

With EPOCHS it trains so many and ends. Without, it reads numbers of epochs from stdin and answers each with the seconds
that they took, after one line that says how long the first epoch took, compiling included.
"""

from __future__ import annotations

import os
import sys
import time

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import jax
import jax.numpy as jnp
import numpy as np

LENGTH, ALPHABET, DEPTH, HEADS = 16, 8, 2, 4  # of gpt
WIDTH = 32


def digits():
    """(train, validation) images (N, 8, 8, 1) and labels (N,), standardized."""
    from sklearn.datasets import load_digits

    found = load_digits()
    order = np.random.default_rng(0).permutation(len(found.data))
    x, y = found.images[order, :, :, None] / 16.0, found.target[order]
    x = (x - x[:1200].mean()) / x[:1200].std()
    return (jnp.asarray(x, jnp.float32), jnp.asarray(y)), 1200, 237


def tokens():
    """Tokens (N, 16) and what follows each, (N, 16)."""
    drawn = np.random.default_rng(0).integers(0, ALPHABET, (1437, LENGTH + 1))
    return (jnp.asarray(drawn[:, :-1]), jnp.asarray(drawn[:, 1:])), 1200, 237


def uniform(key, fan_in, shape):
    bound = fan_in**-0.5
    return jax.random.uniform(key, shape, minval=-bound, maxval=bound)


def batch_norm(p, s, x, training):
    """Over all axes but the last; the statistics move by a tenth."""
    axes = tuple(range(x.ndim - 1))
    if training:
        mean, var = x.mean(axes), x.var(axes)
        n = x.size / x.shape[-1]
        s = {"mean": 0.9 * s["mean"] + 0.1 * mean, "var": 0.9 * s["var"] + 0.1 * var * n / (n - 1)}
    else:
        mean, var = s["mean"], s["var"]
    return (x - mean) * jax.lax.rsqrt(var + 1e-5) * p["scale"] + p["shift"], s


def norm_of(width):
    return (
        {"scale": jnp.ones(width), "shift": jnp.zeros(width)},
        {"mean": jnp.zeros(width), "var": jnp.ones(width)},
    )


def mlp_init(key):
    sizes, keys = [64, 128, 128], jax.random.split(key, 4)
    layers = [uniform(k, a, (a, b)) for k, a, b in zip(keys, sizes, sizes[1:], strict=False)]
    norms = [norm_of(size) for size in sizes[1:]]
    head = {"w": uniform(keys[2], 128, (128, 10)), "b": uniform(keys[3], 128, (10,))}
    return {"layers": layers, "norms": [p for p, _ in norms], "head": head}, [s for _, s in norms]


def mlp(p, s, x, training):
    x, moved = x.reshape(len(x), -1), []
    for w, norm, state in zip(p["layers"], p["norms"], s, strict=True):
        x, state = batch_norm(norm, state, x @ w, training)
        x = jax.nn.relu(x)
        moved.append(state)
    return x @ p["head"]["w"] + p["head"]["b"], moved


def cnn_init(key):
    sizes, keys = [1, 16, 32, 64], jax.random.split(key, 5)
    layers = [
        jax.random.normal(k, (3, 3, a, b)) * (2 / (9 * a)) ** 0.5
        for k, a, b in zip(keys, sizes, sizes[1:], strict=False)
    ]
    norms = [norm_of(size) for size in sizes[1:]]
    head = {"w": uniform(keys[3], 64, (64, 10)), "b": uniform(keys[4], 64, (10,))}
    return {"layers": layers, "norms": [p for p, _ in norms], "head": head}, [s for _, s in norms]


def cnn(p, s, x, training):
    moved = []
    for stage, (w, norm, state) in enumerate(zip(p["layers"], p["norms"], s, strict=True)):
        if stage == 1:  # 8 x 8 are halved once: maps keep 4 x 4 places
            x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        x = jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        x, state = batch_norm(norm, state, x, training)
        x = jax.nn.relu(x)
        moved.append(state)
    return x.mean((1, 2)) @ p["head"]["w"] + p["head"]["b"], moved


def gpt_init(key):
    keys = iter(jax.random.split(key, 4 * DEPTH + 3))

    def draw(*shape):
        return 0.02 * jax.random.normal(next(keys), shape)

    def norm():
        return {"scale": jnp.ones(WIDTH), "shift": jnp.zeros(WIDTH)}

    blocks = [
        {
            "first": norm(), "second": norm(), "qkv": draw(WIDTH, 3 * WIDTH), "out": draw(WIDTH, WIDTH),
            "up": draw(WIDTH, 4 * WIDTH), "down": draw(4 * WIDTH, WIDTH),
        }
        for _ in range(DEPTH)
    ]  # fmt: skip
    return {
        "tokens": draw(ALPHABET, WIDTH), "places": draw(LENGTH, WIDTH), "blocks": blocks, "last": norm(),
        "head": draw(WIDTH, ALPHABET),
    }, []  # fmt: skip


def layer_norm(p, x):
    mean = x.mean(-1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(x.var(-1, keepdims=True) + 1e-5) * p["scale"] + p["shift"]


def gpt(p, s, x, training):
    x = p["tokens"][x] + p["places"]
    n = len(x)
    causal = jnp.tril(jnp.ones((LENGTH, LENGTH), bool))
    for each in p["blocks"]:
        q, k, v = jnp.split(layer_norm(each["first"], x) @ each["qkv"], 3, -1)
        q, k, v = (t.reshape(n, LENGTH, HEADS, -1).transpose(0, 2, 1, 3) for t in (q, k, v))
        weights = jax.nn.softmax(jnp.where(causal, q @ k.swapaxes(-1, -2) * q.shape[-1] ** -0.5, -jnp.inf))
        x = x + (weights @ v).transpose(0, 2, 1, 3).reshape(n, LENGTH, WIDTH) @ each["out"]
        x = x + jax.nn.gelu(layer_norm(each["second"], x) @ each["up"], approximate=False) @ each["down"]
    return layer_norm(p["last"], x) @ p["head"], s


MODELS = {"mlp": (mlp_init, mlp, digits), "cnn": (cnn_init, cnn, digits), "gpt": (gpt_init, gpt, tokens)}


def program(model, batch, replicas):
    """(start, epoch): start() makes the states of all replicas; epoch(states, number) trains one and validates."""
    init, network, data = MODELS[model]
    (x, y), train, held = data()
    adam = model == "gpt"

    def loss(p, s, inputs, labels):
        outputs, s = network(p, s, inputs, True)
        log = jax.nn.log_softmax(outputs)
        value = -jnp.take_along_axis(log, labels[..., None], -1).mean()
        return value, (s, (outputs.argmax(-1) == labels).mean())

    def momentum(lr, p, g, m):
        m = jax.tree.map(lambda w, d, each: 0.9 * each + d + (5e-4 * w if w.ndim > 1 else 0.0), p, g, m)
        return jax.tree.map(lambda w, each: w - lr * each, p, m), m

    def adamw(lr, p, g, state):
        t, m, v = state
        t = t + 1
        m = jax.tree.map(lambda each, d: 0.9 * each + 0.1 * d, m, g)
        v = jax.tree.map(lambda each, d: 0.999 * each + 0.001 * d * d, v, g)
        down, scale = 1 - 0.9**t, jnp.sqrt(1 - 0.999**t)
        p = jax.tree.map(
            lambda w, a, b: w * (1 - lr * 0.01 * (w.ndim > 1)) - lr / down * a / (jnp.sqrt(b) / scale + 1e-8), p, m, v
        )
        return p, (t, m, v)

    def step(lr, state, index):
        p, s, m = state
        (value, (s, hits)), g = jax.value_and_grad(loss, has_aux=True)(p, s, x[index], y[index])
        p, m = (adamw if adam else momentum)(lr, p, g, m)
        return (p, s, m), (value, hits)

    whole, rest = divmod(train, batch)

    def epoch(lr, state, key):
        order = jax.random.permutation(key, train)
        indices = order[: whole * batch].reshape(whole, batch)
        state, measured = jax.lax.scan(lambda each, index: step(lr, each, index), state, indices)
        if rest:
            state, _ = step(lr, state, order[whole * batch :])
        outputs, _ = network(state[0], state[1], x[train : train + held], False)
        valid = (outputs.argmax(-1) == y[train : train + held]).mean()
        return state, (measured[0].mean(), measured[1].mean(), valid)

    def one(key):
        p, s = init(key)
        zeros = jax.tree.map(jnp.zeros_like, p)
        return p, s, (jnp.zeros(()), zeros, zeros) if adam else zeros

    trained, made = jax.jit(jax.vmap(epoch)), jax.jit(jax.vmap(one))
    lr = jnp.full((replicas,), 0.001 if adam else 0.05)
    return (
        lambda: made(jax.random.split(jax.random.key(0), replicas)),
        lambda state, number: trained(lr, state, jax.random.split(jax.random.key(number), replicas)),
    )


def main():
    model, batch, replicas = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    start, epoch = program(model, batch, replicas)

    def train(epochs):
        state, clock = start(), time.perf_counter()
        for number in range(epochs):
            state, measured = epoch(state, number)
            jax.device_get(measured)  # a history has a row for each epoch
        return time.perf_counter() - clock

    first = train(1)
    if len(sys.argv) > 4:
        train(int(sys.argv[4]))
        return
    print(first, flush=True)
    for line in sys.stdin:
        print(train(int(line)), flush=True)


if __name__ == "__main__":
    main()
