//! The style and the script, at paths with their digest, so that browsers may keep them.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};

struct Asset {
    extension: &'static str,
    media_type: &'static str,
    text: &'static str,
}

const ASSETS: [Asset; 3] = [
    Asset {
        extension: "css",
        media_type: "text/css; charset=utf-8",
        text: concat!(
            include_str!("../assets/console.css"),
            include_str!("../assets/records.css")
        ),
    },
    Asset {
        extension: "js",
        media_type: "text/javascript; charset=utf-8",
        text: include_str!("../assets/console.js"),
    },
    Asset {
        extension: "svg",
        media_type: "image/svg+xml",
        text: include_str!("../assets/icon.svg"),
    },
];

static NAMES: LazyLock<[String; 3]> = LazyLock::new(|| {
    ASSETS.map(|asset| {
        let digest = hex::encode(Sha256::digest(asset.text.as_bytes()));
        format!("console-{}.{}", &digest[..16], asset.extension)
    })
});

/// The path of the style.
pub(crate) fn style() -> String {
    format!("/console/assets/{}", NAMES[0])
}

/// The path of the script.
pub(crate) fn script() -> String {
    format!("/console/assets/{}", NAMES[1])
}

/// The path of the icon.
pub(crate) fn icon() -> String {
    format!("/console/assets/{}", NAMES[2])
}

/// Answers with an asset.
pub(crate) async fn get(Path(name): Path<String>) -> Response {
    let found = NAMES.iter().position(|known| *known == name);
    let Some(asset) = found.and_then(|index| ASSETS.get(index)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, asset.media_type),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    (headers, asset.text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assets_script_is_short_and_loads_nothing() {
        let script = ASSETS[1].text;
        assert!(script.lines().count() < 200);
        for asset in ASSETS {
            let text = asset.text.replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains("http://") && !text.contains("https://"));
            assert!(!asset.text.contains("@import") && !asset.text.contains("url("));
        }
        for forbidden in ["eval(", "innerHTML", "document.write"] {
            assert!(!script.contains(forbidden), "{forbidden}");
        }
    }
}
