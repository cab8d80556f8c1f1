//! Whether the columns that the parameters name can all be there.
//!
//! A participant whose file lacks a column is told so. Where it is the parameters that keep it from being there, no
//! participant could do anything about it: the organizer is told, before anybody hands in.

use gradus_sdk::text::quoted;

use super::{Probability, Settings};

/// Each column is for one thing, and the names given for a file without a header hold all that are needed, once.
pub(super) fn check(settings: &Settings) -> Result<(), String> {
    apart(settings)?;
    let Settings { id, target, split, prediction, probability, .. } = settings;
    let predictions = [("id", id.as_deref()), ("prediction", prediction.as_deref()), ("probability", one(probability))];
    named("columns", &settings.columns, &predictions)?;
    per_label(settings)?;
    let reference = [("id", id.as_deref()), ("target", Some(target.as_str())), ("split", split.as_deref())];
    named("reference_columns", &settings.reference_columns, &reference)
}

/// The one column of probabilities.
fn one(probability: &Option<Probability>) -> Option<&str> {
    match probability {
        Some(Probability::Positive(name)) => Some(name),
        Some(Probability::PerLabel(_)) | None => None,
    }
}

fn apart(settings: &Settings) -> Result<(), String> {
    if let (Some(id), Some(prediction)) = (&settings.id, &settings.prediction)
        && id == prediction
    {
        return Err(format!("params `prediction`: {} is `id` already", quoted(prediction)));
    }
    match &settings.probability {
        Some(Probability::Positive(name)) if settings.names_another(name) => {
            Err(format!("params `probability`: {} is `id` or `prediction` already", quoted(name)))
        }
        Some(Probability::PerLabel(prefix)) => {
            let declared = settings.labels.iter().flatten().map(|label| format!("{prefix}{label}"));
            declared.into_iter().find(|name| settings.names_another(name)).map_or(Ok(()), |name| {
                let what = "would be that of a label, and is `id` or `prediction` already";
                Err(format!("params `probability`: the column {} {what}", quoted(&name)))
            })
        }
        Some(Probability::Positive(_)) | None => Ok(()),
    }
}

/// `names`, where there are any, holds no column twice and each that another key names.
fn named(key: &str, names: &[String], wanted: &[(&str, Option<&str>)]) -> Result<(), String> {
    if names.is_empty() {
        return Ok(());
    }
    if let Some((_, twice)) = names.iter().enumerate().find(|(at, name)| names.iter().take(*at).any(|n| n == *name)) {
        return Err(format!("params `{key}`: {} is there twice", quoted(twice)));
    }
    let lacking = |name: &&str| !names.iter().any(|known| known == *name);
    match wanted.iter().find_map(|(of, name)| name.as_ref().filter(|name| lacking(name)).map(|name| (of, name))) {
        Some((of, name)) => Err(format!("params `{key}`: {}, the column of `{of}`, is not among them", quoted(name))),
        None => Ok(()),
    }
}

/// `columns`, where there are any, holds those of the labels.
fn per_label(settings: &Settings) -> Result<(), String> {
    let (Some(Probability::PerLabel(prefix)), false) = (&settings.probability, settings.columns.is_empty()) else {
        return Ok(());
    };
    let lacking = |name: &String| !settings.columns.contains(name);
    let mut wanted = settings.labels.iter().flatten().map(|label| format!("{prefix}{label}"));
    if let Some(name) = wanted.find(lacking) {
        return Err(format!("params `columns`: {}, the column of a label, is not among them", quoted(&name)));
    }
    let begin = settings.columns.iter().filter(|name| name.starts_with(prefix) && !settings.names_another(name));
    if begin.count() < 2 {
        let what = "begin like that; name one for each label";
        return Err(format!(
            "params `columns`: no two columns of `probability`, {}, {what}",
            quoted(&format!("{prefix}*"))
        ));
    }
    Ok(())
}
