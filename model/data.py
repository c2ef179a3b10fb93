"""The prepared pictures, and the crops of them that training sees."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from common import SIZE, for_network


class Pictures:
    """What prepare.py wrote."""

    def __init__(self, work: Path):
        with np.load(work / "pictures.npz") as file:
            self.names: np.ndarray = file["names"]
            self.paths: np.ndarray = file["paths"]
            self.labels: np.ndarray = file["labels"]
            self.places: np.ndarray = file["places"]
            self.held_out: np.ndarray = file["held_out"]
        self.pixels = np.load(work / "pixels.npy", mmap_mode="r")

    def image(self, index: int) -> Image.Image:
        offset, height, width = self.places[index]
        return Image.fromarray(self.pixels[offset : offset + height * width * 3].reshape(height, width, 3))

    def centre(self, indices: np.ndarray, size: int = SIZE) -> np.ndarray:
        """The middle of each, as the function sees it: [n, size, size, 3]."""
        return np.stack([for_network(self.image(i), size) for i in indices])


def random_box(random: np.random.RandomState, width: int, height: int, smallest: float) -> tuple[float, ...]:
    """A box of `smallest` to all of the area, 3:4 to 4:3: torchvision's RandomResizedCrop."""
    for _ in range(10):
        area = width * height * random.uniform(smallest, 1)
        ratio = np.exp(random.uniform(np.log(3 / 4), np.log(4 / 3)))
        w, h = np.sqrt(area * ratio), np.sqrt(area / ratio)
        if w <= width and h <= height:
            left, top = random.uniform(0, width - w), random.uniform(0, height - h)
            return left, top, left + w, top + h
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


def view(image: Image.Image, box: Sequence[float], mirrored: bool, size: int) -> np.ndarray:
    """What of a picture lies in a box, at another size: [size, size, 3]."""
    cut = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, box=tuple(box)))
    return cut[:, ::-1] if mirrored else cut


class Crops:
    """The random crops of the training pictures that the teachers saw."""

    def __init__(self, work: Path, pictures: Pictures, size: int):
        with np.load(work / "crops.npz") as file:
            boxes, mirrored = file["boxes"], file["mirrored"]
        self.views, self.count = mirrored.shape
        self.pixels = np.lib.format.open_memmap(
            work / f"crops-{size}.npy", mode="w+", dtype=np.uint8, shape=(self.views, self.count, size, size, 3)
        )
        for place, picture in enumerate(np.flatnonzero(~pictures.held_out)):
            image = pictures.image(picture)
            for number in range(self.views):
                self.pixels[number, place] = view(image, boxes[number, place], mirrored[number, place], size)
