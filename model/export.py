"""Step 4: writes the trained network as ONNX: BatchNorm folded into the convolutions, the calibrating
temperature folded into the last layer, the weights in half precision beside the graph."""

import shutil
import time
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, external_data_helper, helper, numpy_helper
from torch.nn import functional as F

from common import BREEDS, HERE, SIZE, arguments, device, make_deterministic, say
from data import Pictures
from network import fold_batch_norms, resnet18
from train import logits_of

NAME = "resnet18-cats"
OPSET, IR = 17, 8


def temperature(logits: torch.Tensor, truth: torch.Tensor) -> float:
    """What to divide logits by, so that probabilities are as often right as they say (Guo et al., On
    Calibration of Modern Neural Networks, 2017): the one with the least log loss."""
    logarithm = torch.zeros(1, requires_grad=True)
    optimiser = torch.optim.LBFGS([logarithm], lr=0.1, max_iter=100)

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = F.cross_entropy(logits / logarithm.exp(), truth)
        loss.backward()
        return loss

    optimiser.step(closure)
    return logarithm.exp().item()


class Graph:
    """An ONNX graph under construction. Weights are stored in half precision and cast when the graph is loaded."""

    def __init__(self) -> None:
        self.nodes, self.weights = [], []

    def weight(self, name: str, value: torch.Tensor) -> str:
        half = value.detach().to(torch.float16).contiguous().numpy()
        self.weights.append(numpy_helper.from_array(half, f"{name}.half"))
        self.nodes.append(helper.make_node("Cast", [f"{name}.half"], [name], name=f"{name}.cast", to=TensorProto.FLOAT))
        return name

    def node(self, op: str, inputs: list[str], name: str, **attributes) -> str:
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def convolve(self, x: str, conv: torch.nn.Conv2d, name: str, relu: bool = False) -> str:
        inputs = [x, self.weight(f"{name}.weight", conv.weight), self.weight(f"{name}.bias", conv.bias)]
        x = self.node(
            "Conv", inputs, name, kernel_shape=list(conv.kernel_size), strides=list(conv.stride), pads=list(conv.padding) * 2
        )
        return self.node("Relu", [x], f"{name}.relu") if relu else x


def graph_of(network: torch.nn.Module, softening: float) -> Graph:
    """ResNet18 with folded BatchNorm, its logits divided by the temperature."""
    graph = Graph()
    x = graph.convolve("image", network.conv1, "conv1", relu=True)
    x = graph.node("MaxPool", [x], "maxpool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    for stage in ("layer1", "layer2", "layer3", "layer4"):
        for number, block in enumerate(getattr(network, stage)):
            name = f"{stage}.{number}"
            y = graph.convolve(x, block.conv1, f"{name}.conv1", relu=True)
            y = graph.convolve(y, block.conv2, f"{name}.conv2")
            if block.downsample is not None:
                x = graph.convolve(x, block.downsample[0], f"{name}.downsample")
            x = graph.node("Add", [y, x], f"{name}.add")
            x = graph.node("Relu", [x], name)
    x = graph.node("GlobalAveragePool", [x], "pool")
    x = graph.node("Flatten", [x], "features")
    fc = network.fc
    inputs = [x, graph.weight("fc.weight", fc.weight / softening), graph.weight("fc.bias", fc.bias / softening)]
    graph.node("Gemm", inputs, "logits", transB=1)
    return graph


def save(graph: Graph, version: str, folder: Path) -> None:
    """Writes NAME.onnx and, beside it, its weights: NAME.onnx.data."""
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            NAME,
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, SIZE, SIZE])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, len(BREEDS)])],
            graph.weights,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR,
        producer_name="purrline",
    )
    helper.set_model_props(model, {"name": NAME, "version": version})
    onnx.checker.check_model(model, full_check=True)
    (folder / f"{NAME}.onnx.data").unlink(missing_ok=True)
    external_data_helper.convert_model_to_external_data(model, location=f"{NAME}.onnx.data", size_threshold=0)
    onnx.save(model, folder / f"{NAME}.onnx")


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--network", default="network.pt", help="name of the trained network in the work folder")
    parser.add_argument("--version", required=True, help="what the API calls this model, say 2026.11")
    parser.add_argument("--folder", type=Path, default=HERE, help="where the model is written")
    args = parser.parse_args()
    make_deterministic(args.seed)
    where, started = device(), time.time()
    pictures = Pictures(args.work)
    network = resnet18()
    network.load_state_dict(torch.load(args.work / args.network))
    network = fold_batch_norms(network.to(where))
    held_out = np.flatnonzero(pictures.held_out)
    logits = logits_of(network, pictures.centre(held_out), where)
    softening = temperature(logits, torch.from_numpy(pictures.labels[held_out]))
    save(graph_of(network.cpu(), softening), args.version, args.folder)
    shutil.copy(args.work / "held-out.txt", args.folder)
    say(f"wrote {NAME}.onnx, temperature {softening:.3f}", started)


if __name__ == "__main__":
    main()
