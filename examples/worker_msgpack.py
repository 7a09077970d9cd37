#!/usr/bin/python3
r"""A worker that speaks msgpack, the default wire: bytes stay bytes, times stay times, and it is faster than JSON.

Needs the msgpack package: apt install python3-msgpack, which is seen by /usr/bin/python3, or pip install msgpack.

    $ printf 'digest alba\nspectrum 3\nnope\n' | master run -k -j 1 -- /usr/bin/python3 examples/worker_msgpack.py
    digest alba  {"$bytes":"BlNS3FY69mlF/H172GUYnU8gPzbWZWeKDFbHLCgj50g="}
    spectrum 3   {"reading":1,"y":[0.0,0.841,0.909]}
    master: FAILED nope: LookupError: no such target: nope
    master: 3 tasks: 2 done, 1 failed in 0.05 s · 1 worker
"""
import hashlib
import math
import os
import traceback

import msgpack

# stdout is for answers. Keep it for them, and let whatever else prints go to stderr, which master shows as log.
# Both are unbuffered: a buffered stdin would wait for bytes that never come, a buffered stdout would keep our answer.
answers = os.fdopen(os.dup(1), "wb", buffering=0)
os.dup2(2, 1)
requests = open(0, "rb", buffering=0)


class Instrument:
    """Any object serves: its public methods are the targets."""

    def __init__(self):
        self.readings = 0

    def digest(self, data):
        """The SHA-256 of some bytes, or of a text, as bytes."""
        return hashlib.sha256(data.encode() if isinstance(data, str) else data).digest()

    def spectrum(self, points, noise=0.0):
        self.readings += 1
        return {"reading": self.readings, "y": [round(math.sin(i) + noise, 3) for i in range(points)]}


instrument = Instrument()


def call(target, args):
    """Args are absent, a list (positional), a dict (named), or any other single value."""
    method = None if target.startswith("_") else getattr(instrument, target, None)
    if method is None:
        raise LookupError(f"no such target: {target}")
    if args is None:
        return method()
    if isinstance(args, list):
        return method(*args)
    if isinstance(args, dict):
        return method(**args)
    return method(args)


for key, target, args in msgpack.Unpacker(requests, raw=False, strict_map_key=False, timestamp=3):
    # The first request is a greeting, "__HELLO". It has no method here, so it is answered like any unknown target; that
    # is a valid answer.
    try:
        answer = msgpack.packb([key, call(target, args)], datetime=True)
    except Exception as e:
        error = {"message": str(e), "type": type(e).__name__, "trace": traceback.format_exc()}
        answer = msgpack.packb([key, None, error])
    answers.write(answer)
