"""The index of ipcbench by CPython's multiprocessing: shards in worker processes, which are asked over pipes.

Called as "index.py SECONDS MODE N WORKERS BATCH BEST", with the names of files, separated by NUL, and then the queries, one
a line, on the standard input. MODE "build" builds the index N times, "query" builds it and asks the N queries. Prints one
line "N elapsed_ns key=value...".
"""

import array
import bisect
import gc
import hashlib
import multiprocessing
import multiprocessing.connection
import os
import re
import signal
import sys
import time
import zlib

WORD = re.compile(rb"[0-9A-Za-z_\x80-\xff]+")


class Shard:
    """An inverted index of some of the files: word to file to the lines of its occurrences."""

    def __init__(self):
        self.terms = {}

    def file(self, number, name):
        terms = self.terms
        with open(name, "rb") as f:
            for line, text in enumerate(f.read().split(b"\n"), 1):
                for word in WORD.findall(text):
                    if 48 <= word[0] <= 57:  # it starts with a digit: no identifier
                        continue
                    files = terms.get(word)
                    if files is None:
                        files = terms[word] = {}
                    lines = files.get(number)
                    if lines is None:
                        files[number] = [line]
                    else:
                        lines.append(line)

    def finish(self):
        self.words = sorted(self.terms)
        self.count = {word: sum(map(len, files.values())) for word, files in self.terms.items()}

    def answer(self, query, most):
        kind, *words = query.split(b" ")
        if kind == b"p":
            return self.with_prefix(words[0], most)
        files = [self.terms.get(word) for word in words]
        if None in files:
            return 0, []
        first, rest = files[0], files[1:]
        hits = [
            (b"", number, lines[0], len(lines) + sum(len(f[number]) for f in rest))
            for number, lines in first.items()
            if all(number in f for f in rest)
        ]
        return len(hits), best(hits, most)

    def with_prefix(self, prefix, most):
        total, hits = 0, []
        for i in range(bisect.bisect_left(self.words, prefix), len(self.words)):
            word = self.words[i]
            if not word.startswith(prefix):
                break
            total += self.count[word]
            if len(hits) < most:
                hits.append((word, 0, 0, self.count[word]))
        return total, hits

    def counts(self):
        """Occurrences, postings, and a sum of checksums that does not depend on how the files were divided."""
        digest = 0
        for word, files in self.terms.items():
            for number, lines in files.items():
                numbers = array.array("i", lines)
                if sys.byteorder == "big":
                    numbers.byteswap()
                digest += zlib.crc32(numbers.tobytes(), zlib.crc32(b"%s %d" % (word, number)))
        return sum(self.count.values()), sum(map(len, self.terms.values())), digest


def best(hits, most):
    return sorted(hits, key=lambda h: (-h[3], h[1]))[:most]


def merge(query, parts, most):
    if len(parts) == 1:
        return parts[0]
    total = sum(number for number, _ in parts)
    if not query.startswith(b"p"):
        return total, best([h for _, hits in parts for h in hits], most)
    counts = {}
    for _, hits in parts:
        for word, _, _, count in hits:
            counts[word] = counts.get(word, 0) + count
    return total, [(word, 0, 0, counts[word]) for word in sorted(counts)[:most]]


class Collector:
    """What the collector of reference cycles does in this process: in CPython each of its runs is a pause."""

    def __init__(self):
        self.clear()
        gc.callbacks.append(self.note)

    def clear(self):
        self.runs = self.total = self.longest = 0

    def note(self, phase, _):
        if phase == "start":
            self.began = time.monotonic_ns()
            return
        took = time.monotonic_ns() - self.began
        self.runs += 1
        self.total += took
        self.longest = max(self.longest, took)

    def figures(self):
        return self.runs, self.total, self.longest


def worker(end, files, asks, most, seconds):
    give_up_after(seconds)
    collector, shard = Collector(), Shard()
    end.send(None)
    while (batch := files.get()) is not None:
        first, names = batch
        for i, name in enumerate(names):
            shard.file(first + i, name)
    shard.finish()
    end.send(None)
    if asks:
        gc.collect()
        collector.clear()
    end.send(None)
    while (asked := end.recv()) is not None:
        number, query = asked
        end.send((number, shard.answer(query, most)))
    figures = collector.figures()
    end.send((figures, None if asks else shard.counts()))


def give_up_after(seconds):
    if hasattr(signal, "alarm"):
        signal.alarm(seconds)


class Crew:
    """The workers and the parent's ends of their pipes."""

    def __init__(self, workers, asks, most, seconds):
        methods = multiprocessing.get_all_start_methods()
        ctx = multiprocessing.get_context("fork" if "fork" in methods else "spawn")
        self.files = ctx.Queue()
        self.files.cancel_join_thread()  # after a failure nobody may be there to take what is left
        pipes = [ctx.Pipe() for _ in range(workers)]
        self.ends = [mine for mine, _ in pipes]
        self.procs = [
            ctx.Process(target=worker, args=(theirs, self.files, asks, most, seconds), daemon=True) for _, theirs in pipes
        ]
        for p in self.procs:
            p.start()

    def ready(self, ends):
        """Waits for some of the ends to have a message; a worker that ends badly ends the run."""
        ended = {p.sentinel: p for p in self.procs}
        while True:
            found = multiprocessing.connection.wait([*ends, *ended])
            for sentinel in [s for s in found if s in ended]:
                p = ended.pop(sentinel)
                p.join()
                if p.exitcode != 0:
                    sys.exit(f"a worker ended with exit code {p.exitcode}")
            if found := [end for end in found if end in ends]:
                return found

    def hear(self):
        """The next message of every worker."""
        messages, left = [], list(self.ends)
        while left:
            for end in self.ready(left):
                messages.append(end.recv())
                left.remove(end)
        return messages

    def build(self, names, batch):
        for i in range(0, len(names), batch):
            self.files.put((i, names[i : i + batch]))
        for _ in self.procs:
            self.files.put(None)
        self.hear()

    def ask(self, queries, most):
        """Has as many queries under way as there are workers, each of which goes to all; returns answers and times."""
        answers, times = [None] * len(queries), [0] * len(queries)
        asked, parts, sent = {}, {}, 0

        def send():
            nonlocal sent
            if sent < len(queries):
                asked[sent], parts[sent] = time.monotonic_ns(), []
                for end in self.ends:
                    end.send((sent, queries[sent]))
                sent += 1

        for _ in self.ends:
            send()
        while asked:
            for end in self.ready(self.ends):
                number, part = end.recv()
                parts[number].append(part)
                if len(parts[number]) == len(self.ends):
                    answers[number] = merge(queries[number], parts.pop(number), most)
                    times[number] = time.monotonic_ns() - asked.pop(number)
                    send()
        return answers, times

    def finish(self):
        for end in self.ends:
            end.send(None)
        last = self.hear()
        for p in self.procs:
            p.join()
        return last

    def memory(self):
        """Rss and Pss of all processes, in KiB; nothing where the kernel does not tell."""
        totals = {"Rss:": 0, "Pss:": 0}
        for pid in [os.getpid(), *(p.pid for p in self.procs)]:
            try:
                with open(f"/proc/{pid}/smaps_rollup") as f:
                    for line in f:
                        key, *rest = line.split()
                        if key in totals:
                            totals[key] += int(rest[0])
            except OSError:
                return None
        return totals


def run(seconds, build, n, workers, batch, most):
    names, _, queries = sys.stdin.buffer.read().partition(b"\n")
    names = [os.fsdecode(name) for name in names.split(b"\0")]
    queries = queries.split(b"\n") if queries else []
    elapsed, mine, extra = 0, Collector(), {"files": len(names)}
    for _ in range(n if build else 1):
        crew = Crew(workers, not build, most, seconds)
        crew.hear()
        mine.clear()
        begin = time.monotonic_ns()
        crew.build(names, batch)
        elapsed += time.monotonic_ns() - begin
        crew.hear()
        if not build:
            gc.collect()
            mine.clear()
            begin = time.monotonic_ns()
            answers, times = crew.ask(queries, most)
            elapsed = time.monotonic_ns() - begin
        figures, memory = [mine.figures()], crew.memory()
        last = crew.finish()
        figures += [f for f, _ in last]
    if build:
        identifiers, postings, digest = (sum(c) for c in zip(*(c for _, c in last)))
        extra |= {"identifiers": identifiers, "postings": postings, "digest": f"{digest:016x}"}
    else:
        digest = hashlib.sha256()
        for number, hits in answers:
            digest.update(b" ".join([b"%d" % number, *(b"%s:%d:%d:%d" % h for h in hits)]) + b"\n")
        extra["digest"] = digest.hexdigest()[:16]
        times.sort()
        for key, permille in ("p50-ns", 500), ("p99-ns", 990), ("p99.9-ns", 999), ("max-ns", 1000):
            extra[key] = times[min(len(times) - 1, len(times) * permille // 1000)]
    runs, total, longest = zip(*figures)
    extra |= {"gc-cycles": sum(runs), "gc-pauses": sum(runs), "gc-pause-total-ns": sum(total), "gc-pause-max-ns": max(longest), "gc-cpu-ns": sum(total)}
    if memory:
        extra |= {"rss-bytes": memory["Rss:"] * 1024, "pss-bytes": memory["Pss:"] * 1024}
    print(n, elapsed, *(f"{key}={value}" for key, value in extra.items()))


def main(argv):
    seconds, mode, *numbers = argv[1:]
    give_up_after(int(seconds))
    run(int(seconds), {"build": True, "query": False}[mode], *(int(number) for number in numbers))


if __name__ == "__main__":
    main(sys.argv)
