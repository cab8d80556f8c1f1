//! A small challenge that takes programs: they see half of the truth in their input.

use super::http::Api;
use super::zip::zip;
use tempfile::TempDir;

/// Nobody but the scorer may ever read this.
pub const SECRET: &str = "class-of-2c6f0d";

/// The challenge `rows`, in a folder of its own. Programs run in `image`; `more` is added to the task's `runner`.
///
/// # Panics
/// There is no room.
pub fn challenge(image: &str, more: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("there is room");
        std::fs::write(path, text).expect("there is room");
    };
    write(
        "challenge.toml",
        &format!(
            r#"
id = "rows"
title = "Label the rows"
[[phases]]
id = "dev"
starts = 2020-01-01T00:00:00Z
tasks = ["main"]
quota = [{{ limit = 10000 }}]
concurrent = 2
[[tasks]]
id = "main"
accepts = ["code", "results"]
input = "input"
reference = "reference.csv"
scorer = {{ stock = "classification" }}
params = {{ id = "id", target = "label", prediction = "label", metrics = ["accuracy"] }}
runner = {{ image = "{image}", memory = "64MiB", scratch = "8MiB", output = "4MiB", files = 100, wall = "20s", logs = "participant"{more} }}
[[leaderboards]]
id = "main"
phases = ["dev"]
rule = "best"
columns = [{{ metric = "accuracy" }}]
[[solutions]]
path = "solutions/copies"
scores = {{ accuracy = 0.5 }}
[[solutions]]
path = "solutions/fails"
outcome = "run-failed"
"#
        ),
    );
    write("input/rows.csv", "id,label\n1,a\n2,a\n");
    write("reference.csv", &format!("id,label,note\n1,a,{SECRET}\n2,b,{SECRET}\n"));
    write("solutions/copies/metadata", "command: cp $input/rows.csv $output/predictions.csv\n");
    write("solutions/fails/metadata", "command: sh -c 'echo because >&2; exit 3'\n");
    folder
}

/// The same with an environment, a program of the organizer's that answers to what is handed in: they run apart. It asks
/// for the label of each row, one after the other, and writes down what it is told.
///
/// # Panics
/// There is no room.
pub fn apart(image: &str, lanes: &str) -> TempDir {
    let folder = challenge(image, ", separate = true, shared = \"1MiB\"");
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("there is room");
        std::fs::write(path, text).expect("there is room");
    };
    let path = folder.path().join("challenge.toml");
    let text = std::fs::read_to_string(&path).expect("it was written");
    let lanes = format!("accepts = [{lanes}]\ningestion = \"ingestion\"");
    write("challenge.toml", &text.replace(r#"accepts = ["code", "results"]"#, &lanes));
    write("ingestion/metadata", "command: sh $ingestion_program/ask.sh $input $output $shared\n");
    let ask = r#"echo the environment asks
cd $3; mkfifo ask tell; echo id,label > $2/predictions.csv
tail -n +2 $1/rows.csv | while IFS=, read id label; do
  echo "$id" > ask; read answer < tell; [ "$answer" = crash ] && echo why >&2 && exit 4
  echo "$id,$answer" >> $2/predictions.csv
done || exit 4
echo over > ask
"#;
    write("ingestion/ask.sh", ask);
    write("solutions/copies/metadata", "command: sh $program/agent.sh\n");
    write("solutions/copies/agent.sh", AGENT);
    folder
}

/// What always answers `a`.
pub const AGENT: &str = r#"cd /app/shared; while [ ! -p tell ]; do sleep 0.05; done
while read row < ask; do [ "$row" = over ] && exit 0; echo a > tell; done
"#;

/// An archive with a program of some lines of shell.
pub fn program(script: &str) -> Vec<u8> {
    zip(&[("metadata", b"command: sh $program/run.sh\n"), ("run.sh", script.as_bytes())])
}

/// Hands such a program in to `rows`; returns the submission's id.
///
/// # Panics
/// It is not taken.
pub fn hand_in(api: &Api, script: &str) -> String {
    let answer = api.submit("rows", "dev", "program.zip", &program(script));
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer.json()["id"].as_str().expect("a submission has an id").to_owned()
}
