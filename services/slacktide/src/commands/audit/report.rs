//! Shows the findings of `audit verify`.

pub(in crate::commands) use verification::report::VerifyReport;

use verification::report::ReportLine;

use crate::output::{Line, Report, Style, View};

impl Report for VerifyReport {
    fn view(&self) -> View {
        let mut view = View::new();
        for line in self.lines() {
            match line {
                ReportLine::Result(text) => view.line(text.clone()),
                ReportLine::NotCovered(text) => {
                    view.line(Line::styled(Style::Waiting, "NOT COVERED").and(format!(": {text}")))
                }
                ReportLine::Fault(text) => {
                    view.line(Line::styled(Style::Alarm, "FAULT").and(format!(" {text}")))
                }
            };
        }
        view
    }
}
