//! The house as text, and what its page and manifest say.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::code::blank_words;

/// The house as text.
#[derive(Clone)]
pub(crate) struct House {
    pub(crate) page: String,
    pub(crate) manifest: String,
    /// Paths below `src`, with the text as written.
    pub(crate) sources: BTreeMap<String, String>,
    /// All test crates and benches as one text, without comments and strings.
    pub(crate) tests: String,
}

/// One line of the room table.
pub(crate) struct Room {
    pub(crate) floor: u32,
    pub(crate) exists: bool,
    pub(crate) imports: BTreeSet<String>,
}

/// Rooms by name.
pub(crate) type Rooms = BTreeMap<String, Room>;

pub(crate) fn read_house() -> House {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| fs::read_to_string(root.join(name)).expect("the file is readable");
    let mut sources = BTreeMap::new();
    collect(&root.join("src"), "", &mut sources);
    let mut others = BTreeMap::new();
    for folder in ["tests", "benches"] {
        collect(&root.join(folder), folder, &mut others);
    }
    House {
        page: read("src/ARCHITECTURE.md"),
        manifest: read("Cargo.toml"),
        sources,
        tests: others.values().map(|text| blank_words(text)).collect(),
    }
}

/// Texts of all `.rs` files below `folder`, by path; a missing folder holds none.
fn collect(folder: &Path, prefix: &str, texts: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("the folder is readable").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let below = format!("{prefix}/{name}");
        let below = below.trim_start_matches('/');
        if path.is_dir() {
            collect(&path, below, texts);
        } else if path.extension() == Some("rs".as_ref()) {
            let text = fs::read_to_string(&path).expect("the file is readable");
            texts.insert(below.to_owned(), text);
        }
    }
}

/// Cells of the table whose head begins with `head`.
pub(crate) fn rows<'a>(page: &'a str, head: &'a str) -> impl Iterator<Item = Vec<&'a str>> {
    let from_head = page.lines().skip_while(move |line| !line.starts_with(head));
    let lines = from_head.skip(2).take_while(|line| line.starts_with('|'));
    lines.map(|line| line.split('|').map(str::trim).collect())
}

/// Words between back-ticks.
pub(crate) fn ticked(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

pub(crate) fn read_rooms(page: &str) -> Rooms {
    let room = |cells: Vec<&str>| {
        let room = Room {
            floor: cells[2].parse().expect("a room's second cell is its floor"),
            exists: cells[1].starts_with('['),
            imports: ticked(cells[3]).map(str::to_owned).collect(),
        };
        let name = ticked(cells[1]).next().unwrap_or_default();
        (name.to_owned(), room)
    };
    rows(page, "| room | floor |").map(room).collect()
}

/// Where a crate may be used: rooms, each with a file if only that one; `tests` is a room here.
pub(crate) fn read_places(cell: &str, rooms: &Rooms) -> Vec<(String, Option<String>)> {
    let mut places = Vec::new();
    let floors = cell.strip_prefix("floors ").map(|rest| {
        let digits = rest
            .bytes()
            .filter(u8::is_ascii_digit)
            .map(|b| u32::from(b - b'0'));
        digits.take(2).collect::<Vec<_>>()
    });
    let inside = |room: &Room| match floors.as_deref() {
        Some([low, high]) => (*low..=*high).contains(&room.floor),
        _ => cell.starts_with("every room"),
    };
    let many = rooms.iter().filter(|(_, room)| inside(room));
    places.extend(many.map(|(name, _)| (name.clone(), None)));
    let pieces: Vec<&str> = cell.split('`').collect();
    for pair in pieces.chunks_exact(2) {
        if rooms.contains_key(pair[1]) {
            places.push((pair[1].to_owned(), None));
        } else if pair[0] == " in "
            && let Some(last) = places.last_mut()
        {
            last.1 = Some(pair[1].to_owned());
        }
    }
    if cell.starts_with("tests") {
        places.push(("tests".to_owned(), None));
    }
    places
}

/// Names of the dependencies as code spells them, and whether they are for tests alone.
pub(crate) fn dependencies(manifest: &str) -> Vec<(String, bool)> {
    let mut section = "";
    let mut found = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        } else if let Some((name, _)) = line.split_once(['=', '.'])
            && section.ends_with("dependencies]")
            && !line.starts_with('#')
        {
            let for_tests = section.contains("dev-");
            found.push((name.trim().replace('-', "_"), for_tests));
        }
    }
    found
}
