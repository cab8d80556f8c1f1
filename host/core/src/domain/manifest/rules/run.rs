//! How participants' programs run: `accepts`, `input`, `ingestion` and `runner` of a task.

use super::super::raw;
use super::Reader;
use crate::domain::challenge::{Apart, TaskRun};
use crate::domain::report::Audience;
use crate::domain::run::ImageName;
use crate::domain::run_limits::RunLimits;
use crate::domain::submission::Lane;
use crate::domain::units::{Bytes, MilliCpus, Millis};
use toml::Spanned;

/// The place for what nobody keeps, at least and at most.
const SCRATCH: (Bytes, Bytes) = (Bytes(1 << 20), Bytes(64 << 30));

/// GPUs of one run, at most.
const MAX_GPUS: u32 = 64;
/// Memory of one GPU, at most.
const MAX_GPU_MEMORY: Bytes = Bytes(1 << 40);
/// The place where two programs meet, unless said otherwise.
const SHARED: Bytes = Bytes(16 << 20);

fn separate(raw: &raw::Runner) -> bool {
    raw.separate.as_ref().is_some_and(|separate| *separate.get_ref())
}

impl Reader<'_> {
    /// What may be handed in.
    pub(super) fn accepts(&mut self, key: &str, raw: &Spanned<Vec<Lane>>) -> Vec<Lane> {
        let line = self.at(key, raw);
        let lanes = raw.get_ref();
        if lanes.is_empty() {
            self.problem(line, key, "say what is taken: accepts = [\"results\"], [\"code\"], [\"image\"], or several");
        }
        for (at, lane) in lanes.iter().enumerate() {
            match lane {
                Lane::Results | Lane::Code | Lane::Image if lanes[..at].contains(lane) => {
                    self.problem(line, key, format!("names `{}` twice", lane.word()));
                }
                Lane::Results | Lane::Code | Lane::Image => {}
                Lane::Git => {
                    let message = "this version of Gradus grades results, code and images; it cannot take";
                    self.problem(line, key, format!("{message} `{}` yet", lane.word()));
                }
            }
        }
        lanes.clone()
    }

    /// How programs run, if any are taken.
    pub(super) fn run(&mut self, task: &str, lanes: &[Lane], raw: &raw::Task) -> Option<TaskRun> {
        let (code, image) = (lanes.contains(&Lane::Code), lanes.contains(&Lane::Image));
        let key = format!("tasks.{task}.runner");
        if !code && !image {
            let only = "is for tasks that take programs; add \"code\" or \"image\" to `accepts`, or remove this";
            for (name, path) in [("input", &raw.input), ("ingestion", &raw.ingestion)] {
                if let Some(path) = path {
                    let line = self.at(&format!("tasks.{task}.{name}"), path);
                    self.problem(line, format!("tasks.{task}.{name}"), only);
                }
            }
            if let Some(runner) = &raw.runner {
                let line = self.at(&key, runner);
                self.problem(line, &key, only);
            }
            return None;
        }
        let separate = raw.runner.as_ref().is_some_and(|runner| separate(runner.get_ref()));
        if let Some(path) = raw.ingestion.as_ref().filter(|_| image && !separate) {
            let key = format!("tasks.{task}.ingestion");
            let line = self.at(&key, path);
            let message = "calls programs, and an image is started by itself; add runner = { separate = true }, or remove one of the two";
            self.problem(line, key, message);
        }
        let default = TaskRun::default();
        let ingestion = raw.ingestion.is_some();
        let Some(raw) = &raw.runner else { return Some(default) };
        self.at(&key, raw);
        let raw = raw.get_ref();
        let name = |part: &str| format!("{key}.{part}");
        let (usual, most) = (RunLimits::default(), RunLimits::MOST);
        let image = raw.image.as_ref().and_then(|image| self.image(&name("image"), image));
        let wall: Millis = self.quantity(&name("wall"), raw.wall.as_ref(), usual.wall, most.wall);
        let cpus = self.cpus(&name("cpus"), raw.cpus.as_ref(), usual.cpus, most.cpus);
        // Unless said otherwise, the CPUs may be busy all the time.
        let busy = Millis((wall.0.saturating_mul(cpus.0) / 1000).clamp(1, most.cpu.0));
        let limits = RunLimits {
            wall,
            cpu: self.quantity(&name("cpu"), raw.cpu.as_ref(), busy, most.cpu),
            cpus,
            memory: self.quantity(&name("memory"), raw.memory.as_ref(), usual.memory, most.memory),
            pids: self.count(&name("pids"), raw.pids.as_ref(), usual.pids, most.pids),
            output: self.quantity(&name("output"), raw.output.as_ref(), usual.output, most.output),
            files: self.count(&name("files"), raw.files.as_ref(), usual.files, most.files),
            log: self.quantity(&name("log"), raw.log.as_ref(), usual.log, most.log),
        };
        let scratch = self.quantity(&name("scratch"), raw.scratch.as_ref(), default.scratch, SCRATCH.1);
        if scratch < SCRATCH.0 || scratch > limits.memory {
            let line = raw.scratch.as_ref().map_or(0, |scratch| self.at(&name("scratch"), scratch));
            let message = format!("is {} to the run's `memory`, as it counts as memory; it is {scratch}", SCRATCH.0);
            self.problem(line, name("scratch"), message);
        }
        let gpus = raw.gpus.as_ref().filter(|gpus| *gpus.get_ref() > 0);
        let gpus = gpus.map_or(0, |_| self.count(&name("gpus"), gpus, 1, MAX_GPUS));
        let gpu_memory = self.quantity(&name("gpu_memory"), raw.gpu_memory.as_ref(), Bytes(0), MAX_GPU_MEMORY);
        if let Some(memory) = raw.gpu_memory.as_ref().filter(|_| gpus == 0) {
            let line = self.at(&name("gpu_memory"), memory);
            self.problem(line, name("gpu_memory"), "is for runs with GPUs; add `gpus`, or remove this");
        }
        let runtime = raw.runtime.as_ref();
        let runtime =
            runtime.map(|name_of| self.of_the_engine(&name("runtime"), name_of, "runtimes, such as \"runsc\""));
        let network = raw.network.as_ref();
        let network = network.map(|name_of| self.of_the_engine(&name("network"), name_of, "networks"));
        let pinned = self.pinned(&name("pinned"), raw.pinned.as_ref(), cpus);
        let apart = self.two_containers(&key, ingestion, raw, limits.memory);
        Some(TaskRun {
            image,
            limits,
            scratch,
            logs: raw.logs.unwrap_or(Audience::Organizer),
            alone: raw.alone,
            apart,
            gpus,
            gpu_memory,
            runtime,
            network,
            pinned,
        })
    }

    /// Only whole CPUs can be a run's own.
    fn pinned(&mut self, key: &str, raw: Option<&Spanned<bool>>, cpus: MilliCpus) -> bool {
        let Some(raw) = raw else { return false };
        let line = self.at(key, raw);
        let pinned = *raw.get_ref();
        if pinned && !cpus.0.is_multiple_of(1000) {
            self.problem(line, key, "gives a run whole CPUs of its own; make `cpus` a whole number, or remove this");
        }
        pinned
    }

    /// The name of something of the engine's that the operator may allow.
    fn of_the_engine(&mut self, key: &str, raw: &Spanned<String>, what: &str) -> String {
        let (name, line) = (raw.get_ref(), self.at(key, raw));
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if name.is_empty() || name.len() > 64 || !name.chars().all(good) {
            self.problem(line, key, format!("is the name of one of the engine's {what}"));
        }
        name.clone()
    }

    /// Whether and how the ingestion program runs in a container of its own.
    fn two_containers(&mut self, key: &str, ingestion: bool, raw: &raw::Runner, memory: Bytes) -> Option<Apart> {
        let name = |part: &str| format!("{key}.{part}");
        if let Some(line) = raw.separate.as_ref().map(|separate| self.at(&name("separate"), separate))
            && separate(raw)
            && !ingestion
        {
            let message = "is for tasks with an ingestion program; add `ingestion`, or remove this";
            self.problem(line, name("separate"), message);
        }
        let image = raw.ingestion_image.as_ref().and_then(|image| self.image(&name("ingestion_image"), image));
        let shared = self.quantity(&name("shared"), raw.shared.as_ref(), SHARED, SCRATCH.1);
        if separate(raw) {
            if shared < SCRATCH.0 || shared > memory {
                let line = raw.shared.as_ref().map_or(0, |shared| self.at(&name("shared"), shared));
                let message = format!("is {} to the run's `memory`; it is {shared}", SCRATCH.0);
                self.problem(line, name("shared"), message);
            }
            return Some(Apart { image, shared });
        }
        for (part, line) in [
            ("ingestion_image", raw.ingestion_image.as_ref().map(|image| self.at(&name("ingestion_image"), image))),
            ("shared", raw.shared.as_ref().map(|shared| self.at(&name("shared"), shared))),
        ] {
            if let Some(line) = line {
                let message =
                    "is for ingestion programs in a container of their own; add `separate = true`, or remove this";
                self.problem(line, name(part), message);
            }
        }
        None
    }

    fn image(&mut self, key: &str, raw: &Spanned<String>) -> Option<ImageName> {
        let line = self.at(key, raw);
        let name = ImageName::try_from(raw.get_ref().clone());
        name.map_err(|error| self.problem(line, key, error.to_string())).ok()
    }

    fn cpus(&mut self, key: &str, raw: Option<&Spanned<raw::Number>>, usual: MilliCpus, most: MilliCpus) -> MilliCpus {
        let Some(raw) = raw else { return usual };
        let line = self.at(key, raw);
        let thousandths = (raw.get_ref().value() * 1000.0).round();
        #[expect(clippy::cast_precision_loss, reason = "the most CPUs are far below 2^53")]
        let fits = thousandths >= 10.0 && thousandths <= most.0 as f64;
        if !fits {
            self.problem(line, key, format!("is a number of CPUs from 0.01 to {}", most.0 / 1000));
            return usual;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked just above")]
        MilliCpus(thousandths as u64)
    }

    fn count(&mut self, key: &str, raw: Option<&Spanned<u32>>, usual: u32, most: u32) -> u32 {
        let Some(raw) = raw else { return usual };
        let line = self.at(key, raw);
        if !(1..=most).contains(raw.get_ref()) {
            self.problem(line, key, format!("must be 1 to {most}"));
            return usual;
        }
        *raw.get_ref()
    }
}
