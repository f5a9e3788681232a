//! What an apply would change: one line a field, with its value before and after.

use std::fmt::Write as _;

use serde_json::Value;

use super::apply::{Applied, Change, content};

/// The lines; empty where nothing would change. A Secret's values are not shown.
pub fn diff(applied: &Applied) -> String {
    let object = format!("{} {}", applied.after.kind(), applied.after.name());
    let Some(before) = &applied.before else {
        return format!("{object}: created\n");
    };
    let mut lines = String::new();
    if applied.change() == Change::Configured {
        let secret = applied.after.kind() == "Secret";
        let differ = Differ {
            object,
            secret,
            lines: &mut lines,
        };
        differ.compare("", Some(&content(before)), Some(&content(&applied.after)));
    }
    lines
}

struct Differ<'a> {
    object: String,
    secret: bool,
    lines: &'a mut String,
}

impl Differ<'_> {
    fn compare(mut self, path: &str, before: Option<&Value>, after: Option<&Value>) {
        self.walk(path, before, after);
    }

    fn walk(&mut self, path: &str, before: Option<&Value>, after: Option<&Value>) {
        match (before, after) {
            (before, after) if before == after => {}
            (Some(Value::Object(old)), Some(Value::Object(new))) => {
                let mut names: Vec<_> = old.keys().chain(new.keys()).collect();
                names.sort();
                names.dedup();
                for name in names {
                    let path = if path.is_empty() {
                        name.clone()
                    } else {
                        format!("{path}.{name}")
                    };
                    self.walk(&path, old.get(name), new.get(name));
                }
            }
            (Some(Value::Array(old)), Some(Value::Array(new))) => {
                for index in 0..old.len().max(new.len()) {
                    self.walk(&format!("{path}[{index}]"), old.get(index), new.get(index));
                }
            }
            (before, after) => {
                let (before, after) = (self.show(path, before), self.show(path, after));
                // Writing to a string cannot fail.
                let _ = writeln!(self.lines, "{}: {path}: {before} -> {after}", self.object);
            }
        }
    }

    fn show(&self, path: &str, value: Option<&Value>) -> String {
        match value {
            None => "(none)".to_owned(),
            Some(_) if self.secret && path.starts_with("data") => "(secret)".to_owned(),
            Some(value) => value.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::objects::Object;

    fn lines(before: Value, after: Value) -> String {
        let object = |value| Object(serde_json::from_value(value).unwrap());
        diff(&Applied {
            before: Some(object(before)),
            after: object(after),
        })
    }

    fn service(version: &str, port: u16) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "a", "resourceVersion": version},
            "spec": {"ports": [{"port": port}]}
        })
    }

    #[test]
    fn a_changed_field_is_one_line_and_bookkeeping_is_none() {
        assert_eq!(lines(service("1", 80), service("2", 80)), "");
        assert_eq!(
            lines(service("1", 80), service("2", 81)),
            "Service a: spec.ports[0].port: 80 -> 81\n"
        );
    }

    #[test]
    fn what_a_secret_holds_is_not_shown() {
        let secret = |value: &str| {
            json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"},
                "data": {"alice": value}
            })
        };
        let lines = lines(secret("b25l"), secret("dHdv"));
        assert!(
            lines.contains("data.alice") && !lines.contains("dHdv"),
            "{lines}"
        );
    }
}
