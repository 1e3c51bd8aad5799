"""Work that a processor alone decides, each piece's time as JSON, ns."""

import json
import re
import time


def nbody(steps):
    """The Sun and four planets, in the units of the Computer Language Benchmarks Game: positions, velocities, masses."""
    year, sun = 365.24, 39.47841760435743
    bodies = [
        [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], sun],
        [[4.84, -1.16, -0.10], [0.00166 * year, 0.0077 * year, -6.9e-05 * year], 9.5e-04 * sun],
        [[8.34, 4.12, -0.40], [-0.00277 * year, 0.005 * year, 2.3e-05 * year], 2.9e-04 * sun],
        [[12.89, -15.11, -0.22], [0.003 * year, 0.0024 * year, -2.9e-05 * year], 4.4e-05 * sun],
        [[15.38, -25.92, 0.18], [0.0027 * year, 0.0016 * year, -9.5e-05 * year], 5.2e-05 * sun],
    ]
    pairs = [(one, other) for at, one in enumerate(bodies) for other in bodies[at + 1 :]]
    for _ in range(steps):
        for (p, v, m), (q, w, n) in pairs:
            x, y, z = p[0] - q[0], p[1] - q[1], p[2] - q[2]
            pull = 0.01 / (x * x + y * y + z * z) ** 1.5
            a, b = n * pull, m * pull
            v[0] -= x * a
            v[1] -= y * a
            v[2] -= z * a
            w[0] += x * b
            w[1] += y * b
            w[2] += z * b
        for p, v, _ in bodies:
            p[0] += 0.01 * v[0]
            p[1] += 0.01 * v[1]
            p[2] += 0.01 * v[2]
    return bodies


def texts(times):
    value = {"name": "a" * 20, "list": list(range(200)), "nested": [{"key": i / 7, "text": "ü" * 9} for i in range(50)]}
    for _ in range(times):
        value = json.loads(json.dumps(value))
    return value


def patterns(times):
    text = " ".join(f"user{i}@example{i % 7}.org 2026-11-{i % 30:02d}" for i in range(200))
    mail, day = re.compile(r"([\w.]+)@([\w.]+)\.(\w+)"), re.compile(r"(\d{4})-(\d\d)-(\d\d)")
    return sum(len(mail.findall(text)) + len(day.sub(r"\3.\2.\1", text)) for _ in range(times))


def timed(work, amount):
    work(amount // 10)
    start = time.perf_counter_ns()
    work(amount)
    return time.perf_counter_ns() - start


print(json.dumps({"nbody": timed(nbody, 10_000), "json": timed(texts, 500), "regex": timed(patterns, 150)}))
