"""Models that crash, hang, bloat or are damaged take a child process with them, and nobody else."""

from __future__ import annotations

import hashlib
import os
import random
import re
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from edge_agent.engines import EngineName, Plan, load
from edge_agent.engines.isolate import Question, probe, trust, trusted
from edge_agent.errors import Refused, UsageError
from edge_agent.types import InputSpec, ModelSpec

Find = Callable[[str], Path]


def descriptors() -> Counter[str]:
    """What this process holds open, by what it is: pipes, memory and files.

    Sockets are left out: neither engines nor children use any, and those of other tests' brokers
    come and go in threads of their own. Nameless temporary files are counted together: pytest opens
    those of `capfd` anew between a test and its teardown, so their inode numbers change.
    """
    found: Counter[str] = Counter()
    for name in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the one that listed the folder is closed already
            found[re.sub(r"/#\d+ ", "/# ", os.readlink(f"/proc/self/fd/{name}"))] += 1
    return Counter({what: count for what, count in found.items() if "socket:" not in what})


def children() -> str:
    """Process ids, zombies included; not every kernel tells."""
    listed = Path(f"/proc/self/task/{os.getpid()}/children")
    return listed.read_text() if listed.exists() else ""


@pytest.fixture(autouse=True)
def nothing_is_left_behind(capfd: pytest.CaptureFixture[str]) -> object:
    """After every test: no child, no zombie, no descriptor, no chatter."""
    before = descriptors(), children()
    yield
    opened, born = descriptors() - before[0], children()
    assert (opened, born) == (Counter(), before[1])
    assert tuple(capfd.readouterr()) == ("", "")


def test_a_sound_model_shows_what_the_engine_shows(realdata: Find, engine: EngineName) -> None:
    path = realdata("models/traffic_model.tflite")
    answer = probe(path, Plan(engine))
    loaded = load(path, Plan(engine))
    assert (answer.inputs, answer.outputs) == (loaded.inputs, loaded.outputs)
    assert answer.operators == loaded.operators
    assert answer.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert answer.invoke_ms > 0
    assert answer.memory_bytes > path.stat().st_size


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("crashes", "^crashes.tflite crashed the runtime: segmentation fault, while loading$"),
        ("bloated", "^bloated.tflite needs more memory .*: tensor 'tensor_0' .* 43,200.0 MB$"),
        ("divides_by_input", "DIV|crashed the runtime: floating point exception, while invoking"),
        ("custom_operator", "needs the custom operator MyOwnOp"),
    ],
)
def test_a_model_that_kills_its_runtime_is_refused(
    tiny_file: Find, engine: EngineName, model: str, sentence: str
) -> None:
    with pytest.raises(Refused, match=sentence) as refused:
        probe(tiny_file(model), Plan(engine))
    assert refused.value.next


def test_a_model_that_hangs_is_killed(tiny_file: Find, engine: EngineName) -> None:
    with pytest.raises(Refused, match=r"^hangs\.tflite did not answer within 2 s, while \w+ing$"):
        probe(tiny_file("hangs"), Plan(engine), Question(seconds=2))


def test_a_child_that_does_not_even_start_in_time_is_refused(
    tiny_file: Find, engine: EngineName
) -> None:
    with pytest.raises(Refused, match=r"did not answer within 0.01 s, while starting"):
        probe(tiny_file("relu"), Plan(engine), Question(seconds=0.01))


@pytest.mark.parametrize("kept", [0, 4, 8, 500, 0.3, 0.9])
def test_a_truncated_model_is_refused(
    realdata: Find, tmp_path: Path, engine: EngineName, kept: float
) -> None:
    whole = realdata("models/vww_96_int8.tflite").read_bytes()
    cut = tmp_path / "cut.tflite"
    cut.write_bytes(whole[: kept if isinstance(kept, int) else int(kept * len(whole))])
    with pytest.raises(Refused, match=r"^cut\.tflite is (empty|no TensorFlow Lite model|damaged)"):
        probe(cut, Plan(engine))


@pytest.mark.parametrize("content", ["a text", "random", "header and random"])
def test_what_is_no_model_is_refused(tmp_path: Path, engine: EngineName, content: str) -> None:
    noise = random.Random(3).randbytes(20_000)
    data = {"a text": "ceci n'est pas un modèle".encode(), "random": noise}
    path = tmp_path / "no.tflite"
    path.write_bytes(data.get(content, b"\x1c\0\0\0TFL3" + noise))
    with pytest.raises(Refused, match=r"^no\.tflite is (no TensorFlow Lite model|damaged)"):
        probe(path, Plan(engine))


@pytest.mark.parametrize("seed", range(6))
def test_a_damaged_bit_is_refused_or_harmless(
    realdata: Find, tmp_path: Path, engine: EngineName, seed: int
) -> None:
    """A bit in the weights loads and runs (only a hash tells); one in a table must not kill us."""
    data = bytearray(realdata("models/fomo_face_detection.tflite").read_bytes())
    chance = random.Random(seed)
    place = chance.choice([chance.randrange(4096), len(data) - 1 - chance.randrange(16384)])
    data[place] ^= 1 << chance.randrange(8)
    path = tmp_path / "damaged.tflite"
    path.write_bytes(data)
    try:
        verdict = probe(path, Plan(engine)).sha256
    except Refused as refused:
        verdict = refused.message
    assert verdict.startswith(("damaged.tflite", hashlib.sha256(data).hexdigest()))


def test_a_missing_file_is_a_usage_error(tmp_path: Path, engine: EngineName) -> None:
    with pytest.raises(UsageError, match="no such file"):
        probe(tmp_path / "nothing.tflite", Plan(engine))


def test_files_of_the_working_directory_are_not_imported(
    tiny_file: Find, tmp_path: Path, engine: EngineName, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise RuntimeError('imported from the working directory')")
    monkeypatch.chdir(tmp_path)
    assert probe(tiny_file("relu"), Plan(engine)).operators == ("RELU",)


@pytest.fixture
def classifier(realdata: Find) -> tuple[Path, ModelSpec]:
    path = realdata("models/mobilenet_v1_0.25_128_quant.tflite")
    loaded = load(path, Plan("litert"))
    return path, ModelSpec(
        name="m",
        version="1",
        family="classification",
        sha256="",
        input=InputSpec(128, 128),
        input_tensor=loaded.inputs[0],
        output_tensors=loaded.outputs,
        labels=tuple(map(str, range(1001))),
        min_score=0.0,
    )


def test_with_its_family_known_a_model_is_decoded_too(
    classifier: tuple[Path, ModelSpec], engine: EngineName
) -> None:
    path, spec = classifier
    assert probe(path, Plan(engine), Question(spec)).invoke_ms > 0


def test_a_model_whose_outputs_do_not_fit_its_family_is_refused(
    classifier: tuple[Path, ModelSpec], engine: EngineName
) -> None:
    path, spec = classifier
    wrong = ModelSpec(
        **{field: getattr(spec, field) for field in spec.__slots__} | {"family": "ssd"}
    )
    with pytest.raises(Refused):
        probe(path, Plan(engine), Question(wrong))


def test_trust_is_in_bytes_on_one_version_of_an_engine(tmp_path: Path) -> None:
    assert not trusted(tmp_path / "state", "abc", "litert", "2.3.0")
    trust(tmp_path / "state", "abc", "litert", "2.3.0")
    assert trusted(tmp_path / "state", "abc", "litert", "2.3.0")
    assert not trusted(tmp_path / "state", "abc", "litert", "2.4.0")
    assert not trusted(tmp_path / "state", "another", "litert", "2.3.0")


def test_trust_in_one_engine_is_not_trust_in_the_other(tmp_path: Path) -> None:
    trust(tmp_path, "abc", "litert", "2")
    trust(tmp_path, "abc", "tflite-runtime", "1")
    trust(tmp_path, "def", "litert", "2")
    assert trusted(tmp_path, "abc", "litert", "2")
    assert trusted(tmp_path, "abc", "tflite-runtime", "1")
    assert not trusted(tmp_path, "def", "tflite-runtime", "1")


def test_a_state_that_cannot_be_written_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = tmp_path / "file"
    state.write_text("no directory")
    trust(state, "abc", "litert", "2")
    assert not trusted(state, "abc", "litert", "2")
    assert "will be tried again" in caplog.text
