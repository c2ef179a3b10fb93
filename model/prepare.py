"""Step 1: reads a folder of <Breed>/*.jpg (or the Oxford-IIIT Pet download), sets aside what training
never sees, and writes the images at the size that training cuts from."""

import tarfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from common import BREEDS, HELD_OUT, PREPARED, arguments, breed_of_folder, open_upright, say


def images_in(folder: Path) -> list[tuple[Path, int]]:
    """Every picture of a known breed, with its label. Oxford's own layout is images/<Breed>_<n>.jpg."""
    archive = folder / "images.tar.gz"
    if archive.exists() and not (folder / "images").exists():
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    oxford = folder / "images"
    found = []
    if oxford.is_dir():
        for path in sorted(oxford.glob("*.jpg")):
            breed = breed_of_folder(path.stem.rsplit("_", 1)[0])
            if breed is not None:
                found.append((path, breed))
    else:
        for path in sorted(p for ext in ("jpg", "jpeg", "png", "webp") for p in folder.glob(f"*/*.{ext}")):
            breed = breed_of_folder(path.parent.name)
            if breed is not None:
                found.append((path, breed))
    if not found:
        raise SystemExit(f"{folder} has no pictures of the breeds: expected <Breed>/*.jpg or images/<Breed>_<n>.jpg")
    return found


def fingerprint(image: Image.Image) -> np.ndarray:
    """A difference hash of 256 bits, of the picture and its mirror image: near-duplicates differ in few."""
    grey = image.convert("L").resize((17, 16), Image.Resampling.BOX)
    pixels = np.asarray(grey, dtype=np.int16)
    return np.stack([(p[:, 1:] > p[:, :-1]).ravel() for p in (pixels, pixels[:, ::-1])])


NEAR = 40
"""Bits of 256 within which two pictures count as one. Unrelated ones differ in 128, give or take 20."""


def groups_of_near_duplicates(fingerprints: np.ndarray) -> np.ndarray:
    """A number for each picture, the same for near-duplicates (transitively)."""
    straight = fingerprints[:, 0].astype(np.int16)
    group = np.arange(len(fingerprints))
    for i in range(len(fingerprints)):
        distance = np.minimum(
            np.abs(straight[i + 1 :] - fingerprints[i, 0]).sum(1),
            np.abs(straight[i + 1 :] - fingerprints[i, 1]).sum(1),
        )
        for j in np.flatnonzero(distance <= NEAR) + i + 1:
            group[group == group[j]] = group[i]
    return group


def split(labels: np.ndarray, groups: np.ndarray, seed: int) -> np.ndarray:
    """True for what is held out: HELD_OUT of each breed, whole groups only."""
    random = np.random.RandomState(seed)
    held_out = np.zeros(len(labels), dtype=bool)
    for breed in range(len(BREEDS)):
        mine = np.flatnonzero(labels == breed)
        wanted = round(HELD_OUT * len(mine))
        for group in random.permutation(np.unique(groups[mine])):
            if held_out[mine].sum() >= wanted:
                break
            held_out[groups == group] = True
    return held_out


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("data", type=Path, help="folder of <Breed>/*.jpg, or of the Oxford-IIIT Pet download")
    args = parser.parse_args()
    started = time.time()
    args.work.mkdir(parents=True, exist_ok=True)

    found = images_in(args.data)
    say(f"{len(found)} pictures of {len({breed for _, breed in found})} breeds")
    pixels, places, prints = [], [], []
    offset = 0
    for path, _ in found:
        image = open_upright(path)
        prints.append(fingerprint(image))
        scale = PREPARED / min(image.size)
        if scale != 1:
            image = image.resize([round(side * scale) for side in image.size], Image.Resampling.BICUBIC)
        array = np.asarray(image)
        places.append((offset, *array.shape[:2]))
        pixels.append(array.ravel())
        offset += array.size
    labels = np.array([breed for _, breed in found])
    groups = groups_of_near_duplicates(np.array(prints))
    held_out = split(labels, groups, args.seed)
    np.save(args.work / "pixels.npy", np.concatenate(pixels))
    np.savez(
        args.work / "pictures.npz",
        names=np.array([f"{BREEDS[breed]['breed']}/{path.name}" for path, breed in found]),
        paths=np.array([str(path.resolve()) for path, _ in found]),
        labels=labels,
        places=np.array(places),
        held_out=held_out,
    )
    (args.work / "held-out.txt").write_text(
        "".join(f"{path.parent.name}/{path.name}\n" for (path, _), out in zip(found, held_out) if out), encoding="utf-8"
    )
    say(
        f"{len(found) - held_out.sum()} for training, {held_out.sum()} held out; "
        f"{len(found) - len(set(groups))} near-duplicates kept together",
        started,
    )


if __name__ == "__main__":
    main()
