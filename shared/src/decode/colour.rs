//! Converts pixels of any layout to RGB. Every pixel of an image passes through here, and `[T; N]::map` isn't inlined in
//! incremental builds, so nothing here uses it.

/// The layout of a decoder's pixel, with 8 bits a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
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
    /// Returns the number of bytes of a pixel.
    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::L => 1,
            Self::La => 2,
            Self::Rgb => 3,
            Self::Rgba | Self::Cmyk => 4,
        }
    }
}

/// White: the background of transparent images.
pub(crate) const PAPER: u8 = 255;

/// Converts a grey.
#[inline]
pub(crate) fn from_l([l]: [u8; 1]) -> [u8; 3] {
    [l; 3]
}

/// Converts a grey with opacity, on paper.
#[inline]
pub(crate) fn from_la([l, a]: [u8; 2]) -> [u8; 3] {
    from_rgba([l, l, l, a])
}

/// Converts a colour with opacity, on paper.
#[inline]
pub(crate) fn from_rgba([r, g, b, a]: [u8; 4]) -> [u8; 3] {
    if a == u8::MAX {
        return [r, g, b];
    }
    let paper = times(PAPER, u8::MAX - a);
    let over = |c| times(c, a).saturating_add(paper);
    [over(r), over(g), over(b)]
}

/// Converts ink on paper.
#[inline]
pub(crate) fn from_cmyk([c, m, y, k]: [u8; 4]) -> [u8; 3] {
    let through = |ink| times(u8::MAX - ink, u8::MAX - k);
    [through(c), through(m), through(y)]
}

/// Returns the product of two fractions of 255, rounded exactly, without a division.
#[inline]
fn times(a: u8, b: u8) -> u8 {
    let product = u16::from(a) * u16::from(b) + 128;
    let [_, high] = (product + (product >> 8)).to_le_bytes();
    high
}
