"""Step 5: judges the exported model, as ONNX Runtime runs it, on the pictures that training never saw.
Writes evaluation.json, the confusion matrix as a picture, and the figures in README.md."""

import json
import re
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch.nn import functional as F

from common import BREEDS, HERE, arguments, digest, for_network, open_upright, say, MEAN, STD
from data import Pictures
from export import NAME, temperature

BINS = 15


class Model:
    """The exported model, on one picture at a time."""

    def __init__(self, folder: Path):
        self.session = onnxruntime.InferenceSession(folder / f"{NAME}.onnx", providers=["CPUExecutionProvider"])
        self.size = self.session.get_inputs()[0].shape[2]

    def logits(self, path: Path) -> np.ndarray:
        pixels = for_network(open_upright(path), self.size).astype(np.float32) / 255
        x = (pixels - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
        return self.session.run(None, {"image": x.transpose(2, 0, 1)[None]})[0][0]


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def calibration_error(probabilities: np.ndarray, truth: np.ndarray) -> float:
    """Expected calibration error: 15 bins of equal width by the highest probability, weighted by size."""
    sure = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    return float(sum((bins == b).mean() * abs(sure[bins == b].mean() - right[bins == b].mean()) for b in np.unique(bins)))


def cross_fitted(logits: np.ndarray, truth: np.ndarray, seed: int) -> np.ndarray:
    """Probabilities of each half at the temperature that fits the other half."""
    half = np.random.RandomState(seed).permutation(len(truth)) % 2 == 0
    result = np.zeros_like(logits)
    for mine in (half, ~half):
        result[mine] = softmax(logits[mine] / temperature(torch.from_numpy(logits[~mine]), torch.from_numpy(truth[~mine])))
    return result


def interval(right: int, of: int) -> tuple[float, float]:
    """Wilson's 95 % confidence interval of a share."""
    z, p = 1.96, right / of
    middle, width = p + z * z / (2 * of), z * np.sqrt(p * (1 - p) / of + z * z / (4 * of * of))
    return (middle - width) / (1 + z * z / of), (middle + width) / (1 + z * z / of)


def draw_confusion(matrix: np.ndarray, path: Path) -> None:
    """Rows: the breed; columns: the answer."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = NAME
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.5, 6.5))
    axes.imshow(matrix, cmap="Blues")
    names = [breed["name"]["en"] for breed in BREEDS]
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("answer")
    axes.set_ylabel("breed")
    for (row, column), count in np.ndenumerate(matrix):
        if count:
            axes.text(column, row, count, ha="center", va="center", color="white" if count > matrix.max() / 2 else "black")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def write_figures(readme: Path, text: str) -> None:
    """Replaces what stands between the two marks."""
    pattern = re.compile(r"(<!-- figures of evaluate.py -->\n).*?(<!-- end -->)", re.S)
    readme.write_text(pattern.sub(lambda m: m[1] + text + m[2], readme.read_text(encoding="utf-8")), encoding="utf-8")


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--folder", type=Path, default=HERE, help="where the model is, and the figures go")
    parser.add_argument("--not-cats", type=Path, help="folder of pictures that show no cat")
    args = parser.parse_args()
    started = time.time()
    model = Model(args.folder)
    pictures = Pictures(args.work)
    held_out = np.flatnonzero(pictures.held_out)
    truth = pictures.labels[held_out]
    logits = np.stack([model.logits(Path(pictures.paths[i])) for i in held_out])
    probabilities = softmax(logits)
    answers = probabilities.argmax(axis=1)
    right = int((answers == truth).sum())
    low, high = interval(right, len(truth))
    matrix = np.zeros((len(BREEDS), len(BREEDS)), dtype=int)
    np.add.at(matrix, (truth, answers), 1)
    top3 = (np.argsort(-probabilities, axis=1)[:, :3] == truth[:, None]).any(1).mean()
    crossed = calibration_error(cross_fitted(logits, truth, args.seed), truth)
    figures = {
        "model_sha256": {file: digest(args.folder / file) for file in (f"{NAME}.onnx", f"{NAME}.onnx.data")},
        "training_pictures": int((~pictures.held_out).sum()),
        "held_out_pictures": len(truth),
        "top1": right / len(truth),
        "top1_interval": [low, high],
        "top3": float(top3),
        "log_loss": float(F.cross_entropy(torch.from_numpy(logits), torch.from_numpy(truth))),
        "calibration_error": crossed,
        "calibration_error_fitted_on_the_same": calibration_error(probabilities, truth),
        "by_breed": {breed["breed"]: [int(matrix[i, i]), int(matrix[i].sum())] for i, breed in enumerate(BREEDS)},
    }
    rows = "".join(
        f"| {breed['name']['en']} | {matrix[i, i]} of {matrix[i].sum()} | {matrix[i, i] / matrix[i].sum():.0%} |\n"
        for i, breed in enumerate(BREEDS)
    )
    text = (
        f"On {len(truth)} held-out pictures ({figures['training_pictures']} were for training):\n\n"
        f"- right at the first guess: **{right / len(truth):.1%}** (95 % interval {low:.1%} to {high:.1%}); "
        f"among the first three: {top3:.1%}\n"
        f"- expected calibration error, 15 bins: **{crossed:.3f}** (temperature fitted on one half, measured on the "
        f"other, both ways)\n"
    )
    if args.not_cats:
        others = np.stack([model.logits(path) for path in sorted(args.not_cats.rglob("*.jpg"))])
        sure = softmax(others).max(axis=1)
        figures["not_cats"] = {"pictures": len(sure), "median_highest": float(np.median(sure)), "over_0.9": float((sure > 0.9).mean())}
        text += (
            f"- {len(sure)} pictures of dogs: the highest probability is {np.median(sure):.2f} in the median (of cats "
            f"{np.median(probabilities.max(axis=1)):.2f}), above 0.9 in {(sure > 0.9).mean():.0%}\n"
        )
    text += f"\n| breed | right | share |\n|---|---|---|\n{rows}\n![Confusion matrix](confusion.svg)\n"
    (args.folder / "evaluation.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    draw_confusion(matrix, args.folder / "confusion.svg")
    if (args.folder / "README.md").exists():
        write_figures(args.folder / "README.md", text)
    print(text)
    say("evaluated", started)


if __name__ == "__main__":
    main()
