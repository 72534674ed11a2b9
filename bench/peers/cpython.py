"""CPython's multiprocessing in the scenarios of ipcbench.

Called as "cpython.py SECONDS MODE N [ARG...]": gives up after SECONDS, does N operations, prints one line
"N elapsed_ns [key=value...]". The participants wait for each other at a start line; the time runs from the first that
leaves it to the last that has done its share.
"""

import collections
import hashlib
import multiprocessing
import multiprocessing.connection
import multiprocessing.shared_memory
import os
import re
import signal
import struct
import sys
import threading
import time

MASK = (1 << 64) - 1


class Run:
    """The start line, and what each participant counted, in shared memory."""

    def __init__(self, ctx, parts, seconds):
        self.parts = parts
        self.seconds = seconds
        self.ready = ctx.Value("i", 0)
        self.gun = ctx.Semaphore(0)
        self.begin = ctx.RawArray("Q", parts)
        self.end = ctx.RawArray("Q", parts)
        self.count = ctx.RawArray("Q", parts)
        self.sum = ctx.RawArray("Q", parts)

    def start_line(self, me):
        with self.ready.get_lock():
            self.ready.value += 1
            last = self.ready.value == self.parts
        if last:
            for _ in range(self.parts - 1):
                self.gun.release()
        else:
            self.gun.acquire()
        self.begin[me] = time.monotonic_ns()

    def done(self, me, count, total=0, end=None):
        """End is when the work was done, if not now; 0 does not count."""
        self.end[me] = time.monotonic_ns() if end is None else end
        self.count[me] = count
        self.sum[me] = total & MASK

    def elapsed(self):
        return max(self.end) - min(self.begin)


BUCKETS = 3968  # of times: each nanosecond up to 255, then 128 to each power of two up to 2**37


class Watch:
    """How long single operations took, by participant: how often so long."""

    def __init__(self, ctx, parts, every):
        self.every = every
        self.counts = ctx.RawArray("I", parts * BUCKETS)

    def first(self, me):
        """With which operation the participant begins; then every so many."""
        return 1 + me % self.every

    def note(self, me, ns):
        ns = min(max(ns, 0), (1 << 37) - 1)
        shift = max(ns.bit_length() - 8, 0)
        self.counts[me * BUCKETS + 128 * shift + (ns >> shift)] += 1

    def text(self):
        merged = collections.Counter()
        for i, count in enumerate(self.counts[:]):
            if count:
                merged[i % BUCKETS] += count
        pairs = []
        for bucket, count in sorted(merged.items()):
            shift = max(bucket // 128 - 1, 0)
            pairs.append(f"{(bucket - 128 * shift << shift) + (1 << shift) // 2}:{count}")
        return " latencies=" + ",".join(pairs) if pairs else ""


def context():
    """Participants are forked where that is possible: starting them is not what these scenarios measure."""
    return multiprocessing.get_context("fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn")


def give_up_after(seconds):
    if hasattr(signal, "alarm"):
        signal.alarm(seconds)


def participant(body, run, me, args):
    give_up_after(run.seconds)
    body(run, me, *args)


def start(ctx, run, bodies, args):
    procs = [
        ctx.Process(target=participant, args=(body, run, me, args), daemon=True) for me, body in enumerate(bodies)
    ]
    for p in procs:
        p.start()
    return procs


def finish(procs):
    """Waits for all; the first that ends badly ends the rest."""
    left = list(procs)
    while left:
        multiprocessing.connection.wait([p.sentinel for p in left])
        for p in list(left):
            if p.exitcode is None:
                continue
            left.remove(p)
            if p.exitcode != 0:
                sys.exit(f"a participant ended with exit code {p.exitcode}")
            p.join()


def share(n, parts, i):
    return n // parts + (1 if i < n % parts else 0)


def judge(run, want_count, want_sum):
    count, total = sum(run.count), sum(run.sum) & MASK
    if count != want_count or total != want_sum & MASK:
        sys.exit(f"counted {count} of {want_count} operations, checksum {total} instead of {want_sum & MASK}")


def report(run, n, want_count, want_sum):
    judge(run, want_count, want_sum)
    print(n, run.elapsed())


def fairness(counts):
    """How fair turns were: the least share of the operations as a part of the greatest, and Jain's index."""
    if len(counts) < 2:
        return ""
    jain = sum(counts) ** 2 / (len(counts) * max(1, sum(c * c for c in counts)))
    return f" fairness={min(counts) / max(1, max(counts)):.3f} jain={jain:.3f}"


def report_turns(run, n, watch=None):
    """Says as well how fair it was, and how long single operations took."""
    judge(run, n, n)
    print(f"{n} {run.elapsed()}{fairness(run.count[:])}{watch.text() if watch else ''}")


# Messages carry their number in their first and in their last eight bytes. One message goes through every queue before
# the start line: the first put starts the queue's feeder thread.


def message(number, body, size):
    stamp = struct.pack("<Q", number)
    return stamp if size == 8 else stamp + body + stamp


def number_of(msg, size):
    (first,) = struct.unpack_from("<Q", msg)
    (last,) = struct.unpack_from("<Q", msg, size - 8)
    if len(msg) != size or first != last:
        sys.exit("a message is torn")
    return first


def spsc_producer(run, me, queue, n, size):
    body = b"Z" * (size - 16)
    queue.put(None)
    run.start_line(me)
    for i in range(n):
        queue.put(message(i, body, size))
    queue.close()
    queue.join_thread()


def spsc_consumer(run, me, queue, n, size):
    total = 0
    queue.get()
    run.start_line(me)
    for i in range(n):
        number = number_of(queue.get(), size)
        if number != i:
            sys.exit("a message is out of order")
        total += number
    run.done(me, n, total)


def spsc(seconds, n, size, capacity):
    ctx = context()
    run = Run(ctx, 2, seconds)
    queue = ctx.Queue(capacity)
    finish(start(ctx, run, [spsc_producer, spsc_consumer], (queue, n, size)))
    report(run, n, n, n * (n - 1) // 2)


def mpmc_producer(run, me, queue, n, producers, consumers, size):
    body = b"Z" * (size - 16)
    queue.put(None)
    run.start_line(me)
    for i in range(share(n, producers, me)):
        queue.put(message(i * producers + me, body, size))
    queue.close()
    queue.join_thread()


def mpmc_consumer(run, me, queue, n, producers, consumers, size):
    total = 0
    mine = share(n, consumers, me - producers)
    for _ in range(share(producers, consumers, me - producers)):
        queue.get()
    run.start_line(me)
    for _ in range(mine):
        total += number_of(queue.get(), size)
    run.done(me, mine, total)


def mpmc(seconds, n, capacity, producers, consumers, size):
    ctx = context()
    run = Run(ctx, producers + consumers, seconds)
    bodies = [mpmc_producer] * producers + [mpmc_consumer] * consumers
    finish(start(ctx, run, bodies, (ctx.Queue(capacity), n, producers, consumers, size)))
    report(run, n, n, n * (n - 1) // 2)


def rtt_asker(run, me, there, back, n):
    body = b"Z" * (64 - 16)
    total = 0
    there.put(None)
    back.get()
    run.start_line(me)
    for i in range(n):
        there.put(message(i, body, 64))
        number = number_of(back.get(), 64)
        if number != i:
            sys.exit("the answer is wrong")
        total += number
    run.done(me, n, total)


def rtt_answerer(run, me, there, back, n):
    back.put(there.get())
    run.start_line(me)
    for _ in range(n):
        back.put(there.get())
    back.close()
    back.join_thread()


def rtt(seconds, n, capacity):
    ctx = context()
    run = Run(ctx, 2, seconds)
    finish(start(ctx, run, [rtt_asker, rtt_answerer], (ctx.Queue(capacity), ctx.Queue(capacity), n)))
    report(run, n, n, n * (n - 1) // 2)


def handover_asker(run, me, words, slots, n):
    body = b"Z" * (64 - 16)
    there, back = memoryview(slots[0]).cast("B"), memoryview(slots[1]).cast("B")
    total = 0
    run.start_line(me)
    for i in range(n):
        there[:] = message(i, body, 64)
        words[0].release()
        words[1].acquire()
        number = number_of(bytes(back), 64)
        if number != i:
            sys.exit("the answer is wrong")
        total += number
    run.done(me, n, total)


def handover_answerer(run, me, words, slots, n):
    there, back = memoryview(slots[0]).cast("B"), memoryview(slots[1]).cast("B")
    run.start_line(me)
    for _ in range(n):
        words[0].acquire()
        back[:] = bytes(there)
        words[1].release()


def handover(seconds, n):
    ctx = context()
    run = Run(ctx, 2, seconds)
    words = ctx.Semaphore(0), ctx.Semaphore(0)
    slots = ctx.RawArray("B", 64), ctx.RawArray("B", 64)
    finish(start(ctx, run, [handover_asker, handover_answerer], (words, slots, n)))
    report(run, n, n, n * (n - 1) // 2)


def pipe_sender(run, me, ends, n, size):
    body = b"Z" * (size - 16)
    end = ends[0]
    end.send_bytes(b"ready")
    run.start_line(me)
    for i in range(n):
        end.send_bytes(message(i, body, size))


def pipe_receiver(run, me, ends, n, size):
    end, total = ends[1], 0
    end.recv_bytes()
    run.start_line(me)
    for i in range(n):
        number = number_of(end.recv_bytes(), size)
        if number != i:
            sys.exit("a message is out of order")
        total += number
    run.done(me, n, total)


def pipe(seconds, n, size):
    ctx = context()
    run = Run(ctx, 2, seconds)
    finish(start(ctx, run, [pipe_sender, pipe_receiver], (ctx.Pipe(), n, size)))
    report(run, n, n, n * (n - 1) // 2)


def pipertt_asker(run, me, ends, n):
    body = b"Z" * (64 - 16)
    end, total = ends[0], 0
    run.start_line(me)
    for i in range(n):
        end.send_bytes(message(i, body, 64))
        number = number_of(end.recv_bytes(), 64)
        if number != i:
            sys.exit("the answer is wrong")
        total += number
    run.done(me, n, total)


def pipertt_answerer(run, me, ends, n):
    end = ends[1]
    run.start_line(me)
    for _ in range(n):
        end.send_bytes(end.recv_bytes())


def pipertt(seconds, n):
    ctx = context()
    run = Run(ctx, 2, seconds)
    finish(start(ctx, run, [pipertt_asker, pipertt_answerer], (ctx.Pipe(), n)))
    report(run, n, n, n * (n - 1) // 2)


def connect_listener(run, me, listener, n):
    run.start_line(me)
    for _ in range(n):
        listener.accept().close()


def connect_client(run, me, listener, n):
    address = listener.address
    run.start_line(me)
    for _ in range(n):
        multiprocessing.connection.Client(address, authkey=b"a key").close()
    run.done(me, n)


def connect(seconds, n):
    ctx = context()
    run = Run(ctx, 2, seconds)
    with multiprocessing.connection.Listener(family="AF_UNIX", backlog=16, authkey=b"a key") as listener:
        finish(start(ctx, run, [connect_listener, connect_client], (listener, n)))
    report(run, n, n, 0)


def lock_body(run, me, lock, counter, n):
    mine = seen = 0
    run.start_line(me)
    while seen < n:
        lock.acquire()
        seen = counter.value
        if seen < n:
            counter.value = seen + 1
            mine += 1
        lock.release()
    run.done(me, mine)


def lock(seconds, n, parts):
    ctx = context()
    run = Run(ctx, parts, seconds)
    counter = ctx.RawValue("Q", 0)
    finish(start(ctx, run, [lock_body] * parts, (ctx.Lock(), counter, n)))
    run.sum[0] = counter.value
    report_turns(run, n)


def semaphore_body(run, me, sem, n):
    run.start_line(me)
    for _ in range(n):
        sem.acquire()
        sem.release()
    run.done(me, n)


def semaphore(seconds, n, permits):
    ctx = context()
    run = Run(ctx, 1, seconds)
    finish(start(ctx, run, [semaphore_body], (ctx.Semaphore(permits), n)))
    report(run, n, n, 0)


def value_body(run, me, value, n):
    mine = seen = 0
    run.start_line(me)
    while seen < n:
        with value.get_lock():
            seen = value.value
            if seen < n:
                value.value = seen + 1
                mine += 1
    run.done(me, mine)


def value(seconds, n, parts):
    ctx = context()
    run = Run(ctx, parts, seconds)
    counter = ctx.Value("Q", 0)
    finish(start(ctx, run, [value_body] * parts, (counter, n)))
    run.sum[0] = counter.value
    report_turns(run, n)


def element(seconds, n, elements, stride):
    array = context().RawArray("Q", elements)
    total = 0
    begin = time.monotonic_ns()
    for first in range(0, n, elements):
        count = min(elements, n - first)
        for i in range(count):
            array[i * stride % elements] = first + i
        for i in range(count):
            total += array[i * stride % elements]
    elapsed = time.monotonic_ns() - begin
    if total != n * (n - 1) // 2:
        sys.exit(f"checksum {total} after {n} operations")
    print(n, elapsed)


def segment(seconds, n, size):
    begin = time.monotonic_ns()
    for _ in range(n):
        memory = multiprocessing.shared_memory.SharedMemory(create=True, size=size)
        memory.buf[0] = 1
        memory.close()
        memory.unlink()
    print(n, time.monotonic_ns() - begin)


def spin(ns):
    end = time.monotonic_ns() + ns
    while time.monotonic_ns() < end:
        pass


def lock_worker(run, me, lock, counter, n, watch, hold):
    mine = seen = end = 0
    left = watch.first(me)
    run.start_line(me)
    while seen < n:
        left -= 1
        if not left:
            begin = time.monotonic_ns()
        lock.acquire()
        seen = counter.value
        if seen < n:
            counter.value = seen + 1
            mine += 1
            if hold:
                spin(hold)
        lock.release()
        if not left:
            watch.note(me, time.monotonic_ns() - begin)
            left = watch.every
        if seen == n - 1:
            end = time.monotonic_ns()  # others find out later that this was the last turn
    run.done(me, mine, end=end)


def lock_curve(seconds, n, parts, every, hold):
    ctx = context()
    run, watch = Run(ctx, parts, seconds), Watch(ctx, parts, every)
    counter = ctx.RawValue("Q", 0)
    finish(start(ctx, run, [lock_worker] * parts, (ctx.Lock(), counter, n, watch, hold)))
    run.sum[0] = counter.value
    report_turns(run, n, watch)


def value_worker(run, me, value, n, watch):
    mine = seen = end = 0
    left = watch.first(me)
    run.start_line(me)
    while seen < n:
        left -= 1
        if not left:
            begin = time.monotonic_ns()
        with value.get_lock():
            seen = value.value
            if seen < n:
                value.value = seen + 1
                mine += 1
        if not left:
            watch.note(me, time.monotonic_ns() - begin)
            left = watch.every
        if seen == n - 1:
            end = time.monotonic_ns()
    run.done(me, mine, end=end)


def value_curve(seconds, n, parts, every):
    ctx = context()
    run, watch = Run(ctx, parts, seconds), Watch(ctx, parts, every)
    counter = ctx.Value("Q", 0)
    finish(start(ctx, run, [value_worker] * parts, (counter, n, watch)))
    run.sum[0] = counter.value
    report_turns(run, n, watch)


# The message of a curve is a number at both ends and the time at which it was put, or 0. Half of the workers put, the
# others get until they are told the end; one alone does both in turn.

CURVE = struct.Struct("<QQ40xQ")


def curve_message(number, at):
    return CURVE.pack(number, at, number)


def taken(msg, run, me, watch):
    """The number of a message. When the last timed one came is the end: when there are no more is heard later."""
    number, at, last = CURVE.unpack(msg)
    if number != last:
        sys.exit("a message is torn")
    if at:
        run.end[me] = time.monotonic_ns()
        watch.note(me, run.end[me] - at)
    return number


def queue_worker(run, me, queue, ended, n, watch):
    producers, total, mine = run.parts // 2, 0, 0
    left = watch.first(me)
    run.start_line(me)
    if me < producers or run.parts == 1:
        for i in range(share(n, max(producers, 1), me)):
            left -= 1
            queue.put(curve_message(i * max(producers, 1) + me, 0 if left else time.monotonic_ns()))
            left = left or watch.every
            if run.parts == 1:
                total += taken(queue.get(), run, me, watch)
                mine += 1
        queue.close()
        queue.join_thread()
    if me < producers:
        with ended.get_lock():
            ended.value += 1
            last = ended.value == producers
        if last:  # all that was put stands in the pipe: what the parent puts now comes behind it
            run.all_put.release()
        return
    while run.parts > 1 and (msg := queue.get()) is not None:
        total += taken(msg, run, me, watch)
        mine += 1
    run.done(me, mine, total, run.end[me] if run.parts > 1 else None)


def queue_curve(seconds, n, workers, every, capacity):
    ctx = context()
    run, watch = Run(ctx, workers, seconds), Watch(ctx, workers, every)
    run.all_put = ctx.Semaphore(0)
    queue, producers = ctx.Queue(capacity), workers // 2
    procs = start(ctx, run, [queue_worker] * workers, (queue, ctx.Value("i", 0), n, watch))
    if producers:
        while not run.all_put.acquire(timeout=0.2):
            if any(p.exitcode for p in procs):
                break
        queue.cancel_join_thread()  # after a failure nobody may be there to take what is left
        for _ in range(workers - producers):
            queue.put(None)
    finish(procs)
    judge(run, n, n * (n - 1) // 2)
    print(f"{n} {run.elapsed()}{fairness(run.count[producers:])}{watch.text()}")


def nothing():
    pass


def spawn(seconds, n):
    ctx = multiprocessing.get_context("spawn")

    def one():
        p = ctx.Process(target=nothing)
        p.start()
        p.join()
        if p.exitcode != 0:
            sys.exit(f"a process ended with exit code {p.exitcode}")
        p.close()

    one()  # starts what the start method keeps for all (the resource tracker)
    begin = time.monotonic_ns()
    for _ in range(n):
        one()
    print(n, time.monotonic_ns() - begin)


def stamp(at):
    at.value = time.monotonic_ns()


def ready(seconds, n, method, mib):
    """How long it takes from the start of a process until its target runs."""
    ctx = multiprocessing.get_context(("spawn", "fork", "forkserver")[method])
    heap = bytearray(mib << 20)
    heap[::4096] = b"x" * len(heap[::4096])
    at = ctx.Value("q", lock=False)
    total = 0
    for i in range(n + 1):
        begin = time.monotonic_ns()
        p = ctx.Process(target=stamp, args=(at,))
        p.start()
        p.join()
        if p.exitcode != 0:
            sys.exit(f"a process ended with exit code {p.exitcode}")
        p.close()
        if i > 0:  # the first starts what the start method keeps for all
            total += at.value - begin
    print(n, total)


WORD = re.compile(rb"[0-9A-Za-z_\x80-\xff]+")


def count_words(run, me, files, results):
    """Counts the identifiers of the files that come, until None comes."""
    counts = collections.Counter()
    run.start_line(me)
    while (names := files.get()) is not None:
        for name in names:
            with open(name, "rb") as f:
                counts.update(WORD.findall(f.read()))
    for word in [w for w in counts if 48 <= w[0] <= 57]:  # it starts with a digit: no identifier
        del counts[word]
    results.put(counts)
    results.close()
    results.join_thread()


def wordcount(seconds, n, workers, batch):
    names = [os.fsencode(name) for name in os.fsdecode(sys.stdin.buffer.read()).split("\0") if name]
    elapsed = 0
    for _ in range(n):
        ctx = context()
        run = Run(ctx, workers + 1, seconds)
        files, results = ctx.Queue(1024), ctx.Queue()
        files.cancel_join_thread()  # after a failure nobody may be there to take what is left
        procs = start(ctx, run, [count_words] * workers, (files, results))
        run.start_line(workers)
        for i in range(0, len(names), batch):
            files.put(names[i : i + batch])
        for _ in range(workers):
            files.put(None)
        counts = collections.Counter()
        for _ in range(workers):
            counts.update(result(results, procs))
        run.done(workers, len(names))
        finish(procs)
        elapsed += run.elapsed()
    digest = hashlib.sha256()
    for word in sorted(counts):
        digest.update(b"%s %d\n" % (word, counts[word]))
    print(n, elapsed, f"digest={digest.hexdigest()[:16]} files={len(names)} identifiers={sum(counts.values())}")


def square(x):
    return x * x


def pool_map(seconds, n, workers, chunk):
    with context().Pool(workers) as pool:
        pool.map(square, range(4 * workers), 1)
        begin = time.monotonic_ns()
        got = pool.map(square, range(n), chunk or None)
        elapsed = time.monotonic_ns() - begin
    if got != [x * x for x in range(n)]:
        sys.exit("a result is wrong")
    print(n, elapsed)


def pool_task(seconds, n, workers, ns):
    with context().Pool(workers) as pool:
        pool.map(square, range(4 * workers), 1)
        begin = time.monotonic_ns()
        got = pool.map(spin, [ns] * n, 1)
        elapsed = time.monotonic_ns() - begin
    if len(got) != n:
        sys.exit("a result is missing")
    print(n, elapsed)


def pool_apply(seconds, n, workers):
    with context().Pool(workers) as pool:
        pool.map(square, range(4 * workers), 1)
        begin = time.monotonic_ns()
        for i in range(n):
            if pool.apply(square, (i,)) != i * i:
                sys.exit("a result is wrong")
        elapsed = time.monotonic_ns() - begin
    print(n, elapsed)


def result(results, procs):
    """Takes one result; a worker that dies sends none."""
    while not results._reader.poll(0.2):
        for p in procs:
            if p.exitcode not in (None, 0):
                sys.exit(f"a worker ended with exit code {p.exitcode}")
    return results.get()


def manager_dict(seconds, n, keys, sets):
    with context().Manager() as manager:
        d = manager.dict()
        names = [f"key-{i}" for i in range(keys)]
        for i, name in enumerate(names):
            d[name] = i
        begin = time.monotonic_ns()
        for i in range(n):
            at = i % keys
            if sets:
                d[names[at]] = at
            elif d[names[at]] != at:
                sys.exit("a value is wrong")
        elapsed = time.monotonic_ns() - begin
        if d.copy() != {name: i for i, name in enumerate(names)}:
            sys.exit("the values are wrong")
    print(n, elapsed)


def manager_client(run, me, d, n, clients):
    key, mine = f"key-{me}", share(n, clients, me)
    d[key] = 0
    run.start_line(me)
    for _ in range(mine):
        d[key] = d[key] + 1
    run.done(me, mine, d[key])


def manager_clients(seconds, n, clients):
    ctx = context()
    with ctx.Manager() as manager:
        run = Run(ctx, clients, seconds)
        finish(start(ctx, run, [manager_client] * clients, (manager.dict(), n, clients)))
    report(run, n, n, n)


class Crowd:
    """Threads of one process that all wait for one event, again and again."""

    def __init__(self, ctx, waiters):
        self.waiters = waiters
        self.events = ctx.Event(), ctx.Event()  # in turn, so that one can be cleared while they wait for the other
        self.asleep, self.awake = ctx.Semaphore(0), ctx.Semaphore(0)
        self.entered, self.left, self.lock = 0, 0, None
        self.at = ctx.RawValue("q", 0)

    def wait(self, n):
        for i in range(n):
            with self.lock:
                self.entered += 1
                if self.entered % self.waiters == 0:
                    self.asleep.release()
            self.events[i % 2].wait()
            with self.lock:
                self.left += 1
                if self.left % self.waiters == 0:
                    self.at.value = time.monotonic_ns()
                    self.awake.release()


def crowd_body(run, me, crowd, n):
    crowd.lock = threading.Lock()
    threads = [threading.Thread(target=crowd.wait, args=(n,)) for _ in range(crowd.waiters)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


def wake(seconds, n, waiters):
    ctx = context()
    crowd = Crowd(ctx, waiters)
    procs = start(ctx, Run(ctx, 1, seconds), [crowd_body], (crowd, n))
    total = 0
    for i in range(n):
        crowd.asleep.acquire()
        time.sleep(0.02)  # until all sleep
        crowd.events[1 - i % 2].clear()
        begin = time.monotonic_ns()
        crowd.events[i % 2].set()
        crowd.awake.acquire()
        total += crowd.at.value - begin
    finish(procs)
    print(n, total)


MODES = (
    spsc, mpmc, rtt, handover, pipe, pipertt, connect, lock, semaphore, value, element, segment, spawn, ready, wordcount, pool_map, pool_apply,
    lock_curve, value_curve, queue_curve, pool_task, wake, manager_dict, manager_clients,
)  # fmt: skip


def main(argv):
    seconds, mode, args = int(argv[1]), argv[2], [int(a) for a in argv[3:]]
    give_up_after(seconds)
    modes = {f.__name__: f for f in MODES}
    modes[mode](seconds, *args)


if __name__ == "__main__":
    main(sys.argv)
