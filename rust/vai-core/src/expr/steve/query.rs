//! A URL's query string.

use crate::error::Result;
use crate::expr::ExprError;

/// Go's net/http reads headers, and so the request line, up to 1 MiB (`DefaultMaxHeaderBytes`).
const MAX_QUERY_BYTES: usize = 1 << 20;

/// The parameters in their order, decoded as Go's `url.ParseQuery` does.
pub(super) fn parameters(query: &str) -> Result<Vec<(String, String)>> {
    if query.len() > MAX_QUERY_BYTES {
        return Err(ExprError::new(
            format!("a query of {} bytes; {MAX_QUERY_BYTES} are read", query.len()),
            MAX_QUERY_BYTES,
        )
        .into());
    }
    let mut parameters = Vec::new();
    let mut position = 0;
    for pair in query.split('&') {
        if !pair.is_empty() {
            // `projectsornamespaces!=a` is the parameter `projectsornamespaces!`.
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let behind = position + key.len() + 1;
            parameters.push((decoded(key, position)?, decoded(value, behind)?));
        }
        position += pair.len() + 1;
    }
    Ok(parameters)
}

fn decoded(text: &str, position: usize) -> Result<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes().enumerate();
    while let Some((at, byte)) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || {
                    let (_, digit) = rest.next()?;
                    u8::try_from(char::from(digit).to_digit(16)?).ok()
                };
                match (digit(), digit()) {
                    (Some(high), Some(low)) => high << 4 | low,
                    _ => {
                        return Err(ExprError::new(
                            "'%' without two hexadecimal digits; % itself is written %25",
                            position + at,
                        )
                        .into());
                    }
                }
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes)
        .map_err(|_| ExprError::new("a parameter that is not UTF-8", position).into())
}
