//! Images as participants hand them in: saved by the real engine, and then changed by hand.

use super::programs::Engine;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

/// An image, taken apart.
#[derive(Debug, Clone)]
pub struct Saved {
    /// What says how to start it.
    pub config: Value,
    /// Its layers, as plain tars.
    pub layers: Vec<Vec<u8>>,
    /// The names that it claims.
    pub names: Vec<String>,
}

impl Saved {
    /// The test image that starts `script`, as `docker save` writes it.
    ///
    /// # Errors
    /// What is not here, for who skips the test.
    pub fn starting(engine: &Engine, script: &str) -> Result<Self, String> {
        Ok(Self::of(&saved(engine, script)?))
    }

    fn of(archive: &[u8]) -> Self {
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(archive).entries().expect("it is a tar") {
            let mut entry = entry.expect("it is a tar");
            let path = entry.path().expect("it has a name").to_string_lossy().into_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).expect("it can be read");
            files.insert(path, bytes);
        }
        let manifest: Value = serde_json::from_slice(&files["manifest.json"]).expect("JSON");
        let file = |path: &Value| files[path.as_str().expect("a path")].clone();
        let layers = manifest[0]["Layers"].as_array().expect("a list").iter().map(file).collect();
        let config = serde_json::from_slice(&file(&manifest[0]["Config"])).expect("JSON");
        Self { config, layers, names: Vec::new() }
    }

    /// Adds a layer, and says so.
    #[must_use]
    pub fn with_layer(mut self, layer: Vec<u8>) -> Self {
        let digests = self.config["rootfs"]["diff_ids"].as_array_mut().expect("a list");
        digests.push(format!("sha256:{}", sha256(&layer)).into());
        self.layers.push(layer);
        self
    }

    /// The same with another configuration.
    #[must_use]
    pub fn with(mut self, key: &str, value: Value) -> Self {
        self.config["config"][key] = value;
        self
    }

    /// As `docker save` lays it out.
    pub fn archive(&self) -> Vec<u8> {
        let names: Vec<_> = (0..self.layers.len()).map(|number| format!("{number}/layer.tar")).collect();
        let manifest = json!([{ "Config": "config.json", "RepoTags": self.names, "Layers": names }]);
        let mut files =
            vec![("manifest.json".to_owned(), bytes(&manifest)), ("config.json".to_owned(), bytes(&self.config))];
        files.extend(names.into_iter().zip(self.layers.iter().cloned()));
        packed(&files)
    }

    /// As `docker save` lays it out; of the first layer, which it says it has twice, the second is a link.
    ///
    /// # Panics
    /// Never: memory takes it.
    pub fn with_link(&self) -> Vec<u8> {
        let manifest = json!([{ "Config": "config.json", "Layers": ["0/layer.tar", "1/layer.tar"] }]);
        let mut builder = tar::Builder::new(Vec::new());
        let mut add = |path: &str, bytes: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            builder.append_data(&mut header, path, bytes).expect("memory takes it");
        };
        add("manifest.json", &bytes(&manifest));
        add("config.json", &bytes(&self.config));
        add("0/layer.tar", &self.layers[0]);
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        builder.append_link(&mut header, "1/layer.tar", "../0/layer.tar").expect("memory takes it");
        builder.into_inner().expect("memory takes it")
    }

    /// As an OCI layout, its layers compressed.
    pub fn oci(&self) -> Vec<u8> {
        let blob = |bytes: &[u8]| (format!("blobs/sha256/{}", sha256(bytes)), bytes.to_vec());
        let named = |bytes: &[u8]| json!({ "mediaType": "x", "digest": format!("sha256:{}", sha256(bytes)) });
        let config = bytes(&self.config);
        let layers: Vec<Vec<u8>> = self.layers.iter().map(|layer| gzip(layer)).collect();
        let list: Vec<_> = layers.iter().map(|layer| named(layer)).collect();
        let manifest = bytes(&json!({ "config": named(&config), "layers": list }));
        let index = bytes(&json!({ "manifests": [named(&manifest)] }));
        let mut files = vec![("oci-layout".to_owned(), b"{}".to_vec()), ("index.json".to_owned(), index)];
        files.extend([blob(&config), blob(&manifest)]);
        files.extend(layers.iter().map(|layer| blob(layer)));
        packed(&files)
    }
}

/// The test image that starts `script`, as `docker save` writes it.
///
/// # Errors
/// What is not here, for who skips the test.
pub fn saved(engine: &Engine, script: &str) -> Result<Vec<u8>, String> {
    let start = serde_json::to_string(&["sh", "-c", script]).map_err(|error| error.to_string())?;
    let image = engine.image(&format!("ENTRYPOINT {start}"))?;
    let room = tempfile::tempdir().map_err(|error| error.to_string())?;
    let path = room.path().join("image.tar");
    engine.save(&image, &path);
    std::fs::read(&path).map_err(|error| error.to_string())
}

/// A layer with these files.
///
/// # Panics
/// A name is none.
pub fn layer(files: impl IntoIterator<Item = (String, Vec<u8>, u32)>) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, bytes, mode) in files {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(bytes.len() as u64);
        header.set_mode(mode);
        builder.append_data(&mut header, path, &bytes[..]).expect("it is a name");
    }
    builder.into_inner().expect("memory takes it")
}

/// Compressed, as registries have it.
///
/// # Panics
/// Never: memory takes it.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn packed(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    layer(files.iter().map(|(path, bytes)| (path.clone(), bytes.clone(), 0o644)))
}

fn sha256(bytes: &[u8]) -> String {
    let mut child =
        Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("sha256sum is there");
    child.stdin.take().expect("it is piped").write_all(bytes).expect("it listens");
    let output = child.wait_with_output().expect("it ends");
    String::from_utf8_lossy(&output.stdout).split(' ').next().expect("a digest").to_owned()
}
