"""Write the schema that tests hold `deploy/kubernetes.yaml` against: `python tools/kubernetes_schema.py CRD FOLDER`.

    CRD     `helm-chart/kuberay-operator/crds/ray.io_rayclusters.yaml` of KubeRay (Apache 2.0)
    FOLDER  a strict folder of the package `kubernetes-validate` (Apache 2.0), such as `v1.34.0-local-strict`

Both are far larger than what is used. Of each kind this keeps what the manifest names, at each place where it names it,
and what is required there: any other field is refused, until this program runs again.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
MANIFEST = ROOT / "deploy" / "kubernetes.yaml"
RESULT = ROOT / "tests" / "project" / "kubernetes-schema.json"
Json = dict[str, Any]


def main() -> None:
    crd, folder = Path(sys.argv[1]), Path(sys.argv[2])
    definitions = json.loads((folder / "_definitions.json").read_text(encoding="utf-8"))["$defs"]
    kept: Json = {}
    for document in yaml.safe_load_all(MANIFEST.read_text(encoding="utf-8")):
        kind = document["kind"]
        whole = _read_crd(crd) if kind == "RayCluster" else _find(definitions, document["apiVersion"], kind)
        kept[kind] = _merge(kept.get(kind, {}), _prune(whole, document, definitions))
    lines = (f"{json.dumps(kind)}: {json.dumps(kept[kind], sort_keys=True)}" for kind in sorted(kept))
    RESULT.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def _read_crd(crd: Path) -> Json:
    versions = yaml.safe_load(crd.read_text(encoding="utf-8"))["spec"]["versions"]
    [schema] = [each["schema"]["openAPIV3Schema"] for each in versions if each["name"] == "v1"]
    return dict(schema)


def _find(definitions: Json, version: str, kind: str) -> Json:
    group, _, number = version.rpartition("/")
    ending = f".{group.partition('.')[0] or 'core'}.{number}.{kind}"
    [found] = [schema for name, schema in definitions.items() if name.endswith(ending) and ".api." in name]
    return dict(found)


def _prune(schema: Json, value: object, definitions: Json) -> Json:
    """Return the schema of one value, with the parts that the value has."""
    while "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    if schema.get("x-kubernetes-int-or-string") or "oneOf" in schema:
        return {"type": ["integer", "string"]}
    kept = {
        name: schema[name] for name in ("type", "enum", "pattern", "minimum", "maximum", "minItems") if name in schema
    }
    if isinstance(value, dict) and "properties" in schema:
        known = {name: each for name, each in schema["properties"].items() if name in value}
        kept["properties"] = {name: _prune(each, value[name], definitions) for name, each in known.items()}
        kept["required"], kept["additionalProperties"] = sorted(schema.get("required", [])), False
    elif isinstance(value, dict) and isinstance(schema.get("additionalProperties"), dict):
        kept["additionalProperties"] = {}
        for each in value.values():
            pruned = _prune(schema["additionalProperties"], each, definitions)
            kept["additionalProperties"] = _merge(kept["additionalProperties"], pruned)
    elif isinstance(value, list) and "items" in schema:
        kept["items"] = {}
        for each in value:
            kept["items"] = _merge(kept["items"], _prune(schema["items"], each, definitions))
    return kept


def _merge(one: Json, other: Json) -> Json:
    """Return both in one: what either value has."""
    merged = {**one, **other}
    for name in ("properties", "items", "additionalProperties"):
        if isinstance(one.get(name), dict) and isinstance(other.get(name), dict):
            merged[name] = (
                {key: _merge(one[name].get(key, {}), other[name].get(key, {})) for key in {**one[name], **other[name]}}
                if name == "properties"
                else _merge(one[name], other[name])
            )
    return merged


if __name__ == "__main__":
    main()
