"""WebP: lossy, lossless, transparent, animated, turned."""

import io
import struct

import numpy as np
from PIL import Image

from . import exif
from .drawing import cat, cat_with_alpha, smooth, static
from .sample import Sample

W, H = 117, 93
EXIF_FLAG = 0x08


def pillow(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "WEBP", **({"quality": 75, "method": 6} | options))
    return file.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def riff(body: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def extended(width: int, height: int, flags: int, body: bytes) -> bytes:
    """The extended format's header and what follows it."""
    size = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    return riff(chunk(b"VP8X", bytes([flags, 0, 0, 0]) + size) + body)


def turned(image: Image.Image, block: bytes, **options: object) -> bytes:
    return extended(*image.size, EXIF_FLAG, pillow(image, **options)[12:] + chunk(b"EXIF", block))


def flat(image: Image.Image) -> np.ndarray:
    white = Image.new("RGBA", image.size, "white")
    return np.asarray(Image.alpha_composite(white, image).convert("RGB"))


def samples(side: int) -> list[Sample]:
    """For a model that images are resized to `side` pixels of the short side for."""
    image, soft, noisy = cat(W, H, seed=31), cat_with_alpha(W, H, seed=32), static(48, 40)
    clean = cat(W, H, seed=33, noise=0)
    few = clean.quantize(9, dither=Image.Dither.NONE).convert("RGB")
    small = [cat(64, 48, seed=s, noise=0) for s in (34, 35)]
    lossless = {"lossless": True}
    out = [
        Sample("lossy", pillow(image)),
        Sample("lossy-quality-100", pillow(cat(100, 75), quality=100)),
        Sample("lossy-quality-0", pillow(image, quality=0)),
        Sample("lossy-fast", pillow(image, method=0)),
        Sample("lossy-alpha", pillow(soft)),
        Sample("lossy-alpha-rough", pillow(soft, alpha_quality=20)),
        Sample("lossy-grey", pillow(image.convert("L").convert("RGB"))),
        Sample("static-lossy", pillow(noisy, quality=95)),
        Sample("lossless", pillow(clean, **lossless), np.asarray(clean)),
        Sample("lossless-grain", pillow(cat(80, 60), **lossless), np.asarray(cat(80, 60))),
        Sample("lossless-fast", pillow(clean, method=0, quality=0, **lossless), np.asarray(clean)),
        Sample("lossless-alpha", pillow(soft, exact=True, **lossless), flat(soft)),
        Sample("lossless-few-colours", pillow(few, **lossless), np.asarray(few)),
        Sample("lossless-two-colours", pillow(clean.convert("1").convert("RGB"), **lossless), np.asarray(clean.convert("1").convert("RGB"))),
        Sample("lossless-static", pillow(noisy, **lossless), np.asarray(noisy)),
        Sample("icc", pillow(cat(90, 70), icc_profile=b"not read by anybody" * 10)),
        Sample("animated-lossy", pillow(small[0], save_all=True, append_images=small[1:], duration=100)),
        Sample("animated-lossless", pillow(small[0], save_all=True, append_images=small[1:], duration=100, **lossless), np.asarray(small[0])),
        Sample("animated-alpha", pillow(soft, save_all=True, append_images=[cat_with_alpha(W, H, seed=36)], duration=100)),
        # Laying a frame on a canvas, decoders round.
        Sample("animated-part", animated_part(small[0]), part_shown(small[0])),
        Sample("trailing-bytes", pillow(clean, **lossless) + b"and more", np.asarray(clean)),
        Sample("unknown-chunk", extended(*clean.size, 0, chunk(b"CATS", b"meow!") + pillow(clean, **lossless)[12:]), np.asarray(clean)),
    ]
    for value in (2, 3, 6, 8):
        out.append(Sample(f"exif-{value}", turned(image, exif.orientation(value), quality=50)))
    out.append(Sample("exif-6-prefixed", turned(image, b"Exif\0\0" + exif.orientation(6, big_endian=True), quality=50)))
    out.append(Sample("exif-5-lossless", turned(few, exif.orientation(5), **lossless), np.asarray(few)))
    for width, height in [(1, 1), (1, 300), (300, 1), (2, 2), (7, 5), (17, 33), (161, 160), (side + 1, side - 3), (641, 479)]:
        drawn = cat(width, height, seed=width, noise=0)
        out.append(Sample(f"size-{width}x{height}", pillow(drawn)))
        if width < 300:
            out.append(Sample(f"size-{width}x{height}-lossless", pillow(drawn, **lossless), np.asarray(drawn)))
    out.append(Sample("size-1600x1200", pillow(smooth(1600, 1200), quality=20)))
    return out


def animated_part(image: Image.Image) -> bytes:
    """A first frame that covers only a part of the canvas, whose background hint is red: nobody paints that."""
    frame = pillow(image, lossless=True)[12:]
    place = struct.pack("<I", 10 // 2)[:3] + struct.pack("<I", 20 // 2)[:3]
    size = struct.pack("<I", image.width - 1)[:3] + struct.pack("<I", image.height - 1)[:3]
    anmf = chunk(b"ANMF", place + size + struct.pack("<I", 100)[:3] + b"\0" + frame)
    anim = chunk(b"ANIM", bytes([0, 0, 255, 255]) + b"\0\0")
    return extended(100, 90, 0x12, anim + anmf + anmf)


def part_shown(image: Image.Image) -> np.ndarray:
    canvas = np.full((90, 100, 3), 255, np.uint8)
    canvas[20 : 20 + image.height, 10 : 10 + image.width] = np.asarray(image)
    return canvas
