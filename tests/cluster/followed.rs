//! An Envoy that follows somebody else's control plane, and what it has got from there.

use std::fs;

use serde_json::Value;

use crate::envoy::Envoy;
use crate::harness::http::get;

impl Envoy {
    /// With that bootstrap, once the listener `name` is there.
    #[track_caller]
    pub(crate) fn following(bootstrap: &Value, name: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temp dir");
        fs::write(directory.path().join("envoy.yaml"), bootstrap.to_string()).expect("envoy.yaml");
        Self::launch(directory, name, &[])
    }

    /// What it runs of one kind, `dynamic_listeners` say.
    #[track_caller]
    pub(crate) fn runs(&self, kind: &str) -> Vec<Value> {
        let (status, dump) = get(&self.admin, &format!("/config_dump?resource={kind}"));
        assert_eq!(status, 200, "{dump}");
        let dump: Value = serde_json::from_str(&dump).expect("JSON");
        dump["configs"].as_array().cloned().unwrap_or_default()
    }

    /// Its clusters and where they lead, a line each.
    pub(crate) fn endpoints(&self) -> String {
        get(&self.admin, "/clusters").1
    }
}
