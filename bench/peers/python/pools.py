"""Drives an echo through Python's own pools of processes, and prints one line of JSON.

  pools.py --how submit|imap|imap64 --mode sync|pipelined --workers N --tasks N --payload BYTES

submit: concurrent.futures.ProcessPoolExecutor.submit. imap, imap64: multiprocessing.Pool.imap_unordered, one task or 64
to a message; in sync mode both are Pool.apply. Each task has a payload of its own, or pickle would send one for a chunk.
"""

import argparse
import collections
import json
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor

AHEAD = 4096  # submitted at once


def echo(message):
    return message


def messages(n, size):
    rest = bytes(size - 8)
    for i in range(n):
        yield i.to_bytes(8, "little") + rest


def check(answer, i):
    if int.from_bytes(answer[:8], "little") != i:
        raise SystemExit(f"pools.py: message {i} came back as another")


def one_by_one(call, n, size):
    """Each call waits for its answer; returns the times they took."""
    times = []
    for i, message in enumerate(messages(n, size)):
        begun = time.perf_counter()
        answer = call(message)
        times.append(time.perf_counter() - begun)
        check(answer, i)
    return times


def submitted(executor, n, size):
    """Submits ahead, and takes the answers in order."""
    waiting = collections.deque()
    ahead = max(16, min(AHEAD, (64 << 20) // size))
    for i, message in enumerate(messages(n, size)):
        waiting.append((i, executor.submit(echo, message)))
        if len(waiting) >= ahead:
            first, future = waiting.popleft()
            check(future.result(), first)
    while waiting:
        first, future = waiting.popleft()
        check(future.result(), first)
    return []


def mapped(pool, n, size, chunk):
    """Maps over all messages; their order is the pool's."""
    seen = sum(len(answer) == size for answer in pool.imap_unordered(echo, messages(n, size), chunksize=chunk))
    if seen != n:
        raise SystemExit(f"pools.py: {seen} of {n} came back")
    return []


def measure(o, run):
    run(max(o.workers, min(o.tasks // 10, 5000)))  # the workers are started, and warm
    begun = time.perf_counter()
    times = sorted(run(o.tasks))
    took = time.perf_counter() - begun
    at = lambda part: times[int(part * len(times))] * 1e6 if times else 0
    print(json.dumps({
        "peer": "python " + o.how, "mode": o.mode, "workers": o.workers, "tasks": o.tasks, "payload": o.payload,
        "seconds": took, "tasks_per_s": o.tasks / took, "p50_us": at(0.5), "p99_us": at(0.99),
        "mb_per_s": o.tasks * o.payload / took / 1e6,
    }))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--how", choices=["submit", "imap", "imap64"], required=True)
    p.add_argument("--mode", choices=["sync", "pipelined"], default="sync")
    p.add_argument("--workers", type=int, default=1)
    p.add_argument("--tasks", type=int, default=1000)
    p.add_argument("--payload", type=int, default=64)
    o = p.parse_args()
    if o.how == "submit":
        with ProcessPoolExecutor(o.workers) as executor:
            if o.mode == "sync":
                measure(o, lambda n: one_by_one(lambda m: executor.submit(echo, m).result(), n, o.payload))
            else:
                measure(o, lambda n: submitted(executor, n, o.payload))
        return
    with multiprocessing.Pool(o.workers) as pool:
        if o.mode == "sync":
            measure(o, lambda n: one_by_one(lambda m: pool.apply(echo, (m,)), n, o.payload))
        else:
            measure(o, lambda n: mapped(pool, n, o.payload, 64 if o.how == "imap64" else 1))


if __name__ == "__main__":
    main()
