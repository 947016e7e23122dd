"""A durable, queryable local copy of Kubernetes resources."""

from __future__ import annotations

from importlib.metadata import version

__version__ = version("vai-cache")
