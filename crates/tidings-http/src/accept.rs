//! The header `Accept`: which of two types a client prefers (RFC 9110 §12.5.1).

/// Whether a client names `wanted` and does not rate `default` higher.
///
/// Ranges such as `*/*` count for neither: a client that takes anything gets the default.
pub(crate) fn prefers(accept: Option<&str>, wanted: &str, default: &str) -> bool {
    let accept = accept.unwrap_or_default();
    let wanted = quality(accept, wanted);
    wanted > 0.0 && wanted >= quality(accept, default)
}

/// The quality at which a header names a media type; 0 if it does not.
fn quality(accept: &str, media_type: &str) -> f32 {
    accept
        .split(',')
        .filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let named = parts.next()?.eq_ignore_ascii_case(media_type);
            let quality = parts.find_map(|parameter| {
                let (name, value) = parameter.split_once('=')?;
                name.trim().eq_ignore_ascii_case("q").then(|| value.trim().parse().unwrap_or(0.0))
            });
            named.then(|| quality.unwrap_or(1.0))
        })
        .fold(0.0, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_preferred_if_it_is_named_and_not_rated_lower() {
        let html = |accept| prefers(accept, "text/html", "application/json");
        assert!(html(Some("text/html,application/xhtml+xml,*/*;q=0.8")));
        assert!(html(Some("TEXT/HTML; charset=utf-8 ; Q=0.5 , application/json;q=0.4")));
        for json in ["*/*", "text/*", "application/json", "text/html;q=0", "text/html;q=x", ""] {
            assert!(!html(Some(json)), "{json}");
        }
        assert!(!html(Some("text/html;q=0.4,application/json;q=0.5")));
        assert!(!html(None));
    }

    #[test]
    fn prometheus_gets_the_format_that_it_rates_highest() {
        let openmetrics =
            |accept| prefers(Some(accept), "application/openmetrics-text", "text/plain");
        // Prometheus 2.42, as it is.
        assert!(openmetrics(
            "application/openmetrics-text;version=1.0.0,\
             application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,\
             */*;q=0.1"
        ));
        assert!(!openmetrics("text/plain;version=0.0.4;q=0.5,*/*;q=0.1"));
    }
}
