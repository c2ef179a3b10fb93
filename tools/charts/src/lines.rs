//! The line chart.

use plotters::prelude::*;

use crate::frame::{Area, FAINT, INK, colour, failed, is_marked, text};
use crate::scale::Scale;
use crate::{Chart, Error};

/// Draws axes, lines and markers.
pub(crate) fn draw(chart: &Chart, area: &Area<'_>) -> Result<(), Error> {
    let all = || chart.series.iter().flat_map(|one| one.points.iter());
    let x = Scale::holding(&chart.x, all().map(|point| point.0));
    let y = Scale::holding(&chart.y, all().map(|point| point.1));
    let mut picture = ChartBuilder::on(area)
        .margin(10)
        .margin_right(20)
        .x_label_area_size(48)
        .y_label_area_size(68)
        .build_cartesian_2d(x.clone(), y.clone())
        .map_err(failed)?;
    picture
        .configure_mesh()
        .axis_style(INK)
        .bold_line_style(FAINT)
        .light_line_style(TRANSPARENT)
        .label_style(text())
        .axis_desc_style(text())
        .x_desc(&chart.x.label)
        .y_desc(&chart.y.label)
        .draw()
        .map_err(failed)?;
    for (place, series) in chart.series.iter().enumerate() {
        let colour = colour(place);
        let points: Vec<(f64, f64)> = series
            .points
            .iter()
            .filter_map(|point| Some((x.place(point.0)?, y.place(point.1)?)))
            .collect();
        let markers = points
            .iter()
            .enumerate()
            .filter(|(place, _)| is_marked(*place, points.len()))
            .map(|(_, &point)| Circle::new(point, 3, colour.filled()));
        picture.draw_series(markers).map_err(failed)?;
        picture
            .draw_series(LineSeries::new(
                points.iter().copied(),
                colour.stroke_width(2),
            ))
            .map_err(failed)?;
    }
    Ok(())
}
