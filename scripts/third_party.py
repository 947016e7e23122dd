"""Write LICENSE-THIRD-PARTY: the notices of the Rust crates that are compiled into the wheel.

Their licenses ask for it in every copy. `--check` says whether the committed file is current.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUTPUT = ROOT / "LICENSE-THIRD-PARTY"
# What release.yml builds for.
TARGETS = (
    "x86_64-unknown-linux-gnu",
    "aarch64-unknown-linux-gnu",
    "x86_64-unknown-linux-musl",
    "aarch64-unknown-linux-musl",
    "x86_64-apple-darwin",
    "aarch64-apple-darwin",
)
NOTICE = re.compile(r"(LICEN[CS]E|COPYING|COPYRIGHT|NOTICE|UNLICENSE)", re.IGNORECASE)
# Apache's own text is in LICENSE already; zstd offers BSD beside the GPL, and is taken under BSD.
LEFT_OUT = re.compile(r"\A\s*(Apache License|GNU GENERAL PUBLIC LICENSE)", re.IGNORECASE)


def cargo(*arguments: str) -> str:
    """Cargo's stdout; its own message if it fails."""
    done = subprocess.run(["cargo", *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE)
    return done.stdout.decode()


def linked() -> set[tuple[str, str]]:
    """(name, version) of what ends up in the extension module: no proc macros, no build scripts."""
    targets = [word for target in TARGETS for word in ("--target", target)]
    tree = cargo(
        *("tree", "--locked", "--quiet", "--package", "vai-py", "--edges", "normal,no-proc-macro"),
        *("--prefix", "none", "--format", "{p}", *targets),
    )
    lines = {line.split(" (")[0] for line in tree.splitlines() if line}
    return {(name, version.removeprefix("v")) for name, version in map(str.split, sorted(lines))}


def notices(folder: Path, license_name: str) -> list[str]:
    """The license texts of a crate and of the C sources it brings."""
    found = [*folder.glob("*"), *folder.glob("zstd/*")]
    texts = [
        path.read_text() for path in sorted(found) if path.is_file() and NOTICE.match(path.name)
    ]
    kept = [text.strip() for text in texts if not LEFT_OUT.match(text)]
    if not kept and "Apache-2.0" not in license_name:
        raise SystemExit(f"{folder}: licensed as {license_name}, but no such text is found")
    return kept or ["The Apache License 2.0, as in LICENSE."]


def render() -> str:
    """The whole file: each distinct text once, under the crates that it belongs to."""
    metadata = json.loads(cargo("metadata", "--locked", "--format-version", "1"))
    wanted = linked()
    owners: defaultdict[str, list[str]] = defaultdict(list)
    for package in metadata["packages"]:
        name, version = package["name"], package["version"]
        if (name, version) not in wanted or package["source"] is None:
            continue
        for text in notices(Path(package["manifest_path"]).parent, package["license"]):
            owners[text].append(f"{name} {version} ({package['license']})")
    parts = [
        "\n".join([*sorted(names), "", text])
        for text, names in sorted(owners.items(), key=lambda item: sorted(item[1]))
    ]
    head = "The extension module contains these Rust crates, and SQLite (public domain)."
    return f"\n\n{'-' * 80}\n".join([head, *parts]) + "\n"


def main(arguments: list[str]) -> int:
    """Write the file, or with ``--check`` compare it."""
    rendered = render()
    if arguments == ["--check"]:
        if OUTPUT.read_text() == rendered:
            return 0
        print(f"{OUTPUT.name} is behind Cargo.lock: run `make licenses`")
        return 1
    OUTPUT.write_text(rendered)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
