"""EXIF blocks that say how an image is turned, in every way that cameras write them."""

import struct


def orientation(
    value: int, *, big_endian: bool = False, long: bool = False, thumbnail: tuple[int, bytes] | None = None
) -> bytes:
    """A TIFF block whose first directory holds a maker's name and the orientation `value` (a SHORT, or with
    `long` a LONG). `thumbnail` is the orientation and the JPEG of a second directory, which must not count."""
    order = ">" if big_endian else "<"

    def entry(tag: int, kind: int, count: int, field: bytes) -> bytes:
        return struct.pack(order + "HHI", tag, kind, count) + field.ljust(4, b"\0")

    def short(number: int) -> bytes:
        return struct.pack(order + "H", number)

    def integer(number: int) -> bytes:
        return struct.pack(order + "I", number)

    make = b"Purrline\0"
    first = 8
    make_at = first + 2 + 2 * 12 + 4
    second = make_at + len(make) + 1
    turned = entry(0x0112, 4, 1, integer(value)) if long else entry(0x0112, 3, 1, short(value))
    block = b"MM\0*" if big_endian else b"II*\0"
    block += integer(first) + short(2) + entry(0x010F, 2, len(make), integer(make_at)) + turned
    block += integer(second if thumbnail else 0) + make + b"\0"
    if thumbnail:
        value, jpeg = thumbnail
        jpeg_at = second + 2 + 3 * 12 + 4
        block += short(3) + entry(0x0112, 3, 1, short(value)) + entry(0x0201, 4, 1, integer(jpeg_at))
        block += entry(0x0202, 4, 1, integer(len(jpeg))) + integer(0) + jpeg
    return block
