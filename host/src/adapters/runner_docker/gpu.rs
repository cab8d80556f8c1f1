//! GPUs: which there are, and how a run asks for some. Which one a run has is decided here, and not by the engine, so that
//! two runs never share one.

use bollard::models::{DeviceRequest, SystemInfo};
use gradus_core::domain::units::Bytes;

/// A GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// Its id at the engine's driver, or the name of its description.
    pub id: String,
    /// Its memory; 0 where nobody said.
    pub memory: Bytes,
}

/// What the engine's driver for NVIDIA's devices is called, and its runtime.
const NVIDIA: &str = "nvidia";
/// Devices that the engine found by their own description, by the beginning of their names.
const CDI: &str = "nvidia.com/gpu=";
/// Where the devices of the machine are, each with its number.
const DEVICES: (&str, &str) = ("/dev", "nvidia");

/// The ids of the machine's GPUs, if the engine can give them to containers.
pub(super) fn of_machine(info: &SystemInfo) -> Vec<Gpu> {
    let names = std::fs::read_dir(DEVICES.0).into_iter().flatten().flatten();
    let names: Vec<String> = names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    of(info, &names).into_iter().map(|id| Gpu { id, memory: Bytes(0) }).collect()
}

fn of(info: &SystemInfo, devices: &[String]) -> Vec<String> {
    let found = info.discovered_devices.iter().flatten().filter_map(|device| device.id.as_deref()?.strip_prefix(CDI));
    // One name stands for all of them.
    let found: Vec<String> = found.filter(|id| *id != "all").map(ToOwned::to_owned).collect();
    let has_runtime = info.runtimes.as_ref().is_some_and(|runtimes| runtimes.contains_key(NVIDIA));
    if !has_runtime {
        return found.into_iter().map(|id| format!("{CDI}{id}")).collect();
    }
    let numbers = devices.iter().filter_map(|name| name.strip_prefix(DEVICES.1)?.parse::<u32>().ok());
    let mut numbers: Vec<u32> = numbers.collect();
    numbers.sort_unstable();
    numbers.into_iter().map(|number| number.to_string()).collect()
}

/// What the engine is asked for so that a container has `gpus`.
pub(super) fn request(gpus: &[String]) -> Option<Vec<DeviceRequest>> {
    if gpus.is_empty() {
        return None;
    }
    let described = gpus.iter().all(|id| id.contains('='));
    Some(vec![DeviceRequest {
        driver: Some(if described { "cdi" } else { NVIDIA }.to_owned()),
        device_ids: Some(gpus.to_vec()),
        capabilities: (!described).then(|| vec![vec!["gpu".to_owned()]]),
        ..DeviceRequest::default()
    }])
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::DeviceInfo;
    use std::collections::HashMap;

    fn info(runtime: bool, found: &[&str]) -> SystemInfo {
        let device = |id: &&str| DeviceInfo { id: Some((*id).to_owned()), ..DeviceInfo::default() };
        SystemInfo {
            runtimes: runtime.then(|| HashMap::from([(NVIDIA.to_owned(), bollard::models::Runtime::default())])),
            discovered_devices: Some(found.iter().map(device).collect()),
            ..SystemInfo::default()
        }
    }

    #[test]
    fn they_are_found_where_the_engine_can_give_them() {
        let devices = ["nvidia1", "nvidia0", "nvidiactl", "nvidia-uvm", "null"].map(ToOwned::to_owned);
        assert_eq!(of(&info(false, &[]), &devices), [""; 0], "no container would get them");
        assert_eq!(of(&info(true, &[]), &devices), ["0", "1"]);
        let found = ["nvidia.com/gpu=all", "nvidia.com/gpu=0", "other.com/x=0"];
        assert_eq!(of(&info(false, &found), &[]), ["nvidia.com/gpu=0"]);
    }

    #[test]
    fn a_run_asks_for_those_that_are_its_own() {
        assert_eq!(request(&[]), None);
        let asked = request(&["1".to_owned()]).unwrap();
        assert_eq!(asked[0].device_ids.as_deref().unwrap(), ["1"]);
        assert_eq!((asked[0].driver.as_deref(), asked[0].count), (Some("nvidia"), None));
        let asked = request(&["nvidia.com/gpu=0".to_owned()]).unwrap();
        assert_eq!((asked[0].driver.as_deref(), &asked[0].capabilities), (Some("cdi"), &None));
    }
}
