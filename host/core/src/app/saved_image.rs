//! Images that participants hand in: which of the files are the image, and what can be said of it before it is loaded.
//!
//! Two layouts are read, the one that `docker save` writes and the OCI's. Of both, only the layers and what says how to
//! start are taken over: names, labels, health checks and variables but for `PATH` stay behind.

use super::folder::{File, Folder};
use crate::domain::report::Problem;
use crate::domain::run::architecture;
use crate::ports::blobs::{ReadAt, read_all};
use crate::ports::runner::{ImageFacts, SavedImage, SavedLayer};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The file that `docker save` puts at the top.
const DOCKER: &str = "manifest.json";
/// The files of an OCI layout there.
const OCI: [&str; 2] = ["oci-layout", "index.json"];
/// A file of JSON, at most; bytes.
const MAX_JSON: u64 = 1 << 20;
/// All words of a command, at most; bytes.
const MAX_WORDS: usize = 64 << 10;
/// A file of less is no layer: it may be a link that was taken as a file, and holds where it leads.
const MIN_LAYER: u64 = 512;
/// Layers, at most: engines take no more.
const MAX_LAYERS: usize = 127;
/// An index may name another one; not deeper.
const MAX_DEPTH: usize = 2;

/// From the first to the last.
type Layers = Vec<Arc<dyn ReadAt>>;

#[derive(Deserialize)]
struct Saved {
    #[serde(rename = "Config")]
    config: String,
    #[serde(rename = "Layers")]
    layers: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
    #[serde(rename = "mediaType", default)]
    media_type: String,
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Platform {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
}

#[derive(Deserialize)]
struct Config {
    architecture: Option<String>,
    os: Option<String>,
    config: Option<Start>,
    rootfs: Option<Rootfs>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Start {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    env: Option<Vec<String>>,
    working_dir: Option<String>,
    volumes: Option<BTreeMap<String, IgnoredAny>>,
}

#[derive(Deserialize)]
struct Rootfs {
    diff_ids: Option<Vec<String>>,
}

/// Whether these files are an image, or mean to be.
pub(super) fn is_one(files: &Folder) -> bool {
    files.get(DOCKER).is_some() || OCI.iter().all(|name| files.get(name).is_some())
}

/// What to do about files that are no image, for the participant.
pub(super) fn how_to_save() -> &'static str {
    "hand in the file that `docker save IMAGE > image.tar` writes, or an OCI layout"
}

fn problem(file: &str, message: impl Into<String>) -> Problem {
    Problem { file: Some(file.to_owned()), line: None, message: message.into() }
}

/// The image that `files` are.
///
/// # Errors
/// What is wrong with it, for the participant.
pub(super) fn read(files: &Folder) -> Result<SavedImage, Problem> {
    let (config, layers) = if files.get(DOCKER).is_some() { of_docker(files)? } else { of_oci(files)? };
    let about = &config.about.path;
    let Config { architecture, os, config, rootfs } = json(config, about.as_str())?;
    let start = config.unwrap_or_default();
    if let Some(os) = os.filter(|os| os != "linux") {
        return Err(problem(about.as_str(), format!("is an image for `{}`; build it for linux", shown(&os))));
    }
    let (architecture, volumes) = (architecture.unwrap_or_default(), start.volumes.unwrap_or_default());
    let empty = |words: &Option<Vec<String>>| words.as_deref().unwrap_or_default().is_empty();
    let facts = ImageFacts {
        architecture: &shown(&architecture),
        volumes: volumes.keys().map(|place| shown(place)).collect(),
        workdir: start.working_dir.as_deref().unwrap_or_default(),
        starts: !(empty(&start.entrypoint) && empty(&start.cmd)),
    };
    if let Some(refused) = facts.refusal(self::architecture()) {
        return Err(Problem { file: None, line: None, message: refused.text });
    }
    let digests = rootfs.and_then(|rootfs| rootfs.diff_ids).unwrap_or_default();
    if digests.len() != layers.len() || layers.is_empty() || layers.len() > MAX_LAYERS {
        let message = format!(
            "speaks of {} layers, and the archive has {}; there are 1 to {MAX_LAYERS}; save the image again",
            digests.len(),
            layers.len()
        );
        return Err(problem(about.as_str(), message));
    }
    let path = start.env.unwrap_or_default().into_iter().find(|variable| variable.starts_with("PATH="));
    let workdir = start.working_dir.unwrap_or_default();
    let words = || start.entrypoint.iter().flatten().chain(start.cmd.iter().flatten()).chain(&path);
    if words().map(String::len).sum::<usize>() > MAX_WORDS || words().any(|word| word.contains('\0')) {
        let message = format!("has an ENTRYPOINT, CMD or PATH of more than {MAX_WORDS} bytes, or with a NUL in it");
        return Err(problem(about.as_str(), message));
    }
    let said = |(bytes, digest): (Arc<dyn ReadAt>, &String)| match digest.parse() {
        Ok(digest) => Ok(SavedLayer { bytes, digest }),
        Err(_) => Err(problem(about.as_str(), format!("has `{}` where a sha256 digest belongs", shown(digest)))),
    };
    let layers = layers.into_iter().zip(&digests).map(said).collect::<Result<_, _>>()?;
    let written = json!({
        "architecture": architecture,
        "os": "linux",
        "config": {
            "Entrypoint": start.entrypoint,
            "Cmd": start.cmd,
            "WorkingDir": workdir,
            "Env": path.into_iter().collect::<Vec<_>>(),
        },
        "rootfs": { "type": "layers", "diff_ids": digests },
    });
    Ok(SavedImage { config: written.to_string().into_bytes(), layers })
}

/// The configuration and the layers that `docker save` wrote.
fn of_docker(files: &Folder) -> Result<(&File, Layers), Problem> {
    let manifest: Vec<Saved> = json(file(files, DOCKER, DOCKER)?, DOCKER)?;
    let [saved] = manifest.as_slice() else {
        return Err(problem(DOCKER, format!("names {} images; save the one that you hand in", manifest.len())));
    };
    let layers = saved.layers.as_deref().unwrap_or_default().iter();
    let layers = layers.map(|path| Ok(Arc::clone(&layer(files, path)?.bytes))).collect::<Result<_, _>>()?;
    Ok((file(files, &saved.config, DOCKER)?, layers))
}

/// A layer, which may be a link to one that the image has twice.
fn layer<'f>(files: &'f Folder, path: &str) -> Result<&'f File, Problem> {
    let found = file(files, path, DOCKER)?;
    if found.about.len >= MIN_LAYER {
        return Ok(found);
    }
    let target = read_all(&*found.bytes).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let target = target.as_deref().and_then(|target| target.strip_prefix("../"));
    Ok(target.and_then(|target| files.get(target)).unwrap_or(found))
}

/// Those of an OCI layout.
fn of_oci(files: &Folder) -> Result<(&File, Layers), Problem> {
    let mut from = OCI[1].to_owned();
    for _ in 0..MAX_DEPTH {
        let Index { manifests } = json(file(files, &from, OCI[1])?, &from)?;
        // Notes on how it was built are no images; of several platforms it is ours.
        let meant = |descriptor: &&Descriptor| {
            descriptor.platform.as_ref().is_none_or(|platform| {
                (platform.architecture.is_empty() || platform.architecture == architecture())
                    && (platform.os.is_empty() || platform.os == "linux")
            })
        };
        let found: Vec<_> = manifests.iter().filter(meant).collect();
        let [one] = found.as_slice() else {
            let message = format!(
                "names {} images for linux on {}; save the one that you hand in, built for that",
                found.len(),
                architecture()
            );
            return Err(problem(&from, message));
        };
        let next = blob(&one.digest, &from)?;
        if one.media_type.contains("index") || one.media_type.contains("manifest.list") {
            from = next;
            continue;
        }
        let Manifest { config, layers } = json(file(files, &next, &from)?, &next)?;
        let layer =
            |descriptor: &Descriptor| Ok(Arc::clone(&file(files, &blob(&descriptor.digest, &next)?, &next)?.bytes));
        let layers = layers.iter().map(layer).collect::<Result<_, _>>()?;
        return Ok((file(files, &blob(&config.digest, &next)?, &next)?, layers));
    }
    Err(problem(&from, "lies too deep: an index names an index that names an index"))
}

fn blob(digest: &str, from: &str) -> Result<String, Problem> {
    let hex =
        digest.strip_prefix("sha256:").filter(|hex| hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()));
    let hex = hex.ok_or_else(|| problem(from, format!("has `{}` where a sha256 digest belongs", shown(digest))))?;
    Ok(format!("blobs/sha256/{hex}"))
}

fn file<'f>(files: &'f Folder, path: &str, from: &str) -> Result<&'f File, Problem> {
    files.get(path).ok_or_else(|| {
        let message = format!("names `{}`, which is not in the archive; save the image again, all of it", shown(path));
        problem(from, message)
    })
}

fn json<T: DeserializeOwned>(file: &File, name: &str) -> Result<T, Problem> {
    if file.about.len > MAX_JSON {
        return Err(problem(name, format!("has {} bytes; {MAX_JSON} at most", file.about.len)));
    }
    let bytes = read_all(&*file.bytes).map_err(|error| problem(name, format!("cannot be read: {error}")))?;
    // Its words would quote the file's.
    serde_json::from_slice(&bytes).map_err(|error| Problem {
        line: Some(error.line() as u64).filter(|line| *line > 0),
        ..problem(name, "is not what an image has there; save the image again")
    })
}

fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() && *c != '`').take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::digest::Digest;
    use crate::domain::tree::TreeFile;

    fn folder(files: &[(&str, String)]) -> Folder {
        let file = |(path, text): &(&str, String)| {
            let bytes = text.clone().into_bytes();
            let about = TreeFile { path: path.parse().unwrap(), len: bytes.len() as u64, digest: Digest::of(&bytes) };
            File { about, bytes: Arc::new(bytes) }
        };
        Folder::new(files.iter().map(file).collect()).unwrap()
    }

    fn config(more: &str) -> String {
        let architecture = architecture();
        format!(
            r#"{{"architecture":"{architecture}","os":"linux","created":"x","config":{{"Cmd":["/run"],"Env":["PATH=/bin","LD_PRELOAD=x"],
            "Labels":{{"gradus.owner":"me"}},"Healthcheck":{{"Test":["CMD","x"]}},"OnBuild":["RUN x"],"Volumes":null}},
            "rootfs":{{"type":"layers","diff_ids":["sha256:DIGEST"]}}}}"#
        )
        .replace("\"Volumes\":null", more)
        .replace("DIGEST", &"a".repeat(64))
    }

    fn saved(config: String) -> Folder {
        let manifest = r#"[{"Config":"c.json","RepoTags":["python:3"],"Layers":["a/layer.tar"]}]"#.to_owned();
        folder(&[("manifest.json", manifest), ("c.json", config), ("a/layer.tar", "bytes".to_owned())])
    }

    #[test]
    fn what_docker_saved_is_read_and_only_what_starts_it_is_taken_over() {
        let files = saved(config("\"Volumes\":null"));
        assert!(is_one(&files));
        let image = read(&files).unwrap();
        assert_eq!(read_all(&*image.layers[0].bytes).unwrap(), b"bytes");
        let text = String::from_utf8(image.config).unwrap();
        assert!(text.contains("\"Cmd\":[\"/run\"]") && text.contains("PATH=/bin"), "{text}");
        for other in ["LD_PRELOAD", "Labels", "gradus.owner", "Healthcheck", "OnBuild", "python"] {
            assert!(!text.contains(other), "{other}: {text}");
        }
    }

    #[test]
    fn a_layer_that_is_there_twice_may_be_a_link() {
        let manifest = r#"[{"Config":"c.json","Layers":["a/layer.tar","b/layer.tar"]}]"#.to_owned();
        let twice =
            config("\"Volumes\":null").replacen("[\"sha256", &format!("[\"sha256:{}\",\"sha256", "b".repeat(64)), 1);
        let bytes = "x".repeat(600);
        let files = folder(&[
            ("manifest.json", manifest),
            ("c.json", twice),
            ("a/layer.tar", bytes.clone()),
            ("b/layer.tar", "../a/layer.tar".to_owned()),
        ]);
        let image = read(&files).unwrap();
        assert!(image.layers.iter().all(|layer| read_all(&*layer.bytes).unwrap() == bytes.as_bytes()));
    }

    #[test]
    fn an_oci_layout_is_read_whatever_else_lies_beside_it() {
        let hex = |n: u8| char::from(n).to_string().repeat(64);
        let at = |n: u8| format!("blobs/sha256/{}", hex(n));
        let index = format!(
            r#"{{"manifests":[{{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"sha256:{}"}}]}}"#,
            hex(b'a')
        );
        let inner = format!(
            r#"{{"manifests":[{{"mediaType":"m","digest":"sha256:{}","platform":{{"architecture":"{}","os":"linux"}}}},
            {{"mediaType":"m","digest":"sha256:{}","platform":{{"architecture":"unknown","os":"unknown"}}}}]}}"#,
            hex(b'b'),
            architecture(),
            hex(b'f')
        );
        let manifest = format!(
            r#"{{"config":{{"digest":"sha256:{}"}},"layers":[{{"mediaType":"l","digest":"sha256:{}"}}]}}"#,
            hex(b'c'),
            hex(b'd')
        );
        let (a, b, c, d) = (at(b'a'), at(b'b'), at(b'c'), at(b'd'));
        let files = folder(&[
            ("oci-layout", "{}".to_owned()),
            ("index.json", index),
            (&a, inner),
            (&b, manifest),
            (&c, config("\"Volumes\":{}")),
            (&d, "bytes".to_owned()),
        ]);
        assert!(is_one(&files));
        assert_eq!(read_all(&*read(&files).unwrap().layers[0].bytes).unwrap(), b"bytes");
    }

    #[test]
    fn what_cannot_be_run_is_told_at_the_door() {
        let docker =
            |manifest: &str| folder(&[("manifest.json", manifest.to_owned()), ("c.json", config("\"Volumes\":null"))]);
        let plain = || config("\"Volumes\":null");
        for (files, words) in [
            (saved(config("\"Volumes\":{\"/data\":{}}")), "VOLUME /data"),
            (saved(plain().replace(architecture(), "s390x")), "s390x"),
            (saved(plain().replace("\"linux\"", "\"windows\"")), "windows"),
            (saved(plain().replace("[\"/run\"]", "null")), "neither ENTRYPOINT nor CMD"),
            (saved(plain().replace(&format!("\"sha256:{}\"", "a".repeat(64)), "")), "0 layers"),
            (saved(plain().replace("sha256:aa", "sha256:x")), "where a sha256 digest belongs"),
            (saved(plain().replace("[\"/run\"]", "[\"/run\\u0000\"]")), "a NUL in it"),
            (saved(plain().replace("\"Cmd\"", "\"WorkingDir\":\"../x\",\"Cmd\"")), "no plain absolute path"),
            (saved("{".to_owned()), "save the image again"),
            (docker("[]"), "names 0 images"),
            (docker("{}"), "is not what an image has there"),
            (docker(r#"[{"Config":"c.json","Layers":["../../etc/passwd"]}]"#), "not in the archive"),
            (docker(r#"[{"Config":"x`\u0007.json","Layers":[]}]"#), "names `x.json`"),
            (
                folder(&[("oci-layout", String::new()), ("index.json", r#"{"manifests":[]}"#.to_owned())]),
                "names 0 images",
            ),
            (
                folder(&[
                    ("oci-layout", String::new()),
                    ("index.json", r#"{"manifests":[{"digest":"sha256:../x"}]}"#.to_owned()),
                ]),
                "where a sha256 digest belongs",
            ),
        ] {
            let problem = read(&files).map(drop).unwrap_err();
            assert!(problem.message.contains(words), "{problem:?}");
        }
    }
}
