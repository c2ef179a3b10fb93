"""PNG: every colour type and depth, interlaced, transparent, animated, turned."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from . import exif
from .drawing import cat, cat_with_alpha, shapes, static
from .png_encoder import GREY, GREY_ALPHA, PALETTE, RGB, RGBA, encode
from .sample import Sample

W, H = 61, 53


def samples(side: int) -> list[Sample]:
    """For a model that images are resized to `side` pixels of the short side for."""
    return [*greys(), *colours(), *palettes(), *sizes(side), *containers()]


def on_white(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Flattened; both 8 bits."""
    alpha = alpha.astype(int)[..., None]
    return np.rint((rgb.astype(int) * alpha + 255 * (255 - alpha)) / 255).astype(np.uint8)


def to_8(samples: np.ndarray, depth: int) -> np.ndarray:
    """To 8 bits: fewer are spread, of 16 the low byte is dropped, as libpng does."""
    return (samples >> 8 if depth == 16 else samples * (255 // ((1 << depth) - 1))).astype(np.uint8)


def grey_samples(depth: int) -> np.ndarray:
    grey = np.asarray(cat(W, H, seed=3).convert("L")).astype(int)
    if depth == 16:
        return (grey * 257 + np.arange(W)[None, :] * 3).clip(0, 65535)
    return grey >> (8 - depth)


def rgb_samples(depth: int, seed: int = 4) -> np.ndarray:
    rgb = np.asarray(cat(W, H, seed=seed, noise=0)).astype(int)
    return (rgb * 257 - np.arange(H)[:, None, None]).clip(0, 65535) if depth == 16 else rgb


def greys() -> list[Sample]:
    out = []
    for depth in (1, 2, 4, 8, 16):
        grey = grey_samples(depth)
        shown = np.repeat(to_8(grey, depth)[..., None], 3, axis=2)
        for interlaced in (False, True):
            suffix = "-interlaced" if interlaced else ""
            data = encode(grey[..., None], depth, GREY, interlaced=interlaced)
            out.append(Sample(f"grey-{depth}{suffix}", data, shown))
        clear = int(grey[H // 2, W // 2])
        data = encode(grey[..., None], depth, GREY, before=[(b"tRNS", struct.pack(">H", clear))])
        shown = np.where((grey == clear)[..., None], np.uint8(255), shown)
        differs = "Pillow compares tRNS with samples it has scaled" if depth != 8 else None
        out.append(Sample(f"grey-{depth}-trns", data, shown, differs))
    return out


def colours() -> list[Sample]:
    out = []
    for depth in (8, 16):
        rgb = rgb_samples(depth)
        shown = to_8(rgb, depth)
        for interlaced in (False, True):
            suffix = "-interlaced" if interlaced else ""
            out.append(Sample(f"rgb-{depth}{suffix}", encode(rgb, depth, RGB, interlaced=interlaced), shown))
        clear = rgb[H // 2, W // 2]
        data = encode(rgb, depth, RGB, before=[(b"tRNS", struct.pack(">HHH", *clear.tolist()))])
        cut = np.where((rgb == clear).all(axis=2)[..., None], np.uint8(255), shown)
        out.append(Sample(f"rgb-{depth}-trns", data, cut, "Pillow compares tRNS at 8 bits" if depth == 16 else None))

        alpha = np.asarray(cat_with_alpha(W, H).getchannel("A")).astype(int)
        deep = alpha * 257 if depth == 16 else alpha
        rgba = np.concatenate([rgb, deep[..., None]], axis=2)
        grey = grey_samples(depth)
        grey_alpha = np.stack([grey, deep], axis=2)
        grey_shown = np.repeat(to_8(grey, depth)[..., None], 3, axis=2)
        for interlaced in (False, True):
            suffix = "-interlaced" if interlaced else ""
            data = encode(rgba, depth, RGBA, interlaced=interlaced)
            out.append(Sample(f"rgba-{depth}{suffix}", data, on_white(shown, alpha)))
            data = encode(grey_alpha, depth, GREY_ALPHA, interlaced=interlaced)
            out.append(Sample(f"grey-alpha-{depth}{suffix}", data, on_white(grey_shown, alpha)))
    return out


def palettes() -> list[Sample]:
    out = []
    image = cat(W, H, seed=5, noise=0)
    for depth in (1, 2, 4, 8):
        few = image.quantize(1 << depth, dither=Image.Dither.NONE)
        colours = np.array(few.getpalette()).reshape(-1, 3)
        index = np.asarray(few).astype(int)
        shown = colours[index].astype(np.uint8)
        plte = (b"PLTE", colours.astype(np.uint8).tobytes())
        for interlaced in (False, True):
            suffix = "-interlaced" if interlaced else ""
            data = encode(index[..., None], depth, PALETTE, before=[plte], interlaced=interlaced)
            out.append(Sample(f"palette-{depth}{suffix}", data, shown))
        # Fewer alphas than colours: the rest are opaque.
        alphas = np.full(len(colours), 255)
        some = max(1, len(colours) // 2)
        alphas[:some] = np.linspace(0, 200, some).astype(int)
        trns = (b"tRNS", alphas[:some].astype(np.uint8).tobytes())
        data = encode(index[..., None], depth, PALETTE, before=[plte, trns])
        out.append(Sample(f"palette-{depth}-trns", data, on_white(shown, alphas[index])))
    return out


def sizes(side: int) -> list[Sample]:
    out = []
    odd = [(1, 1), (1, 300), (300, 1), (2, 2), (3, 2), (7, 5), (40, 190), (500, 20), (333, 222)]
    near = [(side, side), (side + 1, side), (side, side + 1), (side - 1, side + 3), (side + 3, side - 1), (2 * side, side)]
    for width, height in odd + near:
        rgb = np.asarray(cat(width, height, seed=width + height, noise=0).quantize(12).convert("RGB"))
        out.append(Sample(f"size-{width}x{height}", encode(rgb, 8, RGB), rgb))
    for width, height in [(1, 1), (3, 2), (4, 9)]:
        rgb = np.asarray(static(width, height, seed=9))
        out.append(Sample(f"size-{width}x{height}-interlaced", encode(rgb, 8, RGB, interlaced=True), rgb))
    # Nearly square either way: where the crop's half pixels round to even.
    for longer in (side + 2, side + 3, side + 5, side + 7):
        rgb = np.asarray(cat(longer, side, seed=longer, noise=0).quantize(6).convert("RGB"))
        out.append(Sample(f"crop-{longer}x{side}", encode(rgb, 8, RGB), rgb))
    noise = np.asarray(static(40, 32))
    out.append(Sample("static", encode(noise, 8, RGB), noise))
    fine = (np.indices((600, 800)).sum(axis=0) % 2)[..., None]
    out.append(Sample("fine-1", encode(fine, 1, GREY), np.repeat(fine * 255, 3, axis=2).astype(np.uint8)))
    large = np.asarray(shapes(4000, 3000).convert("L")).astype(int)[..., None] >> 7
    shown = np.repeat(to_8(large, 1), 3, axis=2)
    out.append(Sample("size-4000x3000", encode(large, 1, GREY), shown))
    return out


def containers() -> list[Sample]:
    rgb = rgb_samples(8, seed=6)
    shown = rgb.astype(np.uint8)
    out = []
    for value in (3, 6, 7):
        out.append(Sample(f"exif-{value}", encode(rgb, 8, RGB, before=[(b"eXIf", exif.orientation(value, big_endian=True))]), shown))
    out.append(Sample("exif-8-after-data", encode(rgb, 8, RGB, after=[(b"eXIf", exif.orientation(8))]), shown))
    ancillary = [
        (b"gAMA", struct.pack(">I", 100_000)),
        (b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)),
        (b"pHYs", struct.pack(">IIB", 1000, 3000, 1)),
        (b"tEXt", b"Comment\0a cat"),
        (b"zTXt", b"Comment\0\0" + zlib.compress(b"a cat " * 200)),
        (b"iTXt", b"Comment\0\0\0ko\0\0" + "고양이".encode()),
        (b"bKGD", struct.pack(">HHH", 255, 0, 0)),
        (b"prVt", b"unknown to all"),
    ]
    out.append(Sample("chunks", encode(rgb, 8, RGB, before=ancillary), shown))
    out.append(Sample("data-in-pieces", encode(rgb, 8, RGB, split=19), shown))
    out.append(Sample("trailing-bytes", encode(rgb, 8, RGB) + b"and more" * 9, shown))
    frames = [cat(64, 48, seed=s, noise=0) for s in (7, 8)]
    file = io.BytesIO()
    frames[0].save(file, "PNG", save_all=True, append_images=frames[1:], duration=100)
    out.append(Sample("animated", file.getvalue(), np.asarray(frames[0])))
    file = io.BytesIO()
    frames[0].save(file, "PNG", save_all=True, append_images=frames[1:], duration=100, default_image=True)
    out.append(Sample("animated-default-image", file.getvalue(), np.asarray(frames[0])))
    return out
