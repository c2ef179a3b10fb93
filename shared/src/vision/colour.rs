//! Pixels of any layout as RGB.

/// How a decoder lays out a pixel; 8 bits a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Grey.
    L,
    /// Grey, opacity.
    La,
    /// Red, green, blue.
    Rgb,
    /// Red, green, blue, opacity.
    Rgba,
    /// Cyan, magenta, yellow, black; 255 is full ink.
    Cmyk,
}

impl Layout {
    /// Bytes of one pixel.
    pub(super) const fn bytes(self) -> usize {
        match self {
            Self::L => 1,
            Self::La => 2,
            Self::Rgb => 3,
            Self::Rgba | Self::Cmyk => 4,
        }
    }
}

/// White: what shines through where an image is transparent.
pub(super) const PAPER: u8 = 255;

/// A grey.
pub(super) fn from_l([l]: [u8; 1]) -> [u8; 3] {
    [l; 3]
}

/// A grey on paper.
pub(super) fn from_la([l, a]: [u8; 2]) -> [u8; 3] {
    from_rgba([l, l, l, a])
}

/// A colour on paper.
pub(super) fn from_rgba([r, g, b, a]: [u8; 4]) -> [u8; 3] {
    match a {
        u8::MAX => [r, g, b],
        _ => [r, g, b].map(|c| times(c, a).saturating_add(times(PAPER, u8::MAX - a))),
    }
}

/// Ink on paper.
pub(super) fn from_cmyk([c, m, y, k]: [u8; 4]) -> [u8; 3] {
    [c, m, y].map(|ink| times(u8::MAX - ink, u8::MAX - k))
}

/// The product of two fractions of 255, rounded; exact, without a division.
fn times(a: u8, b: u8) -> u8 {
    let product = u16::from(a) * u16::from(b) + 128;
    let [_, high] = (product + (product >> 8)).to_le_bytes();
    high
}
