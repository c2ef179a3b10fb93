"""Step 3: trains ResNet18 on the crops, to the labels and to what the teachers say and see."""

import argparse
import copy
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from common import BREEDS, SIZE, arguments, device, make_deterministic, normalise, say
from data import Crops, Pictures
from network import measure_batch_norms, pretrained, resnet18

BATCH = 64
RATES = {"conv1": 1e-4, "bn1": 1e-4, "layer1": 1e-4, "layer2": 2e-4, "layer3": 4e-4, "layer4": 1.5e-3, "fc": 1.5e-3}
"""Highest learning rate of each part: what is trained already moves less."""
DECAY = 0.05
AVERAGE = 0.998
"""The model is the moving average of the weights."""
LABEL, SEEN = 0.4, 4.0
"""Share of the label in the target (the rest is the teachers' word), weight of the teachers' description."""


def augment(crops: torch.Tensor, random: np.random.RandomState) -> torch.Tensor:
    """Mirrors half, varies brightness, contrast and colour by a fifth, and hides a patch of a quarter of them.
    [n, 3, h, w], normalised."""
    n, _, height, width = crops.shape
    flags = torch.from_numpy(random.rand(n) < 0.5)
    crops = torch.where(flags.view(n, 1, 1, 1).to(crops.device), crops.flip(3), crops)

    def factor() -> torch.Tensor:
        return torch.from_numpy(random.uniform(0.8, 1.2, (n, 1, 1, 1)).astype(np.float32)).to(crops.device)

    grey = crops.mean(1, keepdim=True)
    crops = grey + (crops - grey) * factor()
    mean = crops.mean((1, 2, 3), keepdim=True)
    crops = mean + (crops - mean) * factor()
    crops = crops + (factor() - 1) * 2
    for i in np.flatnonzero(random.rand(n) < 0.25):
        h, w = random.randint(height // 8, height // 2), random.randint(width // 8, width // 2)
        top, left = random.randint(0, height - h), random.randint(0, width - w)
        crops[i, :, top : top + h, left : left + w] = 0
    return crops


def mix(x: torch.Tensor, targets: torch.Tensor, random: np.random.RandomState) -> tuple[torch.Tensor, torch.Tensor]:
    """CutMix or MixUp with the batch in another order."""
    order = torch.from_numpy(random.permutation(len(x))).to(x.device)
    if random.rand() < 0.5:
        share = random.beta(1, 1)
        side = np.sqrt(1 - share)
        size = x.shape[2]
        h = w = int(size * side)
        top, left = random.randint(0, size - h + 1), random.randint(0, size - w + 1)
        x = x.clone()
        x[:, :, top : top + h, left : left + w] = x[order][:, :, top : top + h, left : left + w]
        share = 1 - h * w / size**2
    else:
        share = random.beta(0.4, 0.4)
        x = share * x + (1 - share) * x[order]
    return x, share * targets + (1 - share) * targets[order]


class Averaged:
    """A moving average of a network's weights and statistics."""

    def __init__(self, network: torch.nn.Module):
        self.state = {name: value.detach().clone() for name, value in network.state_dict().items()}
        self.steps = 0

    @torch.no_grad()
    def update(self, network: torch.nn.Module) -> None:
        self.steps += 1
        keep = min(AVERAGE, self.steps / (self.steps + 10))
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                self.state[name].lerp_(value, 1 - keep)
            else:
                self.state[name].copy_(value)

    def network(self) -> torch.nn.Module:
        network = resnet18()
        network.load_state_dict(self.state)
        return network


@torch.no_grad()
def logits_of(network: torch.nn.Module, images: np.ndarray, where: torch.device) -> torch.Tensor:
    network.eval()
    batches = (torch.from_numpy(images[i : i + 64]) for i in range(0, len(images), 64))
    return torch.cat([network(normalise(batch.to(where))).cpu() for batch in batches])


@dataclass(frozen=True)
class Stage:
    """A part of the training, at a size of its own: most of what there is to learn is learnt from small crops,
    in half the time (progressive resizing)."""

    size: int
    """Pixels a side of what the network sees."""
    epochs: int
    """Times that every picture is seen."""
    rate: float
    """Factor on all learning rates."""
    mixed: float
    """Share of batches that CutMix or MixUp mixes."""
    runs: int
    """How often it is run, each time by another seed; the result is the mean of their weights (Wortsman et
    al., Model soups, 2022)."""


STAGES = (
    Stage(size=160, epochs=60, rate=1.0, mixed=0.5, runs=1),
    Stage(size=SIZE, epochs=20, rate=0.4, mixed=0.25, runs=2),
)


def train(stage: Stage, network: torch.nn.Module | None, seed: int, args: argparse.Namespace) -> torch.nn.Module:
    """Trains a network, or one from ImageNet's weights."""
    make_deterministic(seed)
    where, started = device(), time.time()
    random = np.random.RandomState(seed)
    pictures = Pictures(args.work)
    crops = Crops(args.work, pictures, stage.size)
    taught = torch.load(args.work / "teachers.pt")
    labels = torch.from_numpy(pictures.labels[~pictures.held_out])
    targets = LABEL * F.one_hot(labels, len(BREEDS)).float() + (1 - LABEL) * taught["logits"].softmax(2)
    features = taught["features"]
    held_out = np.flatnonzero(pictures.held_out)
    centres, truth = pictures.centre(held_out, stage.size), torch.from_numpy(pictures.labels[held_out])

    if network is None:
        network, new = pretrained(args.weights)
        network.to(where)
        some = np.concatenate([crops.pixels[view, ::8] for view in range(2)])
        measure_batch_norms(network, normalise(torch.from_numpy(some).to(where)))
        say(f"from nothing: {', '.join(sorted(new))}", started)
    network.to(where)
    describe = torch.nn.Linear(512, features.shape[2]).to(where)
    groups = [(getattr(network, part), rate) for part, rate in RATES.items()] + [(describe, RATES["fc"])]
    steps = stage.epochs * (crops.count // BATCH)
    optimiser = torch.optim.AdamW([{"params": list(part.parameters())} for part, _ in groups], weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser,
        [stage.rate * rate for _, rate in groups],
        total_steps=steps,
        pct_start=0.1,
        div_factor=20,
        cycle_momentum=False,
    )
    averaged = Averaged(network)
    seen = {}
    hook = network.avgpool.register_forward_hook(lambda _module, _inputs, output: seen.update(pooled=output.flatten(1)))

    for epoch in range(stage.epochs):
        network.train()
        total = 0.0
        order = random.permutation(crops.count)
        for start in range(0, crops.count - BATCH + 1, BATCH):
            chosen = order[start : start + BATCH]
            which = random.randint(0, crops.views, BATCH)
            batch = torch.from_numpy(np.stack([crops.pixels[v, i] for v, i in zip(which, chosen)])).to(where)
            x = augment(normalise(batch), random)
            target = targets[which, chosen].to(where)
            mixed = random.rand() < stage.mixed
            if mixed:
                x, target = mix(x, target, random)
            x = x.contiguous(memory_format=torch.channels_last)
            with torch.autocast(where.type, torch.bfloat16):
                logits = network(x)
                described = describe(seen["pooled"])
            loss = F.cross_entropy(logits.float(), target)
            if not mixed:
                wanted = features[which, chosen].float().to(where)
                loss = loss + SEEN * (1 - F.cosine_similarity(described.float(), wanted)).mean()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimiser.step()
            schedule.step()
            averaged.update(network)
            total += loss.item()
        if (epoch + 1) % 5 == 0 or epoch + 1 == stage.epochs:
            right = (logits_of(averaged.network().to(where), centres, where).argmax(1) == truth).float().mean().item()
            loss = total / (crops.count // BATCH)
            say(f"{stage.size} px, epoch {epoch + 1} of {stage.epochs}: loss {loss:.3f}, held out {right:.1%}", started)
    hook.remove()
    return averaged.network()


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--weights", type=Path, help="ImageNet weights of ResNet18 (.npz); otherwise torchvision's are downloaded")
    parser.add_argument("--stage", type=int, default=1, help="the stage to begin with, if those before it are done")
    args = parser.parse_args()
    network = None
    for number, stage in enumerate(STAGES, 1):
        states = []
        for run in range(stage.runs):
            file = args.work / f"stage-{number}-{run}.pt"
            if number >= args.stage:
                trained = train(stage, copy.deepcopy(network), args.seed + run, args)
                torch.save(trained.state_dict(), file)
            states.append(torch.load(file))
        network = resnet18()
        network.load_state_dict(mean(states))
    torch.save(network.state_dict(), args.work / "network.pt")


def mean(states: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The mean of networks' weights and statistics."""
    return {
        name: torch.stack([state[name] for state in states]).mean(0) if value.is_floating_point() else value
        for name, value in states[0].items()
    }


if __name__ == "__main__":
    main()
