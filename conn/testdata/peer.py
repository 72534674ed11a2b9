"""The other end of a test: CPython's multiprocessing.connection.

peer.py listen|dial FAMILY ADDRESS KEY echo|refused

ADDRESS is a path, or a port of 127.0.0.1 (0 for a listener's choice); KEY is in hexadecimal, "-" for none.
"""
import os
import sys
from multiprocessing import AuthenticationError, connection

role, family, address, key, what = sys.argv[1:6]
authkey = None if key == "-" else bytes.fromhex(key)
if family == "AF_INET":
    address = ("127.0.0.1", int(address))
elif address.startswith("@"):
    address = b"\0" + os.fsencode(address[1:])


def connect():
    if role == "dial":
        return connection.Client(address, family, authkey=authkey)
    with connection.Listener(address, family, authkey=authkey) as listener:
        at = listener.address
        print(at[1] if isinstance(at, tuple) else "-", flush=True)
        return listener.accept()


if what == "refused":
    try:
        connect()
    except (AuthenticationError, EOFError, OSError) as e:
        print("refused", type(e).__name__)
        sys.exit(0)
    sys.exit("connected")

with connect() as c:
    while True:
        try:
            b = c.recv_bytes()
        except EOFError:
            break
        c.send_bytes(b)
print("end")
