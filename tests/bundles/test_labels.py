"""Label files of every kind that people have."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent.bundles.labels import Labels, read_label_file
from edge_agent.errors import UsageError


@pytest.mark.parametrize(
    ("name", "text", "labels"),
    [
        ("labels.txt", "cat\ndog\n", ("cat", "dog")),
        ("labels.txt", "\ufeffcat\r\ndog\r\n\r\n", ("cat", "dog")),
        ("labels.txt", "0 person\n1 bicycle\n3 car\n", ("person", "bicycle", "2", "car")),
        ("coco.txt", "0: person\n2: car", ("person", "1", "car")),
        ("labels.txt", "cat\n\ndog\n", ("cat", "1", "dog")),
        ("labels.txt", "4 x 4 truck\nvan\n", ("4 x 4 truck", "van")),
        ("labels.txt", "人\nフォークリフト\n", ("人", "フォークリフト")),
        ("labels.json", '["cat", "dog"]', ("cat", "dog")),
        ("labels.json", '{"1": "cat", "3": "dog"}', ("background", "cat", "2", "dog")),
        ("labels.json", '{"2": "cat"}', ("0", "1", "cat")),
        (
            "instances.json",
            '{"categories": [{"id": 1, "name": "person"}, {"id": 3, "name": "car"}]}',
            ("background", "person", "2", "car"),
        ),
        ("categories.json", '[{"id": 0, "name": "person"}]', ("person",)),
        (
            "temp_meta.txt",
            "{'stride': 32, 'names': {0: 'person', 1: \"dog's\"}}",
            ("person", "dog's"),
        ),
        ("metadata.json", '{"task": "detect", "names": {"0": "person"}}', ("person",)),
        ("labels.json", r'["two\nlines", " \u001b[31mred ", ""]', ("two lines", "[31mred", "2")),
        ("data.yaml", "nc: 2\nnames: [person, no]\n", ("person", "no")),
        ("data.yaml", "names:\n  0: person\n  2: car\n", ("person", "1", "car")),
    ],
)
def test_every_kind_is_read(tmp_path: Path, name: str, text: str, labels: tuple[str, ...]) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    assert read_label_file(tmp_path / name).listed() == labels


@pytest.mark.parametrize(
    ("numbers", "counts", "labels"),
    [
        ((0, 2), (3,), ("n0", "1", "n2")),  # the gap is a class without a name
        ((0, 2), (2,), ("n0", "n2")),  # the gap is only in the file
        ((0, 2), (3, 2), ("n0", "1", "n2")),  # the usual reading of the model decides
        ((1, 2), (2,), ("n1", "n2")),
        ((1, 2), (3, 2), ("background", "n1", "n2")),
        ((0, 1), (7,), ("n0", "n1")),  # disagreeing: as it stands, to be refused with both counts
    ],
)
def test_a_numbering_with_gaps_meets_the_number_of_classes(
    numbers: tuple[int, ...], counts: tuple[int, ...], labels: tuple[str, ...]
) -> None:
    assert Labels({number: f"n{number}" for number in numbers}).listed(counts) == labels


def test_coco_s_numbering_fits_a_model_of_80_classes() -> None:
    """COCO's ids run to 90 and leave ten out."""
    left_out = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
    coco = Labels({i: f"class {i}" for i in range(1, 91) if i not in left_out})
    assert len(coco.listed((80, 79))) == 80
    assert len(coco.listed((90, 91))) == 91


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("labels.txt", b"", "holds no labels"),
        ("labels.json", b"[]", "holds no labels"),
        ("labels.json", b"[" * 100_000, "not JSON"),
        ("coco.json", b'{"categories": [{"id": 1}]}', "an id and a name"),
        ("coco.json", b'{"categories": 7}', "an id and a name"),
        ("labels.txt", b"\xff\xfe\x00", "not UTF-8"),
        ("labels.json", b"{", "not JSON"),
        ("labels.json", b"3", "holds no labels"),
        ("labels.json", b'{"a": "b"}', "index is a whole number"),
        ("labels.json", b'{"99999999": "b"}', "indexes of labels run"),
        ("data.yaml", b"names: [a\n", "not YAML"),
    ],
)
def test_what_holds_no_labels_says_so(
    tmp_path: Path, name: str, content: bytes, sentence: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=sentence):
        read_label_file(tmp_path / name)


def test_a_label_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_label_file(tmp_path / "none.txt")
