//! What kind of medium something is.

/// The type of a medium: as given, else told from how its bytes begin.
pub(super) fn media_type<'a>(given: &'a str, base64: &str) -> Option<&'a str> {
    if !given.is_empty() {
        return Some(given);
    }
    let beginnings = [
        ("iVBORw0KGgo", "image/png"),
        ("/9j/", "image/jpeg"),
        ("R0lGOD", "image/gif"),
        (
            "UklGR",
            if base64.get(10..16).is_some_and(|at| at.contains("XRUJ")) { "image/webp" } else { "audio/wav" },
        ),
        ("JVBERi", "application/pdf"),
        ("SUQz", "audio/mpeg"),
        ("T2dnUw", "audio/ogg"),
        ("ZkxhQ", "audio/flac"),
    ];
    beginnings.into_iter().find(|(start, _)| base64.starts_with(start)).map(|(_, kind)| kind)
}

/// The type that a file's name tells.
pub(super) fn type_of_name(uri: &str) -> Option<&'static str> {
    let path = uri.split(['?', '#']).next()?;
    let (_, ending) = path.rsplit('/').next()?.rsplit_once('.')?;
    Some(match ending.to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "heic" => "image/heic",
        "pdf" => "application/pdf",
        "txt" => "text/plain",
        "md" => "text/markdown",
        "html" | "htm" => "text/html",
        "csv" => "text/csv",
        "json" => "application/json",
        "mp3" => "audio/mpeg",
        "wav" => "audio/wav",
        "flac" => "audio/flac",
        "ogg" => "audio/ogg",
        "aac" => "audio/aac",
        "mp4" => "video/mp4",
        "mov" => "video/quicktime",
        "webm" => "video/webm",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_is_given_or_told_by_the_bytes_or_the_name() {
        for (given, data, kind) in [
            ("image/x", "iVBORw0KGgo=", Some("image/x")),
            ("", "iVBORw0KGgo=", Some("image/png")),
            ("", "/9j/4AAQ", Some("image/jpeg")),
            ("", "UklGRiQAAABXRUJQVlA4", Some("image/webp")),
            ("", "UklGRiQAAABXQVZFZm10", Some("audio/wav")),
            ("", "AAAA", None),
            ("", "", None),
        ] {
            assert_eq!(media_type(given, data), kind, "{data}");
        }
        for (uri, kind) in [
            ("https://h/a.PNG?x=1.gif", Some("image/png")),
            ("gs://bucket/film.mp4", Some("video/mp4")),
            ("https://h.png/x", None),
            ("https://h/files/abc", None),
        ] {
            assert_eq!(type_of_name(uri), kind, "{uri}");
        }
    }
}
