"""What one classification costs, of a 200 KB JPEG: the function's own code path (decode, resize, network) against
ONNX Runtime, in turn, pinned to one core, in CPU milliseconds. See model/bench."""

import argparse
import io
import json
import math
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from PIL import Image, ImageDraw

HERE = Path(__file__).resolve().parent
STANDARD = 224
"""Pixels a side of the ResNet18 that the literature and torchvision mean."""

MALLOC = dict(re.findall(r'(MALLOC_\w+): "(\d+)"', (HERE.parent / "template.yaml").read_text(encoding="utf-8")))
"""How memory is managed: as template.yaml sets it for the function."""

FULL_MB, MEMORIES_MB = 1769, (128, 256, 512, 1024, 1769)
"""At how much memory a Lambda function has a whole processor; with less, it has as much less of one. From "Configure
Lambda function memory" in AWS's documentation."""
DOLLARS_PER_GB_S = 0.0000166667
"""What x86-64 costs in us-east-1, without the 0.20 dollars of a million requests."""


def photo(size: int = 200_000, width: int = 1280, height: int = 960) -> bytes:
    """A JPEG of about `size` bytes, drawn and strewn with noise."""
    random = np.random.RandomState(1)
    image = Image.new("RGB", (width, height), "#8a7f6d")
    draw = ImageDraw.Draw(image)
    for _ in range(400):
        x, y, r = random.randint(0, width), random.randint(0, height), random.randint(5, 120)
        draw.ellipse((x - r, y - r, x + r, y + r), fill=tuple(int(c) for c in random.randint(0, 256, 3)))
    noise = random.randint(-12, 13, (height, width, 3))
    image = Image.fromarray(np.clip(np.asarray(image).astype(int) + noise, 0, 255).astype(np.uint8))
    low, high = 1, 99
    while low < high:
        middle = (low + high + 1) // 2
        if len(encode(image, middle)) <= size:
            low = middle
        else:
            high = middle - 1
    return encode(image, low)


def encode(image: Image.Image, quality: int) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def session(side: int | None) -> onnxruntime.InferenceSession:
    """The model in ONNX Runtime, single precision, one thread; at another size of its input."""
    model = onnx.load(HERE / "resnet18-cats.onnx")
    if side is not None:
        for dimension in model.graph.input[0].type.tensor_type.shape.dim[2:]:
            dimension.dim_value = side
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


class Function:
    """The function's code path in a process of its own: one classification a line of input."""

    def __init__(self, program: str, image: Path):
        self.process = subprocess.Popen(
            [program, str(HERE), str(image)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | MALLOC,
        )
        self.ready = self.answer()

    def answer(self) -> dict:
        return json.loads(self.process.stdout.readline())

    def classify(self) -> float:
        """CPU milliseconds of one classification."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.answer()["cpu_ms"]

    def end(self) -> dict:
        self.process.stdin.close()
        result = self.answer()
        self.process.wait(timeout=10)
        return result


def run(onnx_session: onnxruntime.InferenceSession, x: np.ndarray) -> float:
    started = time.process_time()
    onnx_session.run(None, {"image": x})
    return (time.process_time() - started) * 1000


def on_lambda(classify_ms: float, start_ms: float) -> None:
    """What that comes to with Lambda's share of a processor. Calculated, not measured there."""
    print(f"\ncalculated for Lambda, of which {FULL_MB} MB have one such core:")
    print(f"{'MB':>6} {'photo ms':>10} {'start ms':>10} {'$ a million photos':>20}")
    for memory in MEMORIES_MB:
        slower = FULL_MB / memory
        dollars = math.ceil(classify_ms * slower) / 1000 * memory / 1024 * DOLLARS_PER_GB_S * 1_000_000
        print(f"{memory:>6} {classify_ms * slower:>10.0f} {start_ms * slower:>10.0f} {dollars:>20.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", required=True, help="the built example classify_once")
    parser.add_argument("--work", type=Path, required=True, help="folder for the image")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--starts", type=int, default=9, help="starts of the process, for the time until it is ready")
    args = parser.parse_args()
    core = min(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})

    image = args.work / "photo.jpg"
    data = photo()
    image.write_bytes(data)
    sessions = {f"ONNX Runtime, {STANDARD} px, network alone": session(STANDARD), "ONNX Runtime, our size, network alone": session(None)}
    inputs = {
        name: np.random.RandomState(2).randn(*s.get_inputs()[0].shape).astype(np.float32) for name, s in sessions.items()
    }
    starts = []
    for _ in range(args.starts):
        function = Function(args.program, image)
        starts.append(function.ready["cpu_ms"])
        function.end()
    function = Function(args.program, image)
    side = sessions["ONNX Runtime, our size, network alone"].get_inputs()[0].shape[2]
    ours = f"Purrline, {side} px, decode of {len(data) // 1000} KB and all"
    times: dict[str, list[float]] = {ours: [], **{name: [] for name in sessions}}
    for round_number in range(args.rounds + 5):
        measured = {ours: function.classify(), **{name: run(s, inputs[name]) for name, s in sessions.items()}}
        if round_number >= 5:
            for name, value in measured.items():
                times[name].append(value)
    ended = function.end()

    standard = times[f"ONNX Runtime, {STANDARD} px, network alone"]
    print(f"core {core}, {args.rounds} rounds, in turn; CPU milliseconds")
    print(f"{'':48} {'median':>8} {'p95':>8} {'ratio':>8}")
    for name, values in times.items():
        ratio = statistics.median(mine / theirs for mine, theirs in zip(values, standard))
        p95 = statistics.quantiles(values, n=20)[-1]
        print(f"{name:48} {statistics.median(values):8.2f} {p95:8.2f} {ratio:8.2f}")
    print(f"start to ready, {args.starts} starts: {statistics.median(starts):.0f} ms of CPU in the median, {max(starts):.0f} at most")
    print(f"peak memory of the process: {ended['peak_kib'] / 1024:.1f} MiB")
    on_lambda(statistics.median(times[ours]), statistics.median(starts))
    ratio = statistics.median(a / b for a, b in zip(times[ours], standard))
    sys.exit(0 if ratio <= 1 else 1)


if __name__ == "__main__":
    main()
