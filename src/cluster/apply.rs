//! Objects into a cluster by server-side apply, and out of it again.

use kube::api::{DeleteParams, Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind, ResourceExt};

use super::connection::Connection;
use super::objects::Object;
use super::trouble::Trouble;
use super::workspace::APP;
use crate::exit_code;

/// Our name in `managedFields`: what we set and others did not is ours to change.
pub(super) const MANAGER: &str = "podssh";

/// How to apply.
#[derive(Clone, Copy, Debug, Default)]
pub struct How {
    /// Take over fields that somebody else set.
    pub force: bool,
    /// Have the API server check everything and change nothing.
    pub dry_run: bool,
}

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was not there.
    Created,
    /// It was different.
    Configured,
    /// It was so already.
    Unchanged,
    /// It is not there any more.
    Deleted,
}

impl Change {
    /// kubectl's word for it.
    pub fn as_word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Unchanged => "unchanged",
            Self::Deleted => "deleted",
        }
    }
}

/// An object before and after; with a dry run, as it would be.
#[derive(Clone, Debug)]
pub struct Applied {
    /// As it was.
    pub before: Option<Object>,
    /// As it is.
    pub after: Object,
}

impl Applied {
    /// What became of it.
    pub fn change(&self) -> Change {
        match &self.before {
            None => Change::Created,
            Some(before) if content(before) == content(&self.after) => Change::Unchanged,
            Some(_) => Change::Configured,
        }
    }
}

/// All of an object but the bookkeeping of the API server.
pub(super) fn content(object: &Object) -> serde_json::Value {
    let mut value = serde_json::to_value(object).unwrap_or_default();
    if let Some(metadata) = value
        .get_mut("metadata")
        .and_then(|metadata| metadata.as_object_mut())
    {
        for name in [
            "managedFields",
            "resourceVersion",
            "generation",
            "uid",
            "creationTimestamp",
        ] {
            metadata.remove(name);
        }
    }
    if let Some(fields) = value.as_object_mut() {
        fields.remove("status");
    }
    value
}

impl Connection {
    /// Apply one object.
    pub async fn apply(&self, object: &Object, how: How) -> Result<Applied, Trouble> {
        let doing = format!("apply {} {}", object.kind(), object.name());
        let api = self.api(&resource(object)?, &self.home_of(object));
        let before = api
            .get_opt(&object.name())
            .await
            .map_err(self.trouble(&doing))?;
        let parameters = PatchParams {
            force: how.force,
            dry_run: how.dry_run,
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        }
        .validation_strict();
        let after = api
            .patch(&object.name(), &parameters, &Patch::Apply(&object.0))
            .await;
        Ok(Applied {
            before: before.map(Object),
            after: Object(after.map_err(self.trouble(&doing))?),
        })
    }

    /// Delete an object of ours; whether there was one. Somebody else's of the same name is left alone.
    pub async fn delete(&self, object: &Object) -> Result<bool, Trouble> {
        let doing = format!("delete {} {}", object.kind(), object.name());
        let api = self.api(&resource(object)?, &self.home_of(object));
        let found = match api.get_opt(&object.name()).await {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(false),
            // A kind the cluster does not know has no objects.
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(false),
            Err(error) => return Err(self.trouble(&doing)(error)),
        };
        if found
            .labels()
            .get("app.kubernetes.io/name")
            .map(String::as_str)
            != Some(APP)
        {
            let sentence = format!(
                "cannot {doing}: it is no workspace's (no label app.kubernetes.io/name={APP}); delete it by hand if it should go"
            );
            return Err(Trouble::new(exit_code::UNAVAILABLE, sentence));
        }
        match api
            .delete(&object.name(), &DeleteParams::foreground())
            .await
        {
            Ok(_) => Ok(true),
            // Somebody was faster.
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
            Err(error) => Err(self.trouble(&doing)(error)),
        }
    }

    /// An object's own namespace, else that of the workspace.
    fn home_of(&self, object: &Object) -> String {
        object
            .0
            .namespace()
            .unwrap_or_else(|| self.namespace.to_string())
    }
}

/// The API's name for an object's kind, without asking it.
fn resource(object: &Object) -> Result<ApiResource, Trouble> {
    let types = object.0.types.as_ref();
    let kind = types.and_then(|types| GroupVersionKind::try_from(types).ok());
    kind.map(|kind| ApiResource::from_gvk(&kind))
        .ok_or_else(|| {
            let sentence = format!("{} has no kind; this is a fault of podssh", object.name());
            Trouble::new(exit_code::SOFTWARE, sentence)
        })
}

/// An object by kind and name only, as `delete` needs it.
pub(super) fn named(group: &str, version: &str, kind: &str, name: &str) -> Object {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    Object(DynamicObject::new(name, &resource))
}
