"""A torch network as an ONNX graph, in few bytes.

Needs the extra `onnx`: torch's exporter goes through onnxscript, and onnxruntime runs what came of it.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from magdr_core.errors import MagdrError, one_line

INPUT, OUTPUT = "images", "result"


def need_extra() -> None:
    """Raises MagdrError unless the extra is installed."""
    for name in ("onnx", "onnxruntime", "onnxscript"):
        if find_spec(name) is None:
            raise MagdrError(f"ONNX needs {name}, which is not installed: pip install 'magdr[onnx]'")


def exported(
    net: nn.Module, example: Tensor, where: str, outputs: Sequence[str] = (OUTPUT,), *, simplify: bool = True
) -> Any:
    """The model; with an example of more than one image, of any number if that can be.

    Args:
        net: called with images `[B,3,S,S]`, in evaluation mode.
        example: such images.
        where: what an error is about.
        outputs: names of what it returns.
        simplify: have onnxscript compute in advance what depends on no image, which takes minutes for
            thousands of nodes; onnxruntime does that, too, as it reads a file.

    Raises:
        MagdrError: it uses what ONNX does not have.
    """
    level = logging.getLogger("torch.onnx").level
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                net,
                (example,),
                dynamo=True,
                verbose=False,
                input_names=[INPUT],
                output_names=list(outputs),
                optimize=simplify,
                dynamic_shapes=({0: torch.export.Dim.AUTO},) if len(example) > 1 else None,
            )
    except Exception as e:
        raise MagdrError(f"{where}: cannot be made an ONNX file: {one_line(e)[:300]}") from None
    finally:
        logging.getLogger("torch.onnx").setLevel(level)
    assert program is not None
    return program.model_proto


def halved(model: Any) -> bytes:
    """The model with weights in half precision where that changes none, without the exporter's notes."""
    from onnx import TensorProto, helper, numpy_helper

    graph, casts = model.graph, []
    _share_constants(graph)
    for node in graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for weight in graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < 64:
            continue
        half = values.astype(np.float16)
        if not np.array_equal(half.astype(np.float32), values):
            continue
        name = weight.name
        weight.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]
    del model.metadata_props[:]
    content: bytes = model.SerializeToString()
    return content


def _share_constants(graph: Any) -> None:
    """Keep one of all small constants that are alike: of bounds of slices there are thousands."""
    from onnx import numpy_helper

    kept, names, nodes = {}, {}, []
    for node in graph.node:
        if node.op_type != "Constant" or node.attribute[0].name != "value":
            nodes.append(node)
            continue
        value = node.attribute[0].t
        content = (value.data_type, tuple(value.dims), numpy_helper.to_array(value).tobytes())
        if content not in kept:
            kept[content] = node.output[0]
            value.name = node.output[0]
            graph.initializer.append(value)
        names[node.output[0]] = kept[content]
    for node in nodes:
        for i, name in enumerate(node.input):
            node.input[i] = names.get(name, name)
    kept_nodes = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept_nodes)


def session(content: bytes) -> Any:
    """An onnxruntime session of a model, on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # what it cannot compute in advance is no news
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
