//! The committed OpenAPI document is the one that the handlers describe.

use std::{fs, path::Path};

#[test]
fn the_committed_openapi_document_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web/src/api/openapi.json");
    let current = orchestrator::http::document().to_pretty_json().unwrap() + "\n";
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some_and(|value| value == "1") {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &current).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == current, "web/src/api/openapi.json is stale; run the tests with UPDATE_SNAPSHOTS=1");
}
