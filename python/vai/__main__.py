"""`python -m vai`."""

from __future__ import annotations

from vai.cli import main

if __name__ == "__main__":
    main()
