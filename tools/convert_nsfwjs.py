"""Convert the MobileNetV2 of nsfwjs to `generation/engine/checkers/nsfwjs.onnx`. Run once a release of nsfwjs, by hand.

    npm pack nsfwjs@4.3.0
    pip install onnx
    python tools/convert_nsfwjs.py nsfwjs-4.3.0.tgz

The package has weights of one byte each. They become numbers by the scale and the offset of each tensor in float32, as
TensorFlow.js does it: a worker that did so at its start would be ready 0.1 s later. What goes in are pixels in 0..1,
(1, 224, 224, 3), red first; what comes out are five probabilities: drawing, hentai, neutral, porn, sexy. That scores
equal those of nsfwjs itself is tested on frozen ones (`tests/generation/engine/checkers/`), which
`tools/nsfwjs_scores.mjs` prints.
"""

from __future__ import annotations

import base64
import json
import re
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FOLDER = "package/dist/models/mobilenet_v2"
TARGET = Path(__file__).resolve().parents[1] / "generation/engine/checkers"
SIDE = 224


def main(archive: str) -> None:
    with tarfile.open(archive) as files:
        model, weights, licence = (
            files.extractfile(name).read().decode()  # type: ignore[union-attr]
            for name in (f"{FOLDER}/model.min.js", f"{FOLDER}/group1-shard1of1.min.js", "package/LICENSE")
        )
    settings = _read_literal(model)
    shard = base64.b64decode(max(re.findall(r"[A-Za-z0-9+/=]+", weights), key=len))
    graph = Graph(settings["weightsManifest"][0]["weights"], shard)
    for layer in settings["modelTopology"]["model_config"]["config"]["layers"]:
        graph.add(layer["class_name"], layer["name"], layer["config"], layer["inbound_nodes"])
    (TARGET / "nsfwjs.onnx").write_bytes(graph.build().SerializeToString(deterministic=True))
    (TARGET / "nsfwjs.LICENSE.txt").write_text(licence)


def _read_literal(script: str) -> dict[str, Any]:
    """Return the object that the minified script exports, as JSON."""
    start = script.index("a.exports=") + len("a.exports=")
    text = re.sub(r"([{,])([A-Za-z_]\w*):", r'\1"\2":', script[start:])
    text = text.replace(":!0", ":true").replace(":!1", ":false")
    text = re.sub(r"([:\[,]-?)\.(\d)", r"\g<1>0.\2", text)
    found, _ = json.JSONDecoder().raw_decode(text)
    assert isinstance(found, dict)
    return found


class Graph:
    """The network as ONNX nodes, layer by layer of Keras. A layer it does not know is an error."""

    def __init__(self, manifest: list[dict[str, Any]], shard: bytes) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._outputs: dict[str, str] = {}
        self._weights: dict[str, tuple[np.ndarray, float, float]] = {}
        self._pads: dict[str, list[int]] = {}
        offset = 0
        for each in manifest:
            quantization, count = each["quantization"], int(np.prod(each["shape"]))
            assert quantization["dtype"] == "uint8"
            values = np.frombuffer(shard, np.uint8, count, offset).reshape(each["shape"])
            self._weights[each["name"]] = (values, quantization["scale"], quantization["min"])
            offset += count
        assert offset == len(shard)

    def add(self, kind: str, name: str, config: dict[str, Any], inbound: list[Any]) -> None:
        """Add one Keras layer."""
        sources = [self._outputs[each[0]] for each in inbound[0]] if inbound else []
        if kind == "InputLayer":
            self._outputs[name] = self._node("Transpose", ["pixels"], name, perm=[0, 3, 1, 2])
        elif kind == "ZeroPadding2D":
            (top, bottom), (left, right) = config["padding"]
            self._outputs[name], self._pads[sources[0]] = sources[0], [top, left, bottom, right]
        elif kind in ("Conv2D", "DepthwiseConv2D"):
            self._outputs[name] = self._convolve(kind, name, config, sources[0])
        elif kind == "BatchNormalization":
            parts = [self._weight(f"{name}/{part}") for part in ("gamma", "beta", "moving_mean", "moving_variance")]
            epsilon = config["epsilon"]
            self._outputs[name] = self._node("BatchNormalization", [*sources, *parts], name, epsilon=epsilon)
        elif kind == "ReLU":
            assert config["max_value"] == 6
            bounds = [self._constant(f"{name}/{value}", np.float32(value)) for value in (0, 6)]
            self._outputs[name] = self._node("Clip", [*sources, *bounds], name)
        elif kind == "AveragePooling2D":
            self._outputs[name] = self._node("GlobalAveragePool", sources, name)
        elif kind == "Dense":
            parts = [self._weight(f"{name}/{part}") for part in ("kernel", "bias")]
            summed = self._node("Gemm", [*sources, *parts], f"{name}/sum")
            self._outputs[name] = self._node(
                {"relu": "Relu", "softmax": "Softmax"}[config["activation"]], [summed], name
            )
        else:
            plain = {"Add": "Add", "Flatten": "Flatten", "Dropout": "Identity"}[kind]
            self._outputs[name] = self._node(plain, sources, name)
        self._last = name

    def build(self) -> onnx.ModelProto:
        """Return the whole model, checked."""
        self._nodes[-1].output[0] = "probabilities"
        pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [1, SIDE, SIDE, 3])
        result = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [1, 5])
        graph = helper.make_graph(self._nodes, "nsfwjs", [pixels], [result], self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        model.producer_name = "tools/convert_nsfwjs.py"
        onnx.checker.check_model(model, full_check=True)
        return model

    def _convolve(self, kind: str, name: str, config: dict[str, Any], source: str) -> str:
        is_depthwise = kind == "DepthwiseConv2D"
        part, axes = ("depthwise_kernel", (2, 3, 0, 1)) if is_depthwise else ("kernel", (3, 2, 0, 1))
        kernel = self._weight(f"{name}/{part}", axes)
        side, strides = config["kernel_size"][0], config["strides"]
        if config["padding"] == "same":
            assert strides == [1, 1]
            pads = [side // 2] * 4
        else:
            pads = self._pads.pop(source, [0] * 4)
        group = self._weights[f"{name}/{part}"][0].shape[2] if is_depthwise else 1
        return self._node("Conv", [source, kernel], name, strides=strides, pads=pads, group=group)

    def _weight(self, name: str, axes: tuple[int, ...] | None = None) -> str:
        """Return a tensor: bytes times their scale plus their offset, in float32, in this order."""
        values, scale, least = self._weights[name]
        number = values.astype(np.float32) * np.float32(scale) + np.float32(least)
        return self._constant(f"{name}/value", number if axes is None else number.transpose(axes))

    def _constant(self, name: str, value: Any) -> str:
        self._constants.append(
            numpy_helper.from_array(np.ascontiguousarray(value) if np.ndim(value) else np.asarray(value), name)
        )
        return name

    def _node(self, kind: str, inputs: list[str], name: str, **attributes: Any) -> str:
        self._nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name


if __name__ == "__main__":
    main(sys.argv[1])
