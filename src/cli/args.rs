//! The command line.
//!
//! Only shapes: what may be written, with its help. What the values mean is decided by the server,
//! or by the room that is called, so that both ways in answer alike.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::cli::assign::Assign;
use crate::cli::events::EventFile;
use crate::cli::infer::Infer;
use crate::cli::measure::{Figures, Measure};
use crate::cli::output::Format;
use crate::cli::promo_args::Promo;
use crate::cli::simulate::Simulate;

/// Heading of the options that every command has, so that its own stand together.
const EVERYWHERE: &str = "Options of every command";

/// Decides what a shop's search and category pages show first, and proves whether that helped.
#[derive(Debug, Parser)]
#[command(
    name = "endcap",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 input invalid, 4 refused by state,\n\
    5 not permitted, 6 unreachable or overloaded, 7 data damaged.\n\nExample:\n  endcap demo"
)]
pub(in crate::cli) struct Cli {
    /// Settings file; without it, endcap.toml in the working directory if there is one
    #[arg(long, global = true, value_name = "FILE", help_heading = EVERYWHERE)]
    pub(in crate::cli) config: Option<PathBuf>,
    /// Address of the server that remote commands talk to
    #[arg(
        long,
        global = true,
        help_heading = EVERYWHERE,
        value_name = "URL",
        env = "ENDCAP_URL",
        default_value = "http://127.0.0.1:7700"
    )]
    pub(in crate::cli) url: String,
    /// File that holds the API key; `ENDCAP_KEY` may hold the key itself
    #[arg(
        long,
        global = true,
        help_heading = EVERYWHERE,
        value_name = "FILE",
        env = "ENDCAP_KEY_FILE",
        help = "File that holds the API key; ENDCAP_KEY may hold the key itself"
    )]
    pub(in crate::cli) key_file: Option<PathBuf>,
    /// How results are printed
    #[arg(long, global = true, help_heading = EVERYWHERE, value_enum, default_value_t = Format::Table)]
    pub(in crate::cli) format: Format,
    /// What to do
    #[command(subcommand)]
    pub(in crate::cli) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Run the server
    #[command(after_help = "Example:\n  endcap serve --listen 127.0.0.1:7700 --data ./data")]
    Serve(Serve),
    /// Run a sample shop in a temporary directory and say how to try it
    #[command(after_help = "Example:\n  endcap demo --port 7700")]
    Demo(Demo),
    /// Open markets and look at them
    #[command(subcommand, after_help = "Example:\n  endcap market list")]
    Market(Market),
    /// Feed a market, or bring in a whole store
    #[command(subcommand)]
    #[command(after_help = "Example:\n  endcap import catalogue shop.ndjson --market se")]
    Import(Import),
    /// Check a feed against its market and change nothing
    #[command(after_help = "Example:\n  endcap validate shop.ndjson --market se")]
    Validate(Validate),
    /// Show a page as a shopper would get it
    #[command(after_help = "Example:\n  endcap rank --market se --category main:jackets --explain")]
    Rank(Rank),
    /// Promotions and demotions
    #[command(subcommand, after_help = "Example:\n  endcap promo list --market se")]
    Promo(Promo),
    /// Tell whether a measured promotion helped, and how sure one may be
    #[command(
        after_help = "Examples:\n  endcap measure prm_01k9tr6y0b2d4f6h8k0m2p4r6t\n  \
                      endcap measure prm_01k9tr6y0b2d4f6h8k0m2p4r6t --market se --scope basket"
    )]
    Measure(Measure),
    /// Tell which measured promotions sessions see
    #[command(after_help = "Examples:\n  endcap assign --market se s-1 s-2\n  \
                      endcap assign --market se - < sessions.txt")]
    Assign(Assign),
    /// Compare sums of two arms offline: difference, lift, p, power; JSON lines in and out
    ///
    /// Each line is an object with a method and what it takes:
    ///   compare              difference and lift of shown and withheld; metric is mean,
    ///                        proportion or ratio
    ///   srm, srm-sequential  whether observed, or blocks by day, hold the weights
    ///   power                sessions, lift or power from the other two
    ///   bh, markets          many results at once
    ///
    /// The README shows requests under "Figures you already have".
    #[command(
        after_help = "Example:\n  endcap infer requests.ndjson",
        verbatim_doc_comment
    )]
    Infer(Infer),
    /// Try the measuring on made-up sessions whose truth is known
    #[command(
        subcommand,
        after_help = "Example:\n  endcap simulate shop --runs 10000"
    )]
    Simulate(Simulate),
    /// API keys
    #[command(subcommand, after_help = "Example:\n  endcap key list")]
    Key(Key),
    /// Who changed what, and who was refused
    #[command(after_help = "Example:\n  endcap audit --from 2027-03-10T00:00:00Z")]
    Audit(Audit),
    /// How the server is: markets, snapshots, store
    #[command(after_help = "Example:\n  endcap status")]
    Status,
    /// Every limit of the server
    #[command(after_help = "Example:\n  endcap limits --format json")]
    Limits,
    /// Back up the running server, or a stopped data directory
    #[command(after_help = "Examples:\n  endcap backup\n  endcap backup /mnt/backup --data ./data")]
    Backup(Backup),
    /// Bring a data directory back from its own journal and backups, or from an export
    #[command(after_help = "Examples:\n  endcap restore ./data --accept-loss\n  \
                      endcap restore shop.jsonl --into ./data")]
    Restore(Restore),
    /// Check a data directory or an export file without changing it
    #[command(after_help = "Example:\n  endcap verify ./data")]
    Verify(Verify),
    /// Write figures of a market, or everything a store holds, into one file
    #[command(subcommand)]
    #[command(after_help = "Example:\n  endcap export store shop.jsonl --data ./data")]
    Export(Export),
    /// Make a sample shop of any size as a feed; the same seed gives the same bytes
    #[command(
        after_help = "Native NDJSON, or with --format google-tsv, google-xml or shopify-csv what \
                      these have a place for.\n\nExamples:\n  endcap generate --variants 20000 --seed 7 > \
                      shop.ndjson\n  endcap generate --variants 2000 --format google-xml > shop.xml"
    )]
    Generate(Generate),
    /// The settings in force, and where each comes from
    #[command(subcommand, after_help = "Example:\n  endcap config print")]
    Config(Config),
    /// Print the description of the API
    #[command(after_help = "Example:\n  endcap openapi > openapi.json")]
    Openapi,
    /// Print shell completions
    #[command(after_help = "Example:\n  endcap completions bash > /etc/bash_completion.d/endcap")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Run the server.
#[derive(Debug, Args)]
pub(in crate::cli) struct Serve {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    pub(in crate::cli) listen: Option<String>,
    /// Data directory
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) data: Option<PathBuf>,
    /// Let time stand still and be moved over the API; only for directories made with it
    #[arg(long)]
    pub(in crate::cli) test_clock: bool,
    /// Listen beyond this machine although nothing encrypts the way
    #[arg(long)]
    pub(in crate::cli) allow_plaintext: bool,
}

/// Run a sample shop.
#[derive(Debug, Args)]
pub(in crate::cli) struct Demo {
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 7700)]
    pub(in crate::cli) port: u16,
    /// Variants of the sample shop
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(in crate::cli) variants: u64,
    /// Seed of the sample shop
    #[arg(long, default_value_t = 7)]
    pub(in crate::cli) seed: u64,
}

/// Markets.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Market {
    /// Open a market: one shop front with one currency and one time zone
    #[command(
        after_help = "Example:\n  endcap market create se --name Sweden --currency SEK \
                      --time-zone Europe/Stockholm"
    )]
    Create {
        /// Its key: lower-case letters, digits and hyphens
        market: String,
        /// Its name for people
        #[arg(long)]
        name: String,
        /// ISO 4217 code
        #[arg(long, value_name = "CODE")]
        currency: String,
        /// IANA zone in which its days begin
        #[arg(long, value_name = "ZONE")]
        time_zone: String,
    },
    /// List the markets this key reaches
    #[command(after_help = "Example:\n  endcap market list")]
    List,
    /// Show one with all its settings
    #[command(after_help = "Example:\n  endcap market show se")]
    Show {
        /// Its key
        market: String,
    },
}

/// What to bring in.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Import {
    /// Products and variants; native feeds may define categories beside them
    #[command(
        after_help = "Examples:\n  endcap import catalogue shop.ndjson --market se\n  \
                      endcap import catalogue shop.csv --market se --mapping erp.json"
    )]
    Catalogue(Feed),
    /// Category nodes alone
    #[command(after_help = "Example:\n  endcap import categories tree.ndjson --market se")]
    Categories(Feed),
    /// Strategy scores alone
    #[command(after_help = "Example:\n  endcap import scores scores.csv --market se --mode delta")]
    Scores(Feed),
    /// Events of the last 30 days: clicks, orders, refunds
    #[command(
        after_help = "A file may be sent again: ids and orders count once.\n\nExample:\n  \
                      endcap import events events.ndjson --market se"
    )]
    Events(EventFile),
    /// Orders of the last 30 days: events whose type may be left out
    #[command(after_help = "Example:\n  endcap import orders orders.ndjson --market se")]
    Orders(EventFile),
    /// What came of an earlier import
    #[command(after_help = "Example:\n  endcap import show imp_01k9q0a2b4c6d8e0f2g4h6j8k0")]
    Show {
        /// Its id
        id: String,
    },
    /// Every row error of an import
    #[command(after_help = "Example:\n  endcap import errors imp_01k9q0a2b4c6d8e0f2g4h6j8k0")]
    Errors {
        /// Its id
        id: String,
    },
    /// Let an import happen that was held back as harmful
    #[command(after_help = "Example:\n  endcap import apply imp_01k9q0a2b4c6d8e0f2g4h6j8k0")]
    Apply {
        /// Its id
        id: String,
    },
    /// A whole store from an export file, while no server runs
    #[command(after_help = "Example:\n  endcap import store shop.jsonl --into ./data")]
    Store {
        /// The export file
        file: PathBuf,
        /// Data directory to make
        #[arg(long, value_name = "DIR")]
        into: PathBuf,
        /// Put it in place of the store that lies there, which is kept beside it
        #[arg(long)]
        replace: bool,
    },
}

/// What a feed does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum FeedMode {
    /// Replaces everything of the kinds of record it contains
    Full,
    /// Changes what it names
    Delta,
    /// Checks everything and changes nothing
    Validate,
}

impl FeedMode {
    /// As the API spells it.
    pub(in crate::cli) fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Delta => "delta",
            Self::Validate => "validate",
        }
    }
}

/// What a feed is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum FeedKind {
    /// Products and variants
    Catalogue,
    /// Category nodes alone
    Categories,
    /// Strategy scores alone
    Scores,
}

impl FeedKind {
    /// As the API spells it.
    pub(in crate::cli) fn as_str(self) -> &'static str {
        match self {
            Self::Catalogue => "catalogue",
            Self::Categories => "categories",
            Self::Scores => "scores",
        }
    }
}

/// A feed, where it goes and how it is read.
#[derive(Debug, Args)]
pub(in crate::cli) struct FeedFile {
    /// The feed, plain, gzip or zstd; - for standard input
    pub(in crate::cli) file: PathBuf,
    /// The market
    #[arg(long, value_name = "M")]
    pub(in crate::cli) market: String,
    /// ndjson, csv, google-tsv, google-xml, shopify-csv or elevate; by the file's name and first line
    /// if absent
    #[arg(long, value_name = "FORMAT")]
    pub(in crate::cli) feed_format: Option<String>,
    /// JSON file that says what foreign columns mean; it is stored under its name first
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) mapping: Option<PathBuf>,
    /// Rows that may be wrong before nothing is imported
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(in crate::cli) max_errors: u64,
}

/// Feed a market.
#[derive(Debug, Args)]
pub(in crate::cli) struct Feed {
    #[command(flatten)]
    pub(in crate::cli) file: FeedFile,
    /// Whether the feed is everything, or only changes
    #[arg(long, value_enum, default_value_t = FeedMode::Full)]
    pub(in crate::cli) mode: FeedMode,
    /// Import although much would vanish
    #[arg(long)]
    pub(in crate::cli) force: bool,
}

/// Check a feed.
#[derive(Debug, Args)]
pub(in crate::cli) struct Validate {
    #[command(flatten)]
    pub(in crate::cli) feed: FeedFile,
    /// What the feed is about
    #[arg(long, value_enum, default_value_t = FeedKind::Catalogue)]
    pub(in crate::cli) kind: FeedKind,
}

/// Make a sample shop.
#[derive(Debug, Args)]
pub(in crate::cli) struct Generate {
    /// Number of variants
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(in crate::cli) variants: u64,
    /// The same seed gives the same shop
    #[arg(long, default_value_t = 7)]
    pub(in crate::cli) seed: u64,
}

/// Show a page.
#[derive(Debug, Args)]
pub(in crate::cli) struct Rank {
    /// The market
    #[arg(long, value_name = "M")]
    pub(in crate::cli) market: String,
    /// Category page, such as main:jackets
    #[arg(long, value_name = "CATEGORY")]
    pub(in crate::cli) category: Option<String>,
    /// Text query
    #[arg(short, long, value_name = "TEXT")]
    pub(in crate::cli) q: Option<String>,
    /// Filter, such as brand=Fjord or price.max=100; the same attribute again means "or"
    #[arg(long = "filter", value_name = "ATTR=VALUE")]
    pub(in crate::cli) filters: Vec<String>,
    /// Order other than relevance, such as price:asc; repeat for more keys
    #[arg(long = "sort", value_name = "ATTR:DIRECTION")]
    pub(in crate::cli) sort: Vec<String>,
    /// Attribute whose values are counted; repeat for more
    #[arg(long = "facet", value_name = "ATTR")]
    pub(in crate::cli) facets: Vec<String>,
    /// What is one item: `variant`, `product` or `product_group`
    #[arg(
        help = "What is one item: variant, product or product_group",
        long,
        value_name = "WHAT",
        default_value = "product"
    )]
    pub(in crate::cli) group_by: String,
    /// Session, for the split of measured promotions
    #[arg(long, value_name = "KEY")]
    pub(in crate::cli) session: Option<String>,
    /// Items on the page
    #[arg(long, value_name = "N", default_value_t = 24)]
    pub(in crate::cli) limit: u32,
    /// Items to skip
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(in crate::cli) offset: u32,
    /// Another instant, such as 2027-03-08T06:00:00+01:00
    #[arg(long, value_name = "TIME")]
    pub(in crate::cli) at: Option<String>,
    /// Say why each item stands where it stands
    #[arg(long)]
    pub(in crate::cli) explain: bool,
}

/// API keys.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Key {
    /// Make a key; it is shown once
    #[command(
        after_help = "Examples:\n  endcap key create --name storefront --role storefront-server \
                      --market se\n  endcap key create --name ada --role operator --market '*' \
                      --save ada.key"
    )]
    Create(KeyCreate),
    /// List keys without their secrets
    #[command(after_help = "Example:\n  endcap key list")]
    List,
    /// Give a key a new secret; the old one opens a while longer
    #[command(
        after_help = "Example:\n  endcap key rotate key_01k9q0a2b4c6d8e0f2g4h6j8k0 --grace-s 3600"
    )]
    Rotate {
        /// Its id
        id: String,
        /// Seconds for which the old secret still opens, at most a day
        #[arg(long, value_name = "SECONDS", default_value_t = 0)]
        grace_s: u32,
        /// Write the key into this file, readable by its owner alone, instead of showing it
        #[arg(long, value_name = "FILE")]
        save: Option<PathBuf>,
    },
    /// Revoke a key within a second
    #[command(after_help = "Example:\n  endcap key revoke key_01k9q0a2b4c6d8e0f2g4h6j8k0")]
    Revoke {
        /// Its id
        id: String,
    },
}

/// Make a key.
#[derive(Debug, Args)]
pub(in crate::cli) struct KeyCreate {
    /// Its name for people; its roles if absent
    #[arg(long)]
    pub(in crate::cli) name: Option<String>,
    /// What it is: storefront-public, storefront-server, merchandiser, analyst, seller, operator
    /// or ops; repeat for more
    #[arg(long = "role", value_name = "ROLE", required = true)]
    pub(in crate::cli) roles: Vec<String>,
    /// Markets it may touch; repeat for more, * for all
    #[arg(long = "market", value_name = "M", required = true)]
    pub(in crate::cli) markets: Vec<String>,
    /// Sellers it acts for; repeat for more
    #[arg(long = "seller", value_name = "KEY")]
    pub(in crate::cli) sellers: Vec<String>,
    /// Extra right, such as import; repeat for more
    #[arg(long = "grant", value_name = "GRANT")]
    pub(in crate::cli) grants: Vec<String>,
    /// Web origin a public key may be used from; repeat for more
    #[arg(long = "origin", value_name = "ORIGIN")]
    pub(in crate::cli) origins: Vec<String>,
    /// When it ends, at most two years ahead; a year if absent
    #[arg(long, value_name = "TIME")]
    pub(in crate::cli) expires_at: Option<String>,
    /// Write the key into this file, readable by its owner alone, instead of showing it
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) save: Option<PathBuf>,
}

/// Read the audit.
#[derive(Debug, Args)]
pub(in crate::cli) struct Audit {
    /// Only what this key, user or job did
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) actor: Option<String>,
    /// Only what is about this object, by its path or id
    #[arg(long, value_name = "PATH|ID")]
    pub(in crate::cli) object: Option<String>,
    /// Only this action, such as promotion.create
    #[arg(long, value_name = "ACTION")]
    pub(in crate::cli) action: Option<String>,
    /// Only what was from this time on
    #[arg(long, value_name = "TIME")]
    pub(in crate::cli) from: Option<String>,
    /// Only what was before this time
    #[arg(long, value_name = "TIME")]
    pub(in crate::cli) to: Option<String>,
}

/// Write a backup.
#[derive(Debug, Args)]
pub(in crate::cli) struct Backup {
    /// Folder for the backup of a stopped data directory
    #[arg(value_name = "DIR", requires = "data")]
    pub(in crate::cli) into: Option<PathBuf>,
    /// Data directory of a stopped server; without it the running server is asked
    #[arg(long, value_name = "DIR", requires = "into")]
    pub(in crate::cli) data: Option<PathBuf>,
}

/// Bring a data directory back.
#[derive(Debug, Args)]
pub(in crate::cli) struct Restore {
    /// A data directory, or an export file
    #[arg(value_name = "DIR|FILE")]
    pub(in crate::cli) from: PathBuf,
    /// Where an export file is restored to
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) into: Option<PathBuf>,
    /// The last revision or instant to keep
    #[arg(long, value_name = "REVISION|TIME", conflicts_with = "into")]
    pub(in crate::cli) at: Option<String>,
    /// Go on although acknowledged writes are lost
    #[arg(long, conflicts_with = "into")]
    pub(in crate::cli) accept_loss: bool,
    /// Put an export in place of the store that lies there, which is kept beside it
    #[arg(long, requires = "into")]
    pub(in crate::cli) replace: bool,
}

/// Check a store or a file.
#[derive(Debug, Args)]
pub(in crate::cli) struct Verify {
    /// A data directory, a folder of backups, or an export file
    #[arg(value_name = "DIR|FILE")]
    pub(in crate::cli) path: PathBuf,
}

/// Write figures, or everything, into one file.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Export {
    /// Every metric of every measured promotion
    #[command(after_help = "Example:\n  endcap export results --market se > results.csv")]
    Results(Figures),
    /// The primary metric of every measured promotion, day by day
    #[command(after_help = "Example:\n  endcap export series --market se > series.csv")]
    Series(Figures),
    /// The exact sums behind it: one row a day, arm, level and scope
    #[command(after_help = "Example:\n  endcap export moments --market se --format ndjson")]
    Moments(Figures),
    /// What each product did on each day
    #[command(
        after_help = "Example:\n  endcap export rollups --market se --from 2027-03-01 > days.csv"
    )]
    Rollups(Figures),
    /// A whole store, while no server runs
    #[command(after_help = "Example:\n  endcap export store shop.jsonl --data ./data")]
    Store {
        /// The file to write
        file: PathBuf,
        /// Data directory of a stopped server
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
    },
}

/// Settings.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(in crate::cli) enum Config {
    /// Print every setting with its value and where it comes from
    #[command(after_help = "Example:\n  endcap config print --format json")]
    Print,
    /// Say whether the settings can be read
    #[command(after_help = "Example:\n  endcap config check --config endcap.toml")]
    Check,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[track_caller]
    fn check_examples(command: &clap::Command, path: &str, n_commands: &mut usize) {
        let help = command
            .get_after_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        assert!(help.contains(&format!("  {path}")), "{path}: {help:?}");
        *n_commands += 1;
        for inner in command
            .get_subcommands()
            .filter(|inner| inner.get_name() != "help")
        {
            check_examples(inner, &format!("{path} {}", inner.get_name()), n_commands);
        }
    }

    #[test]
    fn every_help_ends_with_an_example_of_its_own_command() {
        let mut n_commands = 0;
        check_examples(&Cli::command(), "endcap", &mut n_commands);
        assert!(40 < n_commands, "{n_commands}");
    }

    #[test]
    fn examples_are_commands_that_can_be_read() {
        fn collect(command: &clap::Command, lines: &mut Vec<String>) {
            let help = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            lines.extend(
                help.lines()
                    .filter(|line| line.starts_with("  endcap"))
                    .map(str::to_owned),
            );
            command
                .get_subcommands()
                .for_each(|inner| collect(inner, lines));
        }
        let mut lines = Vec::new();
        collect(&Cli::command(), &mut lines);
        for line in lines {
            let words = line
                .split(" > ")
                .next()
                .unwrap_or_default()
                .split_whitespace();
            let words = words.map(|word| word.trim_matches('\''));
            assert!(Cli::try_parse_from(words).is_ok(), "{line}");
        }
    }

    #[test]
    fn a_wrong_word_gets_a_suggestion() {
        let error = Cli::try_parse_from(["endcap", "promo", "lst"])
            .unwrap_err()
            .to_string();
        assert!(error.contains("'list'"), "{error}");
        let error = Cli::try_parse_from(["endcap", "limits", "--format", "jsn"]).unwrap_err();
        assert!(error.to_string().contains("'json'"), "{error}");
    }

    #[test]
    fn the_shape_is_sound() {
        Cli::command().debug_assert();
    }
}
