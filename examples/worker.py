#!/usr/bin/env python3
r"""A worker in Python's standard library alone: one JSON array a line, down and up.

    $ printf 'add 2 3\nmean 1 2 6\ncrash\n' | master run -k -j 1 --wire json -- python3 examples/worker.py 2>messages
    add 2 3     5
    mean 1 2 6  3.0
    $ grep FAILED messages
    master: FAILED crash: its worker died (exit code 3)
    $ master run -q --csv --named --wire json -t chill -o raw testdata/seattle-weather.csv -- \
    python3 examples/worker.py | sort -t , -k 2 -g | head -n 1
    ["2014-02-05",-12.8]

Run by hand, it is its own debugger:

    $ echo '["k", "add", [2, 3]]' | python3 examples/worker.py
    ["k", 5]
"""
import json
import math
import os
import sys
import time
import traceback

# stdout is for answers. Keep it for them, and let whatever else prints go to stderr, which master shows as log.
answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)


def add(*numbers):
    return sum(numbers)


def mean(*numbers):
    return sum(numbers) / len(numbers)


def chill(date, temp_min, wind, **_):
    """How cold the coldest hour of a day felt: the wind chill of temp_min °C in a wind of wind m/s."""
    if temp_min > 10 or wind < 1.3:  # the formula does not hold: it feels as cold as it is
        return [date, temp_min]
    v = (3.6 * wind) ** 0.16
    return [date, round(13.12 + 0.6215 * temp_min - 11.37 * v + 0.3965 * temp_min * v, 1)]


def read(name):
    """Stands in for a control system: values that drift around a mean."""
    means = {"vacuum/pressure": 3.1e-9, "ring/current": 119.1}
    if name not in means:
        raise LookupError(f"no such attribute: {name}")
    return float(f"{means[name] * (1 + math.sin(time.time()) / 100):.4g}")


def crash():
    """Dies in the middle of a task, to show what master makes of that."""
    print("about to die", file=sys.stderr, flush=True)
    os._exit(3)


def hello(**greeting):
    """The first request. A worker need not know it; one that does says what it is, and what it can do."""
    names = sorted(name for name in TARGETS if not name.startswith("__"))
    return {"name": "worker.py", "protocol": 1, "ordered": True, "targets": names}


TARGETS = {"__HELLO": hello, "add": add, "mean": mean, "chill": chill, "read": read, "crash": crash}


def call(target, args):
    """Args are absent, a list (positional), a dict (named), or any other single value."""
    if target not in TARGETS:
        raise LookupError(f"no such target: {target}")
    function = TARGETS[target]
    if args is None:
        return function()
    if isinstance(args, list):
        return function(*args)
    if isinstance(args, dict):
        return function(**args)
    return function(args)


for line in sys.stdin.buffer:  # ends when master closes our stdin: then we are done
    key, target, args = json.loads(line)
    try:
        answer = json.dumps([key, call(target, args)])
    except Exception as e:
        error = {"message": str(e), "type": type(e).__name__, "trace": traceback.format_exc()}
        answer = json.dumps([key, None, error])
    print(answer, file=answers, flush=True)
