//! The launch as a picture: one bar a stage, on a common axis of seconds.

use super::record::{Record, Stage};

const WIDTH: f64 = 760.0;
const LEFT: f64 = 110.0;
const ROW: f64 = 30.0;
const TOP: f64 = 46.0;

/// The stages of `record` as an SVG document without scripts or outside references.
pub fn svg(record: &Record) -> String {
    let end = record.stages.iter().map(end_of).fold(0.001, f64::max);
    let height = TOP + ROW * record.stages.len() as f64 + 34.0;
    let scale = (WIDTH - LEFT - 80.0) / end;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"16\" y=\"26\" font-size=\"16\" fill=\"#1b2a3a\">slipway {} · {:.1} s</text>\n",
        escape(&record.command),
        end
    );
    for tick in ticks(end) {
        let x = LEFT + tick * scale;
        let bottom = height - 28.0;
        out.push_str(&format!(
            "<line x1=\"{x:.1}\" y1=\"{:.1}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\" stroke=\"#dde3ea\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#5b6b7b\">{tick} s</text>\n",
            TOP - 8.0,
            bottom + 16.0
        ));
    }
    for (row, stage) in record.stages.iter().enumerate() {
        out.push_str(&bar(stage, TOP + ROW * row as f64, scale));
    }
    out.push_str("</svg>\n");
    out
}

fn bar(stage: &Stage, y: f64, scale: f64) -> String {
    let x = LEFT + stage.start_s * scale;
    let seconds = end_of(stage) - stage.start_s;
    let width = (seconds * scale).max(1.5);
    let middle = y + 15.0;
    format!(
        "<text x=\"16\" y=\"{middle:.1}\" fill=\"#1b2a3a\">{}</text>\
         <rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"20\" rx=\"3\" fill=\"#2f7fb8\"/>\
         <text x=\"{:.1}\" y=\"{middle:.1}\" fill=\"#5b6b7b\">{seconds:.1} s</text>\n",
        escape(&stage.name),
        x + width + 6.0
    )
}

fn end_of(stage: &Stage) -> f64 {
    stage.end_s.unwrap_or(stage.start_s)
}

/// Four to ten round numbers from zero up to `end`.
fn ticks(end: f64) -> Vec<f64> {
    let mut step = 10f64.powf((end / 5.0).log10().floor());
    for factor in [2.0, 2.5, 2.0] {
        if end / step > 8.0 {
            step *= factor;
        }
    }
    (0..)
        .map(|n| f64::from(n) * step)
        .take_while(|tick| *tick <= end)
        .collect()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_has_a_bar() {
        let mut record = Record::new("start");
        record.enter("seed", 0.0);
        record.enter("wait", 3.0);
        record.finish(super::super::Outcome::HandedOver, 20.0);
        let svg = svg(&record);
        assert_eq!(svg.matches("rx=\"3\"").count(), 2);
        assert!(svg.contains("17.0 s"));
        assert!((4..=11).contains(&ticks(20.0).len()), "{:?}", ticks(20.0));
        assert!((4..=11).contains(&ticks(237.0).len()), "{:?}", ticks(237.0));
    }
}
