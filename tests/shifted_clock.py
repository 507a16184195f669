"""A process whose wall clock alone is wrong: CLOCK_REALTIME is moved by what a file says.

A pytest plugin (`tests/conftest.py` loads it): `shifted` builds a shim with gcc that is preloaded.
(libfaketime moves the monotonic clock, too, and `time.sleep` with it.) A file stands in for
a time server: the test's machine may have one or not.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

static double shift(void) {
    double seconds = 0;
    FILE *file = fopen(getenv("SHIFT_FILE"), "r");
    if (file) { if (fscanf(file, "%lf", &seconds) != 1) seconds = 0; fclose(file); }
    return seconds;
}
int clock_gettime(clockid_t which, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(which, at);
    if (!result && which == CLOCK_REALTIME) at->tv_sec += (time_t)shift();
    return result;
}
time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
int gettimeofday(struct timeval *at, void *zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}
int stat(const char *path, struct stat *found) {
    static int (*real)(const char *, struct stat *);
    if (!real) real = dlsym(RTLD_NEXT, "stat");
    if (strcmp(path, "/run/systemd/timesync/synchronized")) return real(path, found);
    errno = ENOENT;
    return -1;
}
int adjtimex(struct timex *about) {
    (void)about;
    return access(getenv("SYNCED_FILE"), F_OK) == 0 ? TIME_OK : TIME_ERROR;
}
"""


class Shift:
    """The wall clock of a process that is started with `environment`."""

    def __init__(self, library: Path, folder: Path) -> None:
        self._shift, self._synced = folder / "shift", folder / "synced"
        self.environment = {
            **os.environ,
            "LD_PRELOAD": str(library),
            "SHIFT_FILE": str(self._shift),
            "SYNCED_FILE": str(self._synced),
        }

    def to(self, seconds: float, *, synced: bool) -> None:
        """The wall clock is that much ahead of the true one from now on."""
        fresh = self._shift.with_suffix(".new")
        fresh.write_text(str(int(seconds)))
        if not synced:
            self._synced.unlink(missing_ok=True)
        fresh.replace(self._shift)
        if synced:
            self._synced.touch()


@pytest.fixture
def shifted(tmp_path: Path) -> Shift:
    gcc = shutil.which("gcc")
    if gcc is None:
        pytest.skip("this test builds a small library: sudo apt-get install gcc libc6-dev")
    source, library = tmp_path / "shift.c", tmp_path / "shift.so"
    source.write_text(SHIM)
    built = subprocess.run(
        [gcc, "-shared", "-fPIC", "-o", library, source, "-ldl"], capture_output=True, text=True
    )
    if built.returncode:
        pytest.skip(f"gcc builds nothing here: {built.stderr.strip()}")
    return Shift(library, tmp_path)
