"""`edge-agent run` under what can be tried of the unit without systemd.

    unshare --mount python confined.py WRITABLE COMMAND...

The whole tree is read-only but for WRITABLE and what is a file system of its own (/proc, /dev/shm);
no privileges can be gained; no memory becomes executable that was written.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import runpy
import subprocess
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_MDWE, REFUSE_EXEC_GAIN = 38, 65, 1

libc = ctypes.CDLL(None, use_errno=True)
writable = sys.argv[1]
for command in (
    "mount --make-rprivate /",
    f"mount --bind {writable} {writable}",
    "mount -o remount,bind,ro /",
):
    subprocess.run(command.split(), check=True)
if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
    PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0
):
    sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
try:
    mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)
except PermissionError:
    pass  # as it should be
else:
    sys.exit("memory is both writable and executable")
try:
    open("/confined", "w").close()
except OSError:
    pass
else:
    sys.exit("the tree is writable")
sys.argv = ["edge-agent", *sys.argv[2:]]
runpy.run_module("edge_agent", run_name="__main__")
