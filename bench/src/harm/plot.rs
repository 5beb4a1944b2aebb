//! The diagram: the change of the business's p99, by load and variant.

use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::Outcome;
use crate::report::Line;

const SIZE: (u32, u32) = (900, 420);

const COLORS: [(&str, RGBColor); 6] = [
    ("none", RGBColor(127, 140, 141)),
    ("timer", RGBColor(192, 57, 43)),
    ("normal", RGBColor(41, 128, 185)),
    ("whole", RGBColor(243, 156, 18)),
    ("kernel_idle", RGBColor(39, 174, 96)),
    ("tuned", RGBColor(142, 68, 173)),
];

/// Draws the diagram.
pub(crate) fn draw(lines: &[Line], path: &Path) -> Outcome<()> {
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    paint(&area, lines).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(())
}

fn paint(area: &DrawingArea<SVGBackend<'_>, Shift>, lines: &[Line]) -> Result<(), String> {
    let describe = |error: DrawingAreaErrorKind<std::io::Error>| error.to_string();
    area.fill(&WHITE).map_err(describe)?;
    let mut loads: Vec<&str> = Vec::new();
    for line in lines {
        if !loads.contains(&line.load.as_str()) {
            loads.push(&line.load);
        }
    }
    let most = lines.iter().map(|line| line.p99.high).fold(2.0_f64, f64::max) * 1.3;
    let width = i32::try_from(loads.len().max(1)).unwrap_or(1);
    let mut chart = ChartBuilder::on(area)
        .caption(
            "business p99 with an extractor over without, 95 % intervals",
            ("sans-serif", 18),
        )
        .margin(12)
        .x_label_area_size(32)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..f64::from(width), (0.5..most).log_scale())
        .map_err(describe)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(0)
        .y_desc("ratio, logarithmic")
        .y_label_formatter(&|value| format!("{value:.1}"))
        .draw()
        .map_err(describe)?;
    let end = f64::from(width);
    chart
        .draw_series(LineSeries::new([(0.0, 1.0), (end, 1.0)], BLACK.stroke_width(1)))
        .map_err(describe)?;
    for (place, (name, color)) in COLORS.iter().enumerate() {
        let offset = 0.13 * f64::from(u32::try_from(place).unwrap_or(0)) + 0.2;
        let points: Vec<_> = lines
            .iter()
            .filter(|line| line.variant == *name)
            .filter_map(|line| {
                let load = loads.iter().position(|load| *load == line.load)?;
                Some((f64::from(u32::try_from(load).ok()?) + offset, line.p99))
            })
            .collect();
        if points.is_empty() {
            continue;
        }
        let bars = points.iter().map(|(x, p99)| {
            ErrorBar::new_vertical(
                *x,
                p99.low.max(0.5),
                p99.middle.max(0.5),
                p99.high.max(0.5),
                color.filled(),
                12,
            )
        });
        chart
            .draw_series(bars)
            .map_err(describe)?
            .label(*name)
            .legend(|(x, y)| Rectangle::new([(x, y - 5), (x + 10, y + 5)], color.filled()));
    }
    for (place, load) in loads.iter().enumerate() {
        let x = f64::from(u32::try_from(place).unwrap_or(0)) + 0.4;
        let label = Text::new(format!("business at {load}"), (x, 0.53), ("sans-serif", 14));
        chart.draw_series([label]).map_err(describe)?;
    }
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK)
        .draw()
        .map_err(describe)?;
    area.present().map_err(describe)
}
