"""The Python side of the pipeline: summarizes batches of readings until the Go side closes the connection.

Called with the address of the Go side's listener, and the key on the standard input.
"""

import json
import os
import statistics
import sys
from multiprocessing.connection import Client


def summarize(batch):
    readings = batch["readings"]
    quartiles = statistics.quantiles(readings, n=4)
    return {
        "id": batch["id"],
        "mean": statistics.fmean(readings),
        "median": quartiles[1],
        "spread": quartiles[2] - quartiles[0],
        "pid": os.getpid(),
    }


def main():
    key = sys.stdin.readline().strip().encode()
    with Client(sys.argv[1], "AF_UNIX", authkey=key) as conn:
        while True:
            try:
                message = conn.recv_bytes()
            except EOFError:
                return
            try:
                answer = summarize(json.loads(message))
            except Exception as e:  # of this batch alone: the next may be better
                answer = {"error": f"{type(e).__name__}: {e}"}
            conn.send_bytes(json.dumps(answer).encode())


main()
