"""News of a store: every opening and closing once, none of what was there before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edge_agent.policy.documents import About
from edge_agent.service.news import News
from edge_agent.store.query import Reader, open_reader
from edge_agent.store.record import Store, open_store
from edge_agent.store.rows import Batch, Opened
from edge_agent.types import Event, Priority

ABOUT = About("people", "1.0.0", "a" * 64, "litert", "b" * 64)


def event(number: int, **changes: object) -> Event:
    plain = Event(
        id=f"{number:016x}", pipeline="p", source="s", rule="r", priority=Priority.NOTICE,
        label=None, zone=None, text="", opened=1000.0 + number, seen=1000.0 + number, closed=None,
        close_reason=None, score_max=0.5, score_median=0.5, track=None, count=1, box=None, frame=0,
    )  # fmt: skip
    return replace(plain, **changes)  # type: ignore[arg-type]


def closed(number: int) -> Event:
    return event(number, closed=5000.0, close_reason="cleared")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path) as store:
        store.start()
        yield store


@pytest.fixture
def reader(tmp_path: Path, store: Store) -> Iterator[Reader]:
    with open_reader(tmp_path) as reader:
        yield reader


def put(store: Store, *opened: Event, close: tuple[Event, ...] = ()) -> None:
    store.record(Batch(opened=tuple(Opened(each, ABOUT) for each in opened), closed=close))


def told(news: News) -> list[tuple[int, bool]]:
    """(number, whether it is closed) of each piece of news."""
    return [(int(stored.event.id, 16), stored.event.closed is not None) for stored in news.look()]


def test_openings_and_closings_are_told_once(store: Store, reader: Reader) -> None:
    news = News(reader)
    assert told(news) == []
    put(store, event(1), event(2))
    assert told(news) == [(1, False), (2, False)]
    assert told(news) == []
    put(store, event(3), close=(closed(1),))
    assert told(news) == [(1, True), (3, False)]
    assert told(news) == []


def test_what_was_there_is_no_news_but_its_closing_is(store: Store, reader: Reader) -> None:
    put(store, event(1), event(900))  # the first has been open for a quarter of an hour
    news = News(reader)
    assert told(news) == []
    put(store, close=(closed(1),))
    assert told(news) == [(1, True)]
    put(store, close=(closed(900),))
    assert told(news) == [(900, True)]


def test_what_opened_and_closed_in_between_is_told_once(store: Store, reader: Reader) -> None:
    news = News(reader)
    put(store, event(1))
    put(store, close=(closed(1),))
    assert told(news) == [(1, True)]


def test_a_clock_that_was_set_back_hides_no_open_event(store: Store, reader: Reader) -> None:
    put(store, event(5000))
    news = News(reader)
    put(store, event(1))
    assert told(news) == [(1, False)]
    put(store, close=(closed(1),))
    assert told(news) == [(1, True)]
    assert told(news) == []
