//! The memory that the prefix codes of lossless WebP data take.
//!
//! A few bytes describe a code whose table takes kilobytes, and there may be 65,536 groups of five codes, used or not.
//! The decoder trusts whatever the data says. So this module reads the data up to the codes and adds up the sizes of
//! their tables, before the decoder sees the data. The names are those of the format's specification, RFC 9649.

/// The numbers of symbols in the five codes of a group: green, red, blue, alpha, distance.
const ALPHABETS: [usize; 5] = [256 + 24, 256, 256, 256, 40];
/// The order in which the lengths of the code for code lengths are written.
const LENGTHS_ORDER: [usize; 19] = [
    17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
];
/// The maximum length of a codeword, in bits.
const MAX_LENGTH: usize = 15;

/// Returns the number of bytes that the decoder will take for tables; stops counting above `limit`. Returns `None` if
/// the decoder will find the data broken.
///
/// The data starts with the transforms, after any header.
pub(super) fn table_bytes(data: &[u8], width: usize, height: usize, limit: usize) -> Option<usize> {
    let mut bits = Bits { data, at: 0 };
    let mut columns = width;
    let mut seen = [false; 4];
    while bits.flag()? {
        let kind = bits.read(2)?;
        if std::mem::replace(seen.get_mut(kind)?, true) {
            return None;
        }
        match kind {
            // Predictors, colours: one for each block.
            0 | 1 => {
                let block = 1 << (bits.read(3)? + 2);
                let pixels = columns.div_ceil(block) * height.div_ceil(block);
                bits.small_image(pixels)?;
            }
            // Green was subtracted.
            2 => {}
            // A palette; its indices are packed, if there are few.
            _ => {
                let colours = bits.read(8)? + 1;
                bits.small_image(colours)?;
                columns = columns.div_ceil(match colours {
                    ..=2 => 8,
                    3..=4 => 4,
                    5..=16 => 2,
                    _ => 1,
                });
            }
        }
    }
    let cache = bits.colour_cache()?;
    let mut groups = 1;
    if bits.flag()? {
        let block = 1 << (bits.read(3)? + 2);
        let pixels = columns.div_ceil(block) * height.div_ceil(block);
        groups = bits.small_image(pixels)? + 1;
    }
    let mut bytes = 0;
    for _ in 0..groups {
        let group = bits.group(cache)?;
        bytes += group.iter().map(Code::table_bytes).sum::<usize>();
        if bytes > limit {
            break;
        }
    }
    Some(bytes)
}

/// A reader of data bit by bit, from the lowest bit of a byte up.
struct Bits<'a> {
    data: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    /// Reads a number of at most 24 bits.
    fn read(&mut self, count: usize) -> Option<usize> {
        let mut bytes = self.data.get(self.at / 8..)?.iter().copied();
        let window = [(); 4].map(|()| bytes.next().unwrap_or(0));
        let window = usize::try_from(u32::from_le_bytes(window)).ok()? >> (self.at % 8);
        self.at += count;
        (self.at <= self.data.len() * 8).then_some(window & ((1 << count) - 1))
    }

    fn flag(&mut self) -> Option<bool> {
        Some(self.read(1)? == 1)
    }

    /// Reads the number of colours in the cache.
    fn colour_cache(&mut self) -> Option<usize> {
        if !self.flag()? {
            return Some(0);
        }
        let bits = self.read(4)?;
        (1..=11).contains(&bits).then_some(1 << bits)
    }

    /// Skips an image that has one group of codes. Returns the largest number that a pixel's red and green form
    /// together. Only pixels that are written out are checked, since each copied pixel was written out once.
    fn small_image(&mut self, pixels: usize) -> Option<usize> {
        let cache = self.colour_cache()?;
        let [green, red, blue, alpha, distance] = self.group(cache)?;
        let mut largest = 0;
        let mut seen = 0;
        while seen < pixels {
            seen += match green.next(self)? {
                low @ ..256 => {
                    largest = largest.max(red.next(self)? << 8 | low);
                    blue.next(self)?;
                    alpha.next(self)?;
                    1
                }
                prefix @ 256..280 => {
                    let length = self.prefixed(prefix - 256)?;
                    let prefix = distance.next(self)?;
                    self.prefixed(prefix)?;
                    length
                }
                _ => 1,
            };
        }
        Some(largest)
    }

    /// Reads a length or distance.
    fn prefixed(&mut self, prefix: usize) -> Option<usize> {
        if prefix < 4 {
            return Some(prefix + 1);
        }
        let extra = (prefix - 2) / 2;
        Some(((2 + prefix % 2) << extra) + self.read(extra)? + 1)
    }

    fn group(&mut self, cache: usize) -> Option<[Code; 5]> {
        let [green, red, blue, alpha, distance] = ALPHABETS;
        Some([
            self.code(green + cache)?,
            self.code(red)?,
            self.code(blue)?,
            self.code(alpha)?,
            self.code(distance)?,
        ])
    }

    fn code(&mut self, alphabet: usize) -> Option<Code> {
        if self.flag()? {
            let two = self.flag()?;
            let width = if self.flag()? { 8 } else { 1 };
            let first = self.read(width)?;
            return Some(if two {
                Code::Two([first, self.read(8)?])
            } else {
                Code::One(first)
            });
        }
        let mut lengths = vec![0; alphabet];
        self.lengths(&mut lengths)?;
        Code::new(&lengths)
    }

    /// Reads the lengths of a code's codewords, which are coded themselves.
    fn lengths(&mut self, lengths: &mut [usize]) -> Option<()> {
        let mut first = [0; LENGTHS_ORDER.len()];
        let count = self.read(4)? + 4;
        for &symbol in LENGTHS_ORDER.iter().take(count) {
            *first.get_mut(symbol)? = self.read(3)?;
        }
        let code = Code::new(&first)?;
        let mut words = lengths.len();
        if self.flag()? {
            let width = self.read(3)? * 2 + 2;
            words = self.read(width)? + 2;
        }
        let mut last = 8;
        let mut at = 0;
        while at < lengths.len() && words > 0 {
            words -= 1;
            let (length, times) = match code.next(self)? {
                16 => (last, self.read(2)? + 3),
                17 => (0, self.read(3)? + 3),
                18 => (0, self.read(7)? + 11),
                length => (length, 1),
            };
            lengths.get_mut(at..at + times)?.fill(length);
            at += times;
            if length != 0 {
                last = length;
            }
        }
        Some(())
    }
}

/// A prefix code.
enum Code {
    /// One symbol, whose codeword has no bits.
    One(usize),
    /// Two symbols, which may be the same, by the bit that is their codeword.
    Two([usize; 2]),
    /// A canonical code.
    Many {
        /// The number of codewords of each length, from 1.
        counts: [usize; MAX_LENGTH],
        /// The codewords' symbols, in order.
        symbols: Vec<usize>,
    },
}

impl Code {
    /// Creates a code from the length of each symbol's codeword, 0 for symbols without one. Returns `None` unless every
    /// sequence of bits is one of codewords.
    fn new(lengths: &[usize]) -> Option<Self> {
        let mut words: Vec<(usize, usize)> = lengths
            .iter()
            .enumerate()
            .filter(|&(_, &length)| length > 0)
            .map(|(symbol, &length)| (length, symbol))
            .collect();
        if let &[(_, symbol)] = words.as_slice() {
            return Some(Self::One(symbol));
        }
        words.sort_unstable();
        let mut counts = [0; MAX_LENGTH];
        let mut taken = 0;
        for &(length, _) in &words {
            *counts.get_mut(length - 1)? += 1;
            taken += 1 << (MAX_LENGTH - length);
        }
        let symbols = words.into_iter().map(|(_, symbol)| symbol).collect();
        (taken == 1 << MAX_LENGTH).then_some(Self::Many { counts, symbols })
    }

    /// Reads the next symbol.
    fn next(&self, bits: &mut Bits<'_>) -> Option<usize> {
        let (counts, symbols) = match self {
            Self::One(symbol) => return Some(*symbol),
            Self::Two([zero, one]) => return Some(if bits.flag()? { *one } else { *zero }),
            Self::Many { counts, symbols } => (counts, symbols),
        };
        let (mut word, mut first, mut index) = (0, 0, 0);
        for count in counts {
            word = word << 1 | bits.read(1)?;
            if word < first + count {
                return symbols.get(index + word - first).copied();
            }
            index += count;
            first = (first + count) << 1;
        }
        None
    }

    /// Returns the memory that `image-webp` takes: a table over the first 10 bits, a tree below that, and the code itself.
    fn table_bytes(&self) -> usize {
        let tables = match self {
            Self::One(_) => 0,
            Self::Two(_) => 8 + 3 * 16,
            Self::Many { counts, .. } => {
                let longest = counts.iter().rposition(|&count| count > 0);
                let table = 4 << longest.map_or(0, |length| (length + 1).min(10));
                let below: usize = counts.iter().skip(10).sum();
                table + below * 2 * 16
            }
        };
        tables + 128
    }
}
