//! Writes small MMDB files, so that tests meet the layouts of databases that can't be shipped.
//! Format: <https://maxmind.github.io/MaxMind-DB/>, version 2.0, records of 24 bits.

use std::net::IpAddr;

use ipnet::IpNet;

/// A value of the data section.
pub(crate) enum Value {
    Text(&'static str),
    Short(u16),
    Number(u32),
    Long(u64),
    Map(Vec<(&'static str, Value)>),
    Array(Vec<Value>),
}

/// Writes a database for both families. Networks mustn't nest.
pub(crate) fn database(database_type: &'static str, records: &[(&str, Value)]) -> Vec<u8> {
    let mut data = Vec::new();
    let mut tree = vec![[Child::Empty; 2]];
    for (network, value) in records {
        let offset = data.len();
        encode(value, &mut data);
        insert(&mut tree, network.parse().unwrap(), offset);
    }
    file(database_type, &tree, data)
}

/// A database whose nodes have one child on both sides: 2^100 ways lead to nothing.
pub(crate) fn tangled() -> Vec<u8> {
    let mut tree: Vec<[Child; 2]> = (1..100).map(|next| [Child::Node(next); 2]).collect();
    tree.push([Child::Empty; 2]);
    file("Tangled", &tree, Vec::new())
}

fn file(database_type: &'static str, tree: &[[Child; 2]], data: Vec<u8>) -> Vec<u8> {
    let mut file = Vec::new();
    for child in tree.iter().flatten() {
        let record = match *child {
            Child::Empty => tree.len(),
            Child::Node(node) => node,
            Child::Data(offset) => tree.len() + 16 + offset,
        };
        file.extend_from_slice(&u32::try_from(record).unwrap().to_be_bytes()[1..]);
    }
    file.extend_from_slice(&[0; 16]);
    file.extend(data);
    file.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
    let metadata = Value::Map(vec![
        ("binary_format_major_version", Value::Short(2)),
        ("binary_format_minor_version", Value::Short(0)),
        ("build_epoch", Value::Long(1_700_000_000)),
        ("database_type", Value::Text(database_type)),
        ("description", Value::Map(vec![("en", Value::Text("for tests"))])),
        ("ip_version", Value::Short(6)),
        ("languages", Value::Array(vec![Value::Text("en")])),
        ("node_count", Value::Number(u32::try_from(tree.len()).unwrap())),
        ("record_size", Value::Short(24)),
    ]);
    encode(&metadata, &mut file);
    file
}

#[derive(Clone, Copy)]
enum Child {
    Empty,
    Node(usize),
    Data(usize),
}

/// IPv4 stands at `::/96`.
fn insert(tree: &mut Vec<[Child; 2]>, network: IpNet, offset: usize) {
    let (bits, length) = match network.network() {
        IpAddr::V4(address) => (u128::from(address.to_bits()), network.prefix_len() + 96),
        IpAddr::V6(address) => (address.to_bits(), network.prefix_len()),
    };
    let mut node = 0;
    for depth in 0..length {
        let side = (bits >> (127 - depth) & 1) as usize;
        if depth + 1 == length {
            tree[node][side] = Child::Data(offset);
        } else if let Child::Node(next) = tree[node][side] {
            node = next;
        } else {
            tree.push([Child::Empty; 2]);
            let next = tree.len() - 1;
            tree[node][side] = Child::Node(next);
            node = next;
        }
    }
}

fn encode(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Text(text) => {
            control(2, text.len(), out);
            out.extend_from_slice(text.as_bytes());
        }
        Value::Short(number) => {
            control(5, 2, out);
            out.extend_from_slice(&number.to_be_bytes());
        }
        Value::Number(number) => {
            control(6, 4, out);
            out.extend_from_slice(&number.to_be_bytes());
        }
        Value::Long(number) => {
            control(9, 8, out);
            out.extend_from_slice(&number.to_be_bytes());
        }
        Value::Map(entries) => {
            control(7, entries.len(), out);
            for (key, value) in entries {
                encode(&Value::Text(key), out);
                encode(value, out);
            }
        }
        Value::Array(values) => {
            control(11, values.len(), out);
            values.iter().for_each(|value| encode(value, out));
        }
    }
}

/// Type and size; types above 7 take a second octet.
fn control(kind: u8, size: usize, out: &mut Vec<u8>) {
    let size = u8::try_from(size).unwrap();
    let (short, more) = if size < 29 { (size, None) } else { (29, Some(size - 29)) };
    if kind <= 7 {
        out.push(kind << 5 | short);
    } else {
        out.extend_from_slice(&[short, kind - 7]);
    }
    out.extend(more);
}
