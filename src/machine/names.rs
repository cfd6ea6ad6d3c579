//! What a machine calls itself: product, cloud, instance type, system on chip.
//!
//! Every file and every field is on a list. No file on it holds a serial number, a host name, an address or a user. The asset
//! tags of firmware are the owner's texts, and on Amazon EC2 `board_asset_tag` is the id of the instance. So only a tag
//! that is the same on every machine of a cloud is looked at, and it is not recorded.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::tree::Tree;
use crate::shown::is_hidden;

/// The names of a machine. Each is absent if nothing says it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Names {
    /// The maker and the product according to the firmware (DMI `sys_vendor` and `product_name`), or the model in the
    /// device tree. On Amazon EC2 the product is the instance type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// The cloud that the machine belongs to, by its firmware.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud: Option<String>,
    /// The instance type that cloud-init noted when the machine was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_type: Option<String>,
    /// The system on chip: family, machine, id and revision of /sys/devices/soc0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soc: Option<String>,
}

/// Texts that firmware has where its maker filled in nothing.
const PLACEHOLDERS: [&str; 12] = [
    "default string",
    "empty",
    "n/a",
    "none",
    "not applicable",
    "not specified",
    "o.e.m.",
    "oem",
    "system manufacturer",
    "system product name",
    "to be filled by o.e.m.",
    "unknown",
];

/// A field of the firmware, its value on every machine of a cloud, and the cloud's name. From tools/ds-identify of
/// cloud-init. An asset tag is a constant of the cloud here.
const CLOUDS: [(&str, &str, &str); 9] = [
    ("sys_vendor", "Amazon EC2", "Amazon EC2"),
    ("product_name", "Google Compute Engine", "Google Cloud"),
    ("chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77", "Microsoft Azure"),
    ("chassis_asset_tag", "OracleCloud.com", "Oracle Cloud"),
    ("product_name", "Alibaba Cloud ECS", "Alibaba Cloud"),
    ("sys_vendor", "DigitalOcean", "DigitalOcean"),
    ("sys_vendor", "Hetzner", "Hetzner"),
    ("sys_vendor", "Scaleway", "Scaleway"),
    ("sys_vendor", "Tencent Cloud", "Tencent Cloud"),
];

/// Where cloud-init keeps the instance type: on Amazon EC2, on other clouds with the same data source, on Azure.
const INSTANCE_TYPES: [&str; 3] =
    ["/ds/meta_data/instance-type", "/ds/meta_data/instance_type", "/ds/meta_data/imds/compute/vmSize"];

impl Names {
    /// Reads the names. No network is used.
    pub fn read(tree: &Tree) -> Names {
        let firmware = |field: &str| tree.read(&format!("sys/class/dmi/id/{field}"));
        let named = |field: &str| firmware(field).as_deref().and_then(name);
        let product = match (named("sys_vendor"), named("product_name")) {
            (Some(vendor), Some(product)) if product.starts_with(&vendor) => Some(product),
            (Some(vendor), Some(product)) => Some(format!("{vendor} {product}")),
            (vendor, product) => product.or(vendor),
        };
        let model = || tree.read("proc/device-tree/model").as_deref().and_then(name);
        let is = |(field, value, _): &(&str, &str, &str)| firmware(field).as_deref() == Some(*value);
        let product = product.or_else(model);
        Names {
            soc: soc(tree, product.as_deref()),
            product,
            cloud: CLOUDS.into_iter().find(is).map(|(.., cloud)| cloud.to_owned()),
            instance_type: instance_type(tree),
        }
    }

    /// Whether nothing says what the machine is called.
    pub fn is_empty(&self) -> bool {
        *self == Names::default()
    }

    /// The names in one line, the product first; empty if there are none.
    pub fn in_words(&self) -> String {
        let Names { product, cloud, instance_type, soc } = self;
        let said = |text: &String| product.as_ref().is_some_and(|product| product.contains(text.as_str()));
        let more = [cloud, instance_type, soc].into_iter().flatten().filter(|text| !said(text));
        product.iter().chain(more).cloned().collect::<Vec<_>>().join(", ")
    }
}

/// A name as one line without hidden characters; `None` if it says nothing.
fn name(text: &str) -> Option<String> {
    let shown: String = text.chars().map(|c| if is_hidden(c) { ' ' } else { c }).take(100).collect();
    let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    (!shown.is_empty() && !PLACEHOLDERS.contains(&shown.to_ascii_lowercase().as_str())).then_some(shown)
}

fn soc(tree: &Tree, product: Option<&str>) -> Option<String> {
    let field = |name_of: &str| tree.read(&format!("sys/devices/soc0/{name_of}")).as_deref().and_then(name);
    // Drivers of device-tree machines repeat the model here.
    let fields = ["family", "machine", "soc_id", "revision"].into_iter().filter_map(field);
    let fields: Vec<String> = fields.filter(|text| Some(text.as_str()) != product).collect();
    (!fields.is_empty()).then(|| fields.join(" "))
}

/// The instance type in cloud-init's file. The file holds much more, so only a value that looks like a type is taken.
fn instance_type(tree: &Tree) -> Option<String> {
    let noted: Value = serde_json::from_str(&tree.read("run/cloud-init/instance-data.json")?).ok()?;
    let is_type = |text: &&str| {
        (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    INSTANCE_TYPES.into_iter().find_map(|at| noted.pointer(at)?.as_str().filter(is_type)).map(str::to_owned)
}

/// The longest label, in characters.
const LONGEST_LABEL: usize = 120;

/// What is wrong with a label; `None` if it is one short line of text.
pub fn label_problem(text: &str) -> Option<String> {
    if let Some(hidden) = text.chars().find(|&c| is_hidden(c)) {
        return Some(format!("has the control character {}; expected one line of text", hidden.escape_unicode()));
    }
    if text.trim().is_empty() {
        return Some("is empty; expected one line of text".to_owned());
    }
    let length = text.chars().count();
    (length > LONGEST_LABEL).then(|| format!("has {length} characters; expected at most {LONGEST_LABEL}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::tree::made_up::MadeUp;

    fn with(files: &[(&str, &str)]) -> Names {
        let made_up = MadeUp::new();
        for (path, text) in files {
            let path = if path.contains('/') { (*path).to_owned() } else { format!("sys/class/dmi/id/{path}") };
            made_up.write(&path, text);
        }
        Names::read(&made_up.tree())
    }

    fn words(files: &[(&str, &str)]) -> String {
        with(files).in_words()
    }

    #[test]
    fn clouds_are_known_by_their_firmware() {
        let metal =
            [("sys_vendor", "Amazon EC2"), ("product_name", "c7g.metal"), ("board_asset_tag", "i-0abcdef0123456789")];
        assert_eq!(words(&metal), "Amazon EC2 c7g.metal");
        assert_eq!(with(&metal).cloud.as_deref(), Some("Amazon EC2"));
        assert_eq!(
            words(&[("sys_vendor", "Google"), ("product_name", "Google Compute Engine")]),
            "Google Compute Engine, Google Cloud"
        );
        let azure = [
            ("sys_vendor", "Microsoft Corporation"),
            ("product_name", "Virtual Machine"),
            ("chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77"),
            (
                "run/cloud-init/instance-data.json",
                r#"{"ds": {"meta_data": {"imds": {"compute": {"vmSize": "Standard_D4ps_v6"}}}}}"#,
            ),
        ];
        assert_eq!(words(&azure), "Microsoft Corporation Virtual Machine, Microsoft Azure, Standard_D4ps_v6");
        // The owner's tag says nothing and is not kept.
        let own =
            with(&[("sys_vendor", "Dell Inc."), ("product_name", "PowerEdge R640"), ("chassis_asset_tag", "lab-42")]);
        assert_eq!((own.in_words().as_str(), own.cloud), ("Dell Inc. PowerEdge R640", None));
        for (field, value, cloud) in CLOUDS {
            assert_eq!(with(&[(field, value)]).cloud.as_deref(), Some(cloud));
            assert_eq!(with(&[(field, &format!("{value} 2"))]).cloud, None, "{value}");
        }
    }

    #[test]
    fn boards_are_known_by_their_device_tree() {
        assert_eq!(
            words(&[("proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0")]),
            "Raspberry Pi 5 Model B Rev 1.0"
        );
        assert_eq!(words(&[("proc/device-tree/model", "IBM,9105-22A\0")]), "IBM,9105-22A");
        let phone = [
            ("proc/device-tree/model", "Example Phone\0"),
            ("sys/devices/soc0/family", "Snapdragon"),
            ("sys/devices/soc0/machine", "Example Phone"),
            ("sys/devices/soc0/soc_id", "457"),
            ("sys/devices/soc0/revision", "2.1"),
            ("sys/devices/soc0/serial_number", "123456789"),
        ];
        assert_eq!(words(&phone), "Example Phone, Snapdragon 457 2.1");
        assert_eq!(with(&[]), Names::default());
        assert!(with(&[]).is_empty() && !with(&phone).is_empty());
    }

    #[test]
    fn what_firmware_leaves_blank_is_no_name() {
        assert_eq!(words(&[("sys_vendor", "To Be Filled By O.E.M."), ("product_name", "Default string")]), "");
        assert_eq!(words(&[("sys_vendor", "ASUS"), ("product_name", "System Product Name")]), "ASUS");
        assert_eq!(words(&[("product_name", "A\u{1b}[31m  box\u{202e}")]), "A [31m box");
    }

    #[test]
    fn only_a_type_is_taken_from_what_cloud_init_noted() {
        let of = |json: &str| with(&[("run/cloud-init/instance-data.json", json)]).instance_type;
        let ec2 = r#"{"v1": {"local_hostname": "box", "instance_id": "i-0abc"}, "ds": {"meta_data": {"instance-type": "c7g.xlarge", "public-ipv4": "192.0.2.1"}}}"#;
        assert_eq!(of(ec2).as_deref(), Some("c7g.xlarge"));
        for none in [
            "",
            "{",
            "{}",
            r#"{"ds": {"meta_data": {"instance-type": "a b"}}}"#,
            r#"{"ds": {"meta_data": {"instance-type": 7}}}"#,
        ] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    #[test]
    fn a_label_is_one_short_line() {
        assert_eq!(label_problem("rack 3, water-cooled, Müller's"), None);
        assert!(label_problem("a\u{1b}[31mb").unwrap().contains(r"\u{1b}"));
        assert!(label_problem("two\nlines").unwrap().contains(r"\u{a}"));
        assert!(label_problem("a\u{202e}b").is_some());
        assert!(label_problem(" ").unwrap().contains("is empty"));
        assert!(label_problem(&"x".repeat(120)).is_none() && label_problem(&"x".repeat(121)).is_some());
    }
}
