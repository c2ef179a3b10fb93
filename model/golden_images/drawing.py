"""What the test images show."""

import numpy as np
from PIL import Image, ImageDraw


def cat(width: int, height: int, *, seed: int = 1, noise: float = 1.5) -> Image.Image:
    """A drawn cat, `width` x `height`, RGB. No side or corner looks like another, so that a picture turned or
    mirrored wrongly shows; strong colours with sharp edges, so that wrong chroma shows. `noise` is the
    standard deviation of the grain, in grey levels."""
    random = np.random.default_rng(seed)
    background, fur, dark, eye = random.integers(0, 256, (4, 3))
    across = np.linspace(0, 1, width)[None, :, None]
    down = np.linspace(0, 1, height)[:, None, None]
    shade = background * (1 - 0.6 * across) * (1 - 0.3 * down) + 90 * across * np.array([1.0, 0.2, 0.6])
    image = Image.fromarray(np.clip(shade, 0, 255).astype(np.uint8))

    draw = ImageDraw.Draw(image)

    def box(x: float, y: float, rx: float, ry: float) -> tuple[float, float, float, float]:
        return (x - rx) * width, (y - ry) * height, (x + rx) * width, (y + ry) * height

    def points(*corners: tuple[float, float]) -> list[tuple[float, float]]:
        return [(x * width, y * height) for x, y in corners]

    fur, dark, eye = (tuple(int(v) for v in colour) for colour in (fur, dark, eye))
    thin = max(1, min(width, height) // 60)
    draw.ellipse(box(0.55, 0.85, 0.33, 0.32), fill=fur)
    draw.arc(box(0.85, 0.7, 0.12, 0.2), 180, 60, fill=dark, width=3 * thin)
    for stripe in range(4):
        x = 0.40 + 0.1 * stripe
        draw.line(points((x, 0.62), (x + 0.05, 0.8)), fill=dark, width=2 * thin)
    draw.polygon(points((0.22, 0.32), (0.22, 0.05), (0.40, 0.20)), fill=dark)
    draw.polygon(points((0.62, 0.32), (0.66, 0.07), (0.48, 0.20)), fill=fur)
    draw.ellipse(box(0.42, 0.40, 0.23, 0.25), fill=fur)
    draw.ellipse(box(0.34, 0.36, 0.05, 0.06), fill=eye)
    draw.ellipse(box(0.51, 0.36, 0.05, 0.06), fill=eye)
    draw.ellipse(box(0.34, 0.36, 0.015, 0.05), fill=(0, 0, 0))
    draw.ellipse(box(0.51, 0.36, 0.015, 0.05), fill=(0, 0, 0))
    draw.polygon(points((0.40, 0.47), (0.46, 0.47), (0.43, 0.52)), fill=(230, 120, 140))
    for side in (-1, 1):
        for slope in (-0.05, 0.0, 0.05):
            draw.line(points((0.43 + 0.04 * side, 0.52), (0.43 + 0.26 * side, 0.52 + slope)), fill=(255, 255, 255), width=thin)
    draw.rectangle(box(0.9, 0.1, 0.06, 0.06), fill=(255, 0, 0))
    draw.rectangle(box(0.08, 0.92, 0.05, 0.05), fill=(0, 0, 255))

    if not noise:
        return image
    grainy = np.asarray(image, np.float64) + random.normal(0, noise, (height, width, 1))
    return Image.fromarray(np.clip(grainy, 0, 255).astype(np.uint8))


def alpha(width: int, height: int) -> Image.Image:
    """Opaque in the middle, fading, fully transparent in a corner; `L`."""
    across = np.linspace(-1, 1, width)[None, :]
    down = np.linspace(-1, 1, height)[:, None]
    fade = np.clip(1.6 - 1.2 * np.hypot(across, down), 0, 1) * 255
    fade = np.broadcast_to(fade, (height, width)).copy()
    fade[: height // 4, : width // 4] = 0
    return Image.fromarray(fade.astype(np.uint8))


def cat_with_alpha(width: int, height: int, *, seed: int = 1, noise: float = 0.0) -> Image.Image:
    """The cat, cut out softly; `RGBA`. What is transparent keeps its colour."""
    image = cat(width, height, seed=seed, noise=noise)
    image.putalpha(alpha(width, height))
    return image


def static(width: int, height: int, *, seed: int = 2) -> Image.Image:
    """Noise in every pixel and channel, RGB: nothing can be predicted, every rounding counts."""
    random = np.random.default_rng(seed)
    return Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8))


def smooth(width: int, height: int) -> Image.Image:
    """Slow gradients with a few large shapes, RGB: small files at large sizes."""
    across = np.linspace(0, 1, width)[None, :]
    down = np.linspace(0, 1, height)[:, None]
    planes = [255 * across + 0 * down, 40 + 180 * down + 0 * across, 255 * (1 - across) * (1 - 0.5 * down)]
    image = Image.fromarray(np.stack(planes, axis=-1).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    draw.ellipse((width * 0.2, height * 0.3, width * 0.6, height * 0.8), fill=(230, 160, 60))
    draw.polygon([(width * 0.6, height * 0.9), (width * 0.9, height * 0.2), (width * 0.95, height * 0.9)], fill=(20, 60, 30))
    return image


def shapes(width: int, height: int) -> Image.Image:
    """Flat colours, RGB: the smallest files at the largest sizes."""
    image = Image.new("RGB", (width, height), (70, 110, 150))
    draw = ImageDraw.Draw(image)
    draw.ellipse((width * 0.2, height * 0.2, width * 0.65, height * 0.7), fill=(230, 160, 60))
    draw.rectangle((width * 0.6, height * 0.6, width * 0.9, height * 0.9), fill=(20, 60, 30))
    return image
