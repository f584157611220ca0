//! Every command explains itself.

use crate::rig::run;

/// The commands listed in a help text.
fn commands(help: &str) -> Vec<String> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    listed
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

#[test]
fn each_help_ends_with_an_example() {
    let folder = tempfile::tempdir().unwrap();
    let mut waiting: Vec<Vec<String>> = vec![Vec::new()];
    let mut n_commands = 0;
    while let Some(path) = waiting.pop() {
        let mut arguments: Vec<&str> = path.iter().map(String::as_str).collect();
        arguments.push("--help");
        let said = run(folder.path(), &arguments);
        assert_eq!(said.code, Some(0), "{path:?}: {}", said.err);
        let last = said.out.trim_end().lines().last().unwrap_or_default();
        assert!(
            last.trim_start().starts_with("endcap"),
            "{path:?} ends with {last:?}"
        );
        n_commands += 1;
        for name in commands(&said.out) {
            waiting.push(path.iter().cloned().chain([name]).collect());
        }
    }
    assert!(40 < n_commands, "only {n_commands} commands were found");
}

#[test]
fn version_and_completions_need_no_server() {
    let folder = tempfile::tempdir().unwrap();
    let said = run(folder.path(), &["--version"]);
    assert_eq!(
        said.out,
        concat!("endcap ", env!("CARGO_PKG_VERSION"), "\n")
    );
    for shell in ["bash", "zsh", "fish"] {
        let said = run(folder.path(), &["completions", shell]);
        assert_eq!(said.code, Some(0));
        assert!(said.out.contains("promo"), "{shell}");
    }
}
