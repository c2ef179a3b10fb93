//! The frame of every chart: size, background, title, legend, fonts, colours.

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::Error;
use crate::numbers::number;

const SIZE: (u32, u32) = (800, 420);

/// The area to draw on.
pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A font size of `plotters`, which is 1.24 times that of SVG: 12.9 and 16.1 there.
const TEXT: u32 = 16;
const TITLE: u32 = 20;

/// The colour of lines and letters that are not data.
pub(crate) const INK: RGBColor = RGBColor(51, 51, 51);
/// The colour of the mesh.
pub(crate) const FAINT: RGBColor = RGBColor(222, 222, 222);

/// Okabe and Ito's colours, which are distinguishable by the colour-blind, without yellow, which is illegible on white.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];

/// Returns the colour of a series by its position. Colours repeat.
pub(crate) fn colour(place: usize) -> RGBColor {
    COLOURS.iter().copied().cycle().nth(place).unwrap_or(INK)
}

pub(crate) fn text() -> TextStyle<'static> {
    ("sans-serif", TEXT).into_font().color(&INK)
}

pub(crate) fn failed(error: impl std::fmt::Display) -> Error {
    Error(error.to_string())
}

/// Draws the frame, and the chart's content into it.
pub(crate) fn svg(
    title: &str,
    names: &[&str],
    draw: impl FnOnce(&Area<'_>) -> Result<(), Error>,
) -> Result<String, Error> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        let style = ("sans-serif", TITLE).into_font().color(&INK);
        let area = area.titled(title, style).map_err(failed)?;
        let (width, _) = area.dim_in_pixel();
        let (picture, side) = area.split_horizontally(width.saturating_sub(legend_width(names)));
        legend(&side, names)?;
        draw(&picture)?;
        area.present().map_err(failed)?;
    }
    Ok(svg)
}

/// Returns the width of the legend: enough for the longest name, up to a third of the chart.
fn legend_width(names: &[&str]) -> u32 {
    let longest = names.iter().map(|name| name.chars().count()).max();
    let letters = u32::try_from(longest.unwrap_or(0)).unwrap_or(u32::MAX);
    letters.saturating_mul(8).saturating_add(40).min(270)
}

/// Draws each name beside its colour, one below the other.
fn legend(area: &Area<'_>, names: &[&str]) -> Result<(), Error> {
    for (place, name) in names.iter().enumerate() {
        let top = i32::try_from(place).unwrap_or(i32::MAX).saturating_mul(24);
        let middle = top.saturating_add(28);
        let colour = colour(place);
        area.draw(&Rectangle::new(
            [(4, middle - 6), (16, middle + 6)],
            colour.filled(),
        ))
        .map_err(failed)?;
        area.draw(&Text::new((*name).to_owned(), (24, middle - 7), text()))
            .map_err(failed)?;
    }
    Ok(())
}

/// Returns whether a point of a line has a marker. A line with few points marks all of them, a line with many about
/// forty.
pub(crate) fn is_marked(place: usize, points: usize) -> bool {
    place.is_multiple_of(points.div_ceil(40).max(1)) || number(place + 1) >= number(points)
}
