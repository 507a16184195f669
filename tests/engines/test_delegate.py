"""Delegates by name: a real shared library, compiled here, loaded by both runtimes."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_agent.engines import EngineName, Plan, load
from edge_agent.engines.isolate import probe
from edge_agent.errors import Refused, UsageError

#: The TFLite external delegate interface; this one takes no node, and leaves a file that proves it.
SOURCE = r"""
#include <stdint.h>
#include <stdio.h>
typedef struct Delegate {
  void *data; int (*prepare)(void *, struct Delegate *);
  void *copy_from, *copy_to, *free_handle; int64_t flags; void *builder;
} Delegate;
static int prepare(void *context, Delegate *self) {
  FILE *proof = fopen(PROOF, "w");
  fclose(proof);
  return 0;
}
static Delegate delegate = {0, prepare};
Delegate *tflite_plugin_create_delegate(char **k, char **v, size_t n, void (*error)(const char *)) {
  fprintf(stderr, "INFO: delegate made\n");
#ifdef CRASHES
  __builtin_trap();
#endif
#ifdef FAILS
  error("no accelerator on this bus");
  return 0;
#endif
  return &delegate;
}
void tflite_plugin_destroy_delegate(Delegate *delegate) {}
"""

Compile = Callable[..., str]


@pytest.fixture
def compiled(tmp_path: Path) -> Compile:
    """`compiled("CRASHES")`: the path of a delegate library of that kind."""
    if not (compiler := shutil.which("cc")):
        pytest.skip("no C compiler here")

    def build(*macros: str) -> str:
        library = tmp_path / "libdelegate.so"
        flags = [f'-DPROOF="{tmp_path / "prepared"}"', *(f"-D{macro}" for macro in macros)]
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-xc", "-", "-o", str(library), *flags],
            input=SOURCE.encode(),
            check=True,
        )
        return str(library)

    return build


def test_a_delegate_is_applied_to_the_model(
    tiny: Callable[[str], bytes], engine: EngineName, compiled: Compile, tmp_path: Path
) -> None:
    loaded = load(tiny("relu"), Plan(engine, delegate=compiled()))
    assert (tmp_path / "prepared").exists()
    tensor = np.array([[-1, 0, 1, 2]], np.float32)
    assert loaded.invoke(tensor)[0].tolist() == [[0, 0, 1, 2]]


def test_a_delegate_that_does_not_start_gives_its_own_reason(
    tiny: Callable[[str], bytes], engine: EngineName, compiled: Compile
) -> None:
    with pytest.raises(UsageError, match="no accelerator on this bus"):
        load(tiny("relu"), Plan(engine, delegate=compiled("FAILS")))


@pytest.mark.parametrize(
    ("library", "sentence"),
    [
        ("libnothing.so.1", "delegate libnothing.so.1 cannot be used: .*No such file"),
        ("libc.so.6", "libc.so.6 is a library, but no TFLite delegate"),
    ],
)
def test_a_library_that_is_missing_or_no_delegate_is_a_usage_error(
    tiny: Callable[[str], bytes], engine: EngineName, library: str, sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence) as wrong:
        load(tiny("relu"), Plan(engine, delegate=library))
    assert "remove `delegate`" in wrong.value.next


def test_a_delegate_that_crashes_is_refused_by_the_probe(
    tiny_file: Callable[[str], Path], engine: EngineName, compiled: Compile
) -> None:
    with pytest.raises(Refused, match=r"crashed the runtime: .*, while loading"):
        probe(tiny_file("relu"), Plan(engine, delegate=compiled("CRASHES")))
