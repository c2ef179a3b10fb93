//! Line charts and grouped bars as SVG, drawn by `plotters`.
//!
//! Charts are 800 by 420 pixels on white, so that they are legible on a light page and on a dark one. Equal data gives equal
//! bytes. All data gives a chart without a panic (none, one point, equal points, zero on a logarithmic axis, infinite
//! values): points that can't be placed are left out, and values too small for a logarithmic axis are drawn at its lower end.

mod bars;
mod frame;
mod lines;
mod numbers;
mod scale;

/// The reason why a chart could not be drawn.
#[derive(Debug, thiserror::Error)]
#[error("the chart can't be drawn: {0}")]
pub struct Error(String);

/// A numerical axis.
#[derive(Debug, Clone)]
pub struct Axis {
    /// The label, with the unit.
    pub label: String,
    /// Whether the axis is logarithmic.
    pub log: bool,
}

/// A line.
#[derive(Debug, Clone)]
pub struct Series {
    /// The name in the legend.
    pub name: String,
    /// The points, in the order in which the line connects them.
    pub points: Vec<(f64, f64)>,
}

/// A line chart with markers and a legend.
#[derive(Debug, Clone)]
pub struct Chart {
    /// The title above the chart.
    pub title: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// The lines.
    pub series: Vec<Series>,
}

/// A grouped bar chart.
#[derive(Debug, Clone)]
pub struct Bars {
    /// The title above the chart.
    pub title: String,
    /// The vertical axis.
    pub y: Axis,
    /// The label below each group.
    pub groups: Vec<String>,
    /// Each series' name in the legend, and its bar in each group.
    pub series: Vec<(String, Vec<f64>)>,
}

impl Chart {
    /// Draws the chart.
    pub fn svg(&self) -> Result<String, Error> {
        frame::svg(&self.title, &self.names(), |area| lines::draw(self, area))
    }

    fn names(&self) -> Vec<&str> {
        self.series.iter().map(|one| one.name.as_str()).collect()
    }
}

impl Bars {
    /// Draws the chart.
    pub fn svg(&self) -> Result<String, Error> {
        frame::svg(&self.title, &self.names(), |area| bars::draw(self, area))
    }

    fn names(&self) -> Vec<&str> {
        self.series.iter().map(|(name, _)| name.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(log: bool) -> Axis {
        Axis {
            label: "seconds".to_owned(),
            log,
        }
    }

    fn chart(points: &[(f64, f64)], log: bool) -> String {
        Chart {
            title: "a title".to_owned(),
            x: axis(log),
            y: axis(log),
            series: vec![Series {
                name: "a line".to_owned(),
                points: points.to_vec(),
            }],
        }
        .svg()
        .unwrap()
    }

    fn bars(groups: &[&str], values: &[f64], log: bool) -> String {
        Bars {
            title: "a title".to_owned(),
            y: axis(log),
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
            series: vec![("a bar".to_owned(), values.to_vec())],
        }
        .svg()
        .unwrap()
    }

    #[test]
    fn unusual_numbers_are_drawn_too() {
        let odd: [&[(f64, f64)]; 9] = [
            &[],
            &[(0.0, 0.0)],
            &[(1.0, 1.0)],
            &[(5.0, 7.0), (5.0, 7.0)],
            &[(0.0, 0.0), (1.0, 0.0), (2.0, 1e-12)],
            &[(-1.0, -5.0), (1.0, 3.0)],
            &[(f64::NAN, 1.0), (1.0, f64::INFINITY)],
            &[(0.0, 0.0), (1e300, 1e-300)],
            &[(f64::MIN, f64::MIN), (f64::MAX, f64::MAX)],
        ];
        for points in odd {
            for log in [false, true] {
                let svg = chart(points, log);
                assert!(svg.ends_with("</svg>\n"), "{points:?}, log {log}");
                assert!(!svg.contains("NaN"), "{points:?}, log {log}");
                let values: Vec<f64> = points.iter().map(|&(_, y)| y).collect();
                assert!(bars(&["a", "b"], &values, log).ends_with("</svg>\n"));
            }
        }
    }

    #[test]
    fn chart_without_data_is_an_empty_frame() {
        let nothing = Chart {
            title: String::new(),
            x: axis(false),
            y: axis(true),
            series: Vec::new(),
        };
        assert!(nothing.svg().unwrap().contains("seconds"));
        assert!(bars(&[], &[], false).contains("a bar"));
    }

    #[test]
    fn equal_data_gives_equal_charts() {
        let points = [(0.0, 1.0), (1.0, 10.0), (2.0, 100.0)];
        assert_eq!(chart(&points, true), chart(&points, true));
    }

    #[test]
    fn names_are_escaped() {
        let svg = bars(&["<b> & co"], &[1.0], false);
        assert!(svg.contains("&lt;b&gt; &amp; co"), "{svg}");
    }

    #[test]
    fn no_font_is_smaller_than_12() {
        for svg in [
            chart(&[(0.0, 1.0), (9.0, 5.0)], false),
            bars(&["a"], &[2.0], false),
        ] {
            for size in svg.split("font-size=\"").skip(1) {
                let size: f64 = size.split('"').next().unwrap().parse().unwrap();
                assert!(size >= 12.0, "{size}");
            }
            assert!(svg.contains("font-family=\"sans-serif\""));
            assert!(svg.contains("width=\"800\" height=\"420\""));
        }
    }
}
