//! Which metric a probe reads, and what it is compared with.

use super::http::metrics_page;
use super::reader::{File, Table, Value};
use crate::probe::parse_selector;
use crate::probe::spec::{Bound, Prometheus};

pub(super) fn metric(
    file: &File<'_>,
    key: &Value<'_>,
    table: &Table<'_>,
    port: impl Fn(u16) -> Option<u16>,
) -> Option<Prometheus> {
    let page = metrics_page(file, key, table, port);
    let bound = |key| table.get(key).and_then(|value| value.number()).map(Bound);
    let (below, above) = (bound("below"), bound("above"));
    let value = table.need("metric", "'postfix_queue_length{queue=\"deferred\"}'")?;
    let text = value.str()?;
    let Some((metric, labels)) = parse_selector(text) else {
        let help = "write it as 'postfix_queue_length{queue=\"deferred\"}'";
        value.error(format!("\"{text}\" is no metric"), help);
        return None;
    };
    if below.is_none() && above.is_none() {
        file.error(&key.key_span, "the metric is compared with nothing", "add for example below = 5000");
        return None;
    }
    Some(Prometheus { page: page?, metric, labels, below, above })
}
