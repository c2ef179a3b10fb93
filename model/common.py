"""What the four steps share: breeds, the split, images, the networks."""

import argparse
import hashlib
import json
import os
import random
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

HERE = Path(__file__).resolve().parent
BREEDS = json.loads((HERE / "breeds.json").read_text(encoding="utf-8"))
"""The labels: a breed's place in this list is its place in the network's output."""

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""ImageNet's, which the pretrained weights expect."""

SIZE = 192
"""Pixels a side that the network sees. Cost grows with its square; the README of this folder says why 192."""



def resized(size: int) -> int:
    """The short side of a picture whose middle the network sees: the margin that is cut off is a thirteenth.
    Training sees parts only, larger than life, so what it is tested on should be a little larger too (Touvron et al.,
    Fixing the train-test resolution discrepancy, 2019)."""
    return size * 13 // 12


PREPARED = 256
"""Pixels of the short side of the images that training reads: crops are cut from these."""

HELD_OUT = 0.15
"""The share of each breed that training never sees."""


def arguments(description: str) -> argparse.ArgumentParser:
    """The options that every step has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--work", type=Path, default=HERE / "work", help="folder for intermediate results")
    parser.add_argument("--seed", type=int, default=20, help="seed of the split and of all that is random")
    return parser


def make_deterministic(seed: int) -> None:
    """The same seed gives the same model on the same machine with the same number of threads."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.set_num_threads(os.cpu_count() or 1)


def device() -> torch.device:
    """A GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def say(text: str, started: float | None = None) -> None:
    """A line of progress, at once."""
    took = "" if started is None else f" ({time.time() - started:.0f} s)"
    print(f"{text}{took}", flush=True)


def breed_of_folder(name: str) -> int | None:
    """Russian_Blue, russian-blue and "Russian Blue" are one breed."""
    wanted = name.lower().replace("_", "-").replace(" ", "-")
    return next((i for i, breed in enumerate(BREEDS) if breed["breed"] == wanted), None)


def open_upright(path: Path) -> Image.Image:
    """The picture as a person sees it: EXIF orientation obeyed, transparency over white, RGB."""
    image = ImageOps.exif_transpose(Image.open(path))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def short_side_to(image: Image.Image, size: int) -> Image.Image:
    """torchvision's Resize(size): bilinear with antialiasing, the long side truncated to an integer."""
    width, height = image.size
    short, long = min(width, height), max(width, height)
    other = int(size * long / short)
    return image.resize((size, other) if width <= height else (other, size), Image.Resampling.BILINEAR)


def centre_crop(image: Image.Image, size: int) -> Image.Image:
    """torchvision's CenterCrop(size)."""
    width, height = image.size
    left, top = round((width - size) / 2), round((height - size) / 2)
    return image.crop((left, top, left + size, top + size))


def for_network(image: Image.Image, size: int = SIZE) -> np.ndarray:
    """What the function feeds its network, as bytes: [size, size, 3]."""
    return np.asarray(centre_crop(short_side_to(image, resized(size)), size))


def normalise(batch: torch.Tensor) -> torch.Tensor:
    """Bytes [n, h, w, 3] to the network's input [n, 3, h, w]."""
    x = batch.permute(0, 3, 1, 2).float() / 255
    mean = torch.tensor(MEAN, device=x.device).view(1, 3, 1, 1)
    std = torch.tensor(STD, device=x.device).view(1, 3, 1, 1)
    return ((x - mean) / std).contiguous(memory_format=torch.channels_last)


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
