"""What `vai doctor` looks at: the file, this machine, the server. One module for each."""

from __future__ import annotations

from vai.cli.health.verdict import Line, Verdict

__all__ = ["Line", "Verdict"]
