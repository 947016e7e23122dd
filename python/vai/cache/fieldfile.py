"""A file of fields to index: TOML, a table per resource and a line per path.

```toml
[pods]
".spec.priority" = "int"
".spec.containers[*].image" = "text"
".metadata.annotations[example.com/teams]" = { type = "text", many = false }

["certificates.cert-manager.io"]
".status.notAfter" = "time"
```
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from vai.errors import InvalidRequestError
from vai.store import field_name
from vai.types import FieldAsk

#: A file of fields is written by hand; beyond this it is another file.
_MAX_BYTES: Final = 1 << 20
_KEYS: Final = frozenset({"type", "many"})


def read_fields(path: str | os.PathLike[str]) -> tuple[FieldAsk, ...]:
    """The fields that the file asks for; nothing of them is kept that would be refused later.

    Raises:
        InvalidRequestError: the file is missing, or what it says is wrong; the message names the
            file, the table and the key.
    """
    where = Path(path)
    try:
        if where.stat().st_size > _MAX_BYTES:
            raise InvalidRequestError(f"{where}: too large for a file of fields")
        tables = tomllib.loads(where.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequestError(f"{where}: can't be read as a file of fields: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise InvalidRequestError(f"{where}: not TOML: {error}") from None
    return tuple(_asks(where, tables))


def _asks(where: Path, tables: dict[str, Any]) -> Iterator[FieldAsk]:
    for resource, table in tables.items():
        place = f"{where}: [{_quoted(resource)}]"
        if not isinstance(table, dict):
            raise InvalidRequestError(
                f"{where}: {resource}: write a table per resource, with a line per path: "
                f'[{_quoted(resource)}] and ".spec.nodeName" = "text"'
            )
        seen: dict[str, str] = {}
        for path, value in table.items():
            line = f'{place} "{path}"'
            ask = _ask(resource, path, value, line)
            try:
                name = field_name(ask.path, ask.type, ask.many)
            except InvalidRequestError as error:
                raise InvalidRequestError(f"{line}: {error}") from None
            if name in seen:
                raise InvalidRequestError(f'{line}: the same field as "{seen[name]}"')
            seen[name] = path
            yield ask


def _ask(resource: str, path: str, value: object, line: str) -> FieldAsk:
    match value:
        case str():
            return FieldAsk(resource=resource, path=path, type=value, place=line)
        case dict():
            unknown = sorted(value.keys() - _KEYS)
            if unknown:
                raise InvalidRequestError(
                    f"{line}: no such key {unknown[0]!r}; there are `type` and `many`"
                )
            kind, many = value.get("type", "text"), value.get("many")
            if not isinstance(kind, str):
                raise InvalidRequestError(f"{line}: type: write the name of a type, as text or int")
            if not isinstance(many, bool | None):
                raise InvalidRequestError(f"{line}: many: write true or false")
            return FieldAsk(resource=resource, path=path, type=kind, many=many, place=line)
        case _:
            raise InvalidRequestError(
                f'{line}: write a type, as in "{path}" = "int", or '
                '{ type = "int", many = true }; a path with dots goes in quotes'
            )


def _quoted(name: str) -> str:
    return f'"{name}"' if "." in name else name
