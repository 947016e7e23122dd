"""A custom resource: its definition, and objects of it."""

from __future__ import annotations

from collections.abc import Iterator

from tests.apiserver.basics import Json, metadata, namespace_names, random_for

WIDGET_GROUP = "shop.example.com"
WIDGETS_PATH = f"/apis/{WIDGET_GROUP}/v1/widgets"


def widget_crd() -> Json:
    """A namespaced CRD with two versions, printer columns and selectable fields."""
    columns = [
        {"name": "Color", "type": "string", "jsonPath": ".spec.color"},
        {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
        {
            "name": "Ready",
            "type": "string",
            "jsonPath": '.status.conditions[?(@.type=="Ready")].status',
        },
        {"name": "Parts", "type": "string", "jsonPath": ".spec.parts[*].name", "priority": 1},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]
    version = {
        "served": True,
        "schema": {"openAPIV3Schema": _widget_schema()},
        "subresources": {"status": {}},
        "additionalPrinterColumns": columns,
        "selectableFields": [{"jsonPath": ".spec.color"}, {"jsonPath": ".spec.size"}],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{WIDGET_GROUP}"},
        "spec": {
            "group": WIDGET_GROUP,
            "scope": "Namespaced",
            "names": {
                "plural": "widgets",
                "singular": "widget",
                "kind": "Widget",
                "listKind": "WidgetList",
                "shortNames": ["wdg"],
                "categories": ["all", "shop"],
            },
            "versions": [
                {"name": "v1", "storage": True} | version,
                {"name": "v1beta1", "storage": False} | version,
            ],
        },
    }


def _widget_schema() -> Json:
    text = {"type": "string"}
    part = {"type": "object", "properties": {"name": text, "price": text}}
    condition = {
        "type": "object",
        "properties": {"type": text, "status": text, "reason": text, "lastTransitionTime": text},
    }
    spec = {
        "type": "object",
        "required": ["color"],
        "properties": {
            "color": text,
            "size": {"type": "integer", "minimum": 0},
            "parts": {"type": "array", "items": part},
            "extra": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        },
    }
    status = {
        "type": "object",
        "properties": {"phase": text, "conditions": {"type": "array", "items": condition}},
    }
    return {"type": "object", "properties": {"spec": spec, "status": status}}


def widgets(count: int, seed: int = 0, *, namespace_count: int = 10) -> Iterator[Json]:
    """Objects of `widget_crd`."""
    names = namespace_names(namespace_count)
    for index in range(count):
        numbers = random_for(seed, "widget", index)
        color = numbers.choice(("red", "green", "blue", "grey"))
        parts = [
            {"name": f"part-{i}", "price": f"{numbers.randrange(1, 500)}.{i}0"}
            for i in range(numbers.randrange(1, 5))
        ]
        ready = numbers.random() < 0.8
        meta = metadata(
            numbers, f"widget-{index:05d}", names[index % len(names)], labels={"color": color}
        )
        condition = {
            "type": "Ready",
            "status": "True" if ready else "False",
            "reason": "Assembled" if ready else "PartsMissing",
            "lastTransitionTime": meta["creationTimestamp"],
        }
        yield {
            "apiVersion": f"{WIDGET_GROUP}/v1",
            "kind": "Widget",
            "metadata": meta,
            "spec": {
                "color": color,
                "size": numbers.randrange(100),
                "parts": parts,
                "extra": {"note": "naïve café ☕", "ratio": numbers.random()},
            },
            "status": {"phase": "Active" if ready else "Pending", "conditions": [condition]},
        }
