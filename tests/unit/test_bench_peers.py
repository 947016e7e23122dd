"""The contenders of bench/peers in Python answer as a loop over plain values does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.peers import data
from bench.peers.baselines import Dict, Sqlite
from bench.peers.measured import Cell, check
from bench.peers.questions import Question
from bench.peers.serve import Peer
from bench.peers.vai_peer import Vai

PODS = 300


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data.prepare(tmp_path_factory.mktemp("peers"), PODS, "unique")


@pytest.fixture(scope="module", params=[Dict, Sqlite, Vai], ids=["dict", "sqlite", "vai"])
def peer(
    request: pytest.FixtureRequest, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Peer]:
    make: Callable[[Path], Peer] = request.param
    loaded = make(tmp_path_factory.mktemp("work"))
    loaded.load(path.read_bytes() for path in sorted(folder.glob("page-*.json")))
    loaded.apply((folder / "burst.jsonl").read_bytes().splitlines(keepends=True))
    yield loaded
    loaded.close()


def answered(peer: Peer, question: Question, work: Path) -> str:
    """What is wrong with the answer."""
    answers = list(peer.walk(question)) if question.walk else [peer.ask(question)]
    pages = b",".join(body for _, body, _ in answers)
    (work / "answer.json").write_bytes(b"[" + pages + b"]")
    (work / "facets.json").write_text(json.dumps(answers[0][2]))
    return check(question, {"total": answers[0][0]}, work)


def test_every_question_is_answered_as_by_the_loop(
    peer: Peer, folder: Path, tmp_path: Path
) -> None:
    for question in data.read_questions(folder):
        wrong = answered(peer, question, tmp_path)
        assert not wrong, f"{question.name}: {wrong}"


def test_a_wrong_answer_is_seen(folder: Path, tmp_path: Path) -> None:
    question = data.read_questions(folder)[0]
    assert question.expected is not None
    (tmp_path / "facets.json").write_text("{}")
    (tmp_path / "answer.json").write_text('[{"items":[]}]')
    assert check(question, {"total": 1}, tmp_path) == "total 1"
    assert check(question, {"total": question.expected.total}, tmp_path) == "other page (0 of 100)"


def test_the_99th_percentile_is_the_nearest_rank() -> None:
    assert Cell(seconds=[float(n) for n in range(1, 101)]).p99 == 99
    assert Cell(seconds=[3, 1, 2]).p99 == 3
    assert Cell(seconds=[1]).p99 is None
