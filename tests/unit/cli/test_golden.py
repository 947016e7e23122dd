"""What Kubernetes' own code prints (golden/generate.go), compared with ours."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from vai.cli.printers import documents, durations
from vai.cli.printers.cells import Column, CustomColumns
from vai.cli.printers.tables import Answer, Style, table_lines
from vai.types import Resource

_FOLDER = Path(__file__).parent / "golden"
_CASES: dict[str, Any] = json.loads((_FOLDER / "cases.json").read_text())
_ANSWERS: dict[str, Any] = json.loads((_FOLDER / "answers.json").read_text())


@dataclass
class Stored:
    key: str
    raw: bytes
    cells: bytes | None = None
    redacted: bool = False


@pytest.mark.parametrize(
    ("age_ms", "text"), list(zip(_CASES["durations_ms"], _ANSWERS["durations"], strict=True))
)
def test_an_age_is_written_as_human_duration_writes_it(age_ms: int, text: str) -> None:
    assert durations.human(age_ms / 1000) == text


@pytest.mark.parametrize(
    ("kind", "path", "cell"),
    [(*case, cell) for case, cell in zip(_CASES["columns"], _ANSWERS["cells"], strict=True)],
)
def test_a_printer_column_has_the_value_that_kube_apiserver_computes(
    kind: str, path: str, cell: Any
) -> None:
    custom = CustomColumns([{"name": "Column", "type": kind, "jsonPath": path}])
    if cell == {"error": "path"}:
        assert [column.name for column in custom.columns] == ["Name"]
        return
    ours = custom.cells(_CASES["object"], now_s=0.0)
    assert json.loads(json.dumps(ours[1])) == cell
    assert type(ours[1]) is type(cell)


@pytest.mark.parametrize(
    ("case", "printed"), list(zip(_CASES["tables"], _ANSWERS["tables"], strict=True))
)
def test_a_table_is_laid_out_as_kubectl_does_it(case: dict[str, Any], printed: str) -> None:
    kind = case.get("kind", "")
    answer = Answer(
        resource=Resource(
            group=case.get("group", ""), version="v1", plural="things", kind=kind or "Thing"
        ),
        rows=[
            _stored(cells, item) for cells, item in zip(case["rows"], case["objects"], strict=True)
        ],
        # No column is relative to now in these cases: their "Age" is taken as it is.
        columns=[
            msgspec.structs.replace(msgspec.convert(one, Column), type="text")
            if one["name"] == "Age"
            else msgspec.convert(one, Column)
            for one in case["columns"]
        ],
    )
    style = Style(
        wide=case.get("wide", False),
        with_namespace=case.get("namespace", False),
        with_kind=bool(kind),
        show_labels=case.get("labels", False),
        headers=not case.get("no_headers", False),
    )
    assert "".join(f"{line}\n" for line in table_lines(answer, style, now_s=0.0)) == printed


def _stored(cells: list[Any], item: dict[str, Any]) -> Stored:
    namespace = item["metadata"].get("namespace", "")
    name = item["metadata"]["name"]
    return Stored(f"{namespace}/{name}", json.dumps(item).encode(), json.dumps(cells).encode())


@pytest.mark.parametrize(
    ("value", "text"), list(zip(_CASES["yaml"], _ANSWERS["yaml"], strict=True))
)
def test_yaml_is_written_as_kubectl_writes_it(value: Any, text: str) -> None:
    raw = json.dumps(value).encode()
    assert documents.yaml_object(Stored("a/b", raw)).decode() == text
