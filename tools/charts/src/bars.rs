//! The grouped bar chart.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::prelude::*;

use crate::frame::{Area, FAINT, INK, colour, failed, text};
use crate::numbers::number;
use crate::scale::Scale;
use crate::{Bars, Error};

/// The share of a group's width that its bars take; the rest separates it from the next group.
const FULL: f64 = 0.8;

/// Draws axes and bars.
pub(crate) fn draw(bars: &Bars, area: &Area<'_>) -> Result<(), Error> {
    let values = bars.series.iter().flat_map(|(_, values)| values.iter());
    let y = Scale::holding(&bars.y, values.copied());
    let mut picture = ChartBuilder::on(area)
        .margin(10)
        .margin_right(20)
        .x_label_area_size(36)
        .y_label_area_size(68)
        .build_cartesian_2d(Groups(bars.groups.clone()), y.clone())
        .map_err(failed)?;
    picture
        .configure_mesh()
        .axis_style(INK)
        .disable_x_mesh()
        .bold_line_style(FAINT)
        .light_line_style(TRANSPARENT)
        .label_style(text())
        .axis_desc_style(text())
        .y_desc(&bars.y.label)
        .draw()
        .map_err(failed)?;
    let width = FULL / number(bars.series.len().max(1));
    for (place, (_, values)) in bars.series.iter().enumerate() {
        let shown = values.iter().take(bars.groups.len()).enumerate();
        let rectangles = shown.filter_map(|(group, &value)| {
            let left = number(group) + (1.0 - FULL) / 2.0 + width * number(place);
            let corners = [(left, y.place(value)?), (left + width, y.base())];
            Some(Rectangle::new(corners, colour(place).filled()))
        });
        picture.draw_series(rectangles).map_err(failed)?;
    }
    Ok(())
}

/// An axis with a range of length one for each group, and the group's name in the middle of it.
struct Groups(Vec<String>);

impl Ranged for Groups {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let even: plotters::coord::types::RangedCoordf64 = self.range().into();
        even.map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        (0..self.0.len()).map(|place| number(place) + 0.5).collect()
    }

    fn range(&self) -> Range<f64> {
        0.0..number(self.0.len().max(1))
    }
}

impl ValueFormatter<f64> for Groups {
    fn format_ext(&self, value: &f64) -> String {
        let here = |place: &usize| (number(*place) + 0.5 - value).abs() < 0.5;
        let place = (0..self.0.len()).find(here);
        place
            .and_then(|place| self.0.get(place))
            .cloned()
            .unwrap_or_default()
    }
}
